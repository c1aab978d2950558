/*
 * What the planner remembers: the stories of bugs that simulated histories showed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "guard/plan.h"

/* Any time will do: the planner only compares. */
#define NOW (1000 * NSEC_PER_SEC)

static const struct node well = { .kind = NODE_SOCKET, .nlink = 2, .inode = 7, .mode = 0600 };
static const struct node directory = { .kind = NODE_DIRECTORY, .inode = 2, .mode = 0755 };
static const struct node stranger = { .kind = NODE_SOCKET, .inode = 9 };

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
			      .anchored = true };
}

/* A stranger's socket at the path, found stale twice. */
static void judge_stale(struct record *r, struct look *l)
{
	l->path = LOOK_PATH_SOCKET;
	l->path_node = stranger;
	record_acted(r, ACTION_PROBE, PROBE_STALE, l, NOW - PLAN_STALE_SETTLE_NS);
	record_acted(r, ACTION_PROBE, PROBE_STALE, l, NOW);
}

/* A stale socket at the path, judged twice, and nothing left of ours to put in its place. */
static void test_nothing_to_replace_a_stale_socket_with(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	judge_stale(&r, &l);
	l.ours.nlink = 0;
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_REBIND);
	l.ours.nlink = 1;
	l.listener_dead = true;
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_REBIND);
}

/* Its number may be a new listener's by now: what was replaced, or changed, is not known. */
static void test_a_replaced_socket_is_forgotten(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	for (int result = 0; result >= -EAGAIN; result -= EAGAIN) {
		judge_stale(&r, &l);
		assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_REPLACE_STALE);
		record_acted(&r, ACTION_REPLACE_STALE, result, &l, NOW);
		assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_PROBE);
	}
}

/* A socket that was seen and not found when asked for was asked for without a pause, and its
 * path shown as reachable meanwhile. */
static void test_what_only_the_look_sees_is_asked_for_with_pauses(void **state)
{
	struct record r = a_record();
	struct look l = a_look();
	uint64_t now = NOW;

	(void)state;
	l.path = LOOK_PATH_SOCKET;
	l.path_node = stranger;
	for (uint64_t pause = 0, i = 0; i < 3; i++) {
		struct plan plan;

		assert_int_equal(guard_plan(&r, &l, now).action, ACTION_PROBE);
		record_acted(&r, ACTION_PROBE, PROBE_GONE, &l, now);
		plan = guard_plan(&r, &l, now);
		assert_int_equal(plan.action, ACTION_WAIT);
		assert_int_equal(plan.state, KEDGE_STATE_REPAIRING);
		assert_true(plan.deadline_ns - now > pause);
		pause = plan.deadline_ns - now;
		now = plan.deadline_ns;
	}
}

/* An inode that was given away cannot be linked by its maker: without a re-bind the path
 * stayed lost. */
static void test_given_away_is_bound_anew(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	l.path = LOOK_PATH_FREE;
	record_acted(&r, ACTION_LINK, -EPERM, &l, NOW);
	assert_int_equal(guard_plan(&r, &l, r.retry_ns).action, ACTION_REBIND);
}

/* Two guards that each kept another mode of one directory took turns, without a pause. */
static void test_rights_are_not_fought_over(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	l.ours.mode = 0;
	for (int i = 0; i < PLAN_RESTORE_MAX; i++) {
		assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_RESTORE_MODE);
		record_acted(&r, ACTION_RESTORE_MODE, 0, &l, NOW);
	}
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_BLOCK);
	assert_int_equal(guard_plan(&r, &l, NOW).error, -EBUSY);
	assert_int_equal(guard_plan(&r, &l, NOW + PLAN_RESTORE_WINDOW_NS).action,
			 ACTION_RESTORE_MODE);
}

/* A stale socket that a crashed guard had mounted there cannot be renamed. */
static void test_a_stale_mount_is_mounted_over(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	judge_stale(&r, &l);
	record_acted(&r, ACTION_REPLACE_STALE, -EBUSY, &l, NOW);
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_BIND_MOUNT);
}

/* Mounting over what is busy is for those who may mount, and have not failed to. */
static void test_busy_and_no_mount_to_be_had(void **state)
{
	static const struct {
		enum look_path path;
		enum action action;
	} rows[] = { { LOOK_PATH_SOCKET, ACTION_REPLACE_STALE },
		     { LOOK_PATH_OTHER, ACTION_MOVE_ASIDE } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct record r = a_record();
		struct look l = a_look();

		judge_stale(&r, &l);
		l.path = rows[i].path;
		record_acted(&r, rows[i].action, -EBUSY, &l, NOW);
		assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_BIND_MOUNT);
		record_acted(&r, ACTION_BIND_MOUNT, -EPERM, &l, NOW);
		assert_int_equal(guard_plan(&r, &l, NOW).action, rows[i].action);
		r.mount_failed = r.mounting = false;
		assert_int_equal(guard_plan(&r, &l, NOW).action, rows[i].action);
	}
}

/* A minute counts from its first, and the next one from anew. */
static void test_minutes_begin_anew(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	for (int minute = 0; minute < 2; minute++) {
		uint64_t now = NOW + (uint64_t)minute * PLAN_ASIDE_WINDOW_NS;

		for (int i = 0; i < PLAN_ASIDE_MAX; i++)
			record_acted(&r, ACTION_MOVE_ASIDE, 1, &l, now);
		assert_int_equal(r.aside_count, PLAN_ASIDE_MAX);
		for (int i = 0; i < PLAN_RESTORE_MAX; i++)
			record_acted(&r, ACTION_RESTORE_MODE, 0, &l, now);
		assert_int_equal(r.restore_count, PLAN_RESTORE_MAX);
	}
}

/* In the place of what another process listens on, nothing is made. */
static void test_what_is_anothers_is_not_bound_anew(void **state)
{
	struct record r = a_record();
	struct look l = a_look();
	struct plan plan;

	(void)state;
	r.borrowed = true;
	l.path = LOOK_PATH_FREE;
	l.ours.nlink = 0;
	plan = guard_plan(&r, &l, NOW);
	assert_int_equal(plan.action, ACTION_BLOCK);
	assert_int_equal(plan.state, KEDGE_STATE_BLOCKED);
	assert_int_equal(plan.error, -EXDEV);
}

/* A draft that has lost its only name is no failure, but cannot be linked either. */
static void test_a_draft_without_a_name_is_bound_anew(void **state)
{
	struct record r = a_record();
	struct look l = a_look();

	(void)state;
	l.path = LOOK_PATH_FREE;
	record_acted(&r, ACTION_LINK, -ESTALE, &l, NOW);
	assert_int_equal(r.failures, 0);
	assert_int_equal(guard_plan(&r, &l, NOW).action, ACTION_REBIND);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_replace_a_stale_socket_with),
		cmocka_unit_test(test_a_replaced_socket_is_forgotten),
		cmocka_unit_test(test_what_only_the_look_sees_is_asked_for_with_pauses),
		cmocka_unit_test(test_given_away_is_bound_anew),
		cmocka_unit_test(test_rights_are_not_fought_over),
		cmocka_unit_test(test_a_stale_mount_is_mounted_over),
		cmocka_unit_test(test_busy_and_no_mount_to_be_had),
		cmocka_unit_test(test_minutes_begin_anew),
		cmocka_unit_test(test_a_draft_without_a_name_is_bound_anew),
		cmocka_unit_test(test_what_is_anothers_is_not_bound_anew),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
