/*
 * How a path comes to be guarded, and how kedge leaves it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "guard/engine.h"

/* Whoever stands at the path has so long to answer; silence counts as alive. */
#define START_PROBE_NS     (2000 * NSEC_PER_MSEC)
#define START_PROBE_GAP_NS (10 * NSEC_PER_MSEC)

/* Others that end or start at the same moment may get in between, so often. */
#define START_TRIES 8

/* An anchor directory that another instance removes as it ends is made again. */
static int lock_at_start(struct guarded *g, struct kedge_error *error)
{
	struct engine *e = g->engine;
	int r = -ENOENT;

	for (int i = 0; i < START_TRIES && r == -ENOENT; i++) {
		if (!g->place->anchors || i > 0) {
			r = place_open_anchors(g->place, e->ports, e->options.anchor_dir);
			if (r < 0) {
				report(e, g, KEDGE_EVENT_DEGRADED, r,
				       "no anchor directory: re-bind only");
				return 0;
			}
		}
		r = guarded_lock(g);
	}
	if (r == -EWOULDBLOCK)
		return error_set(error, -EADDRINUSE,
				 "EADDRINUSE: another daemon is listening at %s", g->path);
	if (r < 0)
		return error_set(error, r, "cannot lock %s: %s", g->path, error_words(r));
	return 0;
}

/* Ask whoever stands at the path: twice, for a daemon between bind and listen. */
static int probe_at_start(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	uint64_t end = p->now_ns(p->ctx) + START_PROBE_NS;
	unsigned stale = 0;

	for (;;) {
		int r = p->probe(p->ctx, g->place->fd, g->name, g->config.spec.type);

		stale = r == PROBE_STALE ? stale + 1 : 0;
		if (stale == 2 || (r != PROBE_STALE && r != PROBE_UNSETTLED))
			return r;
		if (p->now_ns(p->ctx) >= end)
			return PROBE_UNSETTLED;
		p->pause(p->ctx, START_PROBE_GAP_NS);
	}
}

/* A socket stands at the path. Return: 0: it may be replaced. */
static int judge_socket(struct guarded *g, struct kedge_error *error)
{
	switch (probe_at_start(g)) {
	case PROBE_STALE:
	case PROBE_GONE:
		return 0;
	case PROBE_LIVE:
		return error_set(error, -EADDRINUSE,
				 "EADDRINUSE: another daemon is listening at %s", g->path);
	case PROBE_UNSETTLED:
		return error_set(error, -EADDRINUSE,
				 "EADDRINUSE: probe-connect to %s did not settle within 2000ms",
				 g->path);
	default:
		return error_set(error, -EACCES,
				 "a socket stands at %s, and asking it is not permitted", g->path);
	}
}

/* What stands at the path before we begin. Return: 0: nothing, or a stale socket. */
static int judge_path(struct guarded *g, struct node *ret, struct kedge_error *error)
{
	const struct guard_ports *p = g->engine->ports;
	int r = p->stat(p->ctx, g->place->fd, g->name, ret);

	if (r < 0)
		return error_set(error, r, "cannot look at %s: %s", g->path, error_words(r));
	switch (ret->kind) {
	case NODE_DIRECTORY:
		return error_set(error, -EISDIR,
				 "a directory stands at %s: a socket cannot be made there",
				 g->path);
	case NODE_OTHER:
		return error_set(error, -ENOTSOCK,
				 "a file that is not a socket stands at %s: move it away first",
				 g->path);
	case NODE_SOCKET:
		return judge_socket(g, error);
	default:
		return 0;
	}
}

/*
 * A guard that was killed while a mount kept the path left it, with a dead listener's inode:
 * it goes, if it is that very mount. What it was mounted on is a stale socket then.
 */
static void take_down_mount(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	if (guarded_left_mount(g) &&
	    p->probe(p->ctx, g->place->fd, g->name, g->config.spec.type) == PROBE_STALE)
		(void)p->unmount(p->ctx, g->place->fd, g->name);
}

/*
 * A stale socket is mounted at the path, and it cannot be proved that it is ours: whoever was
 * killed could not note it. No name can be renamed onto a mount point.
 */
static int publish_over_mount(struct guarded *g, struct kedge_error *error)
{
	struct node there;
	/* Judged once more: another guard may have mounted its listener there since. */
	int r = judge_path(g, &there, error);

	if (r < 0)
		return r;
	r = -EPERM;
	if (g->engine->options.mounting)
		r = publish_mount(g, there.kind == NODE_NONE ? MOUNT_ON_NEW : MOUNT_OVER);
	if (r < 0)
		return error_set(
			error, -EBUSY,
			"cannot publish %s: a stale socket is mounted there: unmount it first",
			g->path);
	return 0;
}

static int publish_at_start(struct guarded *g, struct kedge_error *error)
{
	struct node there = { 0 };
	int r = -EAGAIN;

	for (int i = 0; i < START_TRIES && (r == -EAGAIN || r == PUBLISH_TAKEN); i++) {
		r = judge_path(g, &there, error);
		if (r < 0)
			return r;
		r = there.kind == NODE_NONE ? publish_link(g) : publish_replace(g, &there);
	}
	if (r == -EXDEV)
		return r;
	if (r == -EBUSY && there.kind == NODE_SOCKET)
		return publish_over_mount(g, error);
	if (r != PUBLISH_DONE)
		return error_set(error, r < 0 ? r : -EADDRINUSE, "cannot publish %s: %s", g->path,
				 error_words(r < 0 ? r : -EADDRINUSE));
	return 0;
}

static int make_first(struct guarded *g, struct kedge_error *error)
{
	struct listener *l;
	struct node there;
	int r = judge_path(g, &there, error);

	if (r < 0)
		return r;
	g->generation++;
	guarded_note(g);
	r = listener_make(&l, g, g->generation);
	if (r < 0)
		return error_set(error, r, "cannot make a listener for %s: %s", g->path,
				 error_words(r));
	guarded_replace(g, l);
	r = publish_at_start(g, error);
	if (r == 0)
		g->current->announced = true;
	return r;
}

static int adopt_first(struct guarded *g, int fd, struct kedge_error *error)
{
	const struct guard_ports *p = g->engine->ports;
	struct node bound;
	struct listener *l;
	int r = p->listener_node(p->ctx, fd, g->path, &bound);

	if (r < 0)
		return error_set(error, r, "descriptor %d is no listener at %s: %s", fd, g->path,
				 error_words(r));
	g->generation++;
	r = listener_adopt(&l, g, g->generation, fd);
	if (r == -ENOENT)
		return error_set(error, -ESTALE, "the path of the listener is lost: %s", g->path);
	if (r < 0)
		return error_set(error, r, "cannot adopt %s: %s", g->path, error_words(r));
	guarded_replace(g, l);
	/* Replaced since, by a file even where the kernel knows names alone. */
	if (l->node.kind != NODE_SOCKET || !node_same(&bound, &l->node)) {
		g->config.at_close = KEDGE_AT_CLOSE_LEAVE;
		return error_set(error, -EINVAL, "%s is not what descriptor %d is bound to",
				 g->path, fd);
	}
	return 0;
}

void guarded_anchor(struct guarded *g)
{
	struct look look;

	guarded_look(g, &look);
	g->backing_seen = false;
	if (g->place->anchors)
		(void)guarded_act(g, ACTION_ANCHOR, &look);
}

/* From now on the path is to be as it is at this moment. */
static void record_start(struct guarded *g, int adopted)
{
	struct record *r = &g->record;
	enum kedge_keep keep = g->config.keep;
	uint64_t interval = g->engine->options.interval_ns;

	r->want = g->current->node;
	r->want_dir = g->place->node;
	r->keep = keep == KEDGE_KEEP_ALWAYS || (keep == KEDGE_KEEP_MADE && !adopted);
	r->keep_dir = keep == KEDGE_KEEP_ALWAYS || (keep == KEDGE_KEEP_MADE && g->place->made);
	r->mounting = g->engine->options.mounting;
	r->interval_ns = interval == TIME_NEVER ? KEDGE_INTERVAL_DEFAULT_MS * NSEC_PER_MSEC
						: interval;
	if (adopted)
		g->config.spec.mode = g->current->node.mode;
}

/* Links from the anchor directory cannot reach the path: go on without one. */
static void refuse_anchors(struct guarded *g)
{
	g->current = listener_close(g->current, g);
	guarded_unlock(g);
	g->place->anchors = anchor_dir_unref(g->place->anchors);
	g->place->anchors_refused = true;
	report(g->engine, g, KEDGE_EVENT_DEGRADED, -EXDEV,
	       "the anchor directory is on another mount: re-bind only");
}

/* By what was asked for: an anchor directory that cannot be had now may be had later. */
static size_t name_max(const struct guarded *g)
{
	const struct anchor_dir asked = { .shared = g->engine->options.anchor_dir != NULL };

	return anchor_socket_name_max(&asked);
}

int guarded_start(struct guarded *g, int adopted_fd, struct kedge_error *error)
{
	int r;

	if (strlen(g->name) > name_max(g))
		return error_set(error, -ENAMETOOLONG,
				 "the last component of %s is longer than %zu bytes", g->path,
				 name_max(g));
	r = lock_at_start(g, error);
	if (r < 0)
		return r;
	if (adopted_fd < 0)
		take_down_mount(g);
	r = adopted_fd >= 0 ? adopt_first(g, adopted_fd, error) : make_first(g, error);
	if (r == -EXDEV) {
		refuse_anchors(g);
		r = make_first(g, error);
		if (r == -EXDEV)
			r = error_set(error, r, "cannot publish %s: %s", g->path, error_words(r));
	}
	if (r < 0)
		return r;
	record_start(g, adopted_fd >= 0);
	if (adopted_fd >= 0 && guarded_left_mount(g))
		publish_inherit_mount(g, &g->left);
	if (adopted_fd >= 0)
		guarded_anchor(g);
	guarded_sweep_own(g);
	return 0;
}

static bool removes(const struct guarded *g, const struct listener *l)
{
	switch (g->config.at_close) {
	case KEDGE_AT_CLOSE_REMOVE:
		return true;
	case KEDGE_AT_CLOSE_LEAVE:
		return false;
	default:
		return l->made;
	}
}

/* The directory that the path names may have changed since the last look. */
static int withdraw_here(struct guarded *g, const struct listener *l)
{
	const struct guard_ports *p = g->engine->ports;
	int r, fd;

	place_look(g->place, p, ++g->engine->turn);
	if (g->place->seen_error < 0 || node_same(&g->place->seen, &g->place->node))
		return -ESTALE;
	fd = p->dir_open(p->ctx, g->place->path);
	if (fd < 0)
		return fd;
	r = publish_withdraw(g, fd, &l->node);
	p->close(p->ctx, fd);
	return r;
}

int guarded_withdraw(struct guarded *g, struct listener *l)
{
	int r;

	if (!l || l->draft || !removes(g, l))
		return -ESTALE;
	publish_unmount(g, l);
	r = publish_withdraw(g, g->place->fd, &l->node);
	for (unsigned i = 0; i < g->place->former_count; i++)
		(void)publish_withdraw(g, g->place->former[i], &l->node);
	return withdraw_here(g, l) == 0 ? 0 : r;
}

static int clear_of(struct guarded *g, struct listener *l, int dir, const struct node *node)
{
	int r = -ESTALE;

	if (l->draft)
		r = listener_remove_draft(l, g, dir);
	else if (removes(g, l) || listener_is_put_in(l, node))
		r = publish_withdraw(g, dir, &l->node);
	return r == -ESTALE ? 0 : r;
}

int guarded_clear(struct guarded *g, int dir)
{
	const struct guard_ports *p = g->engine->ports;
	struct node node;
	int r = p->stat_fd(p->ctx, dir, &node);

	if (r == 0 && g->current)
		r = clear_of(g, g->current, dir, &node);
	list_for_each (it, &g->retired) {
		int r2 = clear_of(g, list_entry(it, struct listener, link), dir, &node);

		r = r < 0 ? r : r2;
	}
	return r;
}

void guarded_forget_dir(struct guarded *g, int dir)
{
	const struct guard_ports *p = g->engine->ports;
	struct node node;

	if (p->stat_fd(p->ctx, dir, &node) < 0)
		return;
	if (g->current)
		listener_forget_dir(g->current, &node);
	list_for_each (it, &g->retired)
		listener_forget_dir(list_entry(it, struct listener, link), &node);
}

static void close_listeners(struct guarded *g)
{
	list_for_each_safe (it, &g->retired) {
		struct listener *l = list_entry(it, struct listener, link);

		(void)guarded_withdraw(g, l);
		listener_close(l, g);
	}
	g->retired_count = 0;
	g->current = listener_close(g->current, g);
}

void guarded_stop(struct guarded *g)
{
	struct engine *e = g->engine;
	bool was_well = g->state != KEDGE_STATE_STOPPED;
	int r;

	g->closed = true;
	g->generation++;
	r = guarded_withdraw(g, g->current);
	close_listeners(g);
	guarded_unlock(g);
	watcher_stop(&e->watches, &g->stranger);
	heap_remove(&e->timers, &g->timer);
	list_unlink(&g->dirty);
	g->state = KEDGE_STATE_STOPPED;
	engine_forget(e, g);
	if (was_well)
		report(e, g, KEDGE_EVENT_STOPPED, 0,
		       r == 0 ? "path removed" : "path left as it is");
	engine_release(g);
}

void guarded_abandon(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	list_for_each_safe (it, &g->retired)
		listener_abandon(list_entry(it, struct listener, link), g);
	listener_abandon(g->current, g);
	if (g->lock >= 0)
		p->close(p->ctx, g->lock);
	anchor_dir_abandon(g->lock_home);
	list_unlink(&g->in_place);
	free(g->path);
	free(g);
}
