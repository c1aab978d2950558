/*
 * The census: all Unix sockets of the machine at one moment, found by the inode
 * that a path leads to, or by their own.
 *
 * One question to the kernel costs as much as there are sockets (136 us at
 * 10,000 of them), so whoever has many questions takes a census (10 ms).
 * Sockets of other network namespaces are in it once such a namespace was
 * found to hold one that mattered. Without sock_diag it is /proc/net/unix that
 * is read: that knows names as they were bound, and no inodes.
 *
 * The kernel answers in pieces, and finds its place again by counting: a socket
 * is left out where one before it in the same bucket was closed in between. So
 * who is in a census is there; who is not has to be asked for again.
 */
#pragma once

#include "base/map.h"
#include "sys/diag.h"

/* Network namespaces besides our own that are asked. */
#define CENSUS_NETNS_MAX 64

struct census {
	struct diag_list list;
	size_t *same_inode;          /* row -> the next row of that path inode, + 1; 0: none */
	struct map by_inode;         /* path inode -> first row + 1 */
	struct map by_socket;        /* socket inode -> row + 1 */
	int netns[CENSUS_NETNS_MAX]; /* open ns files of others */
	size_t netns_count;
	bool by_name; /* from /proc/net/unix */
	int error;    /* why sock_diag is not to be had; 0: it is */
};

void census_init(struct census *c);
void census_deinit(struct census *c);

/* Count anew. Return: 0; -ENOMEM; or -errno: neither source is to be had. */
int census_take(struct census *c);

/* Who is bound to what stands at @path: (@device, @inode) as lstat() told. Borrowed until
 * the next census; a listener is told before a socket that does not listen. NULL: nobody. */
const struct diag_socket *census_at(const struct census *c, const char *path, dev_t device,
				    ino_t inode);

/* The socket of that inode of its own, or NULL. */
const struct diag_socket *census_socket(const struct census *c, uint32_t socket_inode);

/**
 * census_search() - look for a socket in the network namespaces of other processes
 *
 * Takes the namespace that has it into the census, as long as it has sockets. Needs root.
 *
 * Return: 0: found, and a census was taken; -ENOENT; else as census_take().
 */
int census_search(struct census *c, dev_t device, ino_t inode);

/* Whether clients that come to the socket's path are taken. */
static inline bool census_takes_clients(const struct diag_socket *s, int dgram_type)
{
	return !s->shut_down && (s->listening || (int)s->type == dgram_type);
}
