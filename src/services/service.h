/*
 * Services: gateway, assistant, skill. A service is methods on a server, and
 * whatever state stands behind them.
 */
#pragma once

#include "kedge/server.h"
#include "kedge/watchdog.h"

/* What a service is given. Borrowed, and outlives it. */
struct service_context {
	uv_loop_t *loop;
	struct kedge_server *server;
	const char *workspace; /* absolute; exists */
	void (*log)(enum kedge_log_level level, const char *line, void *userdata);
	void *log_userdata;
};

struct service {
	const char *name; /* of the endpoint as well */

	/* Add the methods, open what is needed. Nothing is left behind on failure. */
	int (*start)(const struct service_context *context, void **ret_state,
		     struct kedge_error *error);

	/* No client is left: finish what was promised, let go. Handles of the loop are
	 * closed in its next rounds. */
	void (*stop)(void *state);
};

/* The service called @name, or NULL. */
const struct service *service_find(const char *name);

/* {"echoed":VALUE}: on every socket, for tests and benches. */
void service_echo(const struct kedge_call *call, void *userdata);

extern const struct service gateway_service;
