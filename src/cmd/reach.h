/*
 * Whether a client could connect, and if not, why, in words to act on.
 */
#pragma once

#include "base/buf.h"

enum reach_kind {
	REACH_OK = 0,
	REACH_MISSING,   /* a component of the path does not exist */
	REACH_FORBIDDEN, /* a permission is missing */
	REACH_REFUSED,   /* nobody listens there: not yet, or not any more */
	REACH_FULL,      /* somebody listens and accepts nobody */
	REACH_OTHER,     /* no socket, a loop of links, a path too long, ... */
};

struct reach {
	enum reach_kind kind;
	int error; /* as connect(2) told it, negative */
	int type;  /* SOCK_...; of the socket, if OK */
};

/* Do not wait where a queue is full. */
#define REACH_NO_WAIT 0

/**
 * reach_try() - connect to a socket as a client would, and close the connection
 * @path:       a path of any length, or '@' and an abstract name
 * @timeout_ms: how long to wait for room in the queue
 *
 * Stream, seqpacket and datagram are tried in turn. A datagram socket is only
 * connected to, nothing is sent, and nothing of it can be seen there.
 */
struct reach reach_try(const char *path, int64_t timeout_ms);

/* Append who serves, or why nobody can be reached and what would help; one line. */
void reach_explain(const char *path, const struct reach *reach, struct buf *words);

/* The path from the root, "." and ".." and double slashes left as they are, or NULL. */
char *reach_absolute(const char *path);
