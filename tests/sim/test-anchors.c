/*
 * The anchor directory and the lock in it, each with something in its way.
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

/* It starts, and works by re-binds alone. */
static void starts_without_anchors(void)
{
	struct guarded *g;

	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	assert_null(g->current->home);
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 1);
	steps_end();
	assert_null(world_at(PATH));
}

static void make_it_wide(void)
{
	world_chmod(ANCHORS, 0755);
}

static void make_it_anothers(void)
{
	world_chown(ANCHORS, 7, 7);
}

static void make_it_narrow(void)
{
	world_chmod(ANCHORS, 0500);
}

/* Whoever was quick enough to change what we made keeps it; the other name is taken. */
static void test_an_anchor_directory_that_was_changed_at_once(void **state)
{
	void (*const changes[])(void) = { make_it_wide, make_it_anothers };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct guarded *g;

		steps_begin(NULL);
		steps_upset((struct upset[]){
			{ "dir_open_private", .skip = 1, .world = changes[i] }, { 0 } });
		assert_int_equal(steps_add(PATH, &g), 0);
		assert_string_equal(g->place->anchors->name, ".kedge-0-1");
		assert_int_not_equal(world_at(ANCHORS)->mode & 0777, i ? 0755 : 0700);
		steps_end();
		assert_non_null(world_at(ANCHORS));
	}
}

/* A narrow umask took bits away that we need. */
static void test_a_narrow_anchor_directory_is_widened(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "dir_open_private", .skip = 1, .world = make_it_narrow },
				      { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_string_equal(g->place->anchors->name, ".kedge-0");
	assert_int_equal(world_at(ANCHORS)->mode, 0700);
	steps_end();
}

/* One that cannot be looked at is not used, and not left behind either. */
static void test_an_anchor_directory_that_cannot_be_seen(void **state)
{
	(void)state;
	for (unsigned skip = 2; skip <= 3; skip++) {
		steps_begin(NULL);
		steps_upset((struct upset[]){
			{ "stat_fd", .skip = skip - 1, .error = -EIO, .times = 4 - skip }, { 0 } });
		assert_int_equal(steps_add(PATH, NULL), 0);
		steps_run(SOON);
		steps_end();
		assert_int_equal(names_in("/run"), 0);
	}
}

/* What is no directory of ours is left alone, whatever the system calls it. */
static void test_anchor_names_that_are_taken(void **state)
{
	static const int errors[] = { -ENOTDIR, -ELOOP, -EACCES };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		steps_begin(NULL);
		steps_upset((struct upset[]){
			{ "dir_open_private", .skip = 1, .error = errors[i], .times = 2 }, { 0 } });
		starts_without_anchors();
	}
}

/* Others that end remove it between being made and opened, over and over. */
static void test_an_anchor_directory_that_does_not_stay(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){
		{ "dir_open_private", .skip = 1, .error = -ENOENT, .times = 8 }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_null(g->current->home);
	steps_run(LONG);
	assert_non_null(g->current->home);
	assert_int_equal(told.count[KEDGE_EVENT_ANCHORED], 1);
	steps_end();
}

static void test_anchors_elsewhere(void **state)
{
	static char long_name[300] = "/run/";
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .anchor_dir = "/anchors" });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(names_in("/anchors"), 2);
	steps_end();
	assert_int_equal(names_in("/anchors"), -1);

	memset(long_name + 5, 'n', sizeof(long_name) - 6);
	steps_begin(&(struct steps_options){ .anchor_dir = long_name });
	starts_without_anchors();
	steps_begin(&(struct steps_options){ .anchor_dir = "/run/" });
	starts_without_anchors();
	steps_begin(&(struct steps_options){ .anchor_dir = "/none/anchors" });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(told.count[KEDGE_EVENT_DEGRADED], 1);
	steps_end();
}

/* ... that stand on another mount than this path: then beside it, as its keeper was told. */
static void test_anchors_beside_though_elsewhere_was_asked_for(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(&(struct steps_options){ .anchor_dir = "/anchors" });
	assert_int_equal(steps_add(PATH, &g), 0);
	g->place->anchors_beside = true;
	assert_int_equal(place_open_anchors(g->place, engine.ports, engine.options.anchor_dir), 0);
	assert_non_null(world_at(ANCHORS));
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

static void start_another(const struct kedge_event *event)
{
	if (event->kind == KEDGE_EVENT_MODE_RESTORED)
		assert_int_equal(steps_add("/run/d/t", NULL), 0);
}

/* ... which is found out by another path, that starts in the midst of a turn: no anchor is made
 * where there is no directory for it. */
static void test_anchors_that_are_refused_in_a_turn(void **state)
{
	static const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
						     .keep = KEDGE_KEEP_ALWAYS };
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(&(struct steps_options){ .anchor_dir = "/anchors", .on_event = start_another });
	world_mkdir("/run/d", 0755, 0);
	world_mount("/run/d");
	fd = own_socket("/run/d/s");
	assert_int_equal(steps_add_as("/run/d/s", &config, fd, &g), 0);
	world_chmod("/run/d/s", 0640);
	steps_run(SOON);
	assert_int_equal(told.count[KEDGE_EVENT_MODE_RESTORED], 1);
	assert_int_equal(names_in("/run/d"), 2);
	steps_end();
	assert_int_equal(names_in("/run/d"), 1);
	own_close(fd);
}

/* One that we made goes when we do, but only where it is seen to be the one. */
static void test_an_anchor_directory_is_left_where_it_cannot_be_seen(void **state)
{
	static const char *const calls[] = { "stat_fd", "stat", NULL };
	struct guarded *g = steps_guard(NULL);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct anchor_dir *a;

		assert_int_equal(anchor_dir_open(&a, engine.ports, g->place->fd, "/run/own"), 0);
		if (calls[i])
			steps_upset((struct upset[]){ { calls[i], .error = -EIO }, { 0 } });
		assert_null(anchor_dir_unref(a));
		steps_met();
		assert_int_equal(world_at("/run/own") != NULL, calls[i] != NULL);
		if (calls[i])
			world_remove("/run/own");
	}
	steps_end();
}

static void test_same_anchor_directories(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_true(anchor_dir_same(NULL, NULL));
	assert_false(anchor_dir_same(g->place->anchors, NULL));
	assert_false(anchor_dir_same(NULL, g->place->anchors));
	assert_true(anchor_dir_same(g->place->anchors, g->place->anchors));
	assert_true(anchor_socket_name_max(NULL) == anchor_socket_name_max(g->place->anchors));
	steps_end();
}

static void test_a_lock_that_does_not_stay(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "lock_open", .error = -ENOENT, .times = 8 }, { 0 } });
	steps_refused(PATH, -ENOENT, 0);
}

/* Whoever holds it guards the path, whether or not it listens just then. */
static void test_a_lock_that_another_holds(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "lock_open", .error = -EWOULDBLOCK }, { 0 } });
	steps_refused(PATH, -EADDRINUSE, 0);
}

static void test_a_lock_is_taken_once(void **state)
{
	struct guarded *g;
	int lock;

	(void)state;
	steps_begin(NULL);
	assert_int_equal(steps_add(PATH, &g), 0);
	lock = g->lock;
	assert_int_equal(guarded_lock(g), 0);
	assert_int_equal(g->lock, lock);
	steps_end();

	steps_begin(NULL);
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(guarded_lock(g), 0);
	assert_int_equal(g->lock, -EBADF);
	steps_end();
}

/* Whoever moves the lock's file away lets others lock a new one, as if it had been removed: then
 * ours is a new one, too. */
static void test_a_lock_that_was_moved_away(void **state)
{
	static struct process another;
	struct guarded *g = steps_guard(NULL);

	(void)state;
	world_rename(ANCHORS "/s.lock", "/run/moved");
	steps_run(LONG);
	assert_non_null(world_at(ANCHORS "/s.lock"));
	assert_false(guarded_lost_lock(g));
	/* Another's in its place is none of ours, and is left. */
	world_unlink(ANCHORS "/s.lock");
	world_file(ANCHORS "/s.lock");
	world_at(ANCHORS "/s.lock")->locked_by = &another;
	steps_run(LONG);
	assert_true(guarded_lost_lock(g));
	steps_end();
	assert_non_null(world_at(ANCHORS "/s.lock"));
	assert_int_equal(names_in("/run"), 2);
}

static const struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 } };

/* A server's own listener outlives its guard, and so do the anchors: each that was killed leaves
 * one, and they are one inode that somebody listens on. */
static void test_anchors_of_a_listener_that_lives_are_swept(void **state)
{
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	fd = own_socket(PATH);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
		steps_run(SOON);
		/* Its anchor, and the lock. */
		assert_int_equal(names_in(ANCHORS), 2);
		steps_killed();
	}
	/* One that is killed before it knows what it adopts leaves what it found, and tells of it.
	 */
	steps_upset((struct upset[]){ { "listener_node", .error = -ENOMEM }, { 0 } });
	assert_int_equal(steps_add_as(PATH, &config, fd, NULL), -ENOMEM);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	steps_end();
	assert_int_equal(names_in("/run"), 1);
	assert_non_null(world_at(PATH));
	own_close(fd);
}

/* ... but for those of one that cannot be anchored now: they may be the last names that it has. */
static void test_anchors_of_a_listener_are_kept_for_want_of_another(void **state)
{
	struct guarded *g;
	int fd;

	(void)state;
	steps_begin(NULL);
	fd = own_socket(PATH);
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	steps_killed();
	steps_upset((struct upset[]){ { "link_fd", .error = -EXDEV }, { 0 } });
	assert_int_equal(steps_add_as(PATH, &config, fd, &g), 0);
	assert_non_null(world_at(ANCHORS "/s.1"));
	steps_end();
	own_close(fd);
}

/* Whoever still listens on another's anchor keeps it; once it is over, it goes with us. Nor are
 * two of them too many. */
static void test_an_anchor_that_is_listened_on_goes_in_the_end(void **state)
{
	struct guarded *g = steps_guard(NULL);
	struct socket *inherited[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		inherited[i] = world_at_fd(g->current->fd);
		inherited[i]->refs++;
		world_unlink(PATH);
		steps_killed();
		assert_int_equal(steps_add(PATH, &g), 0);
		/* Theirs, its own, and the lock. */
		assert_int_equal(names_in(ANCHORS), i + 3);
	}
	steps_killed();
	assert_int_equal(steps_add(PATH, &g), 0);
	assert_int_equal(names_in(ANCHORS), 4);
	world_close(inherited[0]);
	world_close(inherited[1]);
	steps_end();
	assert_int_equal(names_in("/run"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_anchor_directory_that_was_changed_at_once),
		cmocka_unit_test(test_a_narrow_anchor_directory_is_widened),
		cmocka_unit_test(test_an_anchor_directory_that_cannot_be_seen),
		cmocka_unit_test(test_anchor_names_that_are_taken),
		cmocka_unit_test(test_an_anchor_directory_that_does_not_stay),
		cmocka_unit_test(test_anchors_elsewhere),
		cmocka_unit_test(test_anchors_beside_though_elsewhere_was_asked_for),
		cmocka_unit_test(test_anchors_that_are_refused_in_a_turn),
		cmocka_unit_test(test_an_anchor_directory_is_left_where_it_cannot_be_seen),
		cmocka_unit_test(test_same_anchor_directories),
		cmocka_unit_test(test_a_lock_that_does_not_stay),
		cmocka_unit_test(test_a_lock_that_another_holds),
		cmocka_unit_test(test_a_lock_is_taken_once),
		cmocka_unit_test(test_a_lock_that_was_moved_away),
		cmocka_unit_test(test_anchors_of_a_listener_that_lives_are_swept),
		cmocka_unit_test(test_anchors_of_a_listener_are_kept_for_want_of_another),
		cmocka_unit_test(test_an_anchor_that_is_listened_on_goes_in_the_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
