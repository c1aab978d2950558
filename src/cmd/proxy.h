/*
 * A proxy: listens at a path and forwards to a socket that has none.
 *
 * Each client is forwarded on a connection of its own, which is made with the
 * client's user and groups: the server sees whose request it is (though not the
 * client's pid), and the socket's own mode decides again whether it may
 * connect. Descriptors that are passed are passed on. Datagrams are passed on
 * with the sender's credentials, but not its address: nobody can be answered.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "kedge/error.h"

/* Clients at a time; more wait in the queue of the path. */
#define PROXY_SESSIONS_MAX 1024

struct proxy;

struct proxy_options {
	const char *path;
	int handle; /* O_PATH, of the socket's inode; borrowed for the proxy's life */
	int type;   /* SOCK_... */
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* Listen, guarded, and complete before anybody sees it. Return: 0 or -errno. */
int proxy_open(struct proxy **ret, const struct proxy_options *options, struct kedge_error *error);

/* Ends all connections; removes the path where it is still ours. May be NULL. Return: NULL. */
struct proxy *proxy_free(struct proxy *proxy);

/* To poll for POLLIN. */
int proxy_fd(const struct proxy *proxy);

/* Milliseconds until proxy_process() wants to be called anyway; -1: never. */
int proxy_timeout_ms(const struct proxy *proxy);

/* Forward what there is. Does not block. */
void proxy_process(struct proxy *proxy);
