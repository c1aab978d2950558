/*
 * Directories of paths, each with something in its way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "steps.h"

static void test_paths_with_slashes_to_spare(void **state)
{
	static const char *const paths[] = { "/s", "/run//s", "//run//d/s", "/run/d//s" };

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct guarded *g;

		steps_begin(NULL);
		world_mkdir("/run/d", 0755, 0);
		assert_int_equal(steps_add(paths[i], &g), 0);
		world_unlink(paths[i]);
		steps_run(SOON);
		assert_int_equal(told.count[KEDGE_EVENT_RELINKED], 1);
		steps_end();
		assert_int_equal(names_in("/run/d"), 0);
	}
}

static void test_paths_that_are_too_long(void **state)
{
	static char path[PATH_MAX + 16];

	(void)state;
	steps_begin(NULL);
	memset(path, 'd', sizeof(path) - 3);
	memcpy(path, "/run/", 5);
	memcpy(path + sizeof(path) - 3, "/s", 3);
	assert_int_equal(steps_add(path, NULL), -ENAMETOOLONG);
	for (size_t i = 0; i < PATH_MAX - 4; i += 2)
		memcpy(path + i, "/d", 3);
	memcpy(path + PATH_MAX - 4, "/s", 3);
	assert_int_equal(steps_add(path, NULL), -ENAMETOOLONG);
	steps_end();
}

static void let_others_in(void)
{
	world_chmod("/run/d", 0777);
}

static void take_it_over(void)
{
	world_chown("/run/d", 7, 7);
}

/* A directory that was made, and changed before it was dressed, is not ours to dress. */
static void test_a_directory_made_and_changed(void **state)
{
	void (*const deeds[])(void) = { let_others_in, take_it_over };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct guarded *g;

		steps_begin(NULL);
		world_mkdir("/run/d", 0750, 0);
		assert_int_equal(steps_add("/run/d/s", &g), 0);
		steps_run(SOON);
		world_remove("/run/d");
		steps_upset((struct upset[]){ { "dir_open_private", .world = deeds[i] }, { 0 } });
		steps_run(SOON);
		steps_met();
		assert_int_equal(world_at("/run/d")->mode, i ? 0700 : 0777);
		steps_end();
	}
}

static void test_a_directory_that_cannot_be_dressed(void **state)
{
	/* Who may not give a directory away makes it all the same. */
	static const struct upset rows[] = { { "stat_fd", .skip = 1, .error = -EIO },
					     { "set_owner", .error = -EIO },
					     { "set_owner", .error = -EPERM } };
	struct guarded *g;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		steps_begin(NULL);
		world_mkdir("/run/d", 0750, 0);
		assert_int_equal(steps_add("/run/d/s", &g), 0);
		steps_run(SOON);
		world_remove("/run/d");
		steps_upset((struct upset[]){ rows[i], { 0 } });
		steps_run(LONG);
		assert_true(is_reachable(g, "/run/d/s"));
		assert_int_equal(told.count[KEDGE_EVENT_BLOCKED], rows[i].error == -EIO);
		steps_end();
	}
}

static void test_rights_that_cannot_be_restored(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	assert_int_equal(
		steps_add_as(PATH,
			     &(struct listen_config){ .spec = { .backlog = 16, .mode = 0600 },
						      .keep = KEDGE_KEEP_ALWAYS },
			     -1, &g),
		0);
	steps_run(SOON);
	world_chmod("/run", 0700);
	steps_upset((struct upset[]){ { "set_owner", .error = -EROFS }, { 0 } });
	steps_run(LONG);
	assert_int_equal(told.error, -EROFS);
	assert_int_equal(world_at("/run")->mode, 0755);
	steps_end();
}

/* The directory was moved and another one put there; at the end that cannot be opened. */
static void test_an_end_in_a_directory_that_cannot_be_opened(void **state)
{
	(void)state;
	steps_begin(NULL);
	world_mkdir("/run/d", 0755, 0);
	assert_int_equal(steps_add("/run/d/s", NULL), 0);
	world_rename("/run/d", "/run/moved");
	world_mkdir("/run/d", 0755, 0);
	steps_upset((struct upset[]){ { "dir_open", .error = -EMFILE }, { 0 } });
	steps_end();
	assert_int_equal(names_in("/run/moved"), 0);
}

/* One more than are held: with the next one, one is let go of. */
#define MOVES (PLACE_FORMER_MAX + 1)

static const char *moved_to(unsigned i)
{
	static char path[32];

	(void)snprintf(path, sizeof(path), "/run/moved.%u", i);
	return path;
}

static void move(unsigned i)
{
	world_rename("/run/d", moved_to(i));
	steps_run(SOON);
}

static struct guarded *move_often(enum kedge_at_close at_close)
{
	const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					      .at_close = at_close };
	struct guarded *g;

	steps_begin(NULL);
	world_mkdir("/run/d", 0755, 0);
	assert_int_equal(steps_add_as("/run/d/s", &config, -1, &g), 0);
	for (unsigned i = 0; i < MOVES - 1; i++)
		move(i);
	assert_int_equal(names_in(moved_to(0)), 1);
	return g;
}

/* What is not held any more has no name of ours; what is, and what the path leads to, has. */
static void test_moved_more_often_than_is_held(void **state)
{
	struct guarded *g = move_often(KEDGE_AT_CLOSE_DEFAULT);

	(void)state;
	for (unsigned i = MOVES - 1; i < 3 * MOVES; i++) {
		move(i);
		assert_int_equal(names_in(moved_to(i - PLACE_FORMER_MAX)), 0);
		assert_int_equal(names_in(moved_to(i - PLACE_FORMER_MAX + 1)), 1);
		assert_true(is_reachable(g, "/run/d/s"));
	}
	assert_int_equal(told.count[KEDGE_EVENT_REBOUND], 0);
	steps_end();
	for (unsigned i = 0; i < 3 * MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 0);
}

/* One that was let go of comes back: it is a directory like any other. */
static void test_back_in_a_directory_that_was_let_go_of(void **state)
{
	struct guarded *g = move_often(KEDGE_AT_CLOSE_DEFAULT);

	(void)state;
	move(MOVES - 1);
	assert_int_equal(names_in(moved_to(0)), 0);
	world_remove("/run/d");
	world_rename(moved_to(0), "/run/d");
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	steps_end();
	assert_int_equal(names_in("/run/d"), 0);
}

/* Rather one that can be cleaned up than the oldest. */
static void test_the_oldest_cannot_be_cleaned_up_now(void **state)
{
	(void)state;
	(void)move_often(KEDGE_AT_CLOSE_DEFAULT);
	steps_upset((struct upset[]){ { "rename", .times = 2, .error = -EROFS }, { 0 } });
	move(MOVES - 1);
	steps_met();
	assert_int_equal(names_in(moved_to(0)), 1);
	assert_int_equal(names_in(moved_to(1)), 0);
	steps_end();
	for (unsigned i = 0; i < MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 0);
}

/* ... also where it is the current listener's name that stays, and a retired one has none. */
static void test_the_oldest_cannot_be_cleaned_up_of_the_current(void **state)
{
	struct guarded *g = move_often(KEDGE_AT_CLOSE_DEFAULT);

	(void)state;
	world_unlink("/run/d/s");
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	steps_met();
	assert_int_equal(g->retired_count, 1);
	for (unsigned i = MOVES - 1; i < 2 * MOVES; i++)
		move(i);
	assert_ptr_equal(world_at("/run/d/s"), world_at_fd(g->current->fd)->inode);
	steps_upset((struct upset[]){ { "rename", .times = 2, .error = -EROFS }, { 0 } });
	move(2 * MOVES);
	steps_met();
	assert_int_equal(g->retired_count, 1);
	assert_int_equal(names_in(moved_to(2 * MOVES - PLACE_FORMER_MAX)), 1);
	assert_int_equal(names_in(moved_to(2 * MOVES - PLACE_FORMER_MAX + 1)), 0);
	steps_end();
	for (unsigned i = 0; i <= 2 * MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 0);
}

static void test_none_can_be_cleaned_up(void **state)
{
	(void)state;
	(void)move_often(KEDGE_AT_CLOSE_DEFAULT);
	steps_upset((struct upset[]){ { "rename", .times = 2 * MOVES, .error = -EROFS }, { 0 } });
	move(MOVES - 1);
	steps_met();
	steps_end();
	assert_int_equal(names_in(moved_to(0)), 1);
	for (unsigned i = 1; i < MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 0);
}

static void test_moved_often_and_to_be_left(void **state)
{
	(void)state;
	(void)move_often(KEDGE_AT_CLOSE_LEAVE);
	move(MOVES - 1);
	steps_end();
	for (unsigned i = 0; i < MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 1);
}

/* A server's own name stays where it was found; those that a guard made for its listener go. */
static void test_moved_often_with_an_adopted_listener(void **state)
{
	static const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
						     .at_close = KEDGE_AT_CLOSE_LEAVE };
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	world_mkdir("/run/d", 0755, 0);
	fd = own_socket("/run/d/s");
	assert_int_equal(steps_add_as("/run/d/s", &config, fd, &g), 0);
	for (unsigned i = 0; i < 3 * MOVES; i++) {
		move(i);
		assert_true(is_reachable(g, "/run/d/s"));
		assert_int_equal(names_in(moved_to(0)), 1);
		if (i > PLACE_FORMER_MAX)
			assert_int_equal(names_in(moved_to(i - PLACE_FORMER_MAX)), 0);
	}
	/* In one directory twice: the name that it has there now is a guard's. */
	for (unsigned i = 0; i < 2; i++) {
		world_remove("/run/d");
		world_rename(moved_to(0), "/run/d");
		steps_run(SOON);
		world_unlink("/run/d/s");
		steps_run(SOON);
		assert_true(is_reachable(g, "/run/d/s"));
		move(0);
	}
	for (unsigned i = 3 * MOVES; i < 4 * MOVES; i++)
		move(i);
	assert_int_equal(names_in(moved_to(0)), 0);
	steps_end();
	own_close(fd);
}

/* The same, while one look at a handle fails: what is not known to be a guard's is left. */
static void test_moved_often_and_not_to_be_looked_at(void **state)
{
	static const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 } };

	(void)state;
	for (unsigned skip = 0; skip < 24; skip++) {
		struct guarded *g;
		int fd;

		steps_begin(NULL);
		world_mkdir("/run/d", 0755, 0);
		fd = own_socket("/run/d/s");
		assert_int_equal(steps_add_as("/run/d/s", &config, fd, &g), 0);
		for (unsigned i = 0; i < 3 * MOVES; i++) {
			if (i == MOVES)
				steps_upset((struct upset[]){
					{ "stat_fd", .skip = skip, .error = -EIO }, { 0 } });
			world_rename("/run/d", moved_to(i));
			steps_run(LONG);
			assert_true(is_reachable(g, "/run/d/s"));
			assert_int_equal(names_in(moved_to(0)), 1);
		}
		steps_end();
		own_close(fd);
	}
}

/* The next directory is met by the start of a path, out of that of another, whose first listener
 * is in the making: that one has no name anywhere yet. */
static int create_while_it_moves(const char *bind_path, void *userdata)
{
	(void)bind_path;
	world_rename("/run/d", moved_to(MOVES - 1));
	world_mkdir("/run/d", 0755, 0);
	assert_int_equal(steps_add("/run/d/t", userdata), 0);
	assert_int_equal(names_in(moved_to(0)), 0);
	assert_int_equal(names_in(moved_to(1)), 1);
	return -EIO;
}

static void test_moved_often_while_a_path_begins(void **state)
{
	struct guarded *g = move_often(KEDGE_AT_CLOSE_DEFAULT), *met = NULL;
	const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					      .create = create_while_it_moves,
					      .userdata = &met };

	(void)state;
	assert_int_equal(steps_add_as("/run/d/u", &config, -1, NULL), -EIO);
	steps_run(SOON);
	assert_true(is_reachable(g, "/run/d/s"));
	assert_true(is_reachable(met, "/run/d/t"));
	assert_null(world_at("/run/d/u"));
	steps_end();
	for (unsigned i = 0; i < MOVES; i++)
		assert_int_equal(names_in(moved_to(i)), 0);
}

/* Without anchors a new listener waits under a hidden name beside the path. */
static void test_moved_often_with_an_unpublished_listener(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	world_mkdir("/run/d", 0755, 0);
	world_file("/run/d/.kedge-0");
	world_file("/run/d/.kedge-0-1");
	assert_int_equal(steps_add("/run/d/s", &g), 0);
	world_unlink("/run/d/s");
	steps_upset((struct upset[]){ { "rename", .times = ALWAYS, .error = -EIO },
				      { "link_fd", .times = ALWAYS, .error = -EIO },
				      { 0 } });
	steps_run(LONG);
	assert_int_equal(names_in("/run/d"), 3);
	for (unsigned i = 0; i < MOVES; i++) {
		world_rename("/run/d", moved_to(i));
		world_mkdir("/run/d", 0755, 0);
		world_file("/run/d/.kedge-0");
		world_file("/run/d/.kedge-0-1");
		steps_run(LONG);
		assert_int_equal(names_in(moved_to(0)), i < PLACE_FORMER_MAX ? 3 : 2);
	}
	steps_upset((struct upset[]){ { 0 } });
	steps_run(LONG);
	assert_true(is_reachable(g, "/run/d/s"));
	steps_end();
	assert_int_equal(names_in("/run/d"), 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_with_slashes_to_spare),
		cmocka_unit_test(test_paths_that_are_too_long),
		cmocka_unit_test(test_a_directory_made_and_changed),
		cmocka_unit_test(test_a_directory_that_cannot_be_dressed),
		cmocka_unit_test(test_rights_that_cannot_be_restored),
		cmocka_unit_test(test_an_end_in_a_directory_that_cannot_be_opened),
		cmocka_unit_test(test_moved_more_often_than_is_held),
		cmocka_unit_test(test_back_in_a_directory_that_was_let_go_of),
		cmocka_unit_test(test_the_oldest_cannot_be_cleaned_up_now),
		cmocka_unit_test(test_the_oldest_cannot_be_cleaned_up_of_the_current),
		cmocka_unit_test(test_none_can_be_cleaned_up),
		cmocka_unit_test(test_moved_often_while_a_path_begins),
		cmocka_unit_test(test_moved_often_and_to_be_left),
		cmocka_unit_test(test_moved_often_with_an_adopted_listener),
		cmocka_unit_test(test_moved_often_and_not_to_be_looked_at),
		cmocka_unit_test(test_moved_often_with_an_unpublished_listener),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
