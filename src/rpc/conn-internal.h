/*
 * A connection from inside: one struct, and a file for each of its ideas.
 *
 *	conn.c     its life, its limits, whose turn it is
 *	input.c    where a message begins and ends: lines, frames
 *	request.c  an envelope: the checks, and whom it goes to
 *	body.c     what follows an envelope, whole or in chunks
 *	spares.c   memory that connections lend each other
 *	output.c   a message on its way out: as line or frame, now or behind a stream;
 *	           output.h has what each message goes through
 *	reply.c    answers
 *	stream.c   answers that are streams
 *	cancel.c   requests that end without their handler
 *	calls.c    what this side asks
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "rpc/frame.h"
#include "rpc/spares.h"
#include "rpc/tickets.h"
#include "wire/members.h"

/* Memory that an idle connection keeps, in each of its buffers. */
#define CONN_IDLE_BYTES 32768

/* What is expected at the front of the input. */
enum input_state {
	INPUT_FIRST_BYTE = 0, /* nothing came yet: lines or frames */
	INPUT_LINE,           /* a line, or what is left of one that is thrown away */
	INPUT_ENVELOPE,       /* a frame with an envelope */
	INPUT_BODY,           /* a frame with a whole body */
	INPUT_CHUNK,          /* a frame with a chunk; an empty one ends the body */
	INPUT_STATES_,
};

struct input {
	enum input_state state;
	struct buf buf;
	uint32_t left;   /* frames: bytes of the present one that are not waited for */
	size_t searched; /* lines: bytes at the front that hold no newline */
	size_t skipped;  /* lines: bytes of an oversized one that were thrown away ... */
	bool skipping;   /* ... of which the end has not come yet */
};

/* What becomes of the body that is being received. */
enum body_fate {
	BODY_SKIP = 0, /* nobody wants it, or there is none */
	BODY_TAKE,     /* one frame, waited for in the input */
	BODY_COLLECT,  /* chunks, put together */
	BODY_PASS,     /* chunks, passed on as they come */
};

struct body {
	enum body_fate fate;
	uint64_t ticket;              /* BODY_PASS: whose it is */
	struct kedge_request request; /* BODY_TAKE, _COLLECT: spans into @envelope */
	struct buf envelope, collected;
};

struct kedge_conn {
	struct kedge_conn_limits limits;
	struct kedge_conn_handlers handlers;
	void *userdata;
	enum kedge_protocol protocol;
	struct kedge_conn_spares *spares; /* NULL: none */

	struct input in;
	struct body body;
	struct tickets tickets;
	struct members params; /* of the request that its handler has just now, as far as noted */

	struct buf out;       /* goes out as it stands */
	struct buf behind;    /* messages that wait for the end of the open stream */
	struct stream *open;  /* the stream that is on the wire; NULL: none */
	struct list waiting;  /* streams that wait for their turn */
	size_t waiting_bytes; /* ... and the memory of their headers */

	char call_prefix[KEDGE_CALL_PREFIX_MAX + 1]; /* empty: this side does not ask */
	uint64_t call_serial;
	struct map calls; /* numbers that wait for an answer */

	bool fed;        /* within kedge_conn_received() or _sent(): the caller looks for output */
	bool processing; /* going through messages: answers given meanwhile start no second round */
	bool telling;    /* within on_output: the message that it is about may not be whole */
	bool turning;    /* opening streams: ends given meanwhile start no second round */
	bool eof;        /* nothing more comes in */
	bool draining;   /* nothing more is wanted */
	bool dead;       /* no memory, or too much output: to be closed at once */
};

/* Finish the connection at once. Return: @error. */
int conn_die(struct kedge_conn *conn, int error);

/* Go through what has come in, as far as limits allow. */
void conn_process(struct kedge_conn *conn);

/* The open request of a ticket; NULL: none, or the connection is finished. */
static inline struct ticket_slot *conn_find(const struct kedge_conn *conn, uint64_t ticket)
{
	return conn->dead ? NULL : tickets_find(&conn->tickets, ticket);
}

/* Whether messages are frames. Before the first byte: those that will be sent are. */
static inline bool conn_is_framed(const struct kedge_conn *conn)
{
	return conn->protocol == KEDGE_PROTOCOL_FRAMES && conn->in.state != INPUT_LINE;
}

/* Take one step in the input. Return: false: more bytes are needed for one. */
bool input_step(struct kedge_conn *conn);

/* Whether what comes next belongs to a message that has begun. */
static inline bool input_is_inside(const struct kedge_conn *conn)
{
	return conn->in.left || conn->in.state == INPUT_BODY || conn->in.state == INPUT_CHUNK;
}

/* The end of the stream has come, and half a message is left. */
void input_end(struct kedge_conn *conn);

/**
 * request_take() - a message came
 * @text: the envelope; may be changed in place
 *
 * Return: what to expect next in the input: INPUT_ENVELOPE where nothing follows.
 */
enum input_state request_take(struct kedge_conn *conn, struct kedge_span text);

/**
 * request_take_line() - as request_take(), where nobody has looked for the end of the line yet
 * @text: what has come of it, and maybe more
 *
 * Return: the size of the line; 0: nothing was done: look for its end, and call request_take().
 */
size_t request_take_line(struct kedge_conn *conn, struct kedge_span text);

/**
 * request_take_frame() - as request_take(), where more is known to follow the envelope
 * @text: begins with the envelope of @size bytes, all of which has come
 *
 * Return: whether it was taken; false: nothing was done: call request_take().
 */
bool request_take_frame(struct kedge_conn *conn, struct kedge_span text, size_t size);

/* Give a request to its handler. */
void request_dispatch(struct kedge_conn *conn, struct kedge_request *request);

/* Refuse a message that has no ticket. */
void request_refuse(struct kedge_conn *conn, struct kedge_span id, const char *text, int status);

/* ... since it has @size bytes, or the one with the id @id has a body of so many. */
void request_refuse_large(struct kedge_conn *conn, struct kedge_span id, size_t size);
void request_large_text(const struct kedge_conn *conn, size_t size, char *to, size_t room);

/* The id of messages that have none. */
extern const struct kedge_span id_unknown;

/* How a body follows an envelope with these headers, by frames. */
enum input_state body_announced(struct kedge_span headers);

/* A body follows that belongs to @request, which lies within @text. */
void body_expect(struct kedge_conn *conn, const struct kedge_request *request,
		 struct kedge_span text, enum input_state how);

/* Its one frame was announced. Return: whether to wait for it. */
bool body_admit(struct kedge_conn *conn, uint32_t size);

/* ... and is there. */
void body_take(struct kedge_conn *conn, struct kedge_span bytes);

/* A chunk of @size bytes was announced; a piece of it is there; the last was there. */
void body_chunk(struct kedge_conn *conn, uint32_t size);
void body_piece(struct kedge_conn *conn, struct kedge_span piece);
void body_end(struct kedge_conn *conn);

/* The rest will never come, or is not wanted any more. */
void body_break(struct kedge_conn *conn);

/* Move what waited behind a stream to the output, where the stream's end is. Return: 0; -ENOMEM. */
int output_unblock(struct kedge_conn *conn);

/* End the stream of a request, as far as it was begun. Return: as message_end(). */
int stream_finish(struct kedge_conn *conn, struct ticket_slot *slot);

/* Forget a stream of which the client has not seen anything. Return: whether there was one. */
bool stream_forget(struct kedge_conn *conn, struct ticket_slot *slot);

/* Forget whatever stream there is: the connection ends. */
void stream_drop(struct kedge_conn *conn, struct ticket_slot *slot);

/* Let the next stream that waits have its turn. */
void stream_turn(struct kedge_conn *conn);

/* There is room in the output again. */
void stream_resume(struct kedge_conn *conn);

/* A request got its answer: go on with what had to wait for that. */
static inline void conn_answered(struct kedge_conn *conn, struct ticket_slot *slot)
{
	tickets_drop(&conn->tickets, slot);
	if (conn->dead)
		return;
	if (!list_empty(&conn->waiting))
		stream_turn(conn);
	/* Within a round the next request has its turn anyway. */
	if (!conn->processing && buf_size(&conn->in.buf))
		conn_process(conn);
}

/* End a request without its handler: what was streamed ends, else @error is its answer. */
void cancel_request(struct kedge_conn *conn, struct ticket_slot *slot,
		    const struct kedge_rpc_error *error);

/* "$cancel" with the id @id. */
void cancel_asked(struct kedge_conn *conn, struct kedge_span id, struct kedge_span params);

struct envelope;

/* Whether an id, a string, is one that only this side may use. */
bool calls_own_id(const struct kedge_conn *conn, struct kedge_span id);

/* An answer to a call of ours. */
void calls_take_answer(struct kedge_conn *conn, const struct envelope *e);
