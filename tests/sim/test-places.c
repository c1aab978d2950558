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
	static const struct upset rows[] = { { "stat_fd", .skip = 2, .error = -EIO },
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_with_slashes_to_spare),
		cmocka_unit_test(test_paths_that_are_too_long),
		cmocka_unit_test(test_a_directory_made_and_changed),
		cmocka_unit_test(test_a_directory_that_cannot_be_dressed),
		cmocka_unit_test(test_rights_that_cannot_be_restored),
		cmocka_unit_test(test_an_end_in_a_directory_that_cannot_be_opened),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
