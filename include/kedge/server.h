/*
 * kedge/server.h - a guarded JSON RPC server on a libuv loop.
 *
 *	static void hello(const struct kedge_call *call, void *userdata)
 *	{
 *		kedge_call_reply(call, kedge_span("{\"hello\":\"world\"}"));
 *	}
 *
 *	static const struct kedge_method methods[] = { { .name = "hello", .handler = hello } };
 *
 *	struct kedge_server_options options = { .size = sizeof(options) };
 *
 *	kedge_server_new(&server, uv_default_loop(), &options, &error);
 *	kedge_server_add_methods(server, methods, 1);
 *	kedge_server_listen(server, "/run/x/x.sock", NULL, &error);
 *	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
 *
 * A method answers in its handler (kedge_call_reply()), or keeps the call's
 * `later` and answers when it can: on the loop (kedge_server_reply()), from any
 * thread (kedge_server_post_reply()), or with a stream (kedge_server_stream_*()).
 * What is written outside of a handler leaves at the end of the loop's round,
 * all of it in one write.
 *
 * Threads: everything belongs to the loop's thread, but kedge_server_post(),
 * _post_reply() and _post_error(), which may be called from any.
 *
 * Nothing blocks, but kedge_server_listen() for as long as kedge_guard_listen() does.
 *
 * Callbacks may call every function of this header, also kedge_server_stop()
 * and kedge_server_disconnect(), but not kedge_server_free().
 */
#ifndef KEDGE_SERVER_H
#define KEDGE_SERVER_H

#include <uv.h>

#include "kedge/conn.h"
#include "kedge/guard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_server;

/* Who is connected, as the kernel noted it at connect(2). */
struct kedge_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* Names a request beyond its handler: plain numbers, to be copied freely. */
struct kedge_later {
	uint64_t client; /* a connection; never used twice */
	uint64_t ticket; /* a request on it */
};

/**
 * struct kedge_call - one request, in its handler
 * @conn:      the connection beneath, for kedge_conn_*(). Not for answers and
 *             streams: those by the functions below, which count
 * @id:        JSON text of the id
 * @method, @params, @headers, @body_kind, @body: as in struct kedge_request;
 *             valid during the handler
 * @later:     keep this to answer after the handler has returned
 * @peer:      who asks
 */
struct kedge_call {
	struct kedge_server *server;
	struct kedge_conn *conn;
	struct kedge_span id;
	struct kedge_span method;
	struct kedge_span params;
	struct kedge_span headers;
	enum kedge_body body_kind;
	struct kedge_span body;
	struct kedge_later later;
	struct kedge_peer peer;
};

/* A method: answers @call, or keeps its @later. */
typedef void kedge_method_fn(const struct kedge_call *call, void *userdata);

/* Groups of the system that the methods of a server may name, all in all. */
#define KEDGE_METHOD_GROUPS_MAX 64

/**
 * struct kedge_method - a row of a method table; what is not said is zero
 * @name:        as in the request; the whole table is borrowed for the server's life
 * @handler:     called for each request
 * @userdata:    passed to all functions of the row
 * @group:       a group of the system: only peers in it, and root, may call the
 *               method, others get 403 `Not allowed: METHOD needs group GROUP`.
 *               NULL: whoever may connect
 * @upload:      what is done with bodies that come in chunks; see enum kedge_upload
 * @on_body:     a piece of a body that is streamed; size 0: its end
 * @on_cancel:   the answer is no longer wanted: cancelled, or the client is gone.
 *               @later is stale by then
 * @on_writable: the stream may be written to (again)
 */
struct kedge_method {
	const char *name;
	kedge_method_fn *handler;
	void *userdata;
	const char *group;
	enum kedge_upload upload;
	void (*on_body)(struct kedge_server *server, struct kedge_later later,
			struct kedge_span piece, void *userdata);
	void (*on_cancel)(struct kedge_server *server, struct kedge_later later, void *userdata);
	void (*on_writable)(struct kedge_server *server, struct kedge_later later, void *userdata);
};

/**
 * kedge_fallback_fn - called for a method that no row names
 * @userdata: of the server's options
 *
 * Return: a row whose callbacks belong to this request (its handler and name are
 *         not looked at): it is taken, and will be answered or is already; or
 *         NULL: it is not, and is answered with `Unknown method`.
 */
typedef const struct kedge_method *kedge_fallback_fn(const struct kedge_call *call, void *userdata);

/* What a server has to say about itself; one line each. */
enum kedge_server_event {
	KEDGE_SERVER_REFUSED = 0,   /* a peer was not allowed in */
	KEDGE_SERVER_ACCEPT_FAILED, /* no descriptor for a client: accepting pauses */
	KEDGE_SERVER_ACCEPT_RECOVERED,
	KEDGE_SERVER_FULL, /* the limit of clients is reached: accepting pauses */
};

#define KEDGE_CLIENTS_DEFAULT 10000

/* Who may connect besides the server's own user and root. */
struct kedge_allow {
	const uid_t *users;
	size_t user_count;
	const gid_t *groups;
	size_t group_count;
};

/**
 * struct kedge_server_options - how a server works; zero means the default
 * @size:        sizeof(struct kedge_server_options)
 * @guard:       the guard beneath: interval_ms, anchor_dir, mounting, on_event
 *               (with its userdata); on_listener is the server's own
 * @limits:      of each connection
 * @protocol:    lines, or frames where the first byte decides
 * @call_prefix: as in struct kedge_conn_options, for kedge_server_call(); borrowed
 * @clients_max: connections at a time; 0: 10,000. Beyond it accepting pauses
 * @allow:       copied. Anybody else is refused before a byte of theirs is read
 * @first_byte_ms: a client that has sent nothing for so long is closed; 0: never
 * @idle_ms:     ... that nothing came from, and nothing is in flight for; 0: never
 * @stalled_ms:  ... that takes nothing of what waits for it; 0: never
 * @fallback:    for methods that no row names; may be NULL
 * @fallback_upload: what is done with bodies in chunks that belong to it
 * @on_log:      a happening in words; each streak is told once; may be NULL
 * @on_open:     a client was let in; may be NULL
 * @on_close:    a connection is gone; what it asked later is void; may be NULL
 * @on_answer:   an answer to kedge_server_call(); may be NULL
 * @userdata:    passed to all of these
 *
 * The three times are kept to within a few ms, and cost no timer for a client.
 */
struct kedge_server_options {
	size_t size;
	struct kedge_guard_options guard;
	struct kedge_conn_limits limits;
	enum kedge_protocol protocol;
	const char *call_prefix;
	unsigned clients_max;
	struct kedge_allow allow;
	unsigned first_byte_ms;
	unsigned idle_ms;
	unsigned stalled_ms;
	kedge_fallback_fn *fallback;
	enum kedge_upload fallback_upload;
	void (*on_log)(enum kedge_server_event event, const char *line, void *userdata);
	void (*on_open)(uint64_t client, const struct kedge_peer *peer, void *userdata);
	void (*on_close)(uint64_t client, void *userdata);
	void (*on_answer)(uint64_t client, const struct kedge_conn_answer *answer, void *userdata);
	void *userdata;
};

/* Make a server on @loop, which is borrowed and outlives it; the caller ends it by
 * kedge_server_stop() and kedge_server_free(). Return: 0; -EINVAL: an option is out of
 * its range; -ENOMEM; -EMFILE. */
KEDGE_PUBLIC int kedge_server_new(struct kedge_server **ret_server, uv_loop_t *loop,
				  const struct kedge_server_options *options,
				  struct kedge_error *error);

/* Add methods. A name that is there already is replaced. Return: 0; -EINVAL: no name,
 * no handler, or a group that the system does not know; -E2BIG: more than 64 groups;
 * -ENOMEM. */
KEDGE_PUBLIC int kedge_server_add_methods(struct kedge_server *server,
					  const struct kedge_method *methods, size_t count);

/* Listen at a path, and guard it. Return: as kedge_guard_listen(). */
KEDGE_PUBLIC int kedge_server_listen(struct kedge_server *server, const char *path,
				     const struct kedge_listen_options *options,
				     struct kedge_error *error);

/**
 * kedge_server_stop() - take no more clients and requests, finish, close
 * @grace_ms: how long what is in flight may take; then it is cut off
 * @on_done:  called when all is closed and the paths are removed; the server may
 *            be freed from then on. May be NULL
 *
 * Called again it shortens the grace.
 */
KEDGE_PUBLIC void kedge_server_stop(struct kedge_server *server, unsigned grace_ms,
				    void (*on_done)(void *userdata), void *userdata);

/* Free a server that has stopped, or never listened: its handles are closed in
 * the loop's next rounds. May be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_server *kedge_server_free(struct kedge_server *server);

/* A member of the params, in the handler. Return: as kedge_conn_param(). */
static inline struct kedge_span kedge_call_param(const struct kedge_call *call, const char *name)
{
	return kedge_conn_param(call->conn, call->params, kedge_span(name));
}

/* Answer in the handler. Return: as kedge_conn_reply(). */
KEDGE_PUBLIC int kedge_call_reply(const struct kedge_call *call, struct kedge_span result);
/* The same with a result in parts. Return: as kedge_conn_reply_parts(). */
KEDGE_PUBLIC int kedge_call_reply_parts(const struct kedge_call *call,
					const struct kedge_span *parts, size_t count);
/* Refuse in the handler. Return: as kedge_conn_fail(). */
KEDGE_PUBLIC int kedge_call_fail(const struct kedge_call *call,
				 const struct kedge_rpc_error *error);

/* Refuse with a status, its code, and words. Return: as kedge_conn_fail(). */
KEDGE_PUBLIC int kedge_call_refuse(const struct kedge_call *call, int status, const char *text);

/* Answer later, on the loop's thread. Return: 0; -ESTALE: nobody waits any more;
 * else as kedge_conn_reply(). */
KEDGE_PUBLIC int kedge_server_reply(struct kedge_server *server, struct kedge_later later,
				    struct kedge_span result);
KEDGE_PUBLIC int kedge_server_fail(struct kedge_server *server, struct kedge_later later,
				   const struct kedge_rpc_error *error);

/* Answer with bytes. Return: as kedge_conn_reply_body(). */
KEDGE_PUBLIC int kedge_server_reply_body(struct kedge_server *server, struct kedge_later later,
					 struct kedge_span headers, struct kedge_span body);

/*
 * Answer with a stream: begin, any number of writes, end. After 1 or -EAGAIN wait
 * for the row's on_writable. Return: as kedge_conn_stream_begin(), _write(), _end().
 */
KEDGE_PUBLIC int kedge_server_stream_begin(struct kedge_server *server, struct kedge_later later,
					   struct kedge_span headers);
KEDGE_PUBLIC int kedge_server_stream_write(struct kedge_server *server, struct kedge_later later,
					   struct kedge_span chunk);
KEDGE_PUBLIC int kedge_server_stream_end(struct kedge_server *server, struct kedge_later later);

/* Stop and go on with the pieces of a streamed body. Return: as kedge_conn_hold(). */
KEDGE_PUBLIC int kedge_server_hold(struct kedge_server *server, struct kedge_later later);
KEDGE_PUBLIC int kedge_server_release(struct kedge_server *server, struct kedge_later later);

/*
 * From any thread; everything is copied. At most 65,536 posts wait for the loop, in
 * the order of posting. What waits when the server has closed is dropped.
 * Return: 0; -ENOMEM; -ENOBUFS: the loop does not come to them; -ESHUTDOWN: closed.
 */
KEDGE_PUBLIC int kedge_server_post_reply(struct kedge_server *server, struct kedge_later later,
					 struct kedge_span result);
KEDGE_PUBLIC int kedge_server_post_error(struct kedge_server *server, struct kedge_later later,
					 int status, const char *text);

/*
 * Run @run on the loop's thread: with it a worker can stream, push, or disconnect.
 * Posts that were taken are run before kedge_server_stop()'s on_done.
 * Return: as kedge_server_post_reply().
 */
KEDGE_PUBLIC int kedge_server_post(struct kedge_server *server,
				   void (*run)(struct kedge_server *server, void *arg), void *arg);

/* Send an event to every client. Return: how many it was queued for. */
KEDGE_PUBLIC size_t kedge_server_push(struct kedge_server *server, const char *name,
				      struct kedge_span data);

/* One message to one client, as it is. Return: as kedge_conn_send(); -ESTALE: it is gone. */
KEDGE_PUBLIC int kedge_server_send(struct kedge_server *server, uint64_t client,
				   struct kedge_span message);

/* Ask a client; it answers by the options' on_answer. Return: as kedge_conn_call();
 * -ESTALE: it is gone. */
KEDGE_PUBLIC int kedge_server_call(struct kedge_server *server, uint64_t client, const char *method,
				   struct kedge_span params, uint64_t *ret_number);

/* Drop the answer to kedge_server_call() when it comes. */
KEDGE_PUBLIC void kedge_server_forget(struct kedge_server *server, uint64_t client,
				      uint64_t number);

/* Bytes that wait to be sent to a client; 0 where it is gone. */
KEDGE_PUBLIC size_t kedge_server_output_bytes(const struct kedge_server *server, uint64_t client);

/* Who a client is. Return: 0, or -ESTALE. */
KEDGE_PUBLIC int kedge_server_peer(const struct kedge_server *server, uint64_t client,
				   struct kedge_peer *ret_peer);

/* Close a connection at the end of the loop's round; what waits is sent where it can be. */
KEDGE_PUBLIC void kedge_server_disconnect(struct kedge_server *server, uint64_t client);

/**
 * struct kedge_server_stats - counters since the start
 * @size:      set by the caller: sizeof(struct kedge_server_stats)
 * @clients:   connections at present
 * @accepted:  connections let in, @refused: peers that were not allowed
 * @requests:  that reached a method, or named none
 * @answered:  of these: with a result, a body, or a stream that ended
 * @failed:    ... with an error
 * @cancelled: ... no longer wanted
 * @bytes_in, @bytes_out: through the sockets
 */
struct kedge_server_stats {
	size_t size;
	uint64_t clients;
	uint64_t accepted;
	uint64_t refused;
	uint64_t requests;
	uint64_t answered;
	uint64_t failed;
	uint64_t cancelled;
	uint64_t bytes_in;
	uint64_t bytes_out;
};

/* Fill @ret up to its @size. */
KEDGE_PUBLIC void kedge_server_stats(const struct kedge_server *server,
				     struct kedge_server_stats *ret);

/* Connections at present. */
KEDGE_PUBLIC size_t kedge_server_clients(const struct kedge_server *server);

/* The guard beneath, for kedge_guard_status(). Borrowed. */
KEDGE_PUBLIC struct kedge_guard *kedge_server_guard(struct kedge_server *server);

#ifdef __cplusplus
}
#endif

#endif
