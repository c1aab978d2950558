/*
 * Inside of struct kedge_client (kedge/client.h): a socket and a caller.
 *
 *	client.c       connecting, moving bytes, waiting
 *	client-call.c  the call that blocks
 */
#pragma once

#include "base/buf.h"
#include "kedge/client.h"

struct kedge_client {
	int fd;        /* -EBADF: the connection is gone, see @error */
	int cancel_fd; /* an eventfd: readable once kedge_client_cancel() was called */
	int error;
	struct kedge_caller *caller;
	bool busy;          /* in a call or a wait: callbacks may not begin another */
	struct buf reply;   /* what the spans of the last reply point to */
	struct buf headers; /* of the stream that is coming */
};

/* What a step led to, where it did not fail. */
enum client_step {
	CLIENT_NOTHING = 0, /* its time is over */
	CLIENT_MOVED,       /* bytes came or went */
	CLIENT_CANCELLED,   /* kedge_client_cancel(), taken note of */
};

/**
 * client_step() - send and receive once
 * @until_ns: wait so long, CLOCK_MONOTONIC; TIME_NEVER: for ever
 *
 * Return: an enum client_step; -ENOTCONN: the connection is gone, all that
 *         waited were told.
 */
int client_step(struct kedge_client *client, uint64_t until_ns, size_t *ret_sent,
		size_t *ret_received);

/* Try to have sent what waits, for a little while: for a cancel before the end. */
void client_send_rest(struct kedge_client *client);
