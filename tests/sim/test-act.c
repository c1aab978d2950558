/*
 * Repairs, each with something in its way: what a history meets once in a million.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "steps.h"

/* No name of the listener is left. */
static void lose_all(void)
{
	world_sweep("/run");
	world_sweep(ANCHORS);
}

static void lose_path(void)
{
	world_unlink(PATH);
}

/* The current listener is retired, and keeps its anchor: its path was lost where no link led. */
static void retire_with_anchor(struct guarded *g)
{
	uint64_t generation = g->current->generation;

	lose_path();
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	steps_met();
	assert_true(is_reachable(g, PATH));
	assert_true(g->current->generation > generation);
}

/* A link that leads to another mount says nothing of the anchor directory while the listener
 * may be on an older one; when not even a new one can be linked, it does. */
static void test_anchors_on_another_mount(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	lose_path();
	steps_upset((struct upset[]){ { "link", .error = -EXDEV, .times = 2 }, { 0 } });
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 1);
	assert_string_equal(told.refusal, "");
	assert_null(g->current->home);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

static void test_an_adopted_listener_refuses_no_anchors(void **state)
{
	struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 } };
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	fd = own_socket(PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	lose_path();
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 0);
	assert_non_null(g->current->home);
	own_close(fd);
	steps_end();
}

/* A draft has no anchor directory that could be refused. */
static void test_a_draft_on_another_mount(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	assert_null(g->current->home);
	lose_path();
	steps_upset((struct upset[]){ { "rename", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 1);
	steps_end();
}

/* A new listener was published and lost before its owner heard of it. The owner is told when
 * the next one is made, and closes the path in that very call. */
static void close_path(int new_fd, int old_fd)
{
	struct guarded *g = engine_find(&engine, PATH);

	(void)old_fd;
	if (new_fd >= 0 && g)
		guarded_stop(g);
}

static void lose_at_next_look(void)
{
	steps_upset((struct upset[]){ { "stat", .world = lose_all }, { 0 } });
}

static void test_closed_while_a_lost_listener_is_told_of(void **state)
{
	(void)state;
	(void)steps_guard(&(struct steps_options){ .on_listener = close_path });
	lose_all();
	steps_upset((struct upset[]){ { "link", .world = lose_at_next_look }, { 0 } });
	steps_run(SOON);
	assert_null(engine_find(&engine, PATH));
	assert_int_equal(told.listeners, 1);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

static void test_the_right_one_is_promoted(void **state)
{
	struct guarded *g = steps_guard(NULL);
	uint64_t second;
	char anchor[64];

	(void)state;
	retire_with_anchor(g);
	second = g->current->generation;
	retire_with_anchor(g);
	assert_int_equal(g->retired_count, 2);
	(void)snprintf(anchor, sizeof(anchor), ANCHORS "/s.%u", (unsigned)second);
	lose_path();
	world_rename(anchor, PATH);
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(g->current->generation, second);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* Guard another path, /run/t, at which the name of one that PATH has retired stands. */
static struct guarded *retired_at_t(void)
{
	struct guarded *g = steps_guard(NULL), *other;

	assert_int_equal(steps_add("/run/t", &other), 0);
	steps_run(SOON);
	retire_with_anchor(g);
	retire_with_anchor(g);
	world_unlink("/run/t");
	world_rename(ANCHORS "/s.2", "/run/t");
	return other;
}

/* What another path of the same guard has retired is replaced: it is nobody's who would mind. */
static void test_a_retired_listener_of_another_path(void **state)
{
	struct guarded *other = retired_at_t();

	(void)state;
	steps_run(SOON);
	assert_true(is_reachable(other, "/run/t"));
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 0);
	steps_end();
}

static struct socket *newcomer;

static void bind_at_t(void)
{
	world_unlink("/run/t");
	newcomer = world_socket("/run/t");
}

/* A stranger binds there while it is judged: that one is not displaced. */
static void test_a_retired_listener_is_replaced_by_a_stranger(void **state)
{
	struct guarded *other = retired_at_t();

	(void)state;
	steps_upset((struct upset[]){ { "probe", .skip = 2, .world = bind_at_t }, { 0 } });
	steps_run(SOON);
	steps_met();
	assert_ptr_equal(world_at("/run/t"), newcomer->inode);
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 1);
	world_unlink("/run/t");
	world_close(newcomer);
	steps_run(LONG);
	assert_true(is_reachable(other, "/run/t"));
	steps_end();
}

static void test_a_retired_listener_of_another_directory(void **state)
{
	struct guarded *g = steps_guard(NULL), *other;

	(void)state;
	world_mkdir("/run/d", 0755, 0);
	assert_int_equal(steps_add("/run/d/s", &other), 0);
	steps_run(SOON);
	retire_with_anchor(g);
	world_unlink("/run/d/s");
	world_rename(ANCHORS "/s.1", "/run/d/s");
	steps_run(SOON);
	assert_true(is_reachable(other, "/run/d/s"));
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 0);
	steps_end();
}

/* Two paths that are one name: the listener of either is a live one to the other. */
static void test_one_name_by_two_paths(void **state)
{
	struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 } };
	struct guarded *g, *linked;

	(void)state;
	steps_begin(&(struct steps_options){ .anchor_dir = "/anchors" });
	world_symlink("/link", "/run");
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(steps_add_as("/link/s", &config, g->current->fd, &linked), 0);
	steps_run(SOON);
	world_sweep("/run");
	world_sweep("/anchors");
	steps_run(SOON);
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 1);
	assert_true(is_reachable(g, PATH) != is_reachable(linked, PATH));
	steps_end();
}

/* Whoever is told of an end may give the guard a turn: the path is no other's any more. */
static void take_a_turn(const struct kedge_event *event)
{
	if (event->kind == KEDGE_EVENT_STOPPED)
		steps_turn();
}

static void test_a_turn_within_an_end(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .on_event = take_a_turn }), *other;
	struct socket *stranger;

	(void)state;
	assert_int_equal(steps_add("/run/t", &other), 0);
	steps_run(SOON);
	world_unlink("/run/t");
	stranger = world_socket("/run/t");
	guarded_stop(g);
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 1);
	world_close(stranger);
	steps_run(LONG);
	assert_true(is_reachable(other, "/run/t"));
	steps_end();
}

/* Refused to the superuser, or for an inode that is our own, it is a failure like another. */
static void test_a_swap_that_is_not_permitted(void **state)
{
	(void)state;
	for (uint32_t uid = 0; uid <= 5; uid += 5) {
		struct guarded *g = steps_guard(&(struct steps_options){ .uid = uid });

		lose_path();
		world_stale(PATH);
		steps_upset((struct upset[]){ { "swap", .error = -EPERM }, { 0 } });
		steps_run(SOON);
		assert_int_equal(told.error, -EPERM);
		assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 1);
		assert_true(is_reachable(g, PATH));
		assert_int_equal(told.count[KEDGE_EVENT_REBOUND], 0);
		steps_end();
	}
}

static void test_a_group_is_given_back(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	world_chown(PATH, 0, 9);
	steps_run(SOON);
	assert_int_equal(world_at(PATH)->gid, 0);
	assert_int_equal(told.count[KEDGE_EVENT_MODE_RESTORED], 1);
	assert_true(is_reachable(g, PATH));
	steps_end();
}

/* The owner's callback closes the path while its listener cannot be bound for want of a
 * directory: nothing is made anew for it. */
static int create_and_close(const char *bind_path, void *userdata)
{
	struct guarded *g = engine_find(&engine, PATH);

	(void)bind_path;
	(void)userdata;
	if (g && g->generation > 1)
		guarded_stop(g);
	return g ? -ENOENT : own_socket(PATH "-own");
}

static void test_closed_in_the_making(void **state)
{
	struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					.create = create_and_close };
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	fd = own_socket(PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	steps_run(SOON);
	lose_all();
	steps_run(SOON);
	assert_null(engine_find(&engine, PATH));
	own_close(fd);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* Whoever displaced us is gone, unseen, and its number is that of another path's new listener,
 * which was renamed to ours. */
static void test_the_number_of_a_stranger_is_used_again(void **state)
{
	struct guarded *s, *t;
	struct socket *stranger;
	uint64_t number;

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "watch", .error = -ENOSPC, .times = ALWAYS }, { 0 } });
	assert_int_equal(steps_add(PATH, &s), 0);
	assert_int_equal(steps_add("/run/t", &t), 0);
	steps_run(SOON);
	world_unlink(PATH);
	stranger = world_socket(PATH);
	number = stranger->inode->number;
	engine_run_one(&engine, s);
	assert_int_equal(s->state, KEDGE_STATE_DISPLACED);

	world_unlink(PATH);
	world_close(stranger);
	world_unlink("/run/t");
	world_unlink(ANCHORS "/t.1");
	engine_run_one(&engine, t);
	assert_true(is_reachable(t, "/run/t"));
	assert_int_equal(world_at("/run/t")->number, number);
	world_rename("/run/t", PATH);
	steps_run(LONG);
	assert_true(is_reachable(s, PATH));
	assert_true(is_reachable(t, "/run/t"));
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anchors_on_another_mount),
		cmocka_unit_test(test_an_adopted_listener_refuses_no_anchors),
		cmocka_unit_test(test_a_draft_on_another_mount),
		cmocka_unit_test(test_closed_while_a_lost_listener_is_told_of),
		cmocka_unit_test(test_the_right_one_is_promoted),
		cmocka_unit_test(test_a_retired_listener_of_another_path),
		cmocka_unit_test(test_a_retired_listener_is_replaced_by_a_stranger),
		cmocka_unit_test(test_a_retired_listener_of_another_directory),
		cmocka_unit_test(test_one_name_by_two_paths),
		cmocka_unit_test(test_a_turn_within_an_end),
		cmocka_unit_test(test_a_swap_that_is_not_permitted),
		cmocka_unit_test(test_a_group_is_given_back),
		cmocka_unit_test(test_closed_in_the_making),
		cmocka_unit_test(test_the_number_of_a_stranger_is_used_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
