#include "sys/peer.h"

#include <stdbool.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* Enough for nearly everybody, so that the usual case does not allocate. */
#define GROUPS_ON_STACK 64

int peer_get(int fd, struct peer *ret_peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*ret_peer = (struct peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return 0;
}

static bool is_among(gid_t gid, const gid_t *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool have_common(const gid_t *a, size_t a_count, const gid_t *b, size_t b_count)
{
	for (size_t i = 0; i < a_count; i++)
		if (is_among(a[i], b, b_count))
			return true;
	return false;
}

static int supplementary_in(int fd, const gid_t *groups, size_t count)
{
	_cleanup_(freep) gid_t *heap = NULL;
	gid_t few[GROUPS_ON_STACK];
	gid_t *theirs = few;
	socklen_t size = sizeof(few);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &size) < 0) {
		/* The kernel has put the size that it needs into @size. */
		if (errno != ERANGE || size > PEER_GROUPS_MAX * sizeof(gid_t))
			return -errno;
		theirs = heap = malloc(size);
		if (!heap)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, heap, &size) < 0)
			return -errno;
	}
	return have_common(theirs, size / sizeof(gid_t), groups, count);
}

int peer_in_groups(int fd, const struct peer *peer, const gid_t *groups, size_t count)
{
	if (count == 0)
		return 0;
	if (is_among(peer->gid, groups, count))
		return 1;
	return supplementary_in(fd, groups, count);
}
