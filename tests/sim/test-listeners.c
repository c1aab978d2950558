/*
 * Listeners that are made, adopted and retired, each with something in its way.
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

static void test_a_path_that_is_always_taken(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "link", .error = -EEXIST, .times = 8 }, { 0 } });
	steps_refused(PATH, -EADDRINUSE, 0);
}

static void test_a_path_that_cannot_be_made(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "link", .error = -ENOSPC }, { 0 } });
	steps_refused(PATH, -ENOSPC, 0);
	/* Busy, and no mount is there that could be mounted over. */
	steps_begin(&(struct steps_options){ .mounting = true });
	steps_upset((struct upset[]){ { "link", .error = -EBUSY }, { 0 } });
	steps_refused(PATH, -EBUSY, 0);
	assert_null(strstr(told.refusal, "mounted"));
}

static void test_an_owner_that_cannot_be_given(void **state)
{
	struct listen_config config = {
		.spec = { .backlog = 16, .mode = 0600 }, .set_owner = true, .uid = 7, .gid = 7
	};

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "set_owner", .error = -EPERM }, { 0 } });
	assert_int_equal(steps_add_as(PATH, &config, -1, NULL), -EPERM);
	assert_int_equal(names_in("/run"), 0);
	steps_end();
}

static int create_nothing(const char *bind_path, void *userdata)
{
	(void)bind_path;
	(void)userdata;
	fail();
	return -1;
}

static void test_a_name_too_long_to_be_handed_out(void **state)
{
	struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					.create = create_nothing };

	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "bind_path", .error = -ENAMETOOLONG }, { 0 } });
	assert_int_equal(steps_add_as(PATH, &config, -1, NULL), -ENAMETOOLONG);
	assert_int_equal(names_in("/run"), 0);
	steps_end();
}

/* Beside the path there are no notes: each private name may be another's, who lives. */
static void test_every_private_name_is_taken(void **state)
{
	struct socket *others[40];
	char name[64];

	(void)state;
	steps_begin(NULL);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "/run/.s.kedge-%u", i);
		others[i] = world_socket(name);
	}
	steps_upset((struct upset[]){ { "dir_make", .error = -EACCES, .times = 2 }, { 0 } });
	assert_int_equal(steps_add(PATH, NULL), -EADDRINUSE);
	assert_int_equal(names_in("/run"), 40);
	for (unsigned i = 0; i < 40; i++)
		world_close(others[i]);
	steps_end();
}

static void replace_by_a_file(void)
{
	world_unlink(ANCHORS "/s.1");
	world_file(ANCHORS "/s.1");
}

static void give_it_away(void)
{
	world_chown(ANCHORS "/s.1", 7, 7);
}

/* What was bound and never seen is removed, unless it is not what we bound. */
static void test_bound_and_never_seen(void **state)
{
	static const struct {
		void (*world)(void);
		int left;
	} rows[] = { { NULL, 0 }, { replace_by_a_file, 1 }, { give_it_away, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		steps_begin(NULL);
		steps_upset((struct upset[]){
			{ "handle_open", .error = -EMFILE, .world = rows[i].world }, { 0 } });
		assert_int_equal(steps_add(PATH, NULL), -EMFILE);
		assert_int_equal(world_at("/run/.kedge-0") ? names_in(ANCHORS) : 0, rows[i].left);
		steps_end();
	}
}

static void replace_by_a_socket(void)
{
	world_unlink(ANCHORS "/s.1");
	world_stale(ANCHORS "/s.1");
}

/* The name leads to another socket by the time that it is opened: that one is not dressed,
 * listened for, or removed. */
static void test_bound_and_replaced_before_it_is_seen(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "handle_open", .world = replace_by_a_socket }, { 0 } });
	assert_int_equal(steps_add(PATH, NULL), -EADDRINUSE);
	assert_non_null(world_at(ANCHORS "/s.1"));
	assert_null(world_at(PATH));
	steps_end();
}

static void test_bound_and_never_seen_nor_to_be_looked_at(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "handle_open", .error = -EMFILE }, { 0 } });
	steps_upset((struct upset[]){
		{ "handle_open", .error = -EMFILE }, { "stat", .skip = 2, .error = -EIO }, { 0 } });
	assert_int_equal(steps_add(PATH, NULL), -EMFILE);
	steps_end();
}

static void test_a_name_that_is_taken_at_the_bind(void **state)
{
	(void)state;
	steps_begin(NULL);
	steps_upset((struct upset[]){ { "listener_make", .error = -EADDRINUSE }, { 0 } });
	steps_refused(PATH, -EADDRINUSE, 0);
}

static void replace_adopted_by_a_file(void)
{
	world_unlink(PATH);
	world_file(PATH);
}

static void replace_adopted_by_a_socket(void)
{
	world_unlink(PATH);
	world_stale(PATH);
}

/* It was replaced between two looks: what stands there now is no listener of ours, and stays. */
static void test_adopted_and_replaced_meanwhile(void **state)
{
	void (*const deeds[])(void) = { replace_adopted_by_a_file, replace_adopted_by_a_socket };
	struct listen_config config = { .spec = { .backlog = 16, .mode = 0600 },
					.at_close = KEDGE_AT_CLOSE_REMOVE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int fd;

		steps_begin(NULL);
		fd = own_socket(PATH);
		steps_upset((struct upset[]){ { "handle_open", .world = deeds[i] }, { 0 } });
		assert_int_equal(steps_add_as(PATH, &config, fd, NULL), -EINVAL);
		assert_non_null(world_at(PATH));
		own_close(fd);
		steps_end();
	}
}

static void test_no_listener_is_let_go_of(void **state)
{
	struct guarded *g = steps_guard(NULL);

	(void)state;
	assert_null(listener_abandon(NULL, g));
	assert_null(listener_close(NULL, g));
	assert_true(is_reachable(g, PATH));
	steps_end();
}

/* Retired ones. */

static void retire_one(void)
{
	world_unlink(PATH);
	steps_upset((struct upset[]){ { "link", .error = -EXDEV }, { 0 } });
	steps_run(SOON);
	steps_met();
}

static void keep_them_all_busy(struct guarded *g)
{
	list_for_each (it, &g->retired)
		world_at_fd(list_entry(it, struct listener, link)->fd)->queued = 1;
}

/* Clients wait at all of them: then it is the oldest that goes. */
static void test_too_many_that_are_all_waited_for(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	for (unsigned i = 0; i < RETIRED_MAX; i++) {
		retire_one();
		keep_them_all_busy(g);
	}
	assert_int_equal(g->retired_count, RETIRED_MAX);
	assert_int_equal(told.count[KEDGE_EVENT_RETIRED], 0);
	world_at_fd(g->current->fd)->queued = 1;
	retire_one();
	assert_int_equal(g->retired_count, RETIRED_MAX);
	assert_int_equal(told.count[KEDGE_EVENT_RETIRED], 1);
	assert_int_equal(list_entry(list_first(&g->retired), struct listener, link)->generation, 2);
	steps_end();
}

static void test_retired_without_an_owner_who_listens(void **state)
{
	struct guarded *g;

	(void)state;
	steps_begin(NULL);
	engine.options.on_listener = NULL;
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	for (unsigned i = 0; i <= RETIRED_MAX; i++)
		retire_one();
	assert_int_equal(told.count[KEDGE_EVENT_RETIRED], 1);
	steps_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_that_is_always_taken),
		cmocka_unit_test(test_a_path_that_cannot_be_made),
		cmocka_unit_test(test_an_owner_that_cannot_be_given),
		cmocka_unit_test(test_a_name_too_long_to_be_handed_out),
		cmocka_unit_test(test_every_private_name_is_taken),
		cmocka_unit_test(test_bound_and_never_seen),
		cmocka_unit_test(test_bound_and_replaced_before_it_is_seen),
		cmocka_unit_test(test_bound_and_never_seen_nor_to_be_looked_at),
		cmocka_unit_test(test_a_name_that_is_taken_at_the_bind),
		cmocka_unit_test(test_adopted_and_replaced_meanwhile),
		cmocka_unit_test(test_no_listener_is_let_go_of),
		cmocka_unit_test(test_too_many_that_are_all_waited_for),
		cmocka_unit_test(test_retired_without_an_owner_who_listens),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
