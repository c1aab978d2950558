/*
 * H13: events are lost in an overflow of the queue, or were never sent. Then a full
 * look at every path finds what happened.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More events than this are not worth the time of a test. */
#define EVENTS_MAX 200000
#define PATHS      8

static long queue_limit(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	long limit = 0;

	if (!file || fscanf(file, "%ld", &limit) != 1 || limit <= 0 || limit > EVENTS_MAX)
		skip_case("max_queued_events is unknown or too large: %ld", limit);
	fclose(file);
	return limit;
}

static char *nth(const struct fixture *f, int i)
{
	return text("%s/%d.sock", f->dir, i);
}

/* Two inodes in turn: events that are alike in a row would be merged into one. */
static void overflow(struct fixture *f)
{
	char first[TEST_PATH_MAX], second[TEST_PATH_MAX];

	strcpy(first, nth(f, 0));
	strcpy(second, nth(f, 1));
	for (long i = queue_limit() / 2 + 100; i > 0; i--) {
		DO(chmod(first, 0600));
		DO(chmod(second, 0600));
	}
}

static void start(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < PATHS; i++)
		also_listen(f, nth(f, i));
}

static void unlinked_after_overflow(struct fixture *f)
{
	start(f);
	overflow(f);
	for (int i = 0; i < PATHS; i++)
		DO(unlink(nth(f, i)));
	for (int i = 0; i < PATHS; i++)
		GUARD_UNTIL(f, reachable_at(f, nth(f, i)));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RELINKED) == PATHS);
}

static void directory_moved_after_overflow(struct fixture *f)
{
	start(f);
	overflow(f);
	DO(rename(f->dir, in_root(f, "old")));
	for (int i = 0; i < PATHS; i++)
		GUARD_UNTIL(f, reachable_at(f, nth(f, i)));
}

/* After it events work as before. */
static void works_after_overflow(struct fixture *f)
{
	start(f);
	for (int round = 0; round < 2; round++) {
		overflow(f);
		guard_for(f, 50);
		DO(unlink(nth(f, 2)));
		GUARD_UNTIL(f, reachable_at(f, nth(f, 2)));
	}
}

/* A file system that sends no events: here none can be asked for at all. */
static void never_sent(struct fixture *f)
{
	break_syscall(SYS_inotify_add_watch, ENOSPC);
	start_listening(f, 50);
	assert_int_equal(status_of(f, f->path).watched, 0);
	for (int i = 0; i < 10; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	DO(rename(f->dir, in_root(f, "old")));
	GUARD_UNTIL(f, reachable(f));
	DO(chmod(f->path, 0));
	GUARD_UNTIL(f, mode_of(f->path) == 0600);
}

static const struct test_case cases[] = {
	{ "h13 unlinked after an overflow", unlinked_after_overflow, ANYWHERE },
	{ "h13 moved after an overflow", directory_moved_after_overflow, ANYWHERE },
	{ "h13 works after an overflow", works_after_overflow, ANYWHERE },
	{ "h13 events never sent", never_sent, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
