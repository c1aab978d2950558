/*
 * kedge/server.h - a guarded JSON RPC server on a libuv loop.
 *
 *	static void hello(const struct kedge_call *call, void *userdata)
 *	{
 *		kedge_call_reply(call, kedge_span("{\"hello\":\"world\"}"));
 *	}
 *
 *	static const struct kedge_method methods[] = { { "hello", hello, NULL } };
 *
 *	struct kedge_server_options options = { .size = sizeof(options) };
 *
 *	kedge_server_new(&server, uv_default_loop(), &options, &error);
 *	kedge_server_add_methods(server, methods, 1);
 *	kedge_server_listen(server, "/run/x/x.sock", NULL, &error);
 *	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
 *
 * Threads: everything belongs to the loop's thread, but kedge_server_post_reply()
 * and kedge_server_post_error(), which may be called from any.
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
 * @method, @params: as in struct kedge_request; valid during the handler
 * @later:           keep this to answer after the handler has returned
 * @peer:            who asks
 */
struct kedge_call {
	struct kedge_server *server;
	struct kedge_conn *conn;
	struct kedge_span method;
	struct kedge_span params;
	struct kedge_later later;
	struct kedge_peer peer;
};

typedef void kedge_method_fn(const struct kedge_call *call, void *userdata);

/* A row of a method table. The table is borrowed for the server's life. */
struct kedge_method {
	const char *name;
	kedge_method_fn *handler;
	void *userdata;
};

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
 * @clients_max: connections at a time; 0: 10,000. Beyond it accepting pauses
 * @allow:       copied. Anybody else is refused before a byte of theirs is read
 * @on_log:      a happening in words; each streak is told once; may be NULL
 * @on_close:    a connection is gone; what it asked later is void; may be NULL
 * @userdata:    passed to both
 */
struct kedge_server_options {
	size_t size;
	struct kedge_guard_options guard;
	struct kedge_conn_limits limits;
	unsigned clients_max;
	struct kedge_allow allow;
	void (*on_log)(enum kedge_server_event event, const char *line, void *userdata);
	void (*on_close)(uint64_t client, void *userdata);
	void *userdata;
};

/* Make a server on @loop, which is borrowed and outlives it. Return: 0; -EINVAL;
 * -ENOMEM; -EMFILE. */
KEDGE_PUBLIC int kedge_server_new(struct kedge_server **ret_server, uv_loop_t *loop,
				  const struct kedge_server_options *options,
				  struct kedge_error *error);

/* Add methods. A name that is there already is replaced. Return: 0; -ENOMEM. */
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

/* Answer in the handler. Return: as kedge_conn_reply(). */
KEDGE_PUBLIC int kedge_call_reply(const struct kedge_call *call, struct kedge_span result);
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

/* Answer later, from any thread; everything is copied. Return: 0; -ENOMEM;
 * -ENOBUFS: 65,536 answers are waiting for the loop already. */
KEDGE_PUBLIC int kedge_server_post_reply(struct kedge_server *server, struct kedge_later later,
					 struct kedge_span result);
KEDGE_PUBLIC int kedge_server_post_error(struct kedge_server *server, struct kedge_later later,
					 int status, const char *text);

/* Send an event to every client. Return: how many it was queued for. */
KEDGE_PUBLIC size_t kedge_server_push(struct kedge_server *server, const char *name,
				      struct kedge_span data);

/* Connections at present. */
KEDGE_PUBLIC size_t kedge_server_clients(const struct kedge_server *server);

/* The guard beneath, for kedge_guard_status(). Borrowed. */
KEDGE_PUBLIC struct kedge_guard *kedge_server_guard(struct kedge_server *server);

#ifdef __cplusplus
}
#endif

#endif
