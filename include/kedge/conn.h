/*
 * kedge/conn.h - one JSON RPC connection, server side, without any I/O.
 *
 * Messages are JSON values: lines, or frames with a length in front, which also
 * carry raw bodies and streams. How both look to the byte is told in the
 * protocol's own document; this header tells how they are used.
 *
 * Bytes go in, requests come out as callbacks; answers go in, bytes to send
 * are taken out. The caller owns the socket and the loop: the same code runs
 * under libuv, in a plain poll loop, in the fuzzer and in the simulator.
 *
 *	for (;;) {
 *		void *to = kedge_conn_input(conn, &room);
 *		n = read(fd, to, room);
 *		kedge_conn_received(conn, n);          // callbacks run in here
 *		while (kedge_conn_output(conn, &data, &size)) {
 *			n = write(fd, data, size);
 *			kedge_conn_sent(conn, n);
 *		}
 *		if (kedge_conn_is_finished(conn))
 *			break;
 *	}
 *
 * All answers to one kedge_conn_received() stand in one piece of output, so
 * that they leave in one write.
 *
 * A callback may call any function on its connection but kedge_conn_free() and
 * those that feed it: kedge_conn_input(), _received(), _received_eof(), _sent(). Of
 * these on_output may call none but those that only look, as it comes in the midst of
 * a function on the connection.
 *
 * Threads: a connection belongs to one thread at a time. Nothing blocks.
 */
#ifndef KEDGE_CONN_H
#define KEDGE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kedge/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_conn;

/* Bytes in somebody else's memory, without a NUL. {NULL, 0}: absent. */
struct kedge_span {
	const char *data;
	size_t size;
};

/* How messages are told apart. */
enum kedge_protocol {
	/* One JSON value a line, ended by a newline. No bodies. */
	KEDGE_PROTOCOL_LINES = 0,

	/*
	 * The first byte that comes decides: '{' makes it lines for good, anything
	 * else frames: a big-endian length of four bytes, then so many bytes. What
	 * is sent before the first byte came is sent in frames. In both, the method
	 * "$cancel" belongs to the connection.
	 */
	KEDGE_PROTOCOL_FRAMES,
};

/**
 * struct kedge_conn_limits - what one connection may use; zero means the default
 * @message_bytes_max: longest line or frame, and longest collected body; 0: 16 MiB.
 *                     A longer one is skipped, not buffered, and answered with 413
 * @depth_max:         deepest nesting of a message; 0: 128; at most 1024
 * @in_flight_max:     requests without an answer; 0: 1024. At the limit reading
 *                     is paused, also of "$cancel"; nothing is refused
 * @output_bytes_high: while more than so many bytes wait to be sent no further
 *                     request is read and the writer of a stream has to wait;
 *                     0: 1 MiB
 * @output_bytes_max:  a message that would go beyond is refused with -ENOBUFS, and
 *                     the connection is finished; 0: 64 MiB. What waits behind an
 *                     open stream counts too
 *
 * A body that is being received is read on whatever the other limits say: it
 * makes no answers, and its request may need it to come to an end.
 */
struct kedge_conn_limits {
	size_t message_bytes_max;
	unsigned depth_max;
	unsigned in_flight_max;
	size_t output_bytes_high;
	size_t output_bytes_max;
};

/* What belongs to a request beside its envelope. */
enum kedge_body {
	KEDGE_BODY_NONE = 0,
	KEDGE_BODY_WHOLE, /* @body holds it: it came in one frame, or in chunks that were collected
			   */
	KEDGE_BODY_STREAMED, /* it comes by on_body, piece by piece */
};

/* What to do with a body that comes in chunks. */
enum kedge_upload {
	KEDGE_UPLOAD_COLLECT = 0, /* gather it, up to message_bytes_max; then on_request */
	KEDGE_UPLOAD_STREAM,      /* on_request at once, then on_body for what comes */
};

/**
 * struct kedge_request - what a client asks
 * @ticket:  names this request when it is answered, now or later; never 0,
 *           never used twice on a connection
 * @id:      JSON text of the id as it came, quotes included
 * @method:  the method's name, escapes resolved; not NUL-terminated
 * @params:  JSON text as it came, checked to be valid; absent: size 0
 * @headers: JSON text as it came; absent: size 0
 * @body_kind: whether there is a body. Lines bring none, whatever their headers say
 * @body:    the bytes of KEDGE_BODY_WHOLE; may be empty, with data not NULL
 *
 * The spans are valid during the callback only. The id is kept by the connection.
 */
struct kedge_request {
	uint64_t ticket;
	struct kedge_span id;
	struct kedge_span method;
	struct kedge_span params;
	struct kedge_span headers;
	enum kedge_body body_kind;
	struct kedge_span body;
};

/**
 * struct kedge_rpc_error - a refusal, as the client sees it
 * @text:        what is said; not empty; any UTF-8
 * @status:      as in HTTP, 400 to 599
 * @code:        e.g. "BAD_REQUEST"; NULL: the one that belongs to @status
 * @details:     JSON text for errorDetails; absent: size 0
 */
struct kedge_rpc_error {
	struct kedge_span text;
	int status;
	const char *code;
	struct kedge_span details;
};

/**
 * struct kedge_conn_answer - the other side's answer to kedge_conn_call()
 * @number:  which call
 * @failed:  there is a member "error", whatever its value
 * @status:  0: none was sent
 *
 * JSON text, valid during the callback; what is absent has size 0.
 */
struct kedge_conn_answer {
	uint64_t number;
	bool failed;
	struct kedge_span result;
	struct kedge_span error;
	struct kedge_span error_code;
	struct kedge_span error_details;
	int status;
};

/**
 * struct kedge_conn_handlers - what a connection calls; all get @userdata
 * @on_request:  a request that passed the checks of the wire. Answer it in the
 *               callback or at any time later, by its ticket
 * @on_cancel:   the answer to @ticket is no longer wanted: the client is gone,
 *               has cancelled it, or broke its body off. The ticket is void
 *               already; @tag is what kedge_conn_set_tag() left with it
 * @on_output:   output begins to wait outside of kedge_conn_received() and
 *               _sent(): have it sent soon. Nothing of the connection may be
 *               changed from here
 * @on_upload:   a body in chunks begins (the ticket is 0 as yet). NULL: collect
 * @on_body:     a piece of a KEDGE_BODY_STREAMED body; size 0: its end. Pieces are
 *               not the chunks that were sent: they are cut as reads come.
 *               An answer given before the end makes the rest be skipped
 * @on_writable: the stream of @ticket may be written to (again). May come from
 *               within any function on the connection
 * @on_answer:   an answer to kedge_conn_call(). It is forgotten before the callback
 *
 * All but on_request may be NULL; on_upload needs on_body.
 */
struct kedge_conn_handlers {
	void (*on_request)(struct kedge_conn *conn, const struct kedge_request *request,
			   void *userdata);
	void (*on_cancel)(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata);
	void (*on_output)(struct kedge_conn *conn, void *userdata);
	enum kedge_upload (*on_upload)(struct kedge_conn *conn, const struct kedge_request *request,
				       void *userdata);
	void (*on_body)(struct kedge_conn *conn, uint64_t ticket, void *tag,
			struct kedge_span piece, void *userdata);
	void (*on_writable)(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata);
	void (*on_answer)(struct kedge_conn *conn, const struct kedge_conn_answer *answer,
			  void *userdata);
};

/* The longest call_prefix. */
#define KEDGE_CALL_PREFIX_MAX 16

/**
 * struct kedge_conn_options - what a connection is made of
 * @size:        sizeof(struct kedge_conn_options)
 * @handlers:    copied
 * @call_prefix: this side asks as well (kedge_conn_call()), with the ids PREFIX1,
 *               PREFIX2, ...: printable ASCII without quotes and backslashes, at
 *               most KEDGE_CALL_PREFIX_MAX bytes; copied. Then ids of requests
 *               must be strings, and those that begin with it are refused.
 *               NULL: it does not ask
 * @spares:      buffers to share with the other connections of this thread;
 *               borrowed, outlive the connection. NULL: it has its own
 */
struct kedge_conn_options {
	size_t size;
	struct kedge_conn_limits limits;
	struct kedge_conn_handlers handlers;
	void *userdata;
	enum kedge_protocol protocol;
	const char *call_prefix;
	struct kedge_conn_spares *spares;
};

/* Buffers that connections lend each other: each works in them, and one that is idle keeps
 * no memory for its input and output. Return: NULL: no memory. */
KEDGE_PUBLIC struct kedge_conn_spares *kedge_conn_spares_new(void);

/* When no connection is left that uses them. May be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_conn_spares *kedge_conn_spares_free(struct kedge_conn_spares *spares);

/* Make a connection; the caller ends it by kedge_conn_free(). Return: 0; -EINVAL: a handler
 * is missing, a limit is out of range, or the prefix is none; -ENOMEM. */
KEDGE_PUBLIC int kedge_conn_new(struct kedge_conn **ret_conn,
				const struct kedge_conn_options *options);

/* End it: on_cancel for all that is in flight. Not from a callback of its own.
 * May be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_conn *kedge_conn_free(struct kedge_conn *conn);

/**
 * kedge_conn_input() - where the next bytes from the client are to be put
 * @ret_room: how many there is room for, at least 1
 *
 * Valid until the next call on the connection.
 *
 * Return: the place, or NULL: no memory; try later or close.
 */
KEDGE_PUBLIC void *kedge_conn_input(struct kedge_conn *conn, size_t *ret_room);

/**
 * kedge_conn_received() - @n bytes were put at kedge_conn_input()
 *
 * Calls on_request for each whole message. While the connection is paused what
 * was received waits in it, and is gone through as soon as it goes on.
 *
 * Return: 0; -ENOMEM: the connection cannot go on and is finished.
 */
KEDGE_PUBLIC int kedge_conn_received(struct kedge_conn *conn, size_t n);

/* The client has ended its side. What it sent before is still answered. */
KEDGE_PUBLIC void kedge_conn_received_eof(struct kedge_conn *conn);

/* Whether to go on reading. False: paused by a limit, at its end, or finished.
 * To be asked again after kedge_conn_sent() and after each answer. */
KEDGE_PUBLIC bool kedge_conn_wants_input(const struct kedge_conn *conn);

/**
 * kedge_conn_output() - what is to be sent next
 *
 * The bytes stay in place and may grow behind their end (at another address)
 * until kedge_conn_sent() takes them away: after any other call on the
 * connection ask again.
 *
 * Return: true, or false: nothing to send.
 */
KEDGE_PUBLIC bool kedge_conn_output(struct kedge_conn *conn, const void **ret_data,
				    size_t *ret_size);

/* @n bytes of kedge_conn_output() were sent. May call on_request and on_writable
 * for what had waited for room. */
KEDGE_PUBLIC void kedge_conn_sent(struct kedge_conn *conn, size_t n);

/* Bytes that kedge_conn_output() has. What waits behind an open stream is not among them. */
KEDGE_PUBLIC size_t kedge_conn_output_bytes(const struct kedge_conn *conn);

/* Requests without an answer, open streams among them. */
KEDGE_PUBLIC unsigned kedge_conn_in_flight(const struct kedge_conn *conn);

/* Nothing more will come in, all is answered and sent: close the socket. */
KEDGE_PUBLIC bool kedge_conn_is_finished(const struct kedge_conn *conn);

/* Remember something with an open request; the callbacks bring it back. Return: 0;
 * -ESTALE: no such ticket. */
KEDGE_PUBLIC int kedge_conn_set_tag(struct kedge_conn *conn, uint64_t ticket, void *tag);

/* Return: the tag; NULL: none was set, or no such ticket. */
KEDGE_PUBLIC void *kedge_conn_tag(struct kedge_conn *conn, uint64_t ticket);

/* The id of an open request, JSON text; absent: no such ticket. Within on_request it is
 * valid as long as the request's spans, afterwards until the request is answered. */
KEDGE_PUBLIC struct kedge_span kedge_conn_request_id(struct kedge_conn *conn, uint64_t ticket);

/**
 * kedge_conn_param() - a member of a request's params, within on_request
 * @params: as the request has them: JSON text of any kind, or size 0
 * @name:   without escapes, as the decoded name would be
 *
 * Members were noted when the text was checked, as far as they are few: for most requests
 * the text is not looked at again.
 *
 * Return: the JSON text of the last member with that name, valid as long as @params; size 0:
 * there is none, or @params is no object.
 */
KEDGE_PUBLIC struct kedge_span kedge_conn_param(const struct kedge_conn *conn,
						struct kedge_span params, struct kedge_span name);

/**
 * kedge_conn_hold() - take no more of a streamed body for now
 *
 * Until kedge_conn_release() on_body is not called, and the connection, of which
 * the body is a part, reads no further. No effect where the body is complete.
 *
 * Return: 0; -ESTALE.
 */
KEDGE_PUBLIC int kedge_conn_hold(struct kedge_conn *conn, uint64_t ticket);

/* Go on. May call on_body and on_request. Return: 0; -ESTALE. */
KEDGE_PUBLIC int kedge_conn_release(struct kedge_conn *conn, uint64_t ticket);

/**
 * kedge_conn_reply() - answer a request: {"id":ID,"result":RESULT}
 * @result: JSON text, compact and valid (asserted in debug builds, sent as it
 *          is); size 0: the member is left out
 *
 * Return: 0; -ESTALE: no such ticket (cancelled, or answered before); -EINVAL:
 *         its stream was begun; -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_reply(struct kedge_conn *conn, uint64_t ticket,
				  struct kedge_span result);

/**
 * kedge_conn_reply_parts() - the same with a result in parts, written one behind the other
 *
 * Saves a handler that puts text around a value the buffer, and the copy, to do so.
 *
 * Return: as kedge_conn_reply().
 */
KEDGE_PUBLIC int kedge_conn_reply_parts(struct kedge_conn *conn, uint64_t ticket,
					const struct kedge_span *parts, size_t count);

/* Refuse a request. A stream of it that the client has begun to see can only be ended,
 * and is. Return: as kedge_conn_reply(), without -EINVAL. */
KEDGE_PUBLIC int kedge_conn_fail(struct kedge_conn *conn, uint64_t ticket,
				 const struct kedge_rpc_error *error);

/**
 * kedge_conn_reply_body() - answer with raw bytes
 * @headers: JSON text of an object, or size 0: none. Its members content-length and
 *           transfer-encoding are left out, the right one is added at the end
 * @body:    may be empty. Copied
 *
 * On lines the envelope is sent alone.
 *
 * Return: as kedge_conn_reply().
 */
KEDGE_PUBLIC int kedge_conn_reply_body(struct kedge_conn *conn, uint64_t ticket,
				       struct kedge_span headers, struct kedge_span body);

/**
 * kedge_conn_stream_begin() - answer with a stream of chunks
 * @headers: as in kedge_conn_reply_body()
 *
 * Chunks carry no id, so one stream at a time is on the wire. While it is open all
 * other messages of the connection wait behind it; a second stream takes its
 * turn, in the order in which they were begun. On lines nothing is sent until
 * the end, then one envelope with the content-length of the total.
 *
 * Return: 0: go on; 1: begun, but wait for on_writable before the first write;
 *         -ESTALE; -EINVAL: begun before; -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_stream_begin(struct kedge_conn *conn, uint64_t ticket,
					 struct kedge_span headers);

/**
 * kedge_conn_stream_write() - send a chunk
 * @chunk: copied; an empty one is left out
 *
 * Return: 0: go on; 1: taken, but wait for on_writable before the next; -EAGAIN: not
 *         taken, wait for on_writable; -ESTALE: cancelled or gone; -EINVAL: not
 *         begun; -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_stream_write(struct kedge_conn *conn, uint64_t ticket,
					 struct kedge_span chunk);

/* The stream is complete. May be called at any time after the beginning; what waited
 * behind it goes out. Return: as kedge_conn_stream_write(), but never 1 or -EAGAIN. */
KEDGE_PUBLIC int kedge_conn_stream_end(struct kedge_conn *conn, uint64_t ticket);

/**
 * kedge_conn_push() - send an event: {"event":NAME,"data":DATA}
 * @name: any UTF-8 text; it is escaped
 * @data: JSON text, compact and valid; size 0: the member is left out
 *
 * Return: 0; -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_push(struct kedge_conn *conn, const char *name, struct kedge_span data);

/* Send a message as it is: JSON text, compact, without a newline. Return: as kedge_conn_push(). */
KEDGE_PUBLIC int kedge_conn_send(struct kedge_conn *conn, struct kedge_span message);

/**
 * kedge_conn_call() - ask the other side: {"id":"PREFIXN","method":METHOD,"params":PARAMS}
 * @params: JSON text, compact and valid; size 0: the member is left out
 * @ret_number: names the call in the answer; never 0; may be NULL
 *
 * The answer comes by on_answer. Time-outs are the caller's: kedge_conn_forget().
 * Calls that wait when the connection ends are not told.
 *
 * Return: 0; -EINVAL: there is no call_prefix; -EBUSY: 65,536 wait already; -ENOMEM,
 *         -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_call(struct kedge_conn *conn, const char *method,
				 struct kedge_span params, uint64_t *ret_number);

/* Forget a call: its answer will be dropped. */
KEDGE_PUBLIC void kedge_conn_forget(struct kedge_conn *conn, uint64_t number);

/* Take no more requests. What is in flight is answered and sent, what this side has asked
 * is waited for; then the connection is finished. */
KEDGE_PUBLIC void kedge_conn_drain(struct kedge_conn *conn);

/* A span of a NUL-terminated text. */
static inline struct kedge_span kedge_span(const char *text)
{
	struct kedge_span span = { text, text ? strlen(text) : 0 };

	return span;
}

#ifdef __cplusplus
}
#endif

#endif
