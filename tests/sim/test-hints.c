/*
 * Events, paths and watches that share a place in a table, leave that is not granted, and
 * listeners that are passed on.
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

static const struct listen_config plain = { .spec = { .backlog = 16, .mode = 0600 } };

/* Whichever of three paths with one hash goes first, the others are found. */
static void test_paths_with_one_hash(void **state)
{
	static const char *const paths[] = { "/run/s", "/run/t", "/run/u" };

	(void)state;
	for (unsigned first = 0; first < 3; first++) {
		struct guarded *all[3];

		steps_begin(NULL);
		steps_one_hash = true;
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(steps_add(paths[i], &all[i]), 0);
		assert_ptr_equal(all[2]->same_hash, all[1]);
		for (unsigned i = 0; i < 3; i++)
			assert_ptr_equal(engine_find(&engine, paths[i]), all[i]);
		guarded_stop(all[first]);
		for (unsigned i = 0; i < 3; i++)
			assert_ptr_equal(engine_find(&engine, paths[i]),
					 i == first ? NULL : all[i]);
		assert_null(engine_find(&engine, "/run/v"));
		steps_end();
		assert_int_equal(names_in("/run"), 0);
	}
}

static int server_fd;

static void add_the_same(const struct kedge_event *event)
{
	static bool within;

	if (event->kind != KEDGE_EVENT_DEGRADED || within)
		return;
	within = true;
	assert_int_equal(steps_add_as(PATH, &plain, server_fd, NULL), 0);
	within = false;
}

/* A callback of the start was quicker with the same path: one of the two is refused. */
static void test_added_within_its_own_start(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .on_event = add_the_same });
	server_fd = own_socket(PATH);
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 4 }, { 0 } });
	assert_int_equal(steps_add_as(PATH, &plain, server_fd, &g), -EEXIST);
	assert_non_null(strstr(told.refusal, "guarded already"));
	g = engine_find(&engine, PATH);
	assert_non_null(g);
	assert_true(is_reachable(g, PATH));
	own_close(server_fd);
	steps_end();
}

static void replace_the_directory(const struct kedge_event *event)
{
	if (event->kind != KEDGE_EVENT_DEGRADED || told.count[KEDGE_EVENT_DEGRADED] > 1)
		return;
	world_rename("/run/d", "/run/moved");
	world_mkdir("/run/d", 0755, 0);
	assert_int_equal(steps_add("/run/d/t", NULL), 0);
}

/* The start of one path finds another directory while a neighbour's has no listener yet. */
static void test_a_place_entered_within_a_start(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .on_event = replace_the_directory });
	world_mkdir("/run/d", 0755, 0);
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add("/run/d/s", &g), 0);
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	assert_true(is_reachable(engine_find(&engine, "/run/d/t"), "/run/d/t"));
	steps_end();
}

/* What is so already is not told again. */
static void test_blind_once(void **state)
{
	(void)state;
	(void)steps_guard(NULL);
	engine_set_blind(&engine, false, 0);
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 0);
	engine_set_blind(&engine, true, -EMFILE);
	engine_set_blind(&engine, true, -EMFILE);
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 1);
	steps_end();
}

static void see_again(const struct kedge_event *event)
{
	if (event->kind == KEDGE_EVENT_DEGRADED && !engine.blind) {
		engine_set_blind(&engine, true, -EMFILE);
		engine_set_blind(&engine, false, 0);
	}
}

/* Events can be had again while a start has no listener yet that could be watched. */
static void test_events_come_back_within_a_start(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .on_event = see_again });
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_met();
	world_unlink(PATH);
	steps_turn();
	assert_true(is_reachable(g, PATH));
	steps_end();
}

/* --- hints --- */

/* Where the inode refuses a watch, its directory is watched; a neighbour's entry is no hint. */
static void test_hints_of_entries(void **state)
{
	struct guarded *g;
	int watch;

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "watch", .skip = 2, .error = -EACCES }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_met();
	steps_run(SOON);
	watch = g->current->watcher.number;
	assert_int_equal(watch, g->place->steps[g->place->depth - 1].watcher.number);
	engine_hint_entry(&engine, watch, "other");
	assert_false(g->hinted);
	assert_true(list_empty(&engine.dirty));
	engine_hint_entry(&engine, watch, "s");
	assert_true(g->hinted);
	assert_false(list_empty(&engine.dirty));
	steps_run(SOON);
	assert_false(g->hinted);
	engine_hint_entry(&engine, -1, "s");
	engine_hint_watch(&engine, -1);
	assert_true(list_empty(&engine.dirty));
	steps_end();
}

/* Three in one directory share its watch, and each may go first. */
static void test_watches_that_are_shared(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 3; first++) {
		static const char *const paths[] = { "/run/s", "/run/t", "/run/u" };
		struct guarded *all[3];

		steps_begin(NULL);
		steps_upset((struct upset[]){ { "watch", .skip = 2, .error = -EACCES, .times = 3 },
					      { 0 } });
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(steps_add(paths[i], &all[i]), 0);
		steps_met();
		guarded_stop(all[first]);
		steps_run(SOON);
		for (unsigned i = 0; i < 3; i++) {
			if (i == first)
				continue;
			engine_hint_entry(&engine, all[i]->current->watcher.number, paths[i] + 5);
			assert_true(all[i]->hinted);
		}
		steps_end();
	}
}

/* --- leave --- */

static struct leave answer;

static struct leave give_answer(struct guarded *g, struct look *look, uint64_t now_ns)
{
	(void)g;
	(void)look;
	(void)now_ns;
	return answer;
}

static void close_when_lost(const struct kedge_event *event)
{
	struct guarded *g = engine_find(&engine, PATH);

	if (event->kind == KEDGE_EVENT_LOST && g)
		guarded_stop(g);
}

/* What is hopeless is told, and left; its owner may close it when told. */
static void test_hopeless(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct guarded *g;

		answer = (struct leave){ LEAVE_GRANTED };
		g = steps_guard(&(struct steps_options){ .leave = give_answer,
							 .on_event = i ? close_when_lost : NULL });
		answer = (struct leave){ LEAVE_HOPELESS };
		world_unlink(PATH);
		steps_run(SOON);
		assert_int_equal(told.count[KEDGE_EVENT_LOST], 1);
		assert_null(world_at(PATH));
		if (i)
			assert_null(engine_find(&engine, PATH));
		else
			assert_int_equal(g->state, KEDGE_STATE_BLOCKED);
		steps_end();
	}
}

static void test_leave_in_another_directory(void **state)
{
	struct guarded *g;

	(void)state;
	answer = (struct leave){ LEAVE_GRANTED };
	g = steps_guard(&(struct steps_options){ .leave = give_answer });
	answer = (struct leave){ LEAVE_LATER, kernel.now_ns + SOON };
	world_unlink(PATH);
	steps_turn();
	assert_int_not_equal(g->missed_ns, 0);
	assert_null(world_at(PATH));
	answer = (struct leave){ LEAVE_GRANTED };
	steps_run(2 * SOON);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(g->missed_ns, 0);
	steps_end();
}

/* --- passing on --- */

static void put_another_there(void)
{
	world_unlink(PATH);
	world_stale(PATH);
}

/* Whoever is to be followed may be gone again, or another's: then the path is looked at anew. */
static void test_whom_to_follow(void **state)
{
	static const struct {
		int error, result;
	} rows[] = { { -ENOENT, -EAGAIN },
		     { -ESTALE, -EAGAIN },
		     { -EINVAL, -EAGAIN },
		     { -EMFILE, -EMFILE },
		     { 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct guarded *g = steps_guard(NULL);
		uint64_t generation = g->current->generation;
		int fd;

		world_unlink(PATH);
		fd = own_socket(PATH);
		steps_upset((struct upset[]){ { "listener_node", .error = rows[i].error }, { 0 } });
		assert_int_equal(guarded_follow(g, fd), rows[i].result);
		assert_true((g->current->generation > generation) == (rows[i].result == 0));
		assert_int_equal(is_reachable(g, PATH), rows[i].result == 0);
		own_close(fd);
		steps_end();
	}
}

static void test_another_than_was_to_be_followed(void **state)
{
	struct guarded *g = steps_guard(NULL);
	uint64_t generation = g->current->generation;
	int fd;

	(void)state;
	world_unlink(PATH);
	fd = own_socket(PATH);
	steps_upset((struct upset[]){ { "handle_open", .world = put_another_there }, { 0 } });
	assert_int_equal(guarded_follow(g, fd), -EAGAIN);
	assert_int_equal(g->current->generation, generation);
	own_close(fd);
	steps_end();
}

/* The newest of those that still listen takes the place of one that has died. */
static void test_whom_to_fall_back_to(void **state)
{
	struct guarded *g = steps_guard(NULL);
	uint64_t first = g->current->generation;

	(void)state;
	for (int i = 0; i < 2; i++) {
		world_unlink(PATH);
		steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
		steps_run(SOON);
		steps_met();
	}
	assert_int_equal(g->retired_count, 2);
	world_at_fd(list_entry(g->retired.prev, struct listener, link)->fd)->shut = true;
	assert_true(guarded_fall_back(g));
	assert_int_equal(g->current->generation, first);
	assert_int_equal(g->retired_count, 0);
	assert_false(guarded_fall_back(g));
	assert_int_equal(g->current->generation, first);
	steps_end();
}

/* --- what is told --- */

/* Of the rights of a directory that we made ourselves, nothing is forgotten for what was
 * noticed of the socket in it. */
static void test_noticed_in_a_directory_of_ours(void **state)
{
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	world_mkdir("/run/d", 0755, 0);
	fd = own_socket("/run/d/s");
	assert_int_equal(steps_add_as("/run/d/s", &plain, fd, &g), 0);
	steps_run(SOON);
	world_remove("/run/d");
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	world_chmod("/run/d/s", 0640);
	steps_run(SOON);
	assert_int_equal(told.count[KEDGE_EVENT_NOTICED], 1);
	assert_int_equal(world_at("/run/d/s")->mode, 0640);
	world_chmod("/run/d", 0700);
	steps_run(SOON);
	assert_int_equal(world_at("/run/d")->mode, 0755);
	own_close(fd);
	steps_end();
}

static void mount_over_it(void)
{
	world_mount("/run/d");
}

/* The directory is mounted over while it is about to be watched, and soon is not any more: it is
 * the one that is held whose move is told. */
static void test_mounted_over_before_it_is_watched(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	engine.options.interval_ns = TIME_NEVER;
	world_mkdir("/run/d", 0755, 0);
	steps_upset((struct upset[]){ { "dir_open", .skip = 1, .world = mount_over_it }, { 0 } });
	assert_int_equal(steps_add("/run/d/s", &g), 0);
	world_unmount("/run/d");
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	world_rename("/run/d", "/run/e");
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	steps_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_with_one_hash),
		cmocka_unit_test(test_added_within_its_own_start),
		cmocka_unit_test(test_a_place_entered_within_a_start),
		cmocka_unit_test(test_blind_once),
		cmocka_unit_test(test_events_come_back_within_a_start),
		cmocka_unit_test(test_hints_of_entries),
		cmocka_unit_test(test_watches_that_are_shared),
		cmocka_unit_test(test_hopeless),
		cmocka_unit_test(test_leave_in_another_directory),
		cmocka_unit_test(test_whom_to_follow),
		cmocka_unit_test(test_another_than_was_to_be_followed),
		cmocka_unit_test(test_whom_to_fall_back_to),
		cmocka_unit_test(test_noticed_in_a_directory_of_ours),
		cmocka_unit_test(test_mounted_over_before_it_is_watched),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
