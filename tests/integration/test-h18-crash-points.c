/*
 * H18: killed right after each system call that changes something on disk, one after the
 * other until a life of many repairs ends by itself. Whatever is left then, the next start
 * can begin on, and its stop leaves nothing.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

/* More calls that change something than any of these lives makes. */
#define POINTS_MAX 2000

/* More replacements than the lock's note covers generations ahead. */
#define REPLACEMENTS 80

/* Calls by which the guard, and the test's hand in the child, change a directory. */
static const unsigned long long changing[] = {
	SYS_bind,     SYS_linkat,   SYS_renameat2, SYS_unlinkat, SYS_mkdirat,
	SYS_fchmodat, SYS_pwrite64, SYS_flock,     SYS_listen,   SYS_openat,
#ifdef SYS_chmod
	SYS_chmod,
#endif
};

static int is_changing(unsigned long long nr)
{
	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++)
		if (changing[i] == nr)
			return 1;
	return 0;
}

/* Follow the child from call to call. Return: 1: it was killed after the @point-th; 0: it
 * ended before. */
static int run_to_point(pid_t pid, unsigned point)
{
	struct ptrace_syscall_info info;
	unsigned long long entered = 0;
	int status;

	DO(waitpid(pid, &status, 0));
	/* Without it a stop at a system call is like any other. */
	if (!WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		skip_case("processes cannot be followed: %s", strerror(errno));
	for (;;) {
		DO(ptrace(PTRACE_SYSCALL, pid, 0, 0));
		DO(waitpid(pid, &status, 0));
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			assert_int_equal(status, 0);
			return 0;
		}
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			skip_case("system calls cannot be followed: %s", strerror(errno));
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			entered = info.entry.nr;
		if (info.op == PTRACE_SYSCALL_INFO_EXIT && is_changing(entered) && point-- == 0) {
			DO(kill(pid, SIGKILL));
			DO(waitpid(pid, &status, 0));
			return 1;
		}
	}
}

static pid_t fork_traced(struct fixture *f, void (*life)(struct fixture *f))
{
	pid_t pid = fork();

	DO(pid);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 || raise(SIGSTOP) != 0)
			_exit(2);
		life(f);
		_exit(0);
	}
	return pid;
}

/* After the crash: begin, serve, end, and look at what is left. */
static void assert_next_life_is_clean(struct fixture *f, unsigned point)
{
	struct stat st;

	sweep(in_root(f, "away"));
	if (!exists(f->dir))
		make_dir(f->dir, 0755);
	/* The file that the life itself put there, which was not moved aside any more. */
	if (lstat(f->path, &st) == 0 && S_ISREG(st.st_mode))
		DO(unlink(f->path));
	start_listening(f, KEDGE_INTERVAL_NONE);
	if (!reachable(f))
		fail_msg("not reachable after a crash at point %u", point);
	stop_guard(f);
	if (exists(f->path) || count_names(f->dir, ".") != 2)
		fail_msg("something is left after a crash at point %u", point);
	sweep(f->dir);
	make_dir(f->dir, 0755);
	forget(f);
}

static void crash_everywhere(struct fixture *f, void (*life)(struct fixture *f))
{
	unsigned point = 0;

	while (run_to_point(fork_traced(f, life), point))
		assert_next_life_is_clean(f, point++);
	assert_in_range(point, 10, POINTS_MAX);
}

/* One of each kind of repair. */
static void many_repairs(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	if (!f->options.anchor_dir)
		remove_all(anchor_dir_of(f));
	make_stale(in_dir(f, "stale"));
	DO(rename(in_dir(f, "stale"), f->path));
	GUARD_UNTIL(f, reachable(f));
	DO(unlink(f->path));
	write_file(f->path, "theirs");
	GUARD_UNTIL(f, reachable(f));
	DO(rename(f->dir, in_root(f, "away")));
	remove_all(in_root(f, "away"));
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
}

static void after_each_call(struct fixture *f)
{
	crash_everywhere(f, many_repairs);
}

static void after_each_call_long_name(struct fixture *f)
{
	snprintf(f->path, sizeof(f->path), "%s", text("%s/%0150d", f->dir, 0));
	crash_everywhere(f, many_repairs);
}

static void after_each_call_anchors_elsewhere(struct fixture *f)
{
	make_dir(in_root(f, "anchors"), 0700);
	f->options.anchor_dir = in_root(f, "anchors");
	crash_everywhere(f, many_repairs);
	assert_int_equal(count_names(in_root(f, "anchors"), ""), 2);
}

static void start_and_stop(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	stop_guard(f);
}

static void start_and_stop_elsewhere(struct fixture *f)
{
	make_dir(in_root(f, "anchors"), 0700);
	f->options.anchor_dir = in_root(f, "anchors");
	crash_everywhere(f, start_and_stop);
	assert_int_equal(count_names(in_root(f, "anchors"), ""), 2);
}

static void replace_stale(struct fixture *f)
{
	make_stale(in_dir(f, "stale"));
	DO(rename(in_dir(f, "stale"), f->path));
	GUARD_UNTIL(f, is_identity(f->path, f->id));
}

/* The last one ends between the swap and the removal of what was swapped out. */
static int many_replacements(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < REPLACEMENTS; i++)
		replace_stale(f);
	break_syscall(SYS_unlinkat, EIO);
	replace_stale(f);
	return kedge_names(f) > 0 ? 7 : 1;
}

/* Without a re-bind the note in the lock file was never written again, while private names
 * went on counting: the last one was swept by nobody. */
static void after_many_replacements(struct fixture *f)
{
	assert_int_equal(in_child(f, many_replacements), 7);
	assert_next_life_is_clean(f, 0);
}

static const struct test_case cases[] = {
	{ "h18 killed after each call", after_each_call, ANYWHERE },
	{ "h18 ... of a long name", after_each_call_long_name, ON_TMPFS },
	{ "h18 ... with anchors elsewhere", after_each_call_anchors_elsewhere, ON_DISK },
	{ "h18 ... of start and stop", start_and_stop_elsewhere, ON_TMPFS },
	{ "h18 ... of many replacements", after_many_replacements, ON_TMPFS },
};

int main(void)
{
	return RUN_CASES(cases);
}
