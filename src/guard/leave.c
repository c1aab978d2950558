/*
 * Asking leave, and passing listeners on: what the engine does where the
 * listeners are somebody else's.
 */
#include <errno.h>

#include "guard/engine.h"

/* Show that it is lost, and why nothing will be done. */
static void show_hopeless(struct guarded *g, const struct look *look, uint64_t now_ns)
{
	struct plan plan = guard_plan(&g->record, look, now_ns);

	plan.action = ACTION_WAIT;
	plan.state = KEDGE_STATE_BLOCKED;
	report_plan(g, &plan, look, now_ns);
}

bool leave_ask(struct guarded *g, struct look *look, uint64_t now_ns, bool *ret_again)
{
	struct leave leave = g->engine->options.leave(g, look, now_ns);

	*ret_again = false;
	if (g->closed)
		return false;
	switch (leave.verdict) {
	case LEAVE_GRANTED:
		if (look->path == LOOK_PATH_OURS)
			g->missed_ns = 0;
		return true;
	case LEAVE_LOOK_AGAIN:
		*ret_again = true;
		g->backing_seen = false;
		return false;
	case LEAVE_LATER:
		if (!g->missed_ns)
			g->missed_ns = now_ns;
		engine_rest(g, leave.until_ns);
		return false;
	case LEAVE_HOPELESS:
		break;
	}
	show_hopeless(g, look, now_ns);
	if (!g->closed)
		engine_rest(g, TIME_NEVER);
	return false;
}

int guarded_follow(struct guarded *g, int fd)
{
	const struct guard_ports *p = g->engine->ports;
	struct listener *l;
	struct node bound;
	int r = p->listener_node(p->ctx, fd, g->path, &bound);

	if (r == 0)
		r = listener_adopt(&l, g, g->generation + 1, fd);
	if (r != 0)
		return r == -ENOENT || r == -ESTALE || r == -EINVAL ? -EAGAIN : r;
	if (!node_same(&bound, &l->node)) {
		listener_close(l, g);
		return -EAGAIN;
	}
	g->generation++;
	guarded_replace(g, l);
	guarded_note(g);
	g->record.want = l->node;
	guarded_anchor(g);
	return 0;
}

bool guarded_fall_back(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	while (!list_empty(&g->retired)) {
		struct listener *l = list_entry(g->retired.prev, struct listener, link);

		list_unlink(&l->link);
		g->retired_count--;
		if (p->listener_dead(p->ctx, l->fd)) {
			listener_close(l, g);
			continue;
		}
		listener_close(g->current, g);
		g->current = l;
		g->record.want = l->node;
		return true;
	}
	return false;
}
