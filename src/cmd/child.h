/*
 * Starting a command with listeners, as sd_listen_fds(3) wants them.
 */
#pragma once

#include <sys/types.h>

/* Exit statuses of a command that could not be started: as shells have them. */
#define CHILD_NOT_EXECUTABLE 126
#define CHILD_NOT_FOUND      127

/* Descriptors that can be passed on. */
#define CHILD_FDS_MAX 128

/**
 * child_start() - run a command
 * @argv:  its name (looked for in PATH) and arguments, NULL at the end
 * @fds:   @count descriptors, at most CHILD_FDS_MAX, which it gets from 3 on; borrowed
 * @names: LISTEN_FDNAMES; NULL, with @count 0: no listeners are announced
 *
 * Signals are as they are by default in it, and none is blocked. Everything
 * else is inherited: environment, standard input, process group.
 *
 * Return: its pid; -errno: no process, or as from execve(2).
 */
pid_t child_start(char *const *argv, const int *fds, int count, const char *names);

/* The exit status to pass on: the child's own, or 128 and the signal. */
int child_status(int wait_status);

/* That of a command that did not start. @error: negative errno from child_start(). */
int child_failure_status(int error);
