/*
 * The planner as a table: a row a situation, the hazard's number in front.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "guard/plan.h"

/* Any time will do: the planner only compares. */
#define NOW (1000 * NSEC_PER_SEC)

static const struct node well = {
	.kind = NODE_SOCKET, .nlink = 2, .device = 1, .inode = 7, .mode = 0600, .uid = 5, .gid = 5
};
static const struct node directory = {
	.kind = NODE_DIRECTORY, .device = 1, .inode = 2, .mode = 0755, .uid = 5, .gid = 5
};
static const struct node stranger = { .kind = NODE_SOCKET, .device = 1, .inode = 9 };

/* A record that nothing has gone wrong with, and a look at a path that is well. */
static struct record a_record(void)
{
	return (struct record){ .want = well,
				.want_dir = directory,
				.keep = true,
				.mounting = true,
				.nlink = 2,
				.interval_ns = 5 * NSEC_PER_SEC };
}

static struct look a_look(void)
{
	return (struct look){ .dir_node = directory,
			      .path = LOOK_PATH_OURS,
			      .path_node = well,
			      .ours = well,
			      .anchored = true,
			      .anchor_home = true,
			      .anchor_wanted = true,
			      .locked_home = true };
}

struct row {
	const char *story;
	void (*set)(struct record *r, struct look *l);
	enum action action;
	enum kedge_state state;
	enum kedge_cause cause;
};

static void set_nothing(struct record *r, struct look *l)
{
	(void)r;
	(void)l;
}

static void set_unlinked(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_FREE;
	l->ours.nlink = 1;
}

static void set_renamed(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_FREE;
}

static void set_stale_name(struct record *r, struct look *l)
{
	(void)r;
	l->ours.nlink = 1;
}

static void set_hinted(struct record *r, struct look *l)
{
	(void)r;
	l->hinted = true;
}

static void set_verified(struct record *r, struct look *l)
{
	l->hinted = true;
	r->verified = true;
	r->anchor_verified = true;
}

static void set_dir_gone(struct record *r, struct look *l)
{
	(void)r;
	l->dir = LOOK_DIR_MISSING;
	l->ours.nlink = 0;
}

static void set_dir_other(struct record *r, struct look *l)
{
	(void)r;
	l->dir = LOOK_DIR_OTHER;
}

static void set_mounted_over(struct record *r, struct look *l)
{
	(void)r;
	l->dir = LOOK_DIR_OTHER;
	l->other_mount = true;
}

static void set_cross_mount(struct record *r, struct look *l)
{
	l->path = LOOK_PATH_FREE;
	r->cross_mount = true;
}

static void set_mount_refused(struct record *r, struct look *l)
{
	set_cross_mount(r, l);
	r->mount_failed = true;
}

static void set_stranger(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_SOCKET;
	l->path_node = stranger;
}

static void set_probed(struct record *r, struct look *l, enum probe_result probe)
{
	set_stranger(r, l);
	r->probed = stranger;
	r->probe = probe;
	r->probe_ns = NOW;
	r->probe_until_ns = NOW + 1;
	r->stale_ns = NOW;
}

static void set_stale_once(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_STALE);
}

static void set_stale_twice(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_STALE);
	r->stale_ns = NOW - PLAN_STALE_SETTLE_NS;
}

static void set_live(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_LIVE);
}

static void set_live_long_ago(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_LIVE);
	r->probe_until_ns = NOW;
}

static void set_stale_and_replaced(struct record *r, struct look *l)
{
	set_stale_twice(r, l);
	l->path_node.inode++;
}

static void set_unsettled(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_UNSETTLED);
}

static void set_unknown(struct record *r, struct look *l)
{
	set_probed(r, l, PROBE_UNKNOWN);
}

static void set_file(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_OTHER;
}

static void set_ninth_file(struct record *r, struct look *l)
{
	set_file(r, l);
	r->aside_count = PLAN_ASIDE_MAX;
	r->aside_ns = NOW - 1;
}

static void set_file_a_minute_later(struct record *r, struct look *l)
{
	set_ninth_file(r, l);
	r->aside_ns = NOW - PLAN_ASIDE_WINDOW_NS;
}

static void set_directory(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_DIRECTORY;
}

static void set_mode(struct record *r, struct look *l)
{
	(void)r;
	l->ours.mode = 0;
}

static void set_mode_not_kept(struct record *r, struct look *l)
{
	l->ours.mode = 0;
	r->keep = false;
}

static void set_dir_mode_kept(struct record *r, struct look *l)
{
	l->dir_node.mode = 0;
	r->keep_dir = true;
}

static void set_dir_closed(struct record *r, struct look *l)
{
	(void)r;
	l->dir = LOOK_DIR_UNSEEN;
	l->dir_error = -EACCES;
	l->dir_node.mode = 0;
}

static void set_anchor_gone(struct record *r, struct look *l)
{
	(void)r;
	l->anchored = false;
}

static void set_anchor_failing(struct record *r, struct look *l)
{
	l->anchored = false;
	r->anchor_retry_ns = NOW + 1;
}

static void set_lock_elsewhere(struct record *r, struct look *l)
{
	(void)r;
	l->locked_home = false;
}

static void set_lock_removed(struct record *r, struct look *l)
{
	(void)r;
	l->lock_removed = true;
}

static void set_no_names(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_FREE;
	l->ours.nlink = 0;
	l->anchored = false;
}

static void set_failed(struct record *r, struct look *l)
{
	set_unlinked(r, l);
	r->failures = 1;
	r->error = -ENOSPC;
	r->retry_ns = NOW + 1;
	r->failed_path = LOOK_PATH_FREE;
}

static void set_failed_otherwise(struct record *r, struct look *l)
{
	set_failed(r, l);
	r->failed_path = LOOK_PATH_DIRECTORY;
}

static void set_emfile(struct record *r, struct look *l)
{
	set_failed(r, l);
	r->error = -EMFILE;
}

static void set_dead(struct record *r, struct look *l)
{
	(void)r;
	l->listener_dead = true;
}

static void set_retired(struct record *r, struct look *l)
{
	(void)r;
	l->path = LOOK_PATH_RETIRED;
}

static const struct row rows[] = {
#define REACHABLE KEDGE_STATE_REACHABLE
#define REPAIRING KEDGE_STATE_REPAIRING
#define BLOCKED   KEDGE_STATE_BLOCKED
#define DISPLACED KEDGE_STATE_DISPLACED
	{ "all is well", set_nothing, ACTION_NONE, REACHABLE, KEDGE_CAUSE_NONE },
	{ "H1 unlinked", set_unlinked, ACTION_LINK, REPAIRING, KEDGE_CAUSE_UNLINKED },
	{ "H1 the name is still cached", set_stale_name, ACTION_LINK, REACHABLE,
	  KEDGE_CAUSE_UNLINKED },
	{ "H1 an event, the name is there", set_hinted, ACTION_LINK, REACHABLE,
	  KEDGE_CAUSE_UNLINKED },
	{ "H1 link said that it is taken", set_verified, ACTION_NONE, REACHABLE, KEDGE_CAUSE_NONE },
	{ "H2 renamed away", set_renamed, ACTION_LINK, REPAIRING, KEDGE_CAUSE_RENAMED },
	{ "H3 directory removed", set_dir_gone, ACTION_MAKE_DIRS, REPAIRING,
	  KEDGE_CAUSE_DIR_REMOVED },
	{ "H4 directory moved", set_dir_other, ACTION_ENTER_DIR, REPAIRING,
	  KEDGE_CAUSE_DIR_REPLACED },
	{ "H5 mounted over", set_mounted_over, ACTION_ENTER_DIR, REPAIRING,
	  KEDGE_CAUSE_MOUNTED_OVER },
	{ "H5 no link across mounts", set_cross_mount, ACTION_BIND_MOUNT, REPAIRING,
	  KEDGE_CAUSE_MOUNTED_OVER },
	{ "H5 nor a bind mount", set_mount_refused, ACTION_REBIND, REPAIRING,
	  KEDGE_CAUSE_MOUNTED_OVER },
	{ "H5 unmounted: the old one shows", set_retired, ACTION_PROMOTE, REPAIRING,
	  KEDGE_CAUSE_DIR_REPLACED },
	{ "H6 a socket, not asked yet", set_stranger, ACTION_PROBE, REPAIRING,
	  KEDGE_CAUSE_REPLACED_STALE },
	{ "H6 stale once", set_stale_once, ACTION_WAIT, REPAIRING, KEDGE_CAUSE_REPLACED_STALE },
	{ "H6 stale twice", set_stale_twice, ACTION_REPLACE_STALE, REPAIRING,
	  KEDGE_CAUSE_REPLACED_STALE },
	{ "H6 another one by now", set_stale_and_replaced, ACTION_PROBE, REPAIRING,
	  KEDGE_CAUSE_REPLACED_STALE },
	{ "H7 alive", set_live, ACTION_WAIT, DISPLACED, KEDGE_CAUSE_REPLACED_LIVE },
	{ "H7 ask again", set_live_long_ago, ACTION_PROBE, DISPLACED, KEDGE_CAUSE_REPLACED_LIVE },
	{ "H7 its queue is full: alive", set_unsettled, ACTION_WAIT, DISPLACED,
	  KEDGE_CAUSE_REPLACED_LIVE },
	{ "H7 it cannot be told", set_unknown, ACTION_BLOCK, BLOCKED, KEDGE_CAUSE_REPLACED_LIVE },
	{ "H8 a file", set_file, ACTION_MOVE_ASIDE, REPAIRING, KEDGE_CAUSE_REPLACED_FILE },
	{ "H8 the ninth in a minute", set_ninth_file, ACTION_BLOCK, BLOCKED,
	  KEDGE_CAUSE_REPLACED_FILE },
	{ "H8 a minute later", set_file_a_minute_later, ACTION_MOVE_ASIDE, REPAIRING,
	  KEDGE_CAUSE_REPLACED_FILE },
	{ "H9 a directory", set_directory, ACTION_BLOCK, BLOCKED, KEDGE_CAUSE_REPLACED_DIR },
	{ "H10 mode changed", set_mode, ACTION_RESTORE_MODE, REPAIRING, KEDGE_CAUSE_MODE_CHANGED },
	{ "H10 not ours to keep", set_mode_not_kept, ACTION_NONE, REACHABLE, KEDGE_CAUSE_NONE },
	{ "H10 directory to be kept", set_dir_mode_kept, ACTION_RESTORE_DIR, REPAIRING,
	  KEDGE_CAUSE_DIR_MODE_CHANGED },
	{ "H10 directory closed to us", set_dir_closed, ACTION_BLOCK, BLOCKED,
	  KEDGE_CAUSE_DIR_MODE_CHANGED },
	{ "H11 anchor removed", set_anchor_gone, ACTION_ANCHOR, REACHABLE, KEDGE_CAUSE_NONE },
	{ "H11 it failed, later again", set_anchor_failing, ACTION_NONE, REACHABLE,
	  KEDGE_CAUSE_NONE },
	{ "H11 the lock's file removed", set_lock_removed, ACTION_LOCK, REACHABLE,
	  KEDGE_CAUSE_NONE },
	{ "H11 the lock first", set_lock_elsewhere, ACTION_LOCK, REACHABLE, KEDGE_CAUSE_NONE },
	{ "H12 no name left", set_no_names, ACTION_REBIND, REPAIRING, KEDGE_CAUSE_UNLINKED },
	{ "H21 no space, wait", set_failed, ACTION_WAIT, BLOCKED, KEDGE_CAUSE_UNLINKED },
	{ "H21 no descriptor, wait", set_emfile, ACTION_WAIT, REPAIRING, KEDGE_CAUSE_UNLINKED },
	{ "H21 the situation is another", set_failed_otherwise, ACTION_LINK, BLOCKED,
	  KEDGE_CAUSE_UNLINKED },
	{ "the listener was shut down", set_dead, ACTION_REBIND, REPAIRING,
	  KEDGE_CAUSE_LISTENER_GONE },
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record r = a_record();
		struct look l = a_look();
		struct plan plan;

		rows[i].set(&r, &l);
		plan = guard_plan(&r, &l, NOW);
		if (plan.action != rows[i].action || plan.state != rows[i].state ||
		    plan.cause != rows[i].cause)
			fail_msg("%s: action %d, state %d, cause %d", rows[i].story, plan.action,
				 plan.state, plan.cause);
		if (plan.deadline_ns <= NOW)
			fail_msg("%s: its deadline lies in the past", rows[i].story);
	}
}

/* 10 ms, doubling up to the interval, and no further. */
static void test_backoff(void **state)
{
	struct record r = a_record();
	struct look l = a_look();
	uint64_t now = NOW, last = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		uint64_t wait;

		record_acted(&r, ACTION_LINK, -ENOSPC, &l, now);
		wait = r.retry_ns - now;
		assert_true(wait == (last ? (2 * last < r.interval_ns ? 2 * last : r.interval_ns)
					  : PLAN_BACKOFF_FIRST_NS));
		last = wait;
		now = r.retry_ns;
	}
	assert_true(last == r.interval_ns);
	record_settled(&r, &l);
	assert_int_equal(r.failures, 0);
	assert_true(r.retry_ns == 0);
}

/* What changed meanwhile is no failure, and costs no wait. */
static void test_again_is_no_failure(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	record_acted(&r, ACTION_LINK, -EAGAIN, &l, NOW);
	assert_int_equal(r.failures, 0);
	record_acted(&r, ACTION_LINK, -EXDEV, &l, NOW);
	assert_int_equal(r.failures, 0);
	assert_true(r.cross_mount);
}

/* A re-bind failed while the directory was being removed; the one that was made in its
 * place is tried at once. */
static void test_new_directory_costs_no_wait(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	set_unlinked(&r, &l);
	l.ours.nlink = 0;
	record_acted(&r, ACTION_REBIND, -ENOENT, &l, NOW);
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_WAIT);
	record_acted(&r, ACTION_ENTER_DIR, 0, &l, NOW);
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_REBIND);
}

/* A failing anchor is retried on its own, and holds no repair up. */
static void test_anchor_failure_is_apart(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	record_acted(&r, ACTION_ANCHOR, -ENOSPC, &l, NOW);
	set_unlinked(&r, &l);
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_LINK);
}

/* A stale socket that comes alive between two questions is left alone. */
static void test_stale_comes_alive(void **state)
{
	struct record r = a_record();
	struct look l = a_look();
	uint64_t later = NOW + PLAN_STALE_SETTLE_NS;

	(void)state;
	set_stranger(&r, &l);
	record_acted(&r, ACTION_PROBE, PROBE_STALE, &l, NOW);
	record_acted(&r, ACTION_PROBE, PROBE_LIVE, &l, later);
	assert_int_equal(guard_plan(&r, &l, later).state, KEDGE_STATE_DISPLACED);
	record_acted(&r, ACTION_PROBE, PROBE_STALE, &l, later + NSEC_PER_SEC);
	assert_int_equal(guard_plan(&r, &l, later + NSEC_PER_SEC).action, ACTION_WAIT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_again_is_no_failure),
		cmocka_unit_test(test_new_directory_costs_no_wait),
		cmocka_unit_test(test_anchor_failure_is_apart),
		cmocka_unit_test(test_stale_comes_alive),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
