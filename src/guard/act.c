/*
 * Acting: one function an action, and a table of them.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "guard/engine.h"

static int act_block(struct guarded *g, const struct look *look)
{
	static const int errors[] = {
		/* A borrowed listener that neither a link nor a mount brings there. */
		[LOOK_PATH_FREE] = -EXDEV,  [LOOK_PATH_RETIRED] = -EXDEV,
		[LOOK_PATH_OURS] = -EBUSY,  [LOOK_PATH_SOCKET] = -EACCES,
		[LOOK_PATH_OTHER] = -EBUSY, [LOOK_PATH_DIRECTORY] = -EISDIR,
	};

	(void)g;
	return look->dir == LOOK_DIR_UNSEEN ? look->dir_error : errors[look->path];
}

static int act_make_dirs(struct guarded *g, const struct look *look)
{
	(void)look;
	return place_make(g->place, g->engine->ports);
}

static int act_enter_dir(struct guarded *g, const struct look *look)
{
	struct engine *e = g->engine;
	int r = engine_enter(e, g->place);

	(void)look;
	if (r < 0)
		return r;
	r = place_open_anchors(g->place, e->ports, e->options.anchor_dir);
	if (r < 0 && !place_wants_anchors(g->place))
		report(e, g, KEDGE_EVENT_DEGRADED, r, "no anchor directory: re-bind only");
	return 0;
}

static int act_restore_dir(struct guarded *g, const struct look *look)
{
	(void)look;
	return place_restore(g->place, g->engine->ports);
}

/* Not even a new listener can be linked from the anchor directory: it is on another mount. */
static void refuse_anchors(struct guarded *g)
{
	const struct listener *c = g->current;

	if (!c->home || c->home != g->place->anchors || c->published || !c->made)
		return;
	g->place->anchors = anchor_dir_unref(g->place->anchors);
	g->place->anchors_refused = true;
	report(g->engine, g, KEDGE_EVENT_DEGRADED, -EXDEV,
	       "the anchor directory is on another mount: re-bind only");
}

static int act_link(struct guarded *g, const struct look *look)
{
	int r = publish_link(g);

	(void)look;
	if (r == -EXDEV)
		refuse_anchors(g);
	return r;
}

static int act_bind_mount(struct guarded *g, const struct look *look)
{
	return publish_mount(g, look->path == LOOK_PATH_FREE ? MOUNT_ON_NEW : MOUNT_OVER);
}

/* The anchor directory may have been swept together with the path. Return: whether
 * there is another one now. */
static bool renew_anchors(struct guarded *g)
{
	const struct anchor_dir *before = g->place->anchors;

	return before &&
	       place_open_anchors(g->place, g->engine->ports, g->engine->options.anchor_dir) == 0 &&
	       g->place->anchors != before;
}

static int act_rebind(struct guarded *g, const struct look *look)
{
	struct listener *l;
	int r = 0;

	(void)look;
	if (g->place->anchors && g->lock_home != g->place->anchors)
		r = guarded_lock(g);
	/* Somebody else guards the path in its new place: then it is theirs. */
	if (r == -EWOULDBLOCK)
		return -EADDRINUSE;
	g->generation++;
	guarded_note(g);
	r = listener_make(&l, g, g->generation);
	if (r == -ENOENT && !g->closed && renew_anchors(g))
		return -EAGAIN;
	if (r < 0)
		return g->closed ? -EAGAIN : r;
	guarded_replace(g, l);
	if (g->closed)
		return -EAGAIN;
	/* A dead listener still holds its inode, and would keep the path from us; and where
	 * each new one is lost before it is seen, this alone keeps them few. */
	guarded_trim(g);
	return 0;
}

static int act_promote(struct guarded *g, const struct look *look)
{
	struct listener *l = guarded_retired(g, &look->path_node);

	/* The look has found it, and only a turn closes what is retired. */
	assert(l);
	list_unlink(&l->link);
	g->retired_count--;
	guarded_replace(g, l);
	return 0;
}

/* Hear of the stranger's end from its inode, as far as that lets us. */
static void watch_stranger(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	int fd;

	if (g->stranger.number != WATCH_NONE)
		return;
	fd = p->handle_open(p->ctx, g->place->fd, g->name);
	if (fd < 0)
		return;
	(void)watcher_start(&g->engine->watches, &g->stranger, fd, WATCH_INODE);
	p->close(p->ctx, fd);
}

/* One name in one directory, which two paths lead to. */
static bool is_one_name(const struct guarded *a, const struct guarded *b)
{
	return node_same(&a->place->node, &b->place->node) && strcmp(a->name, b->name) == 0;
}

/* Whether @node is a listener of @g, current or retired, that we made. */
static bool has_made(const struct guarded *g, const struct node *node)
{
	if (g->current && g->current->made && node_same(&g->current->node, node))
		return true;
	list_for_each (it, &g->retired) {
		const struct listener *l = list_entry(it, struct listener, link);

		if (l->made && node_same(&l->node, node))
			return true;
	}
	return false;
}

bool guarded_is_of_another(const struct guarded *g, const struct node *node)
{
	list_for_each (it, &g->engine->places) {
		const struct place *place = list_entry(it, struct place, link);

		list_for_each (it2, &place->members) {
			const struct guarded *other = list_entry(it2, struct guarded, in_place);

			if (other != g && has_made(other, node))
				return !is_one_name(g, other);
		}
	}
	return false;
}

static int act_probe(struct guarded *g, const struct look *look)
{
	const struct guard_ports *p = g->engine->ports;
	int r = p->probe(p->ctx, g->place->fd, g->name, g->config.spec.type);
	bool same = node_same(&g->record.probed, &look->path_node);

	/* Asked of all paths, so only of one that was not known to be a stranger's. Where it is not
	 * watched, and so not held, its number may be another's by now. */
	if ((!same || g->record.probe == PROBE_STALE || g->stranger.number == WATCH_NONE) &&
	    guarded_is_of_another(g, &look->path_node))
		return PROBE_STALE;
	if (!same)
		watcher_stop(&g->engine->watches, &g->stranger);
	if (r == PROBE_LIVE || r == PROBE_UNSETTLED)
		watch_stranger(g);
	return r;
}

static int act_replace_stale(struct guarded *g, const struct look *look)
{
	const struct guard_ports *p = g->engine->ports;
	uint32_t uid = p->uid(p->ctx);
	int r = publish_replace(g, &look->path_node);

	/* Only its owner may link an inode, and this one was given away. */
	return r == -EPERM && uid != 0 && uid != look->ours.uid ? -ESTALE : r;
}

static int act_move_aside(struct guarded *g, const struct look *look)
{
	return publish_aside(g, &look->path_node);
}

static int act_restore_mode(struct guarded *g, const struct look *look)
{
	const struct guard_ports *p = g->engine->ports;
	const struct node *want = &g->record.want;
	int handle = g->current->handle, r = 0;

	if (look->ours.uid != want->uid || look->ours.gid != want->gid)
		r = p->set_owner(p->ctx, handle, want->uid, want->gid);
	return r < 0 ? r : p->set_mode(p->ctx, handle, want->mode);
}

static int act_lock(struct guarded *g, const struct look *look)
{
	const struct engine *e = g->engine;
	int r = 0;

	(void)look;
	if (!g->place->anchors)
		r = place_open_anchors(g->place, e->ports, e->options.anchor_dir);
	if (r == 0)
		r = guarded_lock(g);
	/* The anchor directory itself may be what was removed. */
	return r == -ENOENT && renew_anchors(g) ? -EAGAIN : r;
}

/* Make the anchor in the present anchor directory; give up one elsewhere. */
static int act_anchor(struct guarded *g, const struct look *look)
{
	const struct guard_ports *p = g->engine->ports;
	struct listener *c = g->current;
	struct anchor_dir *to = g->place->anchors, *from = c->home;
	struct spare at;
	struct node there;
	int r;

	/* Told of what was done before, the owner started another path here, which found that
	 * anchors cannot be had. */
	if (!to)
		return -EAGAIN;
	at = guarded_spare(g, to, c->generation, "");
	r = p->link_fd(p->ctx, c->handle, at.dir, at.name.text);
	/* Only a leftover of our own can be in our private directory: a loss if not. */
	if (r == -EEXIST && p->stat(p->ctx, at.dir, at.name.text, &there) == 0 &&
	    node_same(&there, &c->node))
		r = 1;
	if (r == -ENOENT && look->ours.nlink == 0)
		return -ESTALE;
	if (r == -ENOENT) {
		/* The anchor directory itself may be what was removed. */
		r = place_open_anchors(g->place, g->engine->ports, g->engine->options.anchor_dir);
		return r < 0 ? r : -EAGAIN;
	}
	if (r < 0 || to == from)
		return r;
	if (from && look->anchored && !anchor_dir_same(from, to)) {
		at = guarded_spare(g, from, c->generation, "");
		(void)anchor_remove(from, at.name.text, &c->node);
	}
	c->home = anchor_dir_ref(to);
	anchor_dir_unref(from);
	return r;
}

static int (*const act_table[ACTION_MAX_])(struct guarded *, const struct look *) = {
	[ACTION_BLOCK] = act_block,
	[ACTION_MAKE_DIRS] = act_make_dirs,
	[ACTION_ENTER_DIR] = act_enter_dir,
	[ACTION_RESTORE_DIR] = act_restore_dir,
	[ACTION_LINK] = act_link,
	[ACTION_BIND_MOUNT] = act_bind_mount,
	[ACTION_REBIND] = act_rebind,
	[ACTION_PROMOTE] = act_promote,
	[ACTION_PROBE] = act_probe,
	[ACTION_REPLACE_STALE] = act_replace_stale,
	[ACTION_MOVE_ASIDE] = act_move_aside,
	[ACTION_RESTORE_MODE] = act_restore_mode,
	[ACTION_LOCK] = act_lock,
	[ACTION_ANCHOR] = act_anchor,
};

int guarded_act(struct guarded *g, enum action action, const struct look *look)
{
	assert(action < ACTION_MAX_ && act_table[action]);
	return act_table[action](g, look);
}
