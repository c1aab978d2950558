#include "sys/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "sys/fdpath.h"

/*
 * A path that is too long for an address is opened first. What a handle leads
 * to may be connected to by its name in /proc, even where its own name alone
 * is longer than an address.
 */
static int address_of(const char *path, struct sockaddr_un *ret, int *ret_handle)
{
	struct fd_path short_path;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) < sizeof(ret->sun_path)) {
		strcpy(ret->sun_path, path);
		return 0;
	}
	*ret_handle = open(path, O_PATH | O_CLOEXEC);
	if (*ret_handle < 0)
		return -errno;
	short_path = fd_path(*ret_handle);
	memcpy(ret->sun_path, short_path.text, strlen(short_path.text) + 1);
	return 0;
}

int dial(const char *path)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	_cleanup_(fd_closep) int handle = -EBADF;
	struct sockaddr_un address;
	int r = address_of(path, &address, &handle);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return -errno;
	return steal_fd(&fd);
}

int dial_patiently(const char *path, int timeout_ms)
{
	uint64_t end = monotonic_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	for (;;) {
		int fd = dial(path);

		if (fd != -EAGAIN)
			return fd;
		if (monotonic_ns() >= end)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, DIAL_PAUSE_MS);
	}
}

uint64_t monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}
