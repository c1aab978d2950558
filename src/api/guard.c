#include "kedge/guard.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api/path.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "guard/engine.h"
#include "sys/world.h"

struct kedge_guard {
	pid_t pid; /* who made it: a child of fork() never repairs or removes */
	struct world world;
	struct guard_ports ports;
	struct engine engine;
	char *anchor_dir;
	uint64_t retry_ns; /* when inotify is asked for again, while there is none */
};

static bool is_foreign(const struct kedge_guard *guard)
{
	return guard->pid != getpid();
}

static uint64_t interval_ns(int64_t interval_ms)
{
	if (interval_ms == KEDGE_INTERVAL_NONE)
		return TIME_NEVER;
	if (interval_ms == 0)
		interval_ms = KEDGE_INTERVAL_DEFAULT_MS;
	return (uint64_t)interval_ms * NSEC_PER_MSEC;
}

/* Take in an options struct that may be older, and so shorter, than ours. */
static int copy_options(void *to, size_t to_size, const void *from, size_t from_size)
{
	if (!from)
		return 0;
	if (from_size < sizeof(size_t))
		return -EINVAL;
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	return 0;
}

static int check_guard_options(const struct kedge_guard_options *o)
{
	if (o->interval_ms < KEDGE_INTERVAL_NONE || o->interval_ms > KEDGE_INTERVAL_MAX_MS)
		return -EINVAL;
	if (o->mounting != KEDGE_MOUNTING_AUTO && o->mounting != KEDGE_MOUNTING_NEVER)
		return -EINVAL;
	if (o->anchor_dir && (o->anchor_dir[0] != '/' || strlen(o->anchor_dir) >= PATH_MAX))
		return -EINVAL;
	return 0;
}

/* A trailing '/' says nothing, but would hide the last component. */
static char *copy_directory(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return strndup(path, n);
}

int kedge_guard_new(struct kedge_guard **ret_guard, const struct kedge_guard_options *options)
{
	_cleanup_(freep) struct kedge_guard *guard = calloc(1, sizeof(*guard));
	struct kedge_guard_options o = { 0 };
	int r = copy_options(&o, sizeof(o), options, options ? options->size : 0);

	if (r == 0)
		r = check_guard_options(&o);
	if (r < 0)
		return r;
	if (!guard)
		return -ENOMEM;
	if (o.anchor_dir && !(guard->anchor_dir = copy_directory(o.anchor_dir)))
		return -ENOMEM;
	r = world_open(&guard->world);
	if (r < 0) {
		free(guard->anchor_dir);
		return r;
	}
	guard->pid = getpid();
	guard->ports = world_ports(&guard->world);
	engine_init(&guard->engine, &guard->ports,
		    &(struct engine_options){ .interval_ns = interval_ns(o.interval_ms),
					      .anchor_dir = guard->anchor_dir,
					      .mounting = o.mounting == KEDGE_MOUNTING_AUTO,
					      .on_event = o.on_event,
					      .on_listener = o.on_listener,
					      .userdata = o.userdata });
	if (guard->world.inotify < 0)
		engine_set_blind(&guard->engine, true, guard->world.inotify);
	*ret_guard = steal_ptr(guard);
	return 0;
}

struct kedge_guard *kedge_guard_free(struct kedge_guard *guard)
{
	if (!guard)
		return NULL;
	if (is_foreign(guard))
		engine_abandon(&guard->engine);
	else
		engine_deinit(&guard->engine);
	world_close(&guard->world);
	free(guard->anchor_dir);
	free(guard);
	return NULL;
}

static int check_listen_options(const struct kedge_listen_options *o, struct kedge_error *error)
{
	if ((unsigned)o->type > KEDGE_SOCKET_DATAGRAM)
		return error_set(error, -EINVAL, "type %d is no enum kedge_socket_type",
				 (int)o->type);
	if (o->backlog < 0)
		return error_set(error, -EINVAL, "backlog %d is negative", o->backlog);
	if (o->mode > 0777)
		return error_set(error, -EINVAL, "mode %04o is outside 0001 to 0777",
				 (unsigned)o->mode);
	if ((unsigned)o->keep > KEDGE_KEEP_NEVER)
		return error_set(error, -EINVAL, "keep %d is no enum kedge_keep", (int)o->keep);
	if ((unsigned)o->at_close > KEDGE_AT_CLOSE_LEAVE)
		return error_set(error, -EINVAL, "at_close %d is no enum kedge_at_close",
				 (int)o->at_close);
	return 0;
}

static struct listen_config config_of(const struct kedge_listen_options *o)
{
	return (struct listen_config){
		.spec = { .type = (int)o->type,
			  .backlog = o->backlog ? o->backlog : KEDGE_BACKLOG_DEFAULT,
			  .mode = o->mode ? o->mode : KEDGE_MODE_DEFAULT },
		.keep = o->keep,
		.set_owner = o->set_owner != 0,
		.uid = o->uid,
		.gid = o->gid,
		.at_close = o->at_close,
		.create = o->create,
		.userdata = o->userdata,
	};
}

static int add(struct kedge_guard *guard, const char *path,
	       const struct kedge_listen_options *options, int adopted_fd, struct guarded **ret,
	       struct kedge_error *error)
{
	struct kedge_listen_options o = { 0 };
	struct listen_config config;
	int r;

	if (is_foreign(guard))
		return error_set(error, -ESTALE, "the guard belongs to the parent process");
	r = path_check(path, error);
	if (r < 0)
		return r;
	if (copy_options(&o, sizeof(o), options, options ? options->size : 0) < 0)
		return error_set(error, -EINVAL, "the size of the options is not set");
	r = check_listen_options(&o, error);
	if (r < 0)
		return r;
	if (engine_find(&guard->engine, path))
		return error_set(error, -EEXIST, "%s is guarded already", path);
	config = config_of(&o);
	return engine_add(&guard->engine, path, &config, adopted_fd, ret, error);
}

int kedge_guard_listen(struct kedge_guard *guard, const char *path,
		       const struct kedge_listen_options *options, int *ret_fd,
		       struct kedge_error *error)
{
	struct guarded *g;
	int r = add(guard, path, options, -1, &g, error);

	if (r == 0 && ret_fd)
		*ret_fd = g->current->fd;
	return r;
}

int kedge_guard_adopt(struct kedge_guard *guard, const char *path, int listening_fd,
		      const struct kedge_listen_options *options, struct kedge_error *error)
{
	struct guarded *g;

	if (listening_fd < 0)
		return error_set(error, -EBADF, "%d is no descriptor", listening_fd);
	return add(guard, path, options, listening_fd, &g, error);
}

int kedge_guard_close(struct kedge_guard *guard, const char *path)
{
	struct guarded *g;

	if (is_foreign(guard))
		return -ESTALE;
	g = engine_find(&guard->engine, path);
	if (!g)
		return -ENOENT;
	guarded_stop(g);
	return 0;
}

int kedge_guard_fd(const struct kedge_guard *guard)
{
	return guard->world.epoll;
}

int kedge_guard_deadline(const struct kedge_guard *guard, uint64_t *ret_usec)
{
	uint64_t deadline = engine_deadline(&guard->engine);
	uint64_t now = guard->ports.now_ns(guard->ports.ctx);

	if (deadline == TIME_NEVER)
		*ret_usec = UINT64_MAX;
	else
		/* Rounded up: a caller who wakes a little early would only wake twice. */
		*ret_usec = ((deadline > now ? deadline : now) + NSEC_PER_USEC - 1) / NSEC_PER_USEC;
	return 0;
}

static void on_watch(void *userdata, int watch)
{
	engine_hint_watch(userdata, watch);
}

static void on_entry(void *userdata, int watch, const char *name)
{
	engine_hint_entry(userdata, watch, name);
}

static void on_dropped(void *userdata, int watch)
{
	engine_hint_dropped(userdata, watch);
}

static void on_overflow(void *userdata)
{
	engine_hint_overflow(userdata);
}

static void on_mounts(void *userdata)
{
	engine_hint_all(userdata);
}

/* Where inotify was not to be had, ask again with each safety look. */
static void retry_events(struct kedge_guard *guard)
{
	uint64_t now = guard->ports.now_ns(guard->ports.ctx);

	if (guard->world.inotify >= 0 || now < guard->retry_ns)
		return;
	guard->retry_ns = now + KEDGE_INTERVAL_DEFAULT_MS * NSEC_PER_MSEC;
	if (world_retry(&guard->world) == 0)
		engine_set_blind(&guard->engine, false, 0);
}

int kedge_guard_process(struct kedge_guard *guard)
{
	static const struct world_events events = { on_watch, on_entry, on_dropped, on_overflow,
						    on_mounts };

	if (is_foreign(guard))
		return -ESTALE;
	retry_events(guard);
	world_read(&guard->world, &events, &guard->engine);
	engine_run(&guard->engine);
	return 0;
}

int kedge_guard_repair(struct kedge_guard *guard, const char *path)
{
	struct guarded *g;
	uint64_t losses;
	bool was_lost;

	if (is_foreign(guard))
		return -ESTALE;
	g = engine_find(&guard->engine, path);
	if (!g)
		return -ENOENT;
	losses = g->counts.losses;
	was_lost = g->lost_ns != 0;
	engine_run_one(&guard->engine, g);
	/* A callback may have closed it in the meantime. */
	g = engine_find(&guard->engine, path);
	if (!g)
		return -ENOENT;
	switch (g->state) {
	case KEDGE_STATE_REACHABLE:
		return was_lost || g->counts.losses != losses;
	case KEDGE_STATE_DISPLACED:
		return -EADDRINUSE;
	default:
		return -EBUSY;
	}
}

int kedge_guard_status(const struct kedge_guard *guard, const char *path,
		       struct kedge_path_status *ret)
{
	const struct guarded *g = engine_find(&guard->engine, path);
	struct kedge_path_status status;
	size_t size = ret->size;

	if (is_foreign(guard))
		return -ESTALE;
	if (size < sizeof(size_t))
		return -EINVAL;
	if (!g)
		return -ENOENT;
	status = (struct kedge_path_status){
		.size = size,
		.state = g->state,
		.cause = g->cause,
		.error = g->record.error,
		.fd = g->current->fd,
		.generation = g->current->generation,
		.losses = g->counts.losses,
		.relinks = g->counts.relinks,
		.rebinds = g->counts.rebinds,
		.outage_last_ns = g->counts.outage_last_ns,
		.outage_total_ns = g->counts.outage_total_ns,
		.retired = g->retired_count,
		.anchored = g->current->home != NULL,
		.watched = g->current->watcher.number != WATCH_NONE,
	};
	memcpy(ret, &status, size < sizeof(status) ? size : sizeof(status));
	return 0;
}
