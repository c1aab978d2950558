/*
 * sock_diag(7): what the kernel tells of Unix sockets. Needs no rights, and
 * speaks of the sockets of one network namespace: ours, unless another is given.
 */
#pragma once

#include <sys/types.h>

#include "sys/diagreply.h"

/* The network namespace we are in. */
#define DIAG_NETNS_OWN (-1)

/**
 * diag_by_socket() - look one socket up
 * @socket_inode: st_ino of a descriptor of it
 *
 * Return: 0; -ENOENT: not in this network namespace; -EOPNOTSUPP, -EPERM,
 *         -EPROTONOSUPPORT: sock_diag is not to be had.
 */
int diag_by_socket(uint32_t socket_inode, struct diag_socket *ret);

/**
 * diag_by_path() - find a socket that is bound to an inode
 *
 * Goes through all Unix sockets of the namespace, twice before it says that there is none.
 *
 * Return: 1: found; 0: there is none; negative as above.
 */
int diag_by_path(dev_t device, ino_t inode, struct diag_socket *ret);

/* The same for an open file, and without mistake on tmpfs, where each mount counts its inodes
 * from 1 and stat() tells the true device. @fd: may be O_PATH. Return: as diag_by_path(). */
int diag_by_file(int fd, struct diag_socket *ret);

/* A device as the kernel has it inside. */
uint32_t diag_device(dev_t device);

/* Whether @s is bound to that inode. Device numbers of btrfs and overlayfs differ
 * between stat() and sock_diag; there the inode must do. */
bool diag_is_at(const struct diag_socket *s, dev_t device, ino_t inode);

struct diag_list {
	struct diag_socket *sockets; /* in the kernel's order, which is none */
	size_t count;
	bool interrupted; /* they changed all the while: some may be missing */
};

#define DIAG_LIST_INIT                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

/**
 * diag_list() - all sockets of a network namespace, with all that is known of them
 * @netns:  an open /proc/PID/ns/net, or DIAG_NETNS_OWN
 * @states: mask of 1 << DIAG_STATE_...; UINT32_MAX: all
 * @ret:    freed with diag_list_deinit()
 *
 * For another namespace the calling thread moves there for one system call;
 * that needs CAP_SYS_ADMIN.
 *
 * Return: 0; -EPERM: no right to enter the namespace; -ENOMEM; as above.
 */
int diag_list(int netns, uint32_t states, struct diag_list *ret);

/**
 * diag_list_twice() - the same, of two lists
 *
 * The kernel lists in pieces and finds its place again by counting: a socket is left out where
 * one before it in the same bucket was closed in between, or where it was bound, which takes it
 * to another bucket. So what one list leaves out is taken from the other. What was in the first
 * alone is asked for once more, where that is possible: in our own namespace.
 */
int diag_list_twice(int netns, uint32_t states, struct diag_list *ret);

void diag_list_deinit(struct diag_list *list);
