#include "guard/plan.h"

#include <assert.h>
#include <errno.h>

static uint64_t soonest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The wait after the @failures-th failure: 10 ms, doubling up to @most_ns. */
static uint64_t backoff_ns(uint32_t failures, uint64_t most_ns)
{
	uint64_t wait = PLAN_BACKOFF_FIRST_NS;

	for (uint32_t i = 1; i < failures && wait < most_ns; i++)
		wait *= 2;
	return soonest(wait, most_ns);
}

/* Errors that somebody must do something about, as against those that pass. */
static bool error_blocks(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
	case -ENOSPC:
	case -EDQUOT:
	case -ENOTDIR:
	case -EISDIR:
	case -EBUSY:
	case -ELOOP:
	case -EADDRINUSE:
	case -ENAMETOOLONG:
		return true;
	default:
		return false;
	}
}

static enum kedge_state state_after(int error)
{
	return error_blocks(error) ? KEDGE_STATE_BLOCKED : KEDGE_STATE_REPAIRING;
}

/* Whether the last try failed in this very situation, and its wait is not over. */
static bool must_wait(const struct record *r, const struct look *l, uint64_t now_ns)
{
	return r->retry_ns > now_ns && r->failed_dir == l->dir && r->failed_path == l->path;
}

static struct plan plan_wait(enum kedge_state state, enum kedge_cause cause, int error,
			     uint64_t deadline_ns)
{
	return (struct plan){ .action = ACTION_WAIT,
			      .state = state,
			      .cause = cause,
			      .error = error,
			      .deadline_ns = deadline_ns };
}

static struct plan plan_step(enum action action, enum kedge_state state, enum kedge_cause cause)
{
	return (struct plan){
		.action = action, .state = state, .cause = cause, .deadline_ns = TIME_NEVER
	};
}

static struct plan plan_try(const struct record *r, const struct look *l, enum action action,
			    enum kedge_cause cause, uint64_t now_ns)
{
	struct plan step = plan_step(action, state_after(r->error), cause);

	if (must_wait(r, l, now_ns))
		return plan_wait(state_after(r->error), cause, r->error, r->retry_ns);
	step.error = r->error;
	return step;
}

static struct plan plan_blocked(const struct record *r, const struct look *l,
				enum kedge_cause cause, int error, uint64_t now_ns)
{
	struct plan step = plan_step(ACTION_BLOCK, KEDGE_STATE_BLOCKED, cause);

	if (must_wait(r, l, now_ns))
		return plan_wait(KEDGE_STATE_BLOCKED, cause, error, r->retry_ns);
	step.error = error;
	return step;
}

static struct plan plan_restore(const struct record *r, const struct look *l, enum action action,
				enum kedge_cause cause, uint64_t now_ns)
{
	if (r->restore_count >= PLAN_RESTORE_MAX && now_ns - r->restore_ns < PLAN_RESTORE_WINDOW_NS)
		return plan_blocked(r, l, cause, -EBUSY, now_ns);
	return plan_try(r, l, action, cause, now_ns);
}

/* The directory is not the one we hold, or does not let us see into it. */
static struct plan plan_dir(const struct record *r, const struct look *l, uint64_t now_ns)
{
	bool changed = !node_same_rights(&l->dir_node, &r->want_dir);

	switch (l->dir) {
	case LOOK_DIR_MISSING:
		return plan_try(r, l, ACTION_MAKE_DIRS, KEDGE_CAUSE_DIR_REMOVED, now_ns);
	case LOOK_DIR_OTHER:
		return plan_try(r, l, ACTION_ENTER_DIR,
				l->other_mount ? KEDGE_CAUSE_MOUNTED_OVER
					       : KEDGE_CAUSE_DIR_REPLACED,
				now_ns);
	default:
		if (changed && r->keep_dir)
			return plan_restore(r, l, ACTION_RESTORE_DIR, KEDGE_CAUSE_DIR_MODE_CHANGED,
					    now_ns);
		return plan_blocked(r, l,
				    changed ? KEDGE_CAUSE_DIR_MODE_CHANGED : KEDGE_CAUSE_ERROR,
				    l->dir_error, now_ns);
	}
}

static struct plan plan_rebind(const struct record *r, const struct look *l, enum kedge_cause cause,
			       uint64_t now_ns)
{
	if (r->borrowed)
		return plan_blocked(r, l, cause, -EXDEV, now_ns);
	return plan_try(r, l, ACTION_REBIND, cause, now_ns);
}

/*
 * Whether no name can be given to our inode any more. One that was given away cannot be
 * linked by an ordinary user (fs.protected_hardlinks).
 */
static bool is_unlinkable(const struct record *r, const struct look *l)
{
	return l->ours.nlink == 0 || r->link_refused;
}

/* Make the path lead to us again: the same listener if it can be, else a new one. */
static struct plan plan_publish(const struct record *r, const struct look *l,
				enum kedge_cause cause, uint64_t now_ns)
{
	if (l->listener_dead)
		return plan_rebind(r, l, KEDGE_CAUSE_LISTENER_GONE, now_ns);
	if (is_unlinkable(r, l))
		return plan_rebind(r, l, cause, now_ns);
	if (!r->cross_mount)
		return plan_try(r, l, ACTION_LINK, cause, now_ns);
	if (r->mounting && !r->mount_failed)
		return plan_try(r, l, ACTION_BIND_MOUNT, KEDGE_CAUSE_MOUNTED_OVER, now_ns);
	return plan_rebind(r, l, KEDGE_CAUSE_MOUNTED_OVER, now_ns);
}

static struct plan plan_free(const struct record *r, const struct look *l, uint64_t now_ns)
{
	/* The anchor is one name; whatever is left beyond those was moved somewhere. */
	uint32_t own_names = (l->anchored ? 1u : 0) + (l->leased ? 1u : 0);

	return plan_publish(r, l,
			    l->ours.nlink > own_names ? KEDGE_CAUSE_RENAMED : KEDGE_CAUSE_UNLINKED,
			    now_ns);
}

/* The path is well; what is left is to be ready for the next loss. */
static struct plan plan_reachable(const struct record *r, const struct look *l, bool doubtful,
				  uint64_t now_ns)
{
	struct plan plan = plan_step(ACTION_NONE, KEDGE_STATE_REACHABLE, KEDGE_CAUSE_NONE);
	bool locked = l->locked_home && !l->lock_removed;
	bool anchor_well = l->anchored && l->anchor_home && (!doubtful || r->anchor_verified);

	plan.noticed = !node_same_rights(&l->ours, &r->want) ||
		       !node_same_rights(&l->dir_node, &r->want_dir);
	if (!l->anchor_wanted || (locked && anchor_well))
		return plan;
	if (r->anchor_retry_ns > now_ns)
		plan.deadline_ns = r->anchor_retry_ns;
	else
		plan.action = locked ? ACTION_ANCHOR : ACTION_LOCK;
	return plan;
}

/* Our inode is at the path: is it really, and does it let clients in? */
static struct plan plan_ours(const struct record *r, const struct look *l, uint64_t now_ns)
{
	/*
	 * An event may come before the old name is dropped from the name cache,
	 * so a name that is seen right after one proves nothing. link() waits
	 * for the directory's lock and says for certain whether it is taken.
	 */
	bool doubtful = !l->mounted && (l->hinted || l->ours.nlink < r->nlink);

	if (l->listener_dead)
		return plan_rebind(r, l, KEDGE_CAUSE_LISTENER_GONE, now_ns);
	if (l->ours.nlink == 0 && !l->mounted)
		return plan_publish(r, l, KEDGE_CAUSE_UNLINKED, now_ns);
	if (doubtful && !r->verified)
		return plan_step(ACTION_LINK, KEDGE_STATE_REACHABLE, KEDGE_CAUSE_UNLINKED);
	if (r->keep && !node_same_rights(&l->ours, &r->want))
		return plan_restore(r, l, ACTION_RESTORE_MODE, KEDGE_CAUSE_MODE_CHANGED, now_ns);
	if (r->keep_dir && !node_same_rights(&l->dir_node, &r->want_dir))
		return plan_restore(r, l, ACTION_RESTORE_DIR, KEDGE_CAUSE_DIR_MODE_CHANGED, now_ns);
	return plan_reachable(r, l, doubtful, now_ns);
}

/* A minute in which too much was moved aside ends the moving, not the guard. */
static struct plan plan_aside(const struct record *r, const struct look *l, uint64_t now_ns)
{
	if (r->aside_count >= PLAN_ASIDE_MAX && now_ns - r->aside_ns < PLAN_ASIDE_WINDOW_NS)
		return plan_blocked(r, l, KEDGE_CAUSE_REPLACED_FILE, -EBUSY, now_ns);
	if (r->path_busy && r->mounting && !r->mount_failed)
		return plan_try(r, l, ACTION_BIND_MOUNT, KEDGE_CAUSE_MOUNTED_OVER, now_ns);
	return plan_try(r, l, ACTION_MOVE_ASIDE, KEDGE_CAUSE_REPLACED_FILE, now_ns);
}

/* Somebody else's socket: never taken away while it is alive. */
static struct plan plan_stranger(const struct record *r, const struct look *l, uint64_t now_ns)
{
	bool same = node_same(&r->probed, &l->path_node);
	bool live = same && (r->probe == PROBE_LIVE || r->probe == PROBE_UNSETTLED);

	if (!same || now_ns >= r->probe_until_ns)
		return plan_step(ACTION_PROBE, live ? KEDGE_STATE_DISPLACED : KEDGE_STATE_REPAIRING,
				 live ? KEDGE_CAUSE_REPLACED_LIVE : KEDGE_CAUSE_REPLACED_STALE);
	if (live)
		return plan_wait(KEDGE_STATE_DISPLACED, KEDGE_CAUSE_REPLACED_LIVE, 0,
				 r->probe_until_ns);
	/* The look sees what the probe does not find (a file system that answers from a stale
	 * cache): asked again, but not at once for ever. */
	if (r->probe == PROBE_GONE)
		return plan_wait(KEDGE_STATE_REPAIRING, KEDGE_CAUSE_REPLACED_STALE, 0,
				 r->probe_until_ns);
	if (r->probe != PROBE_STALE)
		return plan_blocked(r, l, KEDGE_CAUSE_REPLACED_LIVE, -EACCES, now_ns);
	if (r->probe_ns - r->stale_ns < PLAN_STALE_SETTLE_NS)
		return plan_wait(KEDGE_STATE_REPAIRING, KEDGE_CAUSE_REPLACED_STALE, 0,
				 r->probe_until_ns);
	/* Nothing of ours could take its place. */
	if (is_unlinkable(r, l) || l->listener_dead)
		return plan_rebind(r, l, KEDGE_CAUSE_REPLACED_STALE, now_ns);
	if (r->path_busy && r->mounting && !r->mount_failed)
		return plan_try(r, l, ACTION_BIND_MOUNT, KEDGE_CAUSE_MOUNTED_OVER, now_ns);
	return plan_try(r, l, ACTION_REPLACE_STALE, KEDGE_CAUSE_REPLACED_STALE, now_ns);
}

struct plan guard_plan(const struct record *r, const struct look *l, uint64_t now_ns)
{
	if (l->dir != LOOK_DIR_SAME)
		return plan_dir(r, l, now_ns);
	switch (l->path) {
	case LOOK_PATH_FREE:
		return plan_free(r, l, now_ns);
	case LOOK_PATH_OURS:
		return plan_ours(r, l, now_ns);
	case LOOK_PATH_RETIRED:
		return plan_step(ACTION_PROMOTE, KEDGE_STATE_REPAIRING, KEDGE_CAUSE_DIR_REPLACED);
	case LOOK_PATH_SOCKET:
		return plan_stranger(r, l, now_ns);
	case LOOK_PATH_OTHER:
		return plan_aside(r, l, now_ns);
	case LOOK_PATH_DIRECTORY:
		return plan_blocked(r, l, KEDGE_CAUSE_REPLACED_DIR, -EISDIR, now_ns);
	}
	assert(0 && "a look at a path has one of the kinds above");
	return plan_step(ACTION_NONE, KEDGE_STATE_STOPPED, KEDGE_CAUSE_ERROR);
}

static void note_failure(struct record *r, int error, const struct look *l, uint64_t now_ns)
{
	r->failures++;
	r->error = error;
	r->retry_ns = now_ns + backoff_ns(r->failures, r->interval_ns);
	r->failed_dir = l->dir;
	r->failed_path = l->path;
}

static void note_probe(struct record *r, int result, const struct look *l, uint64_t now_ns)
{
	bool same = node_same(&r->probed, &l->path_node);

	if (!same)
		r->probes = 0;
	if (!same || result != PROBE_STALE)
		r->stale_ns = 0;
	if (result == PROBE_STALE && r->stale_ns == 0)
		r->stale_ns = now_ns;
	r->probed = l->path_node;
	r->probe = result < 0 ? PROBE_UNKNOWN : (enum probe_result)result;
	r->probe_ns = now_ns;
	r->probes++;
	r->probe_until_ns = now_ns + (result == PROBE_STALE
					      ? PLAN_STALE_SETTLE_NS
					      : backoff_ns(r->probes, PLAN_DISPLACED_MAX_NS));
}

static void note_aside(struct record *r, uint64_t now_ns)
{
	if (r->aside_count == 0 || now_ns - r->aside_ns >= PLAN_ASIDE_WINDOW_NS) {
		r->aside_count = 0;
		r->aside_ns = now_ns;
	}
	r->aside_count++;
}

static void note_restore(struct record *r, uint64_t now_ns)
{
	if (r->restore_count == 0 || now_ns - r->restore_ns >= PLAN_RESTORE_WINDOW_NS) {
		r->restore_count = 0;
		r->restore_ns = now_ns;
	}
	r->restore_count++;
}

static void note_anchor(struct record *r, int result, uint64_t now_ns)
{
	if (result >= 0) {
		r->anchor_verified = true;
		r->anchor_failures = 0;
		r->anchor_retry_ns = 0;
		return;
	}
	r->anchor_failures++;
	r->anchor_retry_ns = now_ns + backoff_ns(r->anchor_failures, r->interval_ns);
}

/* Another directory, or another listener: what links could do before says nothing. */
static void note_new_ground(struct record *r)
{
	r->cross_mount = false;
	r->link_refused = false;
	r->path_busy = false;
	r->mount_failed = false;
	r->verified = false;
	r->anchor_verified = false;
}

static bool note_link(struct record *r, int result, const struct look *l)
{
	r->verified = result >= 0;
	r->cross_mount = result == -EXDEV;
	r->link_refused = result == -EPERM || result == -ESTALE;
	/* It was made from the anchor, so that is no stale name either; and the event
	 * that the new link itself raises asks once more. */
	if (result == 0 && l->anchored)
		r->anchor_verified = true;
	return result >= 0 || result == -EXDEV || result == -ESTALE;
}

/* A name that is mounted on cannot be renamed, but be mounted over. */
static bool note_busy(struct record *r, int result)
{
	if (result != -EBUSY || !r->mounting || r->path_busy)
		return false;
	r->path_busy = true;
	return true;
}

/* Outcomes that are knowledge and no failure. Return: whether this was one. */
static bool note_outcome(struct record *r, enum action action, int result, const struct look *l,
			 uint64_t now_ns)
{
	switch (action) {
	case ACTION_LINK:
		return note_link(r, result, l);
	case ACTION_RESTORE_MODE:
	case ACTION_RESTORE_DIR:
		if (result >= 0)
			note_restore(r, now_ns);
		return result >= 0;
	case ACTION_REPLACE_STALE:
		/* Removed, or gone otherwise: its number may be used again any moment. */
		if (result == 0 || result == -EAGAIN)
			r->probed = (struct node){ 0 };
		if (result == -ESTALE)
			r->link_refused = true;
		return result >= 0 || result == -ESTALE || note_busy(r, result);
	case ACTION_BIND_MOUNT:
		r->mount_failed = result < 0 && result != -EAGAIN;
		return true;
	case ACTION_LOCK:
	case ACTION_ANCHOR:
		note_anchor(r, result, now_ns);
		return true;
	case ACTION_MOVE_ASIDE:
		if (result >= 0)
			note_aside(r, now_ns);
		return result >= 0 || note_busy(r, result);
	case ACTION_ENTER_DIR:
		/* What failed in the directory before says nothing of this one: no wait. */
		if (result >= 0)
			r->retry_ns = 0;
		/* fall through */
	case ACTION_MAKE_DIRS:
	case ACTION_REBIND:
	case ACTION_PROMOTE:
		if (result >= 0)
			note_new_ground(r);
		return result >= 0;
	default:
		return result >= 0;
	}
}

void record_acted(struct record *r, enum action action, int result, const struct look *l,
		  uint64_t now_ns)
{
	assert(action != ACTION_NONE && action != ACTION_WAIT);

	if (action == ACTION_PROBE)
		note_probe(r, result, l, now_ns);
	else if (!note_outcome(r, action, result, l, now_ns) && result != -EAGAIN)
		note_failure(r, result, l, now_ns);
}

void record_settled(struct record *r, const struct look *l)
{
	r->nlink = l->ours.nlink;
	r->verified = false;
	r->anchor_verified = false;
	r->cross_mount = false;
	r->link_refused = false;
	r->path_busy = false;
	r->mount_failed = false;
	r->probed = (struct node){ 0 };
	r->stale_ns = 0;
	r->probes = 0;
	r->failures = 0;
	r->error = 0;
	r->retry_ns = 0;
}

void record_hurry(struct record *r)
{
	r->retry_ns = 0;
	r->anchor_retry_ns = 0;
	r->probe_until_ns = 0;
}
