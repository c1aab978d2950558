#include "cmd/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* SD_LISTEN_FDS_START of systemd. */
#define LISTEN_FDS_START 3

static void set_number(const char *name, long value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%ld", value);
	(void)setenv(name, text, 1);
}

/* Put the descriptors at 3, 4, ...: all out of the way first, for they may stand in each
 * other's place. Return: 0 or -errno. */
static int place(const int *fds, int count, int *report)
{
	int moved[CHILD_FDS_MAX + 1] = { 0 };

	for (int i = 0; i <= count; i++) {
		moved[i] = fcntl(i < count ? fds[i] : *report, F_DUPFD_CLOEXEC,
				 LISTEN_FDS_START + count);
		if (moved[i] < 0)
			return -errno;
	}
	for (int i = 0; i < count; i++)
		if (dup2(moved[i], LISTEN_FDS_START + i) < 0)
			return -errno;
	*report = moved[count];
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void become(char *const *argv, const int *fds, int count, const char *names,
			     int report)
{
	int error = place(fds, count, &report);

	if (names) {
		set_number("LISTEN_FDS", count);
		set_number("LISTEN_PID", getpid());
		(void)setenv("LISTEN_FDNAMES", names, 1);
	} else {
		/* Whatever we were given was not meant for it. */
		(void)unsetenv("LISTEN_FDS");
		(void)unsetenv("LISTEN_PID");
		(void)unsetenv("LISTEN_FDNAMES");
	}
	reset_signals();
	if (error == 0) {
		(void)execvp(argv[0], argv);
		error = -errno;
	}
	(void)!write(report, &error, sizeof(error));
	_exit(CHILD_NOT_FOUND);
}

pid_t child_start(char *const *argv, const int *fds, int count, const char *names)
{
	_cleanup_(fd_closep) int read_end = -EBADF, write_end = -EBADF;
	int ends[2], error = 0;
	ssize_t n;
	pid_t pid;

	assert(count >= 0 && count <= CHILD_FDS_MAX);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	read_end = ends[0];
	write_end = ends[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(argv, fds, count, names, write_end);
	fd_closep(&write_end);
	/* Closed by a successful exec, without a word. */
	do
		n = read(read_end, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return error;
}

int child_status(int wait_status)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	return 128 + WTERMSIG(wait_status);
}

int child_failure_status(int error)
{
	return error == -ENOENT || error == -ENOTDIR ? CHILD_NOT_FOUND : CHILD_NOT_EXECUTABLE;
}
