#include "sys/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kedge/guard.h"
#include "sys/diag.h"
#include "sys/fdpath.h"
#include "sys/files.h"
#include "sys/owners.h"

/* Short names for the moment between bind and rename: so many may be at it at once. */
#define BRIEF_NAMES 16

static const int socket_types[] = {
	[KEDGE_SOCKET_STREAM] = SOCK_STREAM,
	[KEDGE_SOCKET_SEQPACKET] = SOCK_SEQPACKET,
	[KEDGE_SOCKET_DATAGRAM] = SOCK_DGRAM,
};

static int socket_new(int type)
{
	int fd = socket(AF_UNIX, socket_types[type] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int bind_to(int fd, int dir, const char *name)
{
	struct sockaddr_un address;
	int r = fd_path_address(dir, name, &address);

	if (r < 0)
		return r;
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* A crash before the rename leaves a short name behind: it is taken over by the next. */
static int bind_brief(int fd, int dir, char *ret_brief, size_t size)
{
	int r = -EADDRINUSE;

	for (unsigned i = 0; i < BRIEF_NAMES * 2 && r == -EADDRINUSE; i++) {
		(void)snprintf(ret_brief, size, ".kb-%u", i / 2);
		r = bind_to(fd, dir, ret_brief);
		if (r == -EADDRINUSE && sockets_probe(dir, ret_brief, 0) == PROBE_STALE)
			(void)unlinkat(dir, ret_brief, 0);
	}
	return r;
}

/* A name longer than an address: bound under a short one, then renamed. */
static int bind_long(int fd, int dir, const char *name)
{
	char brief[32];
	int r = bind_brief(fd, dir, brief, sizeof(brief));

	if (r < 0)
		return r;
	if (renameat2(dir, brief, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	r = -errno;
	(void)unlinkat(dir, brief, 0);
	return r;
}

static int sockets_listener_make(void *ctx, int dir, const char *name,
				 const struct listener_spec *spec)
{
	_cleanup_(fd_closep) int fd = socket_new(spec->type);
	int r;

	(void)ctx;
	if (fd < 0)
		return steal_fd(&fd);
	/* The inode takes its mode from the socket's own, so it is never wider than this. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	r = bind_to(fd, dir, name);
	if (r == -ENAMETOOLONG)
		r = bind_long(fd, dir, name);
	/* bind(2) says EADDRINUSE for any name that is taken. */
	return r < 0 ? r : steal_fd(&fd);
}

static int sockets_listener_listen(void *ctx, int fd, const struct listener_spec *spec)
{
	(void)ctx;
	if (spec->type == KEDGE_SOCKET_DATAGRAM)
		return 0;
	return listen(fd, spec->backlog) < 0 ? -errno : 0;
}

static int sockets_listener_dup(void *ctx, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	(void)ctx;
	return copy < 0 ? -errno : copy;
}

static int sockets_listener_handle(void *ctx, int fd)
{
	(void)ctx;
	return socket_inode(fd);
}

static int sockets_bind_path(void *ctx, int dir, const char *name, char *ret, size_t size)
{
	struct sockaddr_un address;
	int r = fd_path_address(dir, name, &address);

	(void)ctx;
	if (r == 0 && strlen(address.sun_path) >= size)
		r = -ENAMETOOLONG;
	if (r == 0)
		memcpy(ret, address.sun_path, strlen(address.sun_path) + 1);
	return r;
}

/* Is @fd a Unix socket that clients can reach, of whatever type? */
static int check_listener(int fd)
{
	int domain = 0, type = 0, listening = 0;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		return -errno;
	if (domain != AF_UNIX)
		return -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
		return -errno;
	return listening || type == SOCK_DGRAM ? 0 : -EINVAL;
}

/* Without sock_diag the name that it was bound to is all there is to compare. */
static int compare_name(int fd, const char *path)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	return strncmp(address.sun_path, path, sizeof(address.sun_path)) == 0 ? 0 : -EINVAL;
}

static int sockets_listener_node(void *ctx, int fd, const char *path, struct node *ret)
{
	struct diag_socket found;
	struct stat socket, there;
	int r = check_listener(fd);

	(void)ctx;
	if (r < 0)
		return r;
	if (fstat(fd, &socket) < 0)
		return -errno;
	if (lstat(path, &there) < 0) {
		if (errno != ENOENT)
			return -errno;
		/* Lost, if it was ever there. */
		r = compare_name(fd, path);
		return r < 0 ? r : -ESTALE;
	}
	r = diag_by_socket((uint32_t)socket.st_ino, &found);
	/* The number alone may be that of a stranger's socket on what was mounted there. */
	if (r == 0 && !diag_is_at(&found, there.st_dev, there.st_ino))
		return -EINVAL;
	if (r < 0)
		r = compare_name(fd, path);
	if (r == 0)
		node_from_stat(ret, &there);
	return r;
}

static int sockets_listener_dead(void *ctx, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	(void)ctx;
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLNVAL));
}

static int sockets_listener_queued(void *ctx, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)ctx;
	return poll(&p, 1, 0) == 1;
}

/* Who is bound to the socket NAME, whatever connect() says. Return: a probe_result: GONE, or
 * LIVE where somebody is, STALE where nobody is, UNKNOWN where it cannot be looked at;
 * negative: the kernel tells no one (there may be no sock_diag). */
static int ask_kernel(int dir, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct diag_socket found;
	int r;

	if (fd < 0)
		return errno == ENOENT ? PROBE_GONE : PROBE_UNKNOWN;
	r = diag_by_file(fd, &found);
	if (r < 0)
		return r;
	return r == 1 && !found.shut_down ? PROBE_LIVE : PROBE_STALE;
}

/* Refused: nobody is bound there, or somebody who has not begun (or has ceased) to listen. */
static int judge_refused(int dir, const char *name)
{
	int r = ask_kernel(dir, name);

	if (r == PROBE_LIVE)
		return PROBE_UNSETTLED;
	return r < 0 ? PROBE_STALE : r;
}

/* Without permission to connect, the kernel's list still tells who is there. */
static int judge_forbidden(int dir, const char *name)
{
	int r = ask_kernel(dir, name);

	return r < 0 || r == PROBE_STALE ? PROBE_UNKNOWN : r;
}

/* A name longer than an address is met by its handle; @ret_handle is held meanwhile. */
static int address_of(int dir, const char *name, struct sockaddr_un *ret, int *ret_handle)
{
	if (fd_path_address(dir, name, ret) == 0)
		return 0;
	*ret_handle = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_handle < 0)
		return -errno;
	strcpy(ret->sun_path, fd_path(*ret_handle).text);
	return 0;
}

int sockets_probe(int dir, const char *name, int type)
{
	_cleanup_(fd_closep) int fd = socket_new(type);
	_cleanup_(fd_closep) int handle = -EBADF;
	struct sockaddr_un address;
	int r = fd < 0 ? fd : address_of(dir, name, &address, &handle);

	if (r < 0)
		return r == -ENOENT ? PROBE_GONE : PROBE_UNKNOWN;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return PROBE_LIVE;
	switch (errno) {
	case EAGAIN:
	case EINPROGRESS:
		return PROBE_UNSETTLED;
	case EPROTOTYPE:
	case EPERM:
		return PROBE_LIVE;
	case ENOENT:
		return PROBE_GONE;
	case ECONNREFUSED:
		return judge_refused(dir, name);
	case EACCES:
		return judge_forbidden(dir, name);
	default:
		return PROBE_UNKNOWN;
	}
}

static int sockets_probe_port(void *ctx, int dir, const char *name, int type)
{
	(void)ctx;
	return sockets_probe(dir, name, type);
}

void sockets_ports(struct guard_ports *ports)
{
	ports->listener_make = sockets_listener_make;
	ports->listener_listen = sockets_listener_listen;
	ports->listener_dup = sockets_listener_dup;
	ports->listener_node = sockets_listener_node;
	ports->listener_handle = sockets_listener_handle;
	ports->listener_bind_path = sockets_bind_path;
	ports->listener_dead = sockets_listener_dead;
	ports->listener_queued = sockets_listener_queued;
	ports->probe = sockets_probe_port;
}
