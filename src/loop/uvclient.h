/*
 * Inside of struct kedge_uvclient (kedge/uvclient.h): a caller, and a socket
 * that is made again when it is lost.
 *
 *	uvclient.c         the public functions
 *	uvclient-link.c    one connection: bytes in and out
 *	uvclient-retry.c   connecting, pauses, streaks of failures
 */
#pragma once

#include "base/streak.h"
#include "kedge/uvclient.h"
#include "rpc/caller.h"

/* A connection that has stood so long, or given an answer, ends a streak of failures:
 * a server that accepts and closes at once must not be told of at each try. */
#define UVCLIENT_PROVEN_MS 1000

/* on_writable comes when less than this waits. */
#define UVCLIENT_WRITABLE_BYTES ((size_t)512 << 10)

enum uvclient_state {
	UVCLIENT_CONNECTING = 0, /* a try comes in the loop's next round */
	UVCLIENT_PAUSING,        /* the timer says when the next try is */
	UVCLIENT_CONNECTED,      /* ... and the timer is set, when it counts as proven */
};

/* A connection's handle: libuv wants it to outlive the connection by a round. */
struct uvclient_link {
	uv_poll_t poll;
	struct kedge_uvclient *client;
	int fd;
	int events; /* what is polled for */
};

struct kedge_uvclient {
	uv_loop_t *loop;
	char *path;
	struct kedge_uvclient_options options;
	struct kedge_caller *caller;

	enum uvclient_state state;
	struct uvclient_link *link;
	uv_timer_t retry;    /* see enum uvclient_state */
	uv_timer_t deadline; /* of the calls */
	unsigned handles;    /* of libuv's that are open: the memory goes with the last */

	uint64_t random;
	unsigned pause_ms; /* the last one, before jitter; 0: none yet */
	struct streak streak;
	uint64_t connected_ns;
	char stray[128]; /* what the server said before it closed */

	bool busy; /* callbacks are running: what they ask for is done after them */
	bool freed;
	bool reset;   /* kedge_uvclient_reset() was called */
	bool paused;  /* do not read */
	bool clogged; /* on_writable is owed */
};

/* uvclient.c */

/* After callbacks: send, poll, set timers, or end it all. */
void uvclient_settle(struct kedge_uvclient *u);
/* A handle was closed. */
void uvclient_closed(struct kedge_uvclient *u);

/* uvclient-link.c */

/* Take a connected socket. Return: 0, or -errno: then it is closed. */
int uvclient_link_open(struct kedge_uvclient *u, int fd);
void uvclient_link_close(struct kedge_uvclient *u);
void uvclient_transmit(struct kedge_uvclient *u);
/* Poll for what is wanted now. */
void uvclient_poll(struct kedge_uvclient *u);

/* uvclient-retry.c */

void uvclient_on_retry(uv_timer_t *timer);
/* Drop the connection and make another at once. */
void uvclient_restart(struct kedge_uvclient *u);
/* The connection is gone, or could not be made. */
void uvclient_failed(struct kedge_uvclient *u, int error);
/* The server has shown that it serves. */
void uvclient_proven(struct kedge_uvclient *u);
/* How long to wait before the next try. */
unsigned uvclient_next_pause_ms(struct kedge_uvclient *u);
