/*
 * What the owner is told: the beginning and the end of each loss once, an error
 * once a streak, and everything that kedge did at the path.
 */
#include <errno.h>
#include <stdio.h>

#include "guard/engine.h"

void report(struct engine *e, const struct guarded *g, enum kedge_event_kind kind, int error,
	    const char *detail)
{
	struct kedge_event event = {
		.size = sizeof(event),
		.kind = kind,
		.cause = g ? g->cause : KEDGE_CAUSE_NONE,
		.path = g ? g->path : "",
		.generation = g && g->current ? g->current->generation : 0,
		.error = error,
		.detail = detail,
	};

	if (e->options.on_event)
		e->options.on_event(&event, e->options.userdata);
}

static void report_lost(struct guarded *g, enum kedge_cause cause, uint64_t now_ns)
{
	g->lost_ns = g->missed_ns ? g->missed_ns : now_ns;
	g->cause = cause;
	g->state = KEDGE_STATE_REPAIRING;
	g->repair = KEDGE_EVENT_LOST;
	g->counts.losses++;
	report(g->engine, g, KEDGE_EVENT_LOST, 0, "");
}

void report_listener(struct guarded *g)
{
	const struct engine_options *o = &g->engine->options;
	int old_fd = -1;

	if (g->current->announced)
		return;
	g->current->announced = true;
	/* The newest of the retired is the one that it follows. */
	if (!list_empty(&g->retired))
		old_fd = list_entry(g->retired.prev, struct listener, link)->fd;
	if (o->on_listener)
		o->on_listener(g->path, g->current->fd, old_fd, o->userdata);
}

/* The path is well again: say how, and what the whole streak amounted to. */
static void report_back(struct guarded *g, uint64_t now_ns)
{
	struct engine *e = g->engine;
	struct kedge_event event = {
		.size = sizeof(event),
		.kind = KEDGE_EVENT_RECOVERED,
		.cause = g->cause,
		.path = g->path,
		.generation = g->current->generation,
		.outage_ns = now_ns - g->lost_ns,
		.detail = "",
	};
	uint64_t length;

	(void)streak_recover(&g->streak, now_ns, &length, &event.swallowed);
	g->counts.outage_last_ns = event.outage_ns;
	g->counts.outage_total_ns += event.outage_ns;
	g->counts.relinks += g->repair == KEDGE_EVENT_RELINKED;
	g->counts.rebinds += g->repair == KEDGE_EVENT_REBOUND;
	g->lost_ns = 0;
	g->state = KEDGE_STATE_REACHABLE;
	report_listener(g);
	if (!g->closed && g->repair != KEDGE_EVENT_LOST)
		report(e, g, g->repair, 0, "");
	if (!g->closed && e->options.on_event)
		e->options.on_event(&event, e->options.userdata);
}

/* Rights that were changed and are not to be put back: say so once. */
static void report_noticed(struct guarded *g, const struct look *l)
{
	char detail[128];

	(void)snprintf(detail, sizeof(detail),
		       "socket %04o %u:%u, directory %04o %u:%u; left as they are", l->ours.mode,
		       l->ours.uid, l->ours.gid, l->dir_node.mode, l->dir_node.uid,
		       l->dir_node.gid);
	if (!g->record.keep)
		g->record.want = l->ours;
	if (!g->record.keep_dir)
		g->record.want_dir = l->dir_node;
	report(g->engine, g, KEDGE_EVENT_NOTICED, 0, detail);
}

void report_plan(struct guarded *g, const struct plan *plan, const struct look *look,
		 uint64_t now_ns)
{
	if (plan->state == KEDGE_STATE_REACHABLE) {
		/* A link that only verifies has not said yet whether the path is well. */
		if (plan->action == ACTION_LINK)
			return;
		if (g->lost_ns)
			report_back(g, now_ns);
		if (!g->closed && plan->noticed)
			report_noticed(g, look);
		return;
	}
	/* Who stands there, dead or alive, is the cause: it is asked for first. */
	if (!g->lost_ns && plan->action == ACTION_PROBE)
		return;
	if (!g->lost_ns)
		report_lost(g, plan->cause, now_ns);
	if (g->closed)
		return;
	if (plan->state == KEDGE_STATE_DISPLACED && g->state != KEDGE_STATE_DISPLACED) {
		g->state = KEDGE_STATE_DISPLACED;
		g->cause = plan->cause;
		report(g->engine, g, KEDGE_EVENT_DISPLACED, 0, "");
		return;
	}
	/* Steps in between do not change what is shown; where they end up does. */
	if (plan->action == ACTION_WAIT)
		g->state = plan->state;
}

/* The planner's own bound: its error alone would send whoever reads it to look for a mount. */
static const char *blocked_detail(const struct plan *plan, int error)
{
	return plan->action == ACTION_BLOCK && error == -EBUSY
		       ? "done as often as may be within a minute: left until that is over"
		       : "";
}

static void report_failed(struct guarded *g, const struct plan *plan, int error, uint64_t now_ns)
{
	if (streak_fail(&g->streak, now_ns, error) != STREAK_REPORT)
		return;
	g->cause = plan->cause;
	report(g->engine, g, KEDGE_EVENT_BLOCKED, error, blocked_detail(plan, error));
}

/* What an action that worked will be called when the path is back. */
static enum kedge_event_kind repair_name(enum action action)
{
	switch (action) {
	case ACTION_REBIND:
		return KEDGE_EVENT_REBOUND;
	case ACTION_BIND_MOUNT:
		return KEDGE_EVENT_BIND_MOUNTED;
	case ACTION_RESTORE_MODE:
	case ACTION_RESTORE_DIR:
		return KEDGE_EVENT_MODE_RESTORED;
	case ACTION_LINK:
	case ACTION_REPLACE_STALE:
	case ACTION_PROMOTE:
		return KEDGE_EVENT_RELINKED;
	default:
		return KEDGE_EVENT_LOST;
	}
}

static void report_aside(struct guarded *g, int number)
{
	char name[ANCHOR_NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%s.displaced.%d", g->name, number);
	report(g->engine, g, KEDGE_EVENT_MOVED_ASIDE, 0, name);
}

static bool is_of_anchor(enum action action)
{
	return action == ACTION_LOCK || action == ACTION_ANCHOR;
}

static void report_anchor(struct guarded *g, enum action action, int result, uint64_t now_ns)
{
	uint64_t length;
	uint32_t swallowed;

	if (result >= 0)
		(void)streak_recover(&g->streak, now_ns, &length, &swallowed);
	if (result < 0 && streak_fail(&g->streak, now_ns, result) == STREAK_REPORT)
		report(g->engine, g, KEDGE_EVENT_DEGRADED, result,
		       action == ACTION_LOCK ? "the lock of the path cannot be taken"
					     : "the anchor cannot be made");
	else if (action == ACTION_ANCHOR && result == 0)
		report(g->engine, g, KEDGE_EVENT_ANCHORED, 0, "");
}

void report_acted(struct guarded *g, const struct plan *plan, int result, uint64_t now_ns)
{
	enum kedge_event_kind repair = repair_name(plan->action);

	if (result == -EAGAIN || plan->action == ACTION_PROBE)
		return;
	if (is_of_anchor(plan->action)) {
		report_anchor(g, plan->action, result, now_ns);
		return;
	}
	/* A path whose loss only the verifying link noticed. */
	if (plan->action == ACTION_LINK && result == 0 && !g->lost_ns)
		report_lost(g, plan->cause, now_ns);
	if (result < 0) {
		if (result != -EXDEV && plan->action != ACTION_BIND_MOUNT)
			report_failed(g, plan, result, now_ns);
		return;
	}
	if (plan->action == ACTION_MOVE_ASIDE)
		report_aside(g, result);
	/* A new listener that is linked later was re-bound all the same. */
	if (repair != KEDGE_EVENT_LOST && result == 0 && g->repair != KEDGE_EVENT_REBOUND)
		g->repair = repair;
}
