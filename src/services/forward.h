/*
 * Forwarding: methods of a prefix are passed on to a server that has them.
 *
 * Answers, errors, bodies and streams come back as they were given, bodies in chunks
 * go there as they come; a slow reader pauses whoever sends, here and there, and a request that is
 * cancelled here is cancelled there. Each client has a connection of its own there, so that one
 * that is slow, or goes, is so there too and concerns nobody else. It is made with the client's
 * first call, and again when it is lost; what was under way then fails with 502.
 */
#pragma once

#include "services/service.h"

struct forward;

/* @own_path: of the server that passes on; borrowed. Return: 0; -ENOMEM. */
int forward_new(struct forward **ret_forward, const struct service_context *context,
		const char *own_path, enum kedge_protocol protocol, struct kedge_error *error);

/* No client is left. May be NULL. Return: NULL. */
struct forward *forward_free(struct forward *forward);

/* Pass methods that begin with @prefix on to @socket: a path, or the name of an endpoint,
 * in the protocol of this server. The longest prefix counts. Return: 0; -EINVAL: no such
 * endpoint, or it is this server itself; -ENOMEM. */
int forward_add(struct forward *forward, const char *prefix, const char *socket,
		struct kedge_error *error);

/* As a kedge_fallback_fn. */
const struct kedge_method *forward_call(struct forward *forward, const struct kedge_call *call);

/* A client of this server has gone. */
void forward_client_closed(struct forward *forward, uint64_t client);
