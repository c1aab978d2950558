/*
 * H23: the process forks. A child never repairs and never removes; what it inherits
 * does not outlive an exec, and does not keep the parent from starting again.
 */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: every function says -ESTALE. Return: 0, or which one did not. */
static int call_all(struct fixture *f)
{
	struct kedge_path_status status = { .size = sizeof(status) };
	const char *path = in_root(f, "other.sock");

	if (kedge_guard_process(f->guard) != -ESTALE)
		return 1;
	if (kedge_guard_repair(f->guard, f->path) != -ESTALE)
		return 2;
	if (kedge_guard_listen(f->guard, path, NULL, NULL, NULL) != -ESTALE || exists(path))
		return 3;
	if (kedge_guard_adopt(f->guard, f->path, f->fd, NULL, NULL) != -ESTALE)
		return 4;
	if (kedge_guard_close(f->guard, f->path) != -ESTALE)
		return 5;
	if (kedge_guard_status(f->guard, f->path, &status) != -ESTALE)
		return 6;
	return 0;
}

static void every_function(struct fixture *f)
{
	start_listening(f, 50);
	assert_int_equal(in_child(f, call_all), 0);
	assert_true(same_listener(f));
}

static int call_when_lost(struct fixture *f)
{
	unlink(f->path);
	for (int i = 0; i < 10; i++) {
		kedge_guard_process(f->guard);
		kedge_guard_repair(f->guard, f->path);
		usleep(10 * 1000);
	}
	return exists(f->path);
}

static void child_does_not_repair(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(in_child(f, call_when_lost), 0);
	/* And it has not eaten the parent's events either. */
	GUARD_UNTIL(f, same_listener(f));
}

static int free_guard(struct fixture *f)
{
	return kedge_guard_free(f->guard) != NULL;
}

static void child_frees(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(in_child(f, free_guard), 0);
	assert_true(same_listener(f));
	assert_true(is_identity(anchor_of(f, 1), f->id));
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
	assert_int_equal(seen(f, KEDGE_EVENT_STOPPED), 0);
	/* The parent's watches are not gone with the child's descriptors. */
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	DO(rename(f->dir, in_root(f, "old")));
	GUARD_UNTIL(f, reachable(f));
}

/* The path is still locked, too: a second instance is refused after all that. */
static void lock_outlives_the_child(struct fixture *f)
{
	struct kedge_guard *second = NULL;

	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(in_child(f, free_guard), 0);
	DO(unlink(f->path));
	assert_int_equal(kedge_guard_new(&second, NULL), 0);
	assert_int_equal(kedge_guard_listen(second, f->path, NULL, NULL, NULL), -EADDRINUSE);
	kedge_guard_free(second);
	GUARD_UNTIL(f, same_listener(f));
}

static int inheritable_fds(void)
{
	int n = 0;

	for (int fd = 3; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	return n;
}

/* What exec leaves open is what was open before there was a guard. */
static void nothing_through_exec(struct fixture *f)
{
	char count[16] = "";
	int out[2], before = inheritable_fds();
	pid_t pid;

	start_listening(f, 50);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(inheritable_fds(), before);
	DO(pipe2(out, O_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", "ls /proc/self/fd | wc -l", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], count, sizeof(count) - 1) > 0);
	close(out[0]);
	waitpid(pid, NULL, 0);
	/* Standard streams, the directory that is listed, and what the harness was given. */
	assert_in_range(atoi(count), 3, 4 + before);
}

/* A child that lives on without exec holds copies of all descriptors, the lock's too. The
 * parent ends and starts again: that must work. */
static void parent_restarts(struct fixture *f)
{
	pid_t pid;

	start_listening(f, 50);
	pid = fork();
	DO(pid);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
	forget(f);
	start_listening(f, 50);
	assert_true(reachable(f));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A child with a guard of its own beside the inherited one. */
static int own_guard(struct fixture *f)
{
	struct kedge_guard_options options = { .size = sizeof(options) };
	struct kedge_guard *guard = NULL;
	const char *path = in_dir(f, "child.sock");
	int r;

	if (kedge_guard_new(&guard, &options) < 0)
		return 1;
	if (kedge_guard_listen(guard, path, NULL, NULL, NULL) < 0)
		return 2;
	if (kedge_guard_listen(guard, f->path, NULL, NULL, NULL) != -EADDRINUSE)
		return 3;
	unlink(path);
	r = kedge_guard_repair(guard, path);
	kedge_guard_free(guard);
	return r == 1 && !exists(path) ? 0 : 4;
}

static void child_guards_its_own(struct fixture *f)
{
	start_listening(f, 50);
	assert_int_equal(in_child(f, own_guard), 0);
	assert_true(same_listener(f));
	assert_int_equal(count_names(anchor_dir_of(f), ""), 4);
}

/* fork() while a path is lost, then the parent's process ends its life without a word. */
static int exits(struct fixture *f)
{
	(void)f;
	exit(0);
}

static void child_exits(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	for (int i = 0; i < 3; i++)
		in_child(f, exits);
	GUARD_UNTIL(f, same_listener(f));
}

static const struct test_case cases[] = {
	{ "h23 every function in a child", every_function, ANYWHERE },
	{ "h23 a child does not repair", child_does_not_repair, ANYWHERE },
	{ "h23 a child frees", child_frees, ANYWHERE },
	{ "h23 the lock outlives the child", lock_outlives_the_child, ANYWHERE },
	{ "h23 nothing through exec", nothing_through_exec, ANYWHERE },
	{ "h23 the parent restarts", parent_restarts, ANYWHERE },
	{ "h23 a child guards its own", child_guards_its_own, ANYWHERE },
	{ "h23 a child exits", child_exits, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
