/* Each look is shown to tend.h before the planner sees it; its answers are carried out here. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "api/tended.h"
#include "base/cleanup.h"

/* The remover's event is queued in the same moment as the one that woke us: yield so often. */
#define REMOVER_YIELDS 8

static struct leave granted(void)
{
	return (struct leave){ .verdict = LEAVE_GRANTED };
}

static struct leave look_again(void)
{
	return (struct leave){ .verdict = LEAVE_LOOK_AGAIN };
}

static struct leave later(uint64_t until_ns)
{
	return (struct leave){ .verdict = LEAVE_LATER, .until_ns = until_ns };
}

void tended_mark(struct tended *d)
{
	struct tender *t = d->tender;
	int r;

	if (t->options.attribution == TENDER_ATTRIBUTION_OFF)
		return;
	r = removers_mark(&t->removers, &d->mark, d->g->current->handle, d);
	if (r == 0 || t->told_mark)
		return;
	t->told_mark = true;
	tender_tell(t, NULL, KEDGE_EVENT_DEGRADED, r,
		    "who removes a path is not told: the settle time decides");
}

void tended_unmark(struct tended *d)
{
	removers_unmark(&d->tender->removers, &d->mark, d->g->current->handle);
}

/*
 * An event may come before the old name is dropped from the name cache. The
 * planner asks link(2), which waits for the directory's lock; but that puts the
 * name back where it is gone, and here that needs leave. A rename of the name
 * onto itself waits for the same lock and changes nothing.
 */
static void confirm_name(struct guarded *g, struct look *look)
{
	const struct guard_ports *p = g->engine->ports;

	if (look->path != LOOK_PATH_OURS || look->dir != LOOK_DIR_SAME || look->mounted ||
	    g->record.verified || !(look->hinted || look->ours.nlink < g->record.nlink))
		return;
	if (p->rename(p->ctx, g->place->fd, g->name, g->place->fd, g->name, RENAME_TO_FREE) ==
	    -ENOENT) {
		look->path = LOOK_PATH_FREE;
		look->path_node = (struct node){ 0 };
		(void)p->stat_fd(p->ctx, g->current->handle, &look->ours);
		return;
	}
	g->record.verified = true;
}

static enum tend_there judge_socket(struct tender *t, const struct guarded *g,
				    const struct node *node, const struct diag_socket **ret)
{
	*ret = tender_socket_at(t, g->path, node->device, node->inode);
	if (!*ret)
		return TEND_OBSTACLE;
	return census_takes_clients(*ret, SOCK_DGRAM) ? TEND_LISTENER : TEND_BOUND;
}

/* The path leads into another directory than the one we hold, which the planner enters once it
 * has leave. A daemon that starts anew may have made both, and listen there already. */
static enum tend_there judge_other_dir(struct tender *t, const struct guarded *g,
				       const struct diag_socket **ret)
{
	const struct guard_ports *p = g->engine->ports;
	int r, dir = p->dir_open(p->ctx, g->place->path);
	enum tend_there there;
	struct node node;

	if (dir < 0)
		return TEND_NOTHING;
	r = p->stat(p->ctx, dir, g->name, &node);
	p->close(p->ctx, dir);
	if (r < 0 || node.kind != NODE_SOCKET || node_same(&node, &g->current->node))
		return TEND_NOTHING;
	there = judge_socket(t, g, &node, ret);
	return there == TEND_OBSTACLE ? TEND_NOTHING : there;
}

static enum tend_there judge_there(struct tender *t, const struct guarded *g,
				   const struct look *look, const struct diag_socket **ret)
{
	if (look->dir == LOOK_DIR_OTHER)
		return judge_other_dir(t, g, ret);
	if (look->dir != LOOK_DIR_SAME)
		return TEND_NOTHING;
	switch (look->path) {
	case LOOK_PATH_FREE:
		return TEND_NOTHING;
	case LOOK_PATH_OURS:
	case LOOK_PATH_RETIRED:
		return TEND_OURS;
	case LOOK_PATH_SOCKET:
		return judge_socket(t, g, &look->path_node, ret);
	default:
		return TEND_OBSTACLE;
	}
}

/* Who took it away, as far as it can be known by now. */
static enum tend_remover find_remover(struct tended *d)
{
	struct tender *t = d->tender;

	if (!d->mark.owner || d->by)
		return d->remover;
	for (int i = 0; i < REMOVER_YIELDS && !d->by; i++) {
		if (i)
			(void)sched_yield();
		removers_read(&t->removers, tender_on_remover, t);
	}
	return d->by ? d->remover : TEND_EXPECTED;
}

/* Whether the daemon is seen at work, where that matters: its main process where a stranger
 * was met in the act, any process of its program where nobody was. */
static bool is_busy(struct tended *d, const struct tend_facts *f, uint64_t now)
{
	struct holder *h = d->holding.main;

	if (!h || f->remover == TEND_OWNER || f->remover == TEND_KIN)
		return false;
	if (f->remover == TEND_STRANGER)
		return now < f->lost_ns + f->settle_ns && process_busy(h->process.pid);
	if (now < f->lost_ns + f->settle_ns)
		return false;
	if (h->busy_turn != d->tender->turn)
		h->busy = process_program_busy(&h->process);
	h->busy_turn = d->tender->turn;
	return h->busy;
}

static bool has_former(const struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	list_for_each (it, &g->retired)
		if (!p->listener_dead(p->ctx, list_entry(it, struct listener, link)->fd))
			return true;
	return false;
}

static struct tend_facts gather(struct tended *d, const struct look *look, uint64_t now,
				const struct diag_socket **ret_there)
{
	struct guarded *g = d->g;
	struct tend_facts f = {
		.there = judge_there(d->tender, g, look, ret_there),
		.listens = !look->listener_dead,
		.nameless = look->ours.nlink == 0,
		.leased = d->restored,
		.held = holding_is_held(d),
		.lost_ns = g->missed_ns ? g->missed_ns
			   : g->lost_ns ? g->lost_ns
					: now,
		.settle_ns = d->tender->options.settle_ns,
	};

	/* A path that was just put back is no good if its listener went in the meantime. */
	if (f.there == TEND_OURS && f.listens && d->restored_turn == d->tender->turn)
		f.listens = tended_listens_now(d);
	if (!f.listens)
		f.former = has_former(g);
	else if (f.there != TEND_OURS && f.there != TEND_LISTENER) {
		f.remover = find_remover(d);
		f.busy = is_busy(d, &f, now);
	}
	return f;
}

/* Leases: one name more for the inode, so that a guard that is killed can be followed by one
 * that knows which paths it has to take away in the end. */

bool tended_lease_name(const struct tended *d, struct spare *ret)
{
	const struct guarded *g = d->g;
	struct anchor_dir *home = g->current->home;

	if (!home)
		return false;
	ret->dir = home->fd;
	ret->name = anchor_name(home, g->place->path, g->name, "lease");
	return true;
}

void tended_begin_lease(struct tended *d)
{
	const struct guard_ports *p = d->g->engine->ports;
	struct node there;
	struct spare at;
	int r;

	d->restored = true;
	vigil_begin(d);
	d->restored_turn = d->tender->turn;
	if (d->g->leased || !tended_lease_name(d, &at))
		return;
	r = p->link_fd(p->ctx, d->g->current->handle, at.dir, at.name.text);
	/* One of an inode before: in our own directory nobody else can have made it. */
	if (r == -EEXIST && p->stat(p->ctx, at.dir, at.name.text, &there) == 0 &&
	    !node_same(&there, &d->g->current->node)) {
		(void)p->unlink(p->ctx, at.dir, at.name.text);
		r = p->link_fd(p->ctx, d->g->current->handle, at.dir, at.name.text);
	}
	/* Without it a guard that is killed leaves the path behind; that is no reason not to
	 * put it back. */
	d->g->leased = r == 0 || r == -EEXIST;
}

void tended_end_lease(struct tended *d)
{
	const struct guard_ports *p = d->g->engine->ports;
	struct node there;
	struct spare at;

	if (d->g->leased && tended_lease_name(d, &at) &&
	    p->stat(p->ctx, at.dir, at.name.text, &there) == 0 &&
	    node_same(&there, &d->g->current->node))
		(void)p->unlink(p->ctx, at.dir, at.name.text);
	d->g->leased = false;
	d->restored = false;
	d->restored_turn = 0;
}

/* Vigils: looks at listeners whose end nobody may tell. */

void vigil_begin(struct tended *d)
{
	d->vigil_gap_ns = TEND_VIGIL_FIRST_NS;
	heap_remove(&d->tender->timers, &d->timer);
}

void vigil_due(struct tended *d)
{
	d->vigil_gap_ns = tend_vigil_longer(d->vigil_gap_ns);
	if (!holding_is_held(d))
		holding_retry(d);
	/* This look asks for the next one. */
	engine_hint(&d->tender->engine, d->g);
}

static void vigil_keep(struct tended *d, const struct tend_facts *f, uint64_t now)
{
	if (!tend_keeps_vigil(f))
		vigil_begin(d);
	else if (d->timer.index == HEAP_NOWHERE)
		(void)heap_set(&d->tender->timers, &d->timer, tend_vigil_at(d->vigil_gap_ns, now));
}

/* The planner's turn. The listener is asked for once more before its path is put back. */
static struct leave go(struct tended *d, const struct tend_facts *f)
{
	if (f->there == TEND_OURS) {
		if (d->left_alone || d->given_up)
			tender_tell(d->tender, d, KEDGE_EVENT_LISTENING, 0, "");
		tended_forget_loss(d);
		await_unwatch(d);
		return granted();
	}
	if (!tended_listens_now(d)) {
		d->tender->census_turn = 0;
		return look_again();
	}
	tended_begin_lease(d);
	return granted();
}

/*
 * Before anybody is told that it is guarded: until it has its anchor, whoever takes the path
 * away takes it for good. Where it fails the planner tries on, and says so.
 */
static void anchor_at_once(struct guarded *g)
{
	struct look look;

	if (!g->place->anchors)
		return;
	guarded_look(g, &look);
	(void)guarded_act(g, ACTION_ANCHOR, &look);
}

static struct leave follow(struct tended *d, const struct diag_socket *s, const struct look *look,
			   uint64_t now)
{
	struct tender *t = d->tender;
	int token, r;

	/* Where it cannot be entered, the planner says why. */
	if (look->dir != LOOK_DIR_SAME)
		return guarded_act(d->g, ACTION_ENTER_DIR, look) < 0 ? granted() : look_again();
	r = token = token_new(t, s, &look->path_node);
	if (token >= 0) {
		tended_end_lease(d);
		tended_unmark(d);
		r = guarded_follow(d->g, token);
		if (r == 0)
			anchor_at_once(d->g);
		token_drop(t, token);
		tended_mark(d);
	}
	if (r < 0)
		return later(now + (r == -EAGAIN ? TEND_BOUND_GAP_NS : NSEC_PER_SEC));
	tended_forget_loss(d);
	holding_want(d);
	tender_tell(t, d, KEDGE_EVENT_FOLLOWED, 0, "");
	return look_again();
}

static struct leave fall_back(struct tended *d)
{
	tended_end_lease(d);
	tended_unmark(d);
	if (!guarded_fall_back(d->g))
		return look_again();
	tended_mark(d);
	tended_forget_loss(d);
	d->g->missed_ns = 0;
	/* Who held the other one is no owner of this one, and may well take its path away. */
	holding_drop(d);
	holding_want(d);
	tender_tell(d->tender, d, KEDGE_EVENT_FOLLOWED, 0, "the one before, which still listens");
	return look_again();
}

/* Remove the path, if it is still what was put back. */
static void withdraw(struct tended *d)
{
	struct guarded *g = d->g;
	const struct guard_ports *p = g->engine->ports;
	struct node there;

	publish_unmount(g, g->current);
	if (p->stat(p->ctx, g->place->fd, g->name, &there) == 0 &&
	    node_same(&there, &g->current->node) &&
	    publish_withdraw(g, g->place->fd, &g->current->node) == 0)
		tender_tell(d->tender, d, KEDGE_EVENT_WITHDRAWN, 0, "");
}

/* The listener is gone: what kedge put back goes too, and the next one is awaited. */
static void let_go(struct tended *d)
{
	struct guarded *g = d->g;

	tended_unmark(d);
	g->config.at_close = d->restored ? KEDGE_AT_CLOSE_REMOVE : KEDGE_AT_CLOSE_LEAVE;
	if (d->restored)
		withdraw(d);
	tended_end_lease(d);
	d->letting_go = true;
	guarded_stop(g);
	d->letting_go = false;
	d->g = NULL;
	d->there_ns = 0;
	vigil_begin(d);
	holding_drop(d);
	tended_forget_loss(d);
	tender_tell(d->tender, d, KEDGE_EVENT_AWAITED, 0, "");
	(void)await_watch(d);
	await_look(d);
}

static struct leave leave_alone(struct tended *d)
{
	if (!d->left_alone) {
		tender_tell(d->tender, d, KEDGE_EVENT_LEFT_ALONE, 0, "");
		vigil_begin(d);
	}
	d->left_alone = true;
	/* Its bind may have been quicker than the watch. */
	return await_watch(d) ? look_again() : later(TIME_NEVER);
}

static struct leave wait_for(struct tended *d, uint64_t until_ns, uint64_t now)
{
	/* A successor's bind shows in its directory alone. */
	if (until_ns - now > d->tender->options.settle_ns && await_watch(d))
		return look_again();
	return later(until_ns);
}

static struct leave give_up(struct tended *d)
{
	if (await_watch(d))
		return look_again();
	/* A loss that is not told yet is told first. */
	if (!d->given_up && d->g->lost_ns)
		tender_tell_hopeless(d);
	d->given_up = true;
	return (struct leave){ .verdict = LEAVE_HOPELESS };
}

static struct leave carry_out(struct tended *d, const struct tend_answer *answer,
			      const struct tend_facts *f, const struct diag_socket *there,
			      const struct look *look, uint64_t now)
{
	switch (answer->verdict) {
	case TEND_GO:
		return go(d, f);
	case TEND_WAIT:
		return wait_for(d, answer->until_ns, now);
	case TEND_FOLLOW:
		return follow(d, there, look, now);
	case TEND_FALL_BACK:
		return fall_back(d);
	case TEND_LET_GO:
		let_go(d);
		return look_again();
	case TEND_LEAVE:
		return leave_alone(d);
	case TEND_GIVE_UP:
		return give_up(d);
	}
	return granted();
}

struct leave tender_leave(struct guarded *g, struct look *look, uint64_t now)
{
	struct tended *d = g->config.userdata;
	const struct diag_socket *there = NULL;
	struct tend_facts facts;
	struct tend_answer answer;
	struct leave leave;

	confirm_name(g, look);
	facts = gather(d, look, now, &there);
	answer = tend_decide(&facts, now);
	leave = carry_out(d, &answer, &facts, there, look, now);
	if (d->g != g)
		return leave;
	facts.leased = d->restored;
	vigil_keep(d, &facts, now);
	return leave;
}
