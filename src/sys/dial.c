#include "sys/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "rpc/caller.h"
#include "sys/clock.h"
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

ssize_t dial_receive(int fd, struct kedge_caller *caller, bool *ret_more)
{
	size_t room;
	void *to = kedge_caller_input(caller, &room);
	ssize_t n = to ? recv(fd, to, room, MSG_DONTWAIT) : 0;
	int r;

	*ret_more = to && n > 0 && (size_t)n == room;
	if (!to)
		return -ENOMEM;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	caller->clock_ns = monotonic_ns();
	r = kedge_caller_received(caller, (size_t)n);
	return r < 0 ? r : n;
}

size_t dial_transmit(int fd, struct kedge_caller *caller)
{
	const void *data;
	size_t size;
	ssize_t n;

	if (!kedge_caller_output(caller, &data, &size))
		return 0;
	n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
		return 0;
	/* A server that refuses us may have answered before it closed: read on. */
	kedge_caller_sent(caller, n < 0 ? size : (size_t)n);
	return n < 0 ? size : (size_t)n;
}
