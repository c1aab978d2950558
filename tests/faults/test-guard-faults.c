/*
 * Fault loops: for each scenario the n-th allocation fails, then the n-th system call, for
 * n = 1, 2, 3 ... until a run passes without a fault; once, and from then on. After each: a
 * right result or a right error, the path reachable or reported, reachable as soon as the
 * fault is gone, nothing held and nothing left after the stop.
 */
#include "integration/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "integration/peer.h"
#include "integration/world.h"
#include "kedge/watchdog.h"

#define INTERVAL_MS 20
/* A fault that lasts is in force for so long. */
#define LASTING_MS 40

struct scenario {
	void (*prepare)(struct fixture *f);   /* before the start; NULL: nothing */
	void (*adversary)(struct fixture *f); /* after it; NULL: the start itself is faulty */
	bool stranger;                        /* somebody listens there, and must go on to */
	bool stop;                            /* the stop is faulty, too */
};

/* A failing call of this kind may leave what it was to remove. */
static bool may_leave(const char *name)
{
	static const char *const kinds[] = { "unlinkat", "fstatat64", "renameat2",
					     "fstat64",  "openat64",  "linkat",
					     "flock",    "pread64",   "pwrite64" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], name) == 0)
			return true;
	return false;
}

static int left_over(const struct fixture *f)
{
	return exists(f->path) || kedge_names(f) || count_names(f->dir, ".x.sock") > 0;
}

/* Start as it is to be, with a fault or without. */
static int start(struct fixture *f, struct kedge_error *error)
{
	int r = f->guard ? 0 : kedge_guard_new(&f->guard, &f->options);

	if (r == 0)
		r = kedge_guard_listen(f->guard, f->path, &f->listen, &f->fd, error);
	if (r == 0)
		f->ours[0] = f->fd;
	return r;
}

static void start_with_fault(struct fixture *f, const struct fault *fault)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r, stale = left_over(f);

	fault_arm(fault);
	r = start(f, &error);
	fault_lift();
	if (r < 0) {
		assert_true(fault_hit->name[0]);
		assert_true(!f->guard || error.text[0]);
		if (!may_leave(fault_hit->name) && !stale)
			assert_false(left_over(f));
		assert_int_equal(start(f, NULL), 0);
	}
	GUARD_UNTIL(f, reachable(f));
}

static void lose_with_fault(struct fixture *f, const struct scenario *s, const struct fault *fault)
{
	assert_int_equal(start(f, NULL), 0);
	GUARD_UNTIL(f, reachable(f));
	s->adversary(f);
	fault_arm(fault);
	if (s->stranger) {
		GUARD_UNTIL(f, state_of(f) != KEDGE_STATE_REACHABLE);
		guard_for(f, LASTING_MS);
		assert_int_equal(who_answers(f, f->path), f->strangers[0]);
		stranger_close(f, f->strangers[0]);
		guard_for(f, LASTING_MS);
	} else if (fault->lasting) {
		guard_for(f, LASTING_MS);
	} else {
		GUARD_UNTIL(f, reachable(f));
	}
	/* Not reachable, and not said to be so. */
	GUARD_UNTIL(f, reachable(f) || state_of(f) != KEDGE_STATE_REACHABLE);
	fault_lift();
	GUARD_UNTIL(f, reachable(f));
}

static void stop(struct fixture *f)
{
	f->guard = kedge_guard_free(f->guard);
	f->ours[0] = -1;
	for (int i = 1; i < LISTENERS_MAX; i++)
		f->ours[i] = -1;
}

/* One run: start, loss, stop, with one fault somewhere in it. */
static void run_once(struct fixture *f, const struct scenario *s, const struct fault *fault)
{
	long before = fault_blocks();

	start_guard(f, INTERVAL_MS);
	stop(f);
	assert_int_equal(fault_blocks(), before);
	if (s->prepare)
		s->prepare(f);
	if (s->stop) {
		assert_int_equal(start(f, NULL), 0);
		GUARD_UNTIL(f, reachable(f));
		fault_arm(fault);
	} else if (s->adversary) {
		lose_with_fault(f, s, fault);
	} else {
		start_with_fault(f, fault);
	}
	stop(f);
	fault_lift();
	assert_int_equal(fault_blocks(), before);
	/* What could not be removed while the fault lasted, the next start takes along. */
	if (left_over(f)) {
		assert_true(may_leave(fault_hit->name) || s->prepare);
		assert_int_equal(start(f, NULL), 0);
		GUARD_UNTIL(f, reachable(f));
		stop(f);
	}
	if (left_over(f))
		fail_with_story(f, "something is left", __FILE__, __LINE__);
	assert_int_equal(fault_blocks(), before);
}

static void run_scenario(struct fixture *f, const void *scenario, const struct fault *fault)
{
	run_once(f, scenario, fault);
}

/* --- the scenarios ----------------------------------------------------------------------- */

static void lose_unlink(struct fixture *f)
{
	DO(unlink(f->path));
}

static void lose_rename(struct fixture *f)
{
	DO(rename(f->path, in_dir(f, "elsewhere")));
}

static void lose_dir(struct fixture *f)
{
	sweep(f->dir);
}

static void lose_to_file(struct fixture *f)
{
	DO(unlink(f->path));
	write_file(f->path, "precious");
}

static void lose_to_stale(struct fixture *f)
{
	DO(unlink(f->path));
	make_stale(f->path);
}

static void lose_to_live(struct fixture *f)
{
	DO(unlink(f->path));
	f->strangers[0] = stranger_new(f, f->path);
}

static void leave_stale(struct fixture *f)
{
	kill_child(f, fork_guard(f));
}

#define SCENARIO(name, ...)                                                                        \
	static const struct scenario name = { __VA_ARGS__ };                                       \
	static void name##_without_memory(struct fixture *f)                                       \
	{                                                                                          \
		fault_loops(f, run_scenario, &name, FAULT_MEMORY);                                 \
	}                                                                                          \
	static void name##_without_calls(struct fixture *f)                                        \
	{                                                                                          \
		fault_loops(f, run_scenario, &name, FAULT_SYSTEM);                                 \
	}

SCENARIO(starts, .prepare = NULL)
SCENARIO(crashed, .prepare = leave_stale)
SCENARIO(unlinked, .adversary = lose_unlink)
SCENARIO(renamed, .adversary = lose_rename)
SCENARIO(dir_removed, .adversary = lose_dir)
SCENARIO(filed, .adversary = lose_to_file)
SCENARIO(staled, .adversary = lose_to_stale)
SCENARIO(displaced, .adversary = lose_to_live, .stranger = true)
SCENARIO(stops, .stop = true)

#define CASES(title, name)                                                                         \
	{ "allocations fail " title, name##_without_memory, ON_TMPFS },                            \
	{                                                                                          \
		"system calls fail " title, name##_without_calls, ON_TMPFS                         \
	}

static const struct test_case cases[] = {
	CASES("at the start", starts),
	CASES("at the start after a crash", crashed),
	CASES("after an unlink", unlinked),
	CASES("after a rename", renamed),
	CASES("after the directory was removed", dir_removed),
	CASES("where a file has replaced the path", filed),
	CASES("where a stale socket has replaced it", staled),
	CASES("where a live one has replaced it", displaced),
	CASES("at the stop", stops),
};

int main(void)
{
	return RUN_CASES(cases);
}
