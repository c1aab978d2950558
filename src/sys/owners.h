/*
 * Owners: which processes hold a socket, and being sure of one of them.
 *
 * The kernel tells no process for a socket; /proc does, the other way round:
 * each descriptor of a socket is a link to "socket:[INODE]". So one walk over
 * all descriptors answers for many sockets. Without root only the processes of
 * our own user can be looked into. A socket may have no holder at all: it is
 * in flight in a message, or held by an io_uring.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As the kernel cuts it (TASK_COMM_LEN), with the NUL. */
#define OWNER_COMM_MAX 16

/* So many holders of one socket are told; a server may have thousands of workers. */
#define OWNERS_PER_SOCKET_MAX 64

/* A process that holds a socket. One that holds it twice is told once. */
struct owner {
	uint32_t socket_inode;
	pid_t pid;
	int fd; /* its number in that process */
	uid_t uid;
	char comm[OWNER_COMM_MAX];
	char *exe; /* path of its program; "": not to be had (another user's, a kernel thread's) */
};

struct owners {
	struct owner *items; /* by socket inode, then pid */
	size_t count;
	unsigned hidden; /* processes that we may not look into: holders may be missing */
};

#define OWNERS_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

/**
 * owners_find() - who holds these sockets?
 * @socket_inodes: as diag tells them; borrowed, any order, repeats allowed
 * @ret:           freed with owners_deinit()
 *
 * Return: 0, also where nobody was found; -ENOENT: no /proc; -ENOMEM, -EMFILE, -ENFILE.
 */
int owners_find(const uint32_t *socket_inodes, size_t count, struct owners *ret);

void owners_deinit(struct owners *owners);

/* The holders of one socket. Return: the first of @ret_count, or NULL. */
const struct owner *owners_of(const struct owners *owners, uint32_t socket_inode,
			      size_t *ret_count);

/**
 * owners_main() - the one to name where one is to be named
 *
 * Init and its like hand sockets on and keep a copy (socket activation), and a
 * server forks workers: so the lowest pid, but not 1 where there is another.
 *
 * Return: borrowed, or NULL: nobody is known.
 */
const struct owner *owners_main(const struct owners *owners, uint32_t socket_inode);

/**
 * owner_hold() - a pidfd of an owner that still is one
 *
 * The pid may have gone to another process since: it is looked at again once
 * the pidfd is held.
 *
 * Return: the pidfd; -ESRCH: the process is gone, or no longer holds the
 *         socket; -ENOSYS, -EMFILE, -ENFILE, -EPERM.
 */
int owner_hold(const struct owner *owner);

/* Whether the process of a pidfd lives. It is not alive once it only waits to be reaped. */
bool owner_is_alive(int pidfd);

/**
 * owner_take() - a duplicate of the socket that an owner holds
 * @pidfd: from owner_hold()
 *
 * The descriptor is the same open file: its flags are shared.
 *
 * Return: the descriptor, close-on-exec; -EPERM: that takes the right to
 *         trace the process; -ESRCH, -EBADF: gone meanwhile; -ENOSYS.
 */
int owner_take(const struct owner *owner, int pidfd);

/* A handle to the inode that a socket of our own is bound to: O_PATH, close-on-exec. Return:
 * it; -EPERM: that takes CAP_NET_ADMIN; -ENOENT: bound to no path. */
int socket_inode(int fd);

/**
 * owner_take_inode() - a handle of the inode that an owner's socket is bound to
 * @pidfd: from owner_hold()
 *
 * Leads to the socket even where no name of the inode is left: connect(2) to
 * the handle's link below /proc/self/fd. It does not keep the listener open.
 *
 * Return: an O_PATH descriptor; -EPERM: that takes the right to trace the
 *         process, and CAP_NET_ADMIN; -ENOENT: bound to no path; as owner_take().
 */
int owner_take_inode(const struct owner *owner, int pidfd);
