/*
 * kedge/uvclient.h - a JSON RPC client on a libuv loop that stays connected.
 *
 *	kedge_uvclient_new(&client, loop, "gateway", NULL, &error);
 *	kedge_uvclient_call(client, &(struct kedge_ask){ .method = "get_feature_flags",
 *							 .on_reply = on_flags }, NULL);
 *	uv_run(loop, UV_RUN_DEFAULT);
 *
 * A connection that is lost is made again, after a pause that doubles from try
 * to try and is jittered, so that a server that comes back does not meet all of
 * its clients at once. A streak of failures is told once when it begins and
 * once when it ends, by on_log.
 *
 * Threads: everything belongs to the loop's thread. Nothing blocks. The client keeps the loop
 * alive until it is freed. Callbacks run in the loop, never in the functions here, but
 * those of calls that are open at kedge_uvclient_free() or cancelled. They may call every
 * function here.
 */
#ifndef KEDGE_UVCLIENT_H
#define KEDGE_UVCLIENT_H

#include <uv.h>

#include "kedge/client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_uvclient;

/* What a client has to say about its connection; one line each. */
enum kedge_uvclient_event {
	KEDGE_UVCLIENT_FAILED = 0, /* the first failure of a streak: lost, or not to be reached */
	KEDGE_UVCLIENT_RECOVERED,  /* "... after 2.3 s (41 failures not told)" */
};

#define KEDGE_RECONNECT_FIRST_MS 100
#define KEDGE_RECONNECT_MAX_MS   5000

/**
 * struct kedge_uvclient_options - zero means the default
 * @size:               sizeof(struct kedge_uvclient_options)
 * @protocol, @id_prefix, @limits, @handlers: as in struct kedge_caller_options
 * @workspace:          for an endpoint's name, as in kedge_endpoint_resolve()
 * @reconnect_first_ms: the first pause; 0: 100
 * @reconnect_max_ms:   no pause is longer; 0: 5,000. Each is taken at random from
 *                      the upper half of its length
 * @seed:               of that; 0: taken from the system
 * @on_connection:      1: connected; 0: not any more. May be NULL
 * @on_writable:        less than half a MiB waits to be sent, after there was more: go on
 *                      with kedge_caller_upload(). May be NULL
 * @on_log:             may be NULL
 * @userdata:           passed to all of them, and to @handlers
 */
struct kedge_uvclient_options {
	size_t size;
	enum kedge_protocol protocol;
	const char *id_prefix;
	struct kedge_caller_limits limits;
	struct kedge_caller_handlers handlers;
	const char *workspace;
	unsigned reconnect_first_ms;
	unsigned reconnect_max_ms;
	uint64_t seed;
	void (*on_connection)(int connected, void *userdata);
	void (*on_writable)(void *userdata);
	void (*on_log)(enum kedge_uvclient_event event, const char *line, void *userdata);
	void *userdata;
};

/**
 * kedge_uvclient_new() - make a client that connects in the loop's next round
 * @ret_client: owned by the caller, who ends it by kedge_uvclient_free()
 * @loop:    borrowed, outlives the client
 * @where:   a path (it has a '/'; of any length), or an endpoint's name; copied
 * @options: borrowed; NULL: all defaults
 * @error:   filled on failure; may be NULL
 *
 * That nobody listens there is no error: it is tried again.
 *
 * Return: 0; -EINVAL: the name, or an option; -ENOMEM.
 */
KEDGE_PUBLIC int kedge_uvclient_new(struct kedge_uvclient **ret_client, uv_loop_t *loop,
				    const char *where, const struct kedge_uvclient_options *options,
				    struct kedge_error *error);

/* End it: open calls are told KEDGE_OUTCOME_LOST, handles are closed in the loop's next
 * rounds. From a callback of its own it takes effect when that has returned. May be
 * NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_uvclient *kedge_uvclient_free(struct kedge_uvclient *client);

/**
 * kedge_uvclient_call() - ask something
 * @ask: @timeout_ms counts from here; @deadline_ns is not looked at
 * @ret_number: names the call; never 0, never used twice; may be NULL
 *
 * A call with KEDGE_IF_LOST_RESEND waits for a connection, until its time-out, and is sent
 * again on each new one until it is answered. One with KEDGE_IF_LOST_FAIL waits for the
 * try that is under way at the most, and is told KEDGE_OUTCOME_LOST when that fails or
 * the connection goes.
 *
 * Return: 0; -ENOTCONN: with FAIL, in a pause between tries; else as
 *         kedge_caller_call(). Then no callback is called.
 */
KEDGE_PUBLIC int kedge_uvclient_call(struct kedge_uvclient *client, const struct kedge_ask *ask,
				     uint64_t *ret_number);

/* As kedge_caller_cancel(). */
KEDGE_PUBLIC int kedge_uvclient_cancel(struct kedge_uvclient *client, uint64_t number);

/* Drop the connection, what waits to be sent with it, and make another: for an upload that
 * cannot be completed, since chunks carry no id and its end would pass for the body's. What
 * is in flight is told KEDGE_OUTCOME_LOST, or is sent again. No failure is told. From a
 * callback of its own it takes effect when that has returned. */
KEDGE_PUBLIC void kedge_uvclient_reset(struct kedge_uvclient *client);

/* The caller beneath: for uploads, answers to the server's requests, ids. What it has to
 * say is sent when the callback has returned, or by kedge_uvclient_flush(). Borrowed. */
KEDGE_PUBLIC struct kedge_caller *kedge_uvclient_caller(struct kedge_uvclient *client);
KEDGE_PUBLIC void kedge_uvclient_flush(struct kedge_uvclient *client);

/* Stop reading, e.g. while nobody takes the bytes of a stream: the server is paused as
 * well once the socket is full. At most one read is still handed over. While paused a
 * loss is not noticed. */
KEDGE_PUBLIC void kedge_uvclient_pause(struct kedge_uvclient *client);
KEDGE_PUBLIC void kedge_uvclient_resume(struct kedge_uvclient *client);

/* Return: 1: connected; 0: not. */
KEDGE_PUBLIC int kedge_uvclient_is_connected(const struct kedge_uvclient *client);

#ifdef __cplusplus
}
#endif

#endif
