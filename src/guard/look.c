#include <errno.h>

#include "guard/engine.h"

static void look_dir(struct place *place, const struct engine *engine, struct look *l)
{
	place_look(place, engine->ports, engine->turn);
	l->dir_node = place->seen_held;
	switch (place->seen_error) {
	case 0:
		l->dir = node_same(&place->seen, &place->node) ? LOOK_DIR_SAME : LOOK_DIR_OTHER;
		l->other_mount = place->seen.device != place->node.device;
		break;
	case -ENOENT:
	case -ENOTDIR:
		l->dir = LOOK_DIR_MISSING;
		break;
	default:
		l->dir = LOOK_DIR_UNSEEN;
		l->dir_error = place->seen_error;
	}
}

struct listener *guarded_retired(const struct guarded *g, const struct node *node)
{
	list_for_each (it, &g->retired) {
		struct listener *l = list_entry(it, struct listener, link);

		if (node_same(&l->node, node))
			return l;
	}
	return NULL;
}

/* Whether @node is a listener that we retired and that still listens. */
static bool is_retired(const struct guarded *g, const struct node *node)
{
	const struct guard_ports *p = g->engine->ports;
	const struct listener *l = guarded_retired(g, node);

	return l && p->listener_dead(p->ctx, l->fd) == 0;
}

static void look_path(const struct guarded *g, struct look *l)
{
	const struct guard_ports *p = g->engine->ports;
	int r = p->stat(p->ctx, g->place->fd, g->name, &l->path_node);

	if (r < 0) {
		l->dir = LOOK_DIR_UNSEEN;
		l->dir_error = r;
	} else if (node_same(&l->path_node, &g->current->node)) {
		l->path = LOOK_PATH_OURS;
	} else if (l->path_node.kind == NODE_NONE) {
		l->path = LOOK_PATH_FREE;
	} else if (l->path_node.kind == NODE_DIRECTORY) {
		l->path = LOOK_PATH_DIRECTORY;
	} else if (l->path_node.kind == NODE_OTHER) {
		l->path = LOOK_PATH_OTHER;
	} else {
		l->path = is_retired(g, &l->path_node) ? LOOK_PATH_RETIRED : LOOK_PATH_SOCKET;
	}
}

/* Is our inode where it can be linked back from? */
static bool is_anchored(const struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	const struct listener *c = g->current;
	struct node node;
	struct spare at;

	if (!c->home)
		return false;
	at = guarded_spare(g, c->home, c->generation, "");
	return p->stat(p->ctx, at.dir, at.name.text, &node) == 0 && node_same(&node, &c->node);
}

/* What our inode is like. A name that leads to it tells as well as the handle does: it is
 * the inode that is asked, however stale the name; but a mount may show another owner. */
static void look_inode(const struct guarded *g, struct look *l)
{
	const struct guard_ports *p = g->engine->ports;

	if (l->dir == LOOK_DIR_SAME && l->path == LOOK_PATH_OURS && !l->mounted)
		l->ours = l->path_node;
	else if (p->stat_fd(p->ctx, g->current->handle, &l->ours) < 0)
		l->ours = (struct node){ 0 };
}

/* What no link can change is asked once a turn: 10,000 paths that are lost at once wait
 * for each other's looks. */
static void look_backing(struct guarded *g, struct look *l)
{
	const struct guard_ports *p = g->engine->ports;

	if (!g->backing_seen) {
		g->listener_dead = p->listener_dead(p->ctx, g->current->fd) != 0;
		g->anchored = is_anchored(g);
		/* A path that is lost is put back first; the event of that asks. */
		g->lock_removed = l->path == LOOK_PATH_OURS && guarded_lost_lock(g);
		g->backing_seen = true;
	}
	l->listener_dead = g->listener_dead;
	l->anchored = g->anchored;
	l->lock_removed = g->lock_removed;
}

void guarded_look(struct guarded *g, struct look *l)
{
	const struct listener *c = g->current;

	*l = (struct look){ .hinted = g->hinted, .mounted = c->mounts > 0, .leased = g->leased };
	look_dir(g->place, g->engine, l);
	if (l->dir == LOOK_DIR_SAME)
		look_path(g, l);
	look_inode(g, l);
	look_backing(g, l);
	l->anchor_wanted = place_wants_anchors(g->place);
	l->anchor_home = c->home && c->home == g->place->anchors;
	l->locked_home = g->lock_home && g->lock_home == g->place->anchors;
}
