/*
 * Who is at the other end of a connected Unix socket.
 *
 * The kernel notes user, group and process when the peer calls connect(2), so
 * what is told here is who connected, whoever holds the descriptor now. Users
 * that have no name in our user namespace show as the overflow uid (65534).
 */
#pragma once

#include <sys/types.h>

/* More groups than a process can be in (NGROUPS_MAX in Linux is 65536). */
#define PEER_GROUPS_MAX 65536

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid; /* the effective one; see peer_in_groups() for the others */
};

/* Ask who connected. Return: 0, or -errno as from getsockopt(2). */
int peer_get(int fd, struct peer *ret_peer);

/**
 * peer_in_groups() - is the peer in one of these groups?
 * @fd:     the connected socket; borrowed
 * @peer:   from peer_get() on @fd
 * @groups: @count group ids; borrowed
 *
 * Looks at the effective group first, and asks for the supplementary ones only
 * where that does not settle it.
 *
 * Return: 1: yes; 0: no; -ENOMEM, or -errno as from getsockopt(2).
 */
int peer_in_groups(int fd, const struct peer *peer, const gid_t *groups, size_t count);
