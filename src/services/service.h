/*
 * Services: gateway, assistant, skill. A service is methods on a server, and
 * whatever state stands behind them.
 */
#pragma once

#include "kedge/server.h"
#include "kedge/watchdog.h"

struct buf;
struct ledger;
struct skill_dispatch;

/* More than there are. */
#define SERVICES_MAX 8

/* A socket that this process serves. */
struct service_socket {
	const char *name; /* of the service */
	const char *path;
	struct kedge_server *server;
};

/* What the services of one process share. Belongs to the command. */
struct service_shared {
	struct ledger *ledger; /* of all guarded paths */
	struct service_socket sockets[SERVICES_MAX];
	size_t socket_count;
	uint64_t started_ns;                /* uv_hrtime() */
	unsigned answer_ms;                 /* a skill has so long to answer what it is asked */
	const struct skill_dispatch *skill; /* NULL: no skill server runs (yet, any more) */
};

/* What a service is given. Borrowed, and outlives it. */
struct service_context {
	uv_loop_t *loop;
	struct kedge_server *server;
	struct service_shared *shared;
	const char *workspace; /* absolute; exists */
	void (*log)(enum kedge_log_level level, const char *line, void *userdata);
	void *log_userdata;
};

struct service {
	const char *name;    /* of the endpoint as well */
	const char *alias;   /* another name on the command line, or NULL */
	const char *example; /* a method to try */
	enum kedge_protocol protocol;
	const char *call_prefix; /* as in struct kedge_conn_options */

	/* Add the methods, open what is needed. Nothing is left behind on failure. */
	int (*start)(const struct service_context *context, void **ret_state,
		     struct kedge_error *error);

	/* The server is about to stop, its clients are still there: the last chance to
	 * tell them something. May be NULL. */
	void (*stopping)(void *state);

	/* No client is left: finish what was promised, let go. Handles of the loop are
	 * closed in its next rounds. */
	void (*stop)(void *state);

	/* The socket's path had been lost, and is back: its directory, which the workspace may
	 * be, can be another one. May be NULL. */
	void (*path_back)(void *state);

	/* As in struct kedge_server_options; may be NULL. */
	void (*on_open)(uint64_t client, const struct kedge_peer *peer, void *state);
	void (*on_close)(uint64_t client, void *state);
	void (*on_answer)(uint64_t client, const struct kedge_conn_answer *answer, void *state);
};

/* All of them, in the order in which they are started. */
extern const struct service *const services[];
extern const size_t service_count;

/* The service called @name, or NULL. */
const struct service *service_find(const char *name);

/* More about a served path, and figures of the servers: for ledger_on_describe() and
 * ledger_on_metrics(). @userdata: struct service_shared. */
void service_describe_path(struct buf *b, const char *path, void *userdata);
int service_append_metrics(struct buf *b, void *userdata);

/* Answer with what was composed; @r: how that went, 0 or -errno, in whose words it is refused. */
void service_reply(const struct kedge_call *call, const struct buf *b, int r);

/* {"echoed":VALUE}: on every socket, for tests and benches. */
void service_echo(const struct kedge_call *call, void *userdata);

extern const struct service gateway_service, assistant_service, skill_service;
