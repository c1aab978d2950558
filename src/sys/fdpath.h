/*
 * System: the Linux calls behind the ports of guard/.
 *
 * This header: "/proc/self/fd/N[/NAME]", a short path to anything below an open
 * directory. It reaches what has a path too long for struct sockaddr_un, and
 * it still leads to the same directory after that was moved.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

/* "/proc/self/fd/" and a descriptor, "/", a name, NUL. */
#define FD_PATH_MAX 300

struct fd_path {
	char text[FD_PATH_MAX];
};

static inline struct fd_path fd_path(int fd)
{
	struct fd_path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

static inline struct fd_path fd_path_at(int dir, const char *name)
{
	struct fd_path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d/%.255s", dir, name);
	return path;
}

/* Return: 0; -ENAMETOOLONG: the name is longer than the address has room for. */
static inline int fd_path_address(int dir, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir, name);
	return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}
