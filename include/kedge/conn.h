/*
 * kedge/conn.h - one JSON RPC connection, server side, without any I/O.
 *
 * Messages are lines: one JSON value each, ended by a newline.
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
 * Threads: a connection belongs to one thread at a time. Nothing blocks.
 */
#ifndef KEDGE_CONN_H
#define KEDGE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/**
 * struct kedge_conn_limits - what one connection may use; zero means the default
 * @message_bytes_max: longest message; 0: 16 MiB. A longer one is skipped, not
 *                     buffered, and answered with 413
 * @depth_max:         deepest nesting of a message; 0: 128; at most 1024
 * @in_flight_max:     requests without an answer; 0: 1024. At the limit reading
 *                     is paused, nothing is refused
 * @output_bytes_high: reading is paused while more than so many bytes wait to
 *                     be sent; 0: 1 MiB
 * @output_bytes_max:  a push that would go beyond is refused with -ENOBUFS, and
 *                     the connection is finished; 0: 64 MiB. Answers count too
 */
struct kedge_conn_limits {
	size_t message_bytes_max;
	unsigned depth_max;
	unsigned in_flight_max;
	size_t output_bytes_high;
	size_t output_bytes_max;
};

/**
 * struct kedge_request - what a client asks
 * @ticket:  names this request when it is answered, now or later; never 0,
 *           never used twice on a connection
 * @id:      JSON text of the id as it came, quotes included
 * @method:  the method's name, escapes resolved; not NUL-terminated
 * @params:  JSON text as it came, checked to be valid; absent: size 0
 * @headers: JSON text as it came; absent: size 0
 *
 * The spans are valid during on_request only. The id is kept by the connection.
 */
struct kedge_request {
	uint64_t ticket;
	struct kedge_span id;
	struct kedge_span method;
	struct kedge_span params;
	struct kedge_span headers;
};

/**
 * struct kedge_rpc_error - a refusal, as the client sees it
 * @text:        what is said; not empty; any UTF-8
 * @status:      as in HTTP, 400 to 599
 * @code:        e.g. "BAD_REQUEST"
 * @details:     JSON text for errorDetails; absent: size 0
 */
struct kedge_rpc_error {
	struct kedge_span text;
	int status;
	const char *code;
	struct kedge_span details;
};

/**
 * struct kedge_conn_handlers - what a connection calls; all get @userdata
 * @on_request: a request that passed the checks of the wire. Answer it with
 *              kedge_conn_reply() or kedge_conn_fail(), in the callback or
 *              at any time later, by its ticket
 * @on_cancel:  the answer to @ticket is no longer wanted (the client is gone or
 *              cancelled it). May be NULL. Do not answer it any more
 * @on_output:  called when output begins to wait outside of
 *              kedge_conn_received(): have it sent. May be NULL
 */
struct kedge_conn_handlers {
	void (*on_request)(struct kedge_conn *conn, const struct kedge_request *request,
			   void *userdata);
	void (*on_cancel)(struct kedge_conn *conn, uint64_t ticket, void *userdata);
	void (*on_output)(struct kedge_conn *conn, void *userdata);
};

struct kedge_conn_options {
	size_t size; /* sizeof(struct kedge_conn_options) */
	struct kedge_conn_limits limits;
	struct kedge_conn_handlers handlers; /* copied */
	void *userdata;
};

/* Make a connection. Return: 0; -EINVAL: on_request is missing or a limit is
 * out of range; -ENOMEM. */
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

/* @n bytes of kedge_conn_output() were sent. May call on_request for what
 * had waited for room. */
KEDGE_PUBLIC void kedge_conn_sent(struct kedge_conn *conn, size_t n);

/* Bytes that wait to be sent. */
KEDGE_PUBLIC size_t kedge_conn_output_bytes(const struct kedge_conn *conn);

/* Requests without an answer. */
KEDGE_PUBLIC unsigned kedge_conn_in_flight(const struct kedge_conn *conn);

/* Nothing more will come in, all is answered and sent: close the socket. */
KEDGE_PUBLIC bool kedge_conn_is_finished(const struct kedge_conn *conn);

/**
 * kedge_conn_reply() - answer a request: {"id":ID,"result":RESULT}
 * @result: JSON text, compact and valid (asserted in debug builds, sent as it
 *          is); size 0: the member is left out
 *
 * Return: 0; -ESTALE: no such ticket (cancelled, or answered before);
 *         -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_reply(struct kedge_conn *conn, uint64_t ticket,
				  struct kedge_span result);

/* Refuse a request. Return: as kedge_conn_reply(). */
KEDGE_PUBLIC int kedge_conn_fail(struct kedge_conn *conn, uint64_t ticket,
				 const struct kedge_rpc_error *error);

/**
 * kedge_conn_push() - send an event: {"event":NAME,"data":DATA}
 * @name: any UTF-8 text; it is escaped
 * @data: JSON text, compact and valid; size 0: the member is left out
 *
 * Return: 0; -ENOMEM, -ENOBUFS: the connection is finished.
 */
KEDGE_PUBLIC int kedge_conn_push(struct kedge_conn *conn, const char *name, struct kedge_span data);

/* Take no more requests; answer what is in flight, send it, then be finished. */
KEDGE_PUBLIC void kedge_conn_drain(struct kedge_conn *conn);

/* A span of a NUL-terminated text. */
static inline struct kedge_span kedge_span(const char *text)
{
	struct kedge_span span = { text, 0 };

	while (text && text[span.size])
		span.size++;
	return span;
}

#ifdef __cplusplus
}
#endif

#endif
