/*
 * How a listener comes to its path and leaves it, each with something in its way.
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

static struct guarded *begin_draft(void)
{
	struct guarded *g;

	steps_begin(NULL);
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	assert_null(g->current->home);
	assert_true(is_reachable(g, PATH));
	return g;
}

/* A network file system says that a rename failed which was done: it is believed when seen. */
static void test_a_rename_that_was_done(void **state)
{
	struct guarded *g = begin_draft();

	(void)state;
	lose_all();
	steps_upset((struct upset[]){ { "rename", .error = -ENOENT, .late = true },
				      { "link_fd", .error = -ENOENT },
				      { 0 } });
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_false(g->current->draft);
	assert_int_equal(told.count[KEDGE_EVENT_REBOUND], 1);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

static void fail_the_next_stat(void)
{
	steps_upset((struct upset[]){ { "stat", .error = -EIO }, { 0 } });
}

/* ... and where it cannot be seen, the next listener is made. */
static void test_a_rename_that_cannot_be_seen(void **state)
{
	struct guarded *g = begin_draft();

	(void)state;
	lose_all();
	steps_upset((struct upset[]){ { "rename", .error = -ENOENT },
				      { "link_fd", .error = -ENOENT, .world = fail_the_next_stat },
				      { 0 } });
	steps_run(LONG);
	assert_true(is_reachable(g, PATH));
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* Nothing can be taken away: the path is left, and told to be. */
static void test_no_name_to_take_it_away_to(void **state)
{
	(void)state;
	(void)steps_guard(NULL);
	steps_upset((struct upset[]){ { "rename", .error = -EEXIST, .times = ALWAYS }, { 0 } });
	guarded_stop(engine_find(&engine, PATH));
	assert_string_equal(told.detail, "path left as it is");
	assert_non_null(world_at(PATH));
	steps_end();
}

static void test_no_renames_beside_the_path(void **state)
{
	(void)state;
	(void)begin_draft();
	steps_upset((struct upset[]){ { "rename", .error = -EIO, .times = ALWAYS }, { 0 } });
	guarded_stop(engine_find(&engine, PATH));
	assert_string_equal(told.detail, "path left as it is");
	assert_non_null(world_at(PATH));
	steps_end();
}

/* The stale socket stays while no second name of ours can be had, and goes when it can. */
static void replace_after(struct guarded *g, int error, unsigned times)
{
	lose_path();
	world_stale(PATH);
	steps_upset((struct upset[]){ { "link_fd", .error = error, .times = times }, { 0 } });
	steps_run(LONG);
	assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 1);
	assert_int_equal(told.error, error);
	assert_true(is_reachable(g, PATH));
	steps_end();
}

static void test_no_name_for_a_twin(void **state)
{
	(void)state;
	replace_after(steps_guard(NULL), -EEXIST, SPARE_TRIES);
	replace_after(steps_guard(NULL), -EIO, 2);
}

static void test_no_links_beside_the_path(void **state)
{
	struct guarded *g = begin_draft();

	(void)state;
	world_rename(PATH, "/run/elsewhere");
	world_stale(PATH);
	steps_upset((struct upset[]){ { "link_fd", .error = -EIO }, { 0 } });
	steps_run(LONG);
	assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 1);
	assert_true(is_reachable(g, PATH));
	world_unlink("/run/elsewhere");
	steps_end();
}

/* Names cannot be swapped there, in each of the ways that file systems have to say so. */
static void test_no_swaps(void **state)
{
	static const int errors[] = { -EXDEV, -EOPNOTSUPP, -EINVAL };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct guarded *g = steps_guard(NULL);

		lose_path();
		world_stale(PATH);
		steps_upset((struct upset[]){ { "swap", .error = errors[i] }, { 0 } });
		steps_run(SOON);
		assert_true(is_reachable(g, PATH));
		assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 0);
		steps_end();
		assert_int_equal(names_in("/run"), 0);
	}
}

static struct socket *newcomer;

static void bind_instead(void)
{
	world_unlink(PATH);
	newcomer = world_socket(PATH);
}

/* ... who is not displaced, and whose path is ours again once he has gone. The end. */
static void newcomer_keeps_it(struct guarded *g)
{
	assert_ptr_equal(world_at(PATH), newcomer->inode);
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 1);
	world_unlink(PATH);
	world_close(newcomer);
	steps_run(LONG);
	assert_true(is_reachable(g, PATH));
	steps_end();
}

static void lose_before_swap_back(void)
{
	world_unlink(PATH);
}

/* ... and by then a stranger stands there. */
static void test_no_swaps_and_a_stranger(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	lose_path();
	world_stale(PATH);
	steps_upset((struct upset[]){ { "swap", .error = -EXDEV, .world = bind_instead }, { 0 } });
	steps_run(SOON);
	steps_met();
	newcomer_keeps_it(g);
}

/* A stranger bound between the last look and the swap, so that it goes back; and ours was
 * removed meanwhile from where it is to be swapped with. */
static void test_swapped_back_to_a_free_path(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	lose_path();
	world_stale(PATH);
	steps_upset((struct upset[]){ { "swap", .world = bind_instead },
				      { "swap", .skip = 1, .world = lose_before_swap_back },
				      { 0 } });
	steps_run(SOON);
	newcomer_keeps_it(g);
}

/* Our own name lies below what is mounted at the path: a swap of one inode's names does
 * nothing and succeeds. */
static void test_a_stale_socket_mounted_over_ours(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });

	(void)state;
	world_stale("/run/stale");
	world_bind("/run/stale", PATH);
	steps_run(LONG);
	assert_int_equal(told.count[KEDGE_EVENT_BIND_MOUNTED], 1);
	assert_true(is_reachable(g, PATH) || g->current->mounts == 1);
	steps_end();
}

/* A draft that is to take a stale socket's place loses its only name right before: that is
 * told, the next listener takes the place, and the lost one leaves nothing. */
static void lose_the_draft(void)
{
	world_sweep("/run");
	world_stale(PATH);
}

static void bind_stale(void)
{
	world_stale(PATH);
}

static void test_a_draft_lost_before_the_swap(void **state)
{
	struct guarded *g = begin_draft();
	uint64_t first = g->current->generation;

	(void)state;
	lose_all();
	steps_upset((struct upset[]){
		{ "rename", .world = bind_stale }, { "swap", .world = lose_the_draft }, { 0 } });
	steps_run(LONG);
	assert_true(is_reachable(g, PATH));
	assert_false(g->current->draft);
	assert_int_equal(g->current->generation, first + 2);
	assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 1);
	assert_int_equal(told.error, -ESTALE);
	assert_int_equal(told.count[KEDGE_EVENT_REBOUND], 1);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

static void test_what_stands_there_cannot_be_looked_at(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	lose_path();
	world_stale(PATH);
	steps_upset((struct upset[]){ { "handle_open", .world = NULL },
				      { "stat_fd", .skip = 0, .error = -EIO, .times = 3 },
				      { 0 } });
	steps_run(LONG);
	assert_true(is_reachable(g, PATH));
	steps_end();
}

/* A thousand names are taken: what stands there is left, and the guard goes on trying. */
static void test_no_name_to_move_aside_to(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	lose_path();
	world_file(PATH);
	steps_upset((struct upset[]){ { "rename", .error = -EEXIST, .times = 999 }, { 0 } });
	steps_run(LONG);
	assert_int_equal(told.error, -EEXIST);
	assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], 1);
	assert_int_equal(told.count[KEDGE_EVENT_MOVED_ASIDE], 1);
	assert_true(is_reachable(g, PATH));
	steps_end();
}

/* Mounts. */

static struct guarded *begin_mounted(void)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });

	lose_path();
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	assert_int_equal(told.count[KEDGE_EVENT_BIND_MOUNTED], 1);
	assert_int_equal(g->current->mounts, 1);
	return g;
}

/* A stranger's listener takes the place of what was made to mount on, and is given its number:
 * it is neither mounted over nor removed, and when it leaves, a mount is tried as before. */
static void test_what_was_made_to_mount_on_is_replaced(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });
	const struct listener *before = g->current;

	(void)state;
	lose_path();
	steps_upset((struct upset[]){ { "link", .error = -EXDEV, .times = 2 },
				      { "probe", .world = bind_instead },
				      { 0 } });
	steps_run(SOON);
	assert_ptr_equal(world_at(PATH), newcomer->inode);
	assert_int_equal(told.count[KEDGE_EVENT_DISPLACED], 1);
	assert_int_equal(g->current->mount_point.kind, NODE_NONE);
	world_unlink(PATH);
	world_close(newcomer);
	steps_run(LONG);
	assert_int_equal(told.count[KEDGE_EVENT_BIND_MOUNTED], 1);
	assert_ptr_equal(g->current, before);
	assert_true(is_reachable(g, PATH));
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* A mount that is in use, cannot be seen or lies below another one stays; nothing else is
 * touched for it. */
static void test_a_mount_that_stays(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		(void)begin_mounted();
		if (i == 0)
			steps_upset((struct upset[]){ { "unmount", .error = -EBUSY }, { 0 } });
		if (i == 1)
			steps_upset((struct upset[]){ { "stat", .error = -EIO }, { 0 } });
		if (i == 2) {
			world_stale("/run/over");
			world_bind("/run/over", PATH);
		}
		steps_end();
		assert_non_null(world_at(PATH));
	}
}

static void test_what_was_mounted_on_is_used_by_another(void **state)
{
	(void)state;
	(void)begin_mounted();
	steps_upset((struct upset[]){ { "probe", .error = PROBE_LIVE - 1000 }, { 0 } });
	steps_end();
	assert_non_null(world_at(PATH));
}

/* The same, but somebody was quicker after it was asked: he is given no number of ours. */
static void test_what_was_mounted_on_is_replaced_at_the_end(void **state)
{
	(void)state;
	(void)begin_mounted();
	steps_upset((struct upset[]){ { "stat", .skip = 1, .world = bind_instead }, { 0 } });
	steps_end();
	assert_ptr_equal(world_at(PATH), newcomer->inode);
}

static void test_what_was_mounted_on_cannot_be_held(void **state)
{
	(void)state;
	(void)begin_mounted();
	steps_upset((struct upset[]){ { "handle_open", .error = -EMFILE }, { 0 } });
	steps_end();
	assert_non_null(world_at(PATH));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rename_that_was_done),
		cmocka_unit_test(test_a_rename_that_cannot_be_seen),
		cmocka_unit_test(test_no_name_to_take_it_away_to),
		cmocka_unit_test(test_no_renames_beside_the_path),
		cmocka_unit_test(test_no_name_for_a_twin),
		cmocka_unit_test(test_no_links_beside_the_path),
		cmocka_unit_test(test_no_swaps),
		cmocka_unit_test(test_no_swaps_and_a_stranger),
		cmocka_unit_test(test_swapped_back_to_a_free_path),
		cmocka_unit_test(test_a_stale_socket_mounted_over_ours),
		cmocka_unit_test(test_a_draft_lost_before_the_swap),
		cmocka_unit_test(test_what_stands_there_cannot_be_looked_at),
		cmocka_unit_test(test_no_name_to_move_aside_to),
		cmocka_unit_test(test_what_was_made_to_mount_on_is_replaced),
		cmocka_unit_test(test_a_mount_that_stays),
		cmocka_unit_test(test_what_was_mounted_on_is_used_by_another),
		cmocka_unit_test(test_what_was_mounted_on_is_replaced_at_the_end),
		cmocka_unit_test(test_what_was_mounted_on_cannot_be_held),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
