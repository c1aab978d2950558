/*
 * H17: two instances on one path. The second gets EADDRINUSE, whether the first is
 * reachable at the moment or not; the first does not notice.
 */
#include "fixture.h"
#include "leave.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RACERS 8

/* Try to listen at f->path with a guard of its own. Return: what listen returned. */
static int try_second(struct fixture *f, const char *anchor_dir)
{
	struct kedge_guard_options options = { .size = sizeof(options), .anchor_dir = anchor_dir };
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_guard *second = NULL;
	int r;

	assert_int_equal(kedge_guard_new(&second, &options), 0);
	r = kedge_guard_listen(second, f->path, NULL, NULL, &error);
	if (r < 0) {
		assert_int_equal(error.code, r);
		assert_non_null(strstr(error.text, "x.sock"));
	}
	assert_null(kedge_guard_free(second));
	return r;
}

static void in_one_process(struct fixture *f)
{
	start_listening(f, 50);
	for (int i = 0; i < 5; i++)
		assert_int_equal(try_second(f, NULL), -EADDRINUSE);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
}

static int second_in_child(struct fixture *f)
{
	return try_second(f, NULL) == -EADDRINUSE ? 0 : 1;
}

static void in_two_processes(struct fixture *f)
{
	start_listening(f, 50);
	assert_int_equal(in_child(f, second_in_child), 0);
	assert_true(same_listener(f));
}

/* The first has lost its path and not yet noticed: the lock tells. */
static void while_the_path_is_lost(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	assert_int_equal(try_second(f, NULL), -EADDRINUSE);
	assert_false(exists(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* A file stands there and the first is about to move it: that is not the second's affair. */
static void while_something_is_in_the_way(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	make_stale(f->path);
	assert_int_equal(try_second(f, NULL), -EADDRINUSE);
	GUARD_UNTIL(f, same_listener(f));
}

/* The two keep their anchors, and so their locks, in different places: the probe tells. */
static void with_other_anchors(struct fixture *f)
{
	make_dir(in_root(f, "anchors"), 0700);
	start_listening(f, 50);
	assert_int_equal(try_second(f, in_root(f, "anchors")), -EADDRINUSE);
	assert_true(same_listener(f));
	assert_int_equal(count_names(in_root(f, "anchors"), "x.sock"), 0);
}

static void one_after_the_other(struct fixture *f)
{
	for (int i = 0; i < 20; i++) {
		start_listening(f, 50);
		assert_true(reachable(f));
		stop_guard(f);
		assert_false(exists(f->path));
		assert_int_equal(kedge_names(f), 0);
		forget(f);
	}
}

/* The failed second leaves the directory as it was, also where a plain server that knows
 * nothing of kedge has the path. */
static void against_a_plain_server(struct fixture *f)
{
	int other = stranger_new(f, f->path);

	assert_int_equal(try_second(f, NULL), -EADDRINUSE);
	assert_int_equal(count_names(f->dir, ""), 3);
	assert_int_equal(who_answers(f, f->path), other);
}

/* Start at one word, then hold it until all are known. Exit status: 0 won, 1 lost, else 2. */
static int racer(struct fixture *f, int start, int results)
{
	char byte;
	int r;

	if (kedge_guard_new(&f->guard, &f->options) < 0 || read(start, &byte, 1) != 0)
		return 2;
	r = kedge_guard_listen(f->guard, f->path, NULL, NULL, NULL);
	if (write(results, r == 0 ? "w" : r == -EADDRINUSE ? "l" : "?", 1) != 1)
		return 2;
	usleep(200 * 1000);
	kedge_guard_free(f->guard);
	return 0;
}

static void race(struct fixture *f)
{
	int start[2], results[2], won = 0, lost = 0;
	pid_t pids[RACERS];
	char byte;

	DO(pipe(start));
	DO(pipe(results));
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(start[1]);
			leave(racer(f, start[0], results[1]));
		}
	}
	close(start[1]);
	close(results[1]);
	while (read(results[0], &byte, 1) == 1) {
		won += byte == 'w';
		lost += byte == 'l';
	}
	for (int i = 0; i < RACERS; i++)
		waitpid(pids[i], NULL, 0);
	close(start[0]);
	close(results[0]);
	assert_int_equal(won, 1);
	assert_int_equal(lost, RACERS - 1);
	assert_int_equal(kedge_names(f), 0);
	assert_false(exists(f->path));
}

static void races(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		race(f);
}

/* One directory, spelled in other ways, in one guard: it is one lock. */
static void other_spellings(struct fixture *f)
{
	static const char *const ways[] = { "/./", "//", "/../run/" };

	start_listening(f, 50);
	for (size_t i = 0; i < 2 * sizeof(ways) / sizeof(ways[0]); i++) {
		if (i == sizeof(ways) / sizeof(ways[0]))
			DO(unlink(f->path));
		assert_int_equal(kedge_guard_listen(f->guard,
						    text("%s%sx.sock", f->dir, ways[i % 3]), NULL,
						    NULL, NULL),
				 -EADDRINUSE);
	}
	GUARD_UNTIL(f, same_listener(f));
}

static const struct test_case cases[] = {
	{ "h17 in one process", in_one_process, ANYWHERE },
	{ "h17 in two processes", in_two_processes, ANYWHERE },
	{ "h17 while the path is lost", while_the_path_is_lost, ANYWHERE },
	{ "h17 while something is in the way", while_something_is_in_the_way, ANYWHERE },
	{ "h17 with other anchors", with_other_anchors, ANYWHERE },
	{ "h17 one after the other", one_after_the_other, ANYWHERE },
	{ "h17 against a plain server", against_a_plain_server, ANYWHERE },
	{ "h17 races", races, ANYWHERE },
	{ "h17 other spellings", other_spellings, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
