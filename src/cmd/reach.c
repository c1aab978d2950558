#include "cmd/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "kedge/endpoint.h"
#include "sys/fdpath.h"

/* Where to connect to. A path that is too long for an address is reached through an open
 * handle of what stands there. */
struct target {
	struct sockaddr_un address;
	socklen_t size;
	int handle;
};

static int find_target(const char *path, struct target *ret)
{
	size_t n = strlen(path);

	*ret = (struct target){ .address.sun_family = AF_UNIX, .handle = -EBADF };
	ret->size = sizeof(ret->address);
	if (n == 0)
		return -ENOENT;
	if (n > KEDGE_SOCKET_PATH_MAX) {
		if (*path == '@')
			return -ENAMETOOLONG;
		ret->handle = open(path, O_PATH | O_CLOEXEC);
		if (ret->handle < 0)
			return -errno;
		strcpy(ret->address.sun_path, fd_path(ret->handle).text);
		return 0;
	}
	memcpy(ret->address.sun_path, path, n);
	if (*path == '@') {
		/* Its length is part of an abstract name. */
		ret->address.sun_path[0] = '\0';
		ret->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	}
	return 0;
}

static int connect_once(const struct target *target, int type, int64_t timeout_ms)
{
	_cleanup_(fd_closep) int fd = socket(
		AF_UNIX, type | SOCK_CLOEXEC | (timeout_ms ? 0 : SOCK_NONBLOCK), 0);
	struct timeval timeout = { .tv_sec = timeout_ms / 1000,
				   .tv_usec = timeout_ms % 1000 * 1000 };

	if (fd < 0)
		return -errno;
	/* A connect() that finds the queue full sleeps so long, and is woken by an accept(). */
	if (timeout_ms && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&target->address, target->size) < 0)
		return -errno;
	return 0;
}

static enum reach_kind kind_of(int error)
{
	switch (error) {
	case 0:
		return REACH_OK;
	case -ENOENT:
	case -ENOTDIR:
		return REACH_MISSING;
	case -EACCES:
	case -EPERM:
		return REACH_FORBIDDEN;
	case -ECONNREFUSED:
		return REACH_REFUSED;
	case -EAGAIN:
		return REACH_FULL;
	default:
		return REACH_OTHER;
	}
}

struct reach reach_try(const char *path, int64_t timeout_ms)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	struct reach reach = { .type = SOCK_STREAM };
	struct target target;

	reach.error = find_target(path, &target);
	for (size_t i = 0; reach.error == 0 && i < ARRAY_SIZE(types); i++) {
		reach.type = types[i];
		reach.error = connect_once(&target, types[i], timeout_ms);
		if (reach.error != -EPROTOTYPE)
			break;
		reach.error = i + 1 < ARRAY_SIZE(types) ? 0 : -EPROTOTYPE;
	}
	fd_close(target.handle);
	reach.kind = kind_of(reach.error);
	return reach;
}

char *reach_absolute(const char *path)
{
	_cleanup_(freep) char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	char *absolute;

	if (*path == '/')
		return strdup(path);
	if (!cwd || asprintf(&absolute, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path) < 0)
		return NULL;
	return absolute;
}
