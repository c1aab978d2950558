#include "api/tended.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/cleanup.h"

/* Ended processes that are read of at a time. */
#define ENDED_MAX 64

uint64_t tender_now(const struct tender *t)
{
	return t->ports.now_ns(t->ports.ctx);
}

struct tended *tender_find(const struct tender *t, const char *path)
{
	struct tended *d = map_get(&t->by_path, map_hash_text(path));

	while (d && strcmp(d->path, path) != 0)
		d = d->same_hash;
	return d;
}

void tender_tell(struct tender *t, const struct tended *d, enum kedge_event_kind kind, int error,
		 const char *detail)
{
	struct kedge_event event = { .size = sizeof(event),
				     .kind = kind,
				     .path = d ? d->path : "",
				     .error = error,
				     .detail = detail };

	if (d && d->g && d->g->current)
		event.generation = d->g->current->generation;
	if (t->options.on_event)
		t->options.on_event(&event, d && kind == KEDGE_EVENT_LEFT_ALONE ? d->by : NULL,
				    t->options.userdata);
}

void tended_forget_loss(struct tended *d)
{
	free(d->by);
	d->by = NULL;
	d->remover = TEND_UNKNOWN;
	d->left_alone = d->given_up = false;
}

void tender_tell_hopeless(struct tended *d)
{
	tender_tell(d->tender, d, KEDGE_EVENT_BLOCKED, -ENOLINK,
		    "no name of its socket is left to link back: restart its daemon");
}

/* What the engine tells, with what the tender knows. */
static void on_engine_event(const struct kedge_event *event, void *userdata)
{
	struct tender *t = userdata;
	struct tended *d = tender_find(t, event->path);
	bool lost = event->kind == KEDGE_EVENT_LOST;

	if (d && d->letting_go && event->kind == KEDGE_EVENT_STOPPED)
		return;
	if (t->options.on_event)
		t->options.on_event(event, d && lost ? d->by : NULL, t->options.userdata);
	if (d && lost && d->given_up)
		tender_tell_hopeless(d);
}

const struct census *tender_census(struct tender *t)
{
	int r;

	if (t->census_turn == t->turn)
		return &t->census;
	r = census_take(&t->census);
	if ((r < 0 || t->census.by_name) && !t->told_census) {
		t->told_census = true;
		tender_tell(t, NULL, KEDGE_EVENT_DEGRADED, r < 0 ? r : t->census.error,
			    r < 0 ? "no list of sockets is to be had: nobody is seen to end"
				  : "no sock_diag: sockets are told by /proc/net/unix alone");
	}
	t->census_turn = r < 0 ? 0 : t->turn;
	return r < 0 ? NULL : &t->census;
}

static enum tend_remover judge_remover(const struct tended *d)
{
	const struct process *by = d->by, *owner;

	if (holding_has(d, by->pid) ||
	    process_holds(by->pid, token_get(d->tender, d->g->current->fd)->socket_inode))
		return TEND_OWNER;
	if (!d->holding.main || by->uid == (uid_t)-1)
		return TEND_UNKNOWN;
	owner = &d->holding.main->process;
	/* One that is about to be reaped has a name, but no program any more. */
	if (process_same_program(by, owner) || (!*by->exe && strcmp(by->comm, owner->comm) == 0))
		return TEND_KIN;
	return TEND_STRANGER;
}

/* A process did something to the names of a guarded inode. */
void tender_on_remover(void *owner, pid_t pid, void *userdata)
{
	struct tender *t = userdata;
	struct tended *d = owner;

	if (!d) {
		engine_hint_overflow(&t->engine);
		return;
	}
	if (!d->by)
		d->by = malloc(sizeof(*d->by));
	if (!d->by || !d->g)
		return;
	d->g->hinted = true;
	engine_hint(&t->engine, d->g);
	if (process_identify(pid, d->by) < 0)
		*d->by = (struct process){ .pid = pid, .uid = (uid_t)-1 };
	d->remover = judge_remover(d);
}

/* Life. */

static int watch_fd(struct tender *t, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(t->world.epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void open_sources(struct tender *t)
{
	t->entries = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->entries < 0)
		t->entries = -errno;
	else
		(void)watch_fd(t, t->entries);
	t->removers.fd = -EBADF;
	if (t->options.attribution == TENDER_ATTRIBUTION_AUTO && removers_open(&t->removers) == 0)
		(void)watch_fd(t, t->removers.fd);
	t->walk.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->walk.done >= 0)
		(void)watch_fd(t, t->walk.done);
	if (t->world.inotify < 0)
		engine_set_blind(&t->engine, true, t->world.inotify);
}

int tender_new(struct tender **ret, const struct tender_options *options)
{
	_cleanup_(freep) struct tender *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->options = *options;
	if (options->anchor_dir && !(t->anchor_dir = strdup(options->anchor_dir)))
		return -ENOMEM;
	r = world_open(&t->world);
	if (r < 0) {
		free(t->anchor_dir);
		return r;
	}
	list_init(&t->paths);
	list_init(&t->watched);
	list_init(&t->woken);
	census_init(&t->census);
	t->turn = 1;
	t->ports = tender_ports(t);
	engine_init(&t->engine, &t->ports,
		    &(struct engine_options){ .interval_ns = options->interval_ns,
					      .anchor_dir = t->anchor_dir,
					      .mounting = true,
					      .on_event = on_engine_event,
					      .userdata = t,
					      .leave = tender_leave });
	open_sources(t);
	*ret = steal_ptr(t);
	return 0;
}

static void index_path(struct tender *t, struct tended *d)
{
	uint64_t hash = map_hash_text(d->path);

	d->same_hash = map_get(&t->by_path, hash);
	(void)map_put(&t->by_path, hash, d);
}

static void unindex_path(struct tender *t, struct tended *d)
{
	uint64_t hash = map_hash_text(d->path);
	struct tended *first = map_remove(&t->by_path, hash);

	if (first == d)
		first = d->same_hash;
	for (struct tended *it = first; it; it = it->same_hash)
		if (it->same_hash == d)
			it->same_hash = d->same_hash;
	if (first)
		(void)map_put(&t->by_path, hash, first);
}

struct tended *tended_new(struct tender *t, const char *path)
{
	size_t size = strlen(path) + 1;
	struct tended *d = calloc(1, sizeof(*d) + size);

	if (!d)
		return NULL;
	memcpy(d->path, path, size);
	d->tender = t;
	d->name = strrchr(d->path, '/') + 1;
	d->timer = (struct heap_node)HEAP_NODE_INIT;
	list_init(&d->in_directory);
	list_init(&d->woken);
	list_init(&d->link);
	list_append(&t->paths, &d->link);
	index_path(t, d);
	return d;
}

struct tended *tended_free(struct tended *d)
{
	struct tender *t = d->tender;

	if (d->g) {
		tended_unmark(d);
		tended_end_lease(d);
		guarded_stop(d->g);
	}
	d->g = NULL;
	await_unwatch(d);
	holding_drop(d);
	tended_forget_loss(d);
	heap_remove(&t->timers, &d->timer);
	list_unlink(&d->woken);
	list_unlink(&d->link);
	unindex_path(t, d);
	free(d);
	return NULL;
}

struct tender *tender_free(struct tender *t)
{
	struct list *it;

	if (!t)
		return NULL;
	holders_stop(t);
	while ((it = list_first(&t->paths)))
		tended_free(list_entry(it, struct tended, link));
	engine_deinit(&t->engine);
	removers_close(&t->removers);
	fd_close(t->entries);
	world_close(&t->world);
	census_deinit(&t->census);
	map_deinit(&t->holders);
	map_deinit(&t->by_pidfd);
	map_deinit(&t->by_path);
	heap_deinit(&t->timers);
	free(t->foreign);
	free(t->anchor_dir);
	free(t);
	return NULL;
}

/* Turns. */

int tender_fd(const struct tender *t)
{
	return t->world.epoll;
}

uint64_t tender_deadline(const struct tender *t)
{
	uint64_t engine = engine_deadline(&t->engine);
	const struct heap_node *first = heap_first((struct heap *)(uintptr_t)&t->timers);

	if ((t->holders_wanted && !t->walk.running) || !list_empty(&t->woken))
		return 0;
	return first && first->at < engine ? first->at : engine;
}

static void read_ended(struct tender *t)
{
	struct epoll_event events[ENDED_MAX];
	int n = epoll_wait(t->world.epoll, events, ENDED_MAX, 0);

	for (int i = 0; i < n; i++)
		(void)holders_ended(t, events[i].data.fd);
}

static void on_watch(void *userdata, int watch)
{
	engine_hint_watch(&((struct tender *)userdata)->engine, watch);
}

static void on_entry(void *userdata, int watch, const char *name)
{
	engine_hint_entry(&((struct tender *)userdata)->engine, watch, name);
}

static void on_dropped(void *userdata, int watch)
{
	engine_hint_dropped(&((struct tender *)userdata)->engine, watch);
}

static void on_overflow(void *userdata)
{
	engine_hint_overflow(&((struct tender *)userdata)->engine);
}

static void on_mounts(void *userdata)
{
	engine_hint_all(&((struct tender *)userdata)->engine);
}

/* Where inotify was not to be had, ask again now and then. */
static void retry_events(struct tender *t)
{
	uint64_t now = tender_now(t);

	if (t->world.inotify >= 0 || now < t->retry_ns)
		return;
	t->retry_ns = now + KEDGE_INTERVAL_DEFAULT_MS * NSEC_PER_MSEC;
	if (world_retry(&t->world) == 0)
		engine_set_blind(&t->engine, false, 0);
}

static void look_at_due(struct tender *t)
{
	struct heap_node *first;

	while ((first = heap_first(&t->timers)) && first->at <= tender_now(t)) {
		struct tended *d = container_of(first, struct tended, timer);

		heap_remove(&t->timers, first);
		if (d->g)
			vigil_due(d);
		else
			await_look(d);
	}
}

void tender_process(struct tender *t)
{
	static const struct world_events events = { on_watch, on_entry, on_dropped, on_overflow,
						    on_mounts };

	t->turn++;
	t->asked = 0;
	retry_events(t);
	/* Who did it is read first: then it is known when what was done is looked at. */
	removers_read(&t->removers, tender_on_remover, t);
	world_read(&t->world, &events, t);
	read_ended(t);
	await_read(t);
	look_at_due(t);
	engine_run(&t->engine);
	holders_read(t);
	if (t->holders_wanted)
		holders_begin(t);
}

void tender_ready(struct tender *t)
{
	holders_find(t);
}

int tender_status(const struct tender *t, const char *path, struct tender_status *ret)
{
	const struct tended *d = tender_find(t, path);
	const struct holder *h = d ? d->holding.main : NULL;

	if (!d)
		return -ENOENT;
	*ret = (struct tender_status){ .held = d->g,
				       .leased = d->restored,
				       .attributed = d->mark.owner,
				       .pid = h ? h->process.pid : 0,
				       .uid = h ? h->process.uid : 0,
				       .comm = h ? h->process.comm : "",
				       .holders = (unsigned)d->holding.count };
	return 0;
}
