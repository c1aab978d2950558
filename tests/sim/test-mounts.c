/*
 * A mount that a guard made, and the guard that comes after that one was killed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "steps.h"

static const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					     .at_close = KEDGE_AT_CLOSE_REMOVE };

/* The path is lost, and @g's listener can only be mounted there. */
static void mount_by(struct guarded *g)
{
	world_unlink(PATH);
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	steps_met();
	assert_int_equal(told.count[KEDGE_EVENT_BIND_MOUNTED], 1);
	assert_int_equal(g->current->mounts, 1);
}

/* A child of the server has the listener of the one that was killed: its mount stays, and
 * whoever comes next is refused, and leaves the lock's note. With it the one after that takes the
 * mount away. */
static void test_who_was_killed_is_listened_for(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });
	struct socket *inherited = world_at_fd(g->current->fd);

	(void)state;
	mount_by(g);
	inherited->refs++;
	steps_killed();
	assert_int_equal(steps_add(PATH, NULL), -EADDRINUSE);
	assert_ptr_equal(world_at(PATH), inherited->inode);

	world_close(inherited);
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(g->current->mounts, 0);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* A mount that cannot be taken down now is told of on, by whoever starts and by whoever ends. */
static void test_a_mount_that_stays_is_told_of(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });

	(void)state;
	mount_by(g);
	steps_killed();
	steps_upset((struct upset[]){ { "unmount", .error = -EPERM }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(g->current->mounts, 1);
	engine_deinit(&engine);
	assert_non_null(world_at(PATH));

	steps_killed();
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(g->current->mounts, 0);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* The same of our own mount. */
static void test_a_mount_that_stays_at_the_end_is_told_of(void **state)
{
	struct guarded *g = steps_guard(&(struct steps_options){ .mounting = true });

	(void)state;
	mount_by(g);
	steps_upset((struct upset[]){ { "unmount", .error = -EBUSY, .times = ALWAYS }, { 0 } });
	engine_deinit(&engine);
	assert_non_null(world_at(PATH));
	steps_upset(NULL);

	steps_killed();
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(g->current->mounts, 0);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* The server's own listener outlives its guard: the next one knows the mount as its own, and
 * takes away at its end what the first one made. */
static void test_a_mount_is_inherited(void **state)
{
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(&(struct steps_options){ .mounting = true });
	fd = own_socket(PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	steps_run(SOON);
	mount_by(g);
	steps_killed();

	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	assert_int_equal(g->current->mounts, 1);
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	/* The note is handed on: once more, and nothing is different. */
	steps_killed();
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	assert_int_equal(g->current->mounts, 1);
	steps_end();
	assert_null(world_at(PATH));
	own_close(fd);
}

/* Another guard that is quicker: what it replaces the stale socket with, it has to mount. */
static void mount_a_live_socket(void)
{
	world_socket("/run/quick");
	world_bind("/run/quick", PATH);
}

/* A stale socket was judged, and is mounted over by a live one when it is to be replaced: a name
 * that is mounted on cannot be renamed, and says no more than that. */
static void test_a_live_socket_is_not_mounted_over(void **state)
{
	(void)state;
	steps_begin(&(struct steps_options){ .mounting = true });
	world_stale(PATH);
	steps_upset((struct upset[]){ { "swap", .world = mount_a_live_socket }, { 0 } });
	assert_int_equal(steps_add(PATH, NULL), -EADDRINUSE);
	assert_non_null(strstr(told.refusal, "another daemon is listening at " PATH));
	assert_ptr_equal(world_at(PATH), world_at("/run/quick"));
	steps_end();
}

static void unlink_it(void)
{
	world_unlink(PATH);
}

/* What was in the way is gone by then: what is made to mount on goes in the end. */
static void test_what_was_to_be_mounted_over_is_gone(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .mounting = true });
	world_stale(PATH);
	steps_upset((struct upset[]){ { "swap", .error = -EBUSY, .world = unlink_it }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_true(is_reachable(g, PATH));
	assert_int_equal(g->current->mounts, 1);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

/* One that was made over another's is taken away, and the other's is left. */
static void test_a_mount_over_anothers_is_inherited(void **state)
{
	struct guarded *g;
	struct inode *stale;
	int fd;

	(void)state;
	steps_begin(&(struct steps_options){ .mounting = true });
	fd = own_socket(PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	steps_run(SOON);
	world_stale("/run/stale");
	world_bind("/run/stale", PATH);
	stale = world_at(PATH);
	steps_run(LONG);
	assert_int_equal(g->current->mounts, 1);
	steps_killed();

	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	assert_int_equal(g->current->mounts, 1);
	assert_int_equal(g->current->mount_point.kind, NODE_NONE);
	steps_end();
	assert_ptr_equal(world_at(PATH), stale);
	own_close(fd);
}

/* An adopted listener that stands at its path by another's mount has none of its own. */
static void test_anothers_mount_is_not_inherited(void **state)
{
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(&(struct steps_options){ .mounting = true });
	fd = own_socket("/run/own");
	world_file(PATH);
	world_bind("/run/own", PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	assert_int_equal(g->current->mounts, 0);
	steps_end();
	assert_non_null(world_at(PATH));
	own_close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_was_killed_is_listened_for),
		cmocka_unit_test(test_a_mount_that_stays_is_told_of),
		cmocka_unit_test(test_a_mount_that_stays_at_the_end_is_told_of),
		cmocka_unit_test(test_a_live_socket_is_not_mounted_over),
		cmocka_unit_test(test_what_was_to_be_mounted_over_is_gone),
		cmocka_unit_test(test_a_mount_is_inherited),
		cmocka_unit_test(test_a_mount_over_anothers_is_inherited),
		cmocka_unit_test(test_anothers_mount_is_not_inherited),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
