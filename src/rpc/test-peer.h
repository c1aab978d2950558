/*
 * For tests of connections: a server that knows a few methods, and a client that
 * cuts its bytes wherever it is told. Everything the connection calls is written to
 * a log, a line each.
 *
 *	echo      answers with its params (null without), at once
 *	param     answers with the member "value" of its params (null without)
 *	size      answers with the kind and size of its body
 *	body      answers with its body as raw bytes, and a header of its own
 *	later     is left open
 *	stream    answers with the chunks "ab", "" and "c"
 *	open      begins a stream and leaves it open
 *	hold      holds its streamed body at once
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "kedge/conn.h"

#define PEER_LATER_MAX 64

struct peer {
	struct kedge_conn *conn;
	struct buf sent;                /* what was taken from the connection */
	struct buf log;                 /* what it called */
	size_t pieces;                  /* pieces of output that were taken */
	uint64_t later[PEER_LATER_MAX]; /* tickets of later, open and hold, in order */
	size_t later_count;
	uint64_t refill;    /* a ticket whose stream is refilled when writable */
	size_t refill_left; /* ... with so many more chunks "xxxx" */
	enum kedge_upload upload;
	size_t body_bytes; /* received by on_body */
};

/* Options with the peer's handlers; to be changed before peer_open(). */
struct kedge_conn_options peer_options(struct peer *p, enum kedge_protocol protocol);
void peer_open(struct peer *p, const struct kedge_conn_options *options);
void peer_close(struct peer *p);

/* Give bytes to the connection, in pieces as it has room. */
void peer_feed(struct peer *p, const void *data, size_t size);
void peer_feed_text(struct peer *p, const char *text);
void peer_feed_frame(struct peer *p, const char *text);

/* Take at most @size bytes of output; all of it. */
size_t peer_take_some(struct peer *p, size_t size);
void peer_take(struct peer *p);

/* What was sent (after taking all there is), or logged, is exactly this; then it is forgotten. */
void peer_expect(struct peer *p, const void *data, size_t size);
void peer_expect_text(struct peer *p, const char *text);
void peer_expect_log(struct peer *p, const char *text);

/* A frame's bytes behind each other: frames_append(b, "text", "more", NULL). */
void frames_append(struct buf *b, const char *text, ...) __attribute__((sentinel));

/* As peer_expect(), of frames with these texts: EXPECT(&p, "text", "more"). */
void peer_expect_frames(struct peer *p, const char *const *texts);
#define EXPECT(p, ...) peer_expect_frames(p, (const char *const[]){ __VA_ARGS__, NULL })

/**
 * peer_dialogue() - whatever the cuts, the same is sent and logged
 * @in, @out, @log: bytes for the connection, from it, and its calls; ends with end of file
 *
 * Feeds the script whole, byte by byte, cut at every place and, where it is short, at
 * every two places.
 */
void peer_dialogue(const struct kedge_conn_options *options, struct kedge_span in,
		   struct kedge_span out, const char *log);
