/*
 * Inside of struct kedge_caller (kedge/client.h): the client's side of a
 * connection, without any I/O.
 *
 *	caller.c        making one, calls and their deadlines, loss
 *	caller-write.c  what goes out: requests, bodies, cancels, answers
 *	caller-input.c  what comes in: lines, frames, bodies, chunks
 *	caller-reply.c  what a message says, and to whom
 */
#pragma once

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "kedge/client.h"
#include "rpc/frame.h"

#define CALLER_CALLS_MAX   65536u
#define CALLER_OUTPUT_MAX  ((size_t)64 << 20)
#define CALLER_MESSAGE_MAX ((size_t)64 << 20)

#define CALLER_FRAME_MAX ((size_t)FRAME_BYTES_MAX)

/* What the next frame is. */
enum caller_expect {
	CALLER_EXPECT_MESSAGE = 0,
	CALLER_EXPECT_BODY,  /* all of a binary answer */
	CALLER_EXPECT_CHUNK, /* a piece of a stream, or its end */
};

struct caller_call {
	struct list link;
	struct heap_node timer;
	uint64_t number;
	struct kedge_ask ask; /* callbacks and choices; its spans are not kept */
	bool streaming;       /* STREAM was told, END was not */
	bool subscribed;      /* acknowledged: open until it fails */
	char *kept;           /* the request as it is sent again, or NULL */
	size_t kept_size;
};

struct kedge_caller {
	enum kedge_protocol protocol;
	char prefix[KEDGE_ID_PREFIX_MAX + 1];
	struct kedge_caller_limits limits;
	struct kedge_caller_handlers handlers;
	void *userdata;

	struct buf in, out;
	struct buf behind;  /* messages that wait for the end of an upload */
	struct buf headers; /* of the binary answer whose body is coming */
	struct buf id;      /* see kedge_caller_id() */
	size_t searched;    /* bytes of @in that hold no newline */
	enum caller_expect expect;
	uint64_t incoming; /* the call that body or chunks are for */
	size_t rest;       /* bytes of a frame that is passed on in pieces */

	uint64_t losses;    /* counts connections: a callback may have given one up */
	uint64_t uploading; /* the call whose body is being sent, or 0 */
	struct map by_id;   /* number -> struct caller_call */
	struct heap deadlines;
	struct list calls; /* oldest first */
	size_t count;
	size_t kept_bytes;
	uint64_t serial;
	uint64_t dropped;
	/* The time, where the owner has said it: streams that begin then have a deadline
	 * for their first piece. 0: first_chunk_ms is not looked at. */
	uint64_t clock_ns;
	int failed; /* no memory for a deadline: the connection cannot go on */
};

/* caller.c */

struct caller_call *caller_find(const struct kedge_caller *c, uint64_t number);
/* Tell the call what became of it, for the last time. */
void caller_end(struct kedge_caller *c, struct caller_call *call, const struct kedge_reply *reply);
/* It has its answer, or the beginning of one: no deadline any more. */
void caller_answered(struct kedge_caller *c, struct caller_call *call);

/* caller-write.c */

/* Write the request, and keep a copy where the call wants one. Return: 0; -ENOBUFS;
 * -ENOMEM; on failure nothing was written. */
int caller_write_request(struct kedge_caller *c, struct caller_call *call,
			 const struct kedge_ask *ask);
/* Send a request again. Return: 0; -ENOMEM. */
int caller_write_kept(struct kedge_caller *c, const struct caller_call *call);
/* Tell the server that nobody wants the answer to @number. Nothing on lines. */
void caller_write_cancel(struct kedge_caller *c, uint64_t number);
/* The body of the upload is over: what waited behind it may go. */
void caller_close_upload(struct kedge_caller *c);

/* caller-reply.c */

/* Take one message. Return: 0; -EPROTO: it is none. */
int caller_take_message(struct kedge_caller *c, struct kedge_span text);
void caller_take_chunk(struct kedge_caller *c, struct kedge_span chunk);
void caller_take_end(struct kedge_caller *c);
void caller_take_body(struct kedge_caller *c, struct kedge_span body);
/* Whether a binary answer is to be gathered: a call waits for it, as a whole. */
bool caller_wants_whole(const struct kedge_caller *c);
/* It is longer than the limit. */
void caller_refuse_body(struct kedge_caller *c);
