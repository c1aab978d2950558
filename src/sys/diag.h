/*
 * sock_diag(7): what the kernel tells of Unix sockets. Needs no rights, and
 * speaks of the sockets of our own network namespace only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One socket, as far as it matters here. */
struct diag_socket {
	uint32_t socket_inode; /* as fstat() of its descriptor tells */
	uint32_t type;         /* SOCK_STREAM, ... */
	bool listening;
	bool shut_down; /* it takes no more: as good as gone */
	bool has_path;
	uint32_t path_device; /* the kernel's own encoding: major << 20 | minor */
	uint32_t path_inode;  /* the lower 32 bits */
};

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
 * Goes through all Unix sockets of the namespace.
 *
 * Return: 1: found; 0: there is none; negative as above.
 */
int diag_by_path(dev_t device, ino_t inode, struct diag_socket *ret);
