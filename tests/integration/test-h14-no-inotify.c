/*
 * H14: no inotify instance or watch is to be had. The guard works by its safety
 * look, says so once, and tries again later.
 */
#include "fixture.h"

#include <sys/syscall.h>
#include <unistd.h>

static void lose_and_find(struct fixture *f)
{
	for (int i = 0; i < 5; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
}

static void no_instance(struct fixture *f)
{
	break_syscall(SYS_inotify_init1, EMFILE);
	start_listening(f, 50);
	assert_int_equal(status_of(f, f->path).watched, 0);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
	lose_and_find(f);
	guard_for(f, 300);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
}

static void no_watch(struct fixture *f)
{
	break_syscall(SYS_inotify_add_watch, ENOSPC);
	start_listening(f, 50);
	assert_int_equal(status_of(f, f->path).watched, 0);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
	lose_and_find(f);
	guard_for(f, 300);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
}

/* Neither events nor an interval was wanted: there is always a deadline then, or the
 * promise would be empty. */
static void no_instance_and_no_interval(struct fixture *f)
{
	uint64_t deadline;

	break_syscall(SYS_inotify_init1, EMFILE);
	start_listening(f, KEDGE_INTERVAL_NONE);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
	assert_int_equal(kedge_guard_deadline(f->guard, &deadline), 0);
	DO(unlink(f->path));
	assert_int_equal(kedge_guard_repair(f->guard, f->path), 1);
	assert_true(same_listener(f));
}

/* The limit is of our own user namespace: raise it, and events are used again. */
static void tried_again(struct fixture *f)
{
	own_user_namespace();
	write_limit("/proc/sys/user/max_inotify_instances", 0);
	start_listening(f, 50);
	ASSERT_STORY(f, status_of(f, f->path).watched == 0);
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	write_limit("/proc/sys/user/max_inotify_instances", 100);
	GUARD_UNTIL(f, status_of(f, f->path).watched == 1);
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

static void watches_tried_again(struct fixture *f)
{
	own_user_namespace();
	write_limit("/proc/sys/user/max_inotify_watches", 0);
	start_listening(f, 50);
	ASSERT_STORY(f, status_of(f, f->path).watched == 0);
	write_limit("/proc/sys/user/max_inotify_watches", 1000);
	GUARD_UNTIL(f, status_of(f, f->path).watched == 1);
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

static void lose_it_once(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind == KEDGE_EVENT_RECOVERED && f->hooked++ == 0)
		DO(unlink(f->path));
}

/* Lost again after the look that found it well, and before the watch that this look
 * brought about: no event tells of it, so another look has to. */
static void lost_before_the_watch(struct fixture *f)
{
	own_user_namespace();
	write_limit("/proc/sys/user/max_inotify_watches", 0);
	start_listening(f, 60 * 1000);
	ASSERT_STORY(f, status_of(f, f->path).watched == 0);
	guard_turn(f, 0);
	write_limit("/proc/sys/user/max_inotify_watches", 1000);
	f->on_event = lose_it_once;
	DO(unlink(f->path));
	assert_int_equal(kedge_guard_repair(f->guard, f->path), 1);
	ASSERT_STORY(f, status_of(f, f->path).watched == 1);
	GUARD_UNTIL(f, same_listener(f));
}

/* Some paths have a watch and some have none: all are guarded. */
static void some_watches(struct fixture *f)
{
	own_user_namespace();
	write_limit("/proc/sys/user/max_inotify_watches", 12);
	start_guard(f, 50);
	for (int i = 0; i < 30; i++)
		also_listen(f, text("%s/%d.sock", f->dir, i));
	for (int i = 0; i < 30; i++)
		DO(unlink(text("%s/%d.sock", f->dir, i)));
	for (int i = 0; i < 30; i++)
		GUARD_UNTIL(f, reachable_at(f, text("%s/%d.sock", f->dir, i)));
}

static const struct test_case cases[] = {
	{ "h14 no instance", no_instance, ANYWHERE },
	{ "h14 no watch", no_watch, ANYWHERE },
	{ "h14 no instance, no interval", no_instance_and_no_interval, ANYWHERE },
	{ "h14 instances are tried again", tried_again, ANYWHERE },
	{ "h14 watches are tried again", watches_tried_again, ANYWHERE },
	{ "h14 lost before the watch", lost_before_the_watch, ANYWHERE },
	{ "h14 some watches", some_watches, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
