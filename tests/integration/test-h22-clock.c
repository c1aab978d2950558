/*
 * H22: only the monotonic clock counts. The clock of the wall is made to jump by
 * years at each call, and the process is stopped for a while, as a suspend does.
 * The system's clock is not touched: this program answers for it.
 */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static unsigned wall_clock_reads, wall_clock_timers;
static time_t monotonic_ahead_s;

/* Years before and after by turns. */
static time_t wall_clock(void)
{
	return wall_clock_reads++ % 2 ? 4102444800 : 1;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
		ret->tv_sec = wall_clock();
	else if (clock == CLOCK_MONOTONIC)
		ret->tv_sec += monotonic_ahead_s;
	return r;
}

int gettimeofday(struct timeval *ret, void *zone)
{
	(void)zone;
	ret->tv_sec = wall_clock();
	ret->tv_usec = 0;
	return 0;
}

time_t time(time_t *ret)
{
	time_t t = wall_clock();

	if (ret)
		*ret = t;
	return t;
}

int timerfd_create(int clock, int flags)
{
	wall_clock_timers += clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME;
	return (int)syscall(SYS_timerfd_create, clock, flags);
}

static void wall_clock_jumps(struct fixture *f)
{
	start_listening(f, 50);
	wall_clock_reads = 0;
	for (int i = 0; i < 5; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
		remove_all(f->dir);
		GUARD_UNTIL(f, reachable(f));
		make_dir(in_dir(f, "d"), 0755);
		DO(unlink(f->path));
		DO(rename(in_dir(f, "d"), f->path));
		guard_for(f, 60);
		DO(rmdir(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
	assert_int_equal(wall_clock_reads, 0);
	assert_int_equal(wall_clock_timers, 0);
	assert_true(status_of(f, f->path).outage_total_ns < 60000000000u);
}

/* A suspend of which the monotonic clock knows: hours pass between two looks. */
static void hours_pass(struct fixture *f)
{
	start_listening(f, 5000);
	for (int i = 0; i < 3; i++) {
		monotonic_ahead_s += 5 * 3600;
		guard_turn(f, 0);
		guard_for(f, 30);
		assert_true(same_listener(f));
		DO(unlink(f->path));
		monotonic_ahead_s += 5 * 3600;
		GUARD_UNTIL(f, same_listener(f));
	}
}

/* Hours pass in the midst of a back-off. */
static void hours_pass_while_blocked(struct fixture *f)
{
	start_listening(f, 5000);
	DO(unlink(f->path));
	make_dir(f->path, 0755);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	monotonic_ahead_s += 5 * 3600;
	guard_for(f, 30);
	DO(rmdir(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

static void wait_reachable_by_child(const char *path)
{
	int client = -1;

	for (uint64_t until = now_ms() + CAP_MS; client < 0 && now_ms() < until;) {
		client = client_new(path);
		if (client < 0)
			usleep(1000);
	}
	assert_true(client >= 0);
	close(client);
}

/* The whole process sleeps while its path is lost in all ways. */
static void stopped_and_continued(struct fixture *f)
{
	pid_t pid = fork_guard(f);

	for (int i = 0; i < 3; i++) {
		DO(kill(pid, SIGSTOP));
		remove_all(f->dir);
		usleep(50 * 1000);
		make_dir(f->dir, 0755);
		write_file(f->path, "theirs");
		DO(kill(pid, SIGCONT));
		wait_reachable_by_child(f->path);
	}
	kill_child(f, pid);
	remove_all(f->dir);
}

static const struct test_case cases[] = {
	{ "h22 the wall clock jumps", wall_clock_jumps, ANYWHERE },
	{ "h22 hours pass", hours_pass, ANYWHERE },
	{ "h22 hours pass while blocked", hours_pass_while_blocked, ANYWHERE },
	{ "h22 stopped and continued", stopped_and_continued, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
