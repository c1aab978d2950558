/* What is said to clients: in a handler, and outside of their own turn. */
#include <errno.h>
#include <string.h>

#include "loop/server.h"
#include "rpc/answer.h"

/*
 * A call into a connection may set off requests that had waited, and their
 * handlers: so it is busy meanwhile, and is sent and closed at the end of the round.
 */
static struct client *enter(struct kedge_server *s, uint64_t id)
{
	struct client *c = client_find(s, id);

	if (c)
		c->busy++;
	return c;
}

static int leave(struct client *c, int r)
{
	c->busy--;
	client_mark(c);
	return r;
}

/* Count a request's end. */
static int ended(uint64_t *counter, int r)
{
	if (r == 0)
		++*counter;
	return r;
}

int kedge_call_reply(const struct kedge_call *call, struct kedge_span result)
{
	return ended(&call->server->stats.answered,
		     kedge_conn_reply(call->conn, call->later.ticket, result));
}

int kedge_call_reply_parts(const struct kedge_call *call, const struct kedge_span *parts,
			   size_t count)
{
	return ended(&call->server->stats.answered,
		     kedge_conn_reply_parts(call->conn, call->later.ticket, parts, count));
}

int kedge_call_fail(const struct kedge_call *call, const struct kedge_rpc_error *error)
{
	return ended(&call->server->stats.failed,
		     kedge_conn_fail(call->conn, call->later.ticket, error));
}

int kedge_call_refuse(const struct kedge_call *call, int status, const char *text)
{
	struct kedge_rpc_error error = { .text = kedge_span(text),
					 .status = status,
					 .code = status_code(status) };

	return kedge_call_fail(call, &error);
}

int kedge_server_reply(struct kedge_server *server, struct kedge_later later,
		       struct kedge_span result)
{
	struct client *c = enter(server, later.client);

	if (!c)
		return -ESTALE;
	return leave(
		c, ended(&server->stats.answered, kedge_conn_reply(c->conn, later.ticket, result)));
}

int kedge_server_fail(struct kedge_server *server, struct kedge_later later,
		      const struct kedge_rpc_error *error)
{
	struct client *c = enter(server, later.client);

	if (!c)
		return -ESTALE;
	return leave(c,
		     ended(&server->stats.failed, kedge_conn_fail(c->conn, later.ticket, error)));
}

int kedge_server_reply_body(struct kedge_server *server, struct kedge_later later,
			    struct kedge_span headers, struct kedge_span body)
{
	struct client *c = enter(server, later.client);

	if (!c)
		return -ESTALE;
	return leave(c, ended(&server->stats.answered,
			      kedge_conn_reply_body(c->conn, later.ticket, headers, body)));
}

int kedge_server_stream_begin(struct kedge_server *server, struct kedge_later later,
			      struct kedge_span headers)
{
	struct client *c = enter(server, later.client);

	return c ? leave(c, kedge_conn_stream_begin(c->conn, later.ticket, headers)) : -ESTALE;
}

int kedge_server_stream_write(struct kedge_server *server, struct kedge_later later,
			      struct kedge_span chunk)
{
	struct client *c = enter(server, later.client);

	return c ? leave(c, kedge_conn_stream_write(c->conn, later.ticket, chunk)) : -ESTALE;
}

int kedge_server_stream_end(struct kedge_server *server, struct kedge_later later)
{
	struct client *c = enter(server, later.client);

	if (!c)
		return -ESTALE;
	return leave(c,
		     ended(&server->stats.answered, kedge_conn_stream_end(c->conn, later.ticket)));
}

int kedge_server_hold(struct kedge_server *server, struct kedge_later later)
{
	struct client *c = enter(server, later.client);

	return c ? leave(c, kedge_conn_hold(c->conn, later.ticket)) : -ESTALE;
}

int kedge_server_release(struct kedge_server *server, struct kedge_later later)
{
	struct client *c = enter(server, later.client);

	return c ? leave(c, kedge_conn_release(c->conn, later.ticket)) : -ESTALE;
}

size_t kedge_server_push(struct kedge_server *server, const char *name, struct kedge_span data)
{
	size_t count = 0;

	list_for_each (it, &server->clients) {
		struct client *c = list_entry(it, struct client, link);

		c->busy++;
		count += kedge_conn_push(c->conn, name, data) == 0;
		(void)leave(c, 0);
	}
	return count;
}

int kedge_server_send(struct kedge_server *server, uint64_t client, struct kedge_span message)
{
	struct client *c = enter(server, client);

	return c ? leave(c, kedge_conn_send(c->conn, message)) : -ESTALE;
}

int kedge_server_call(struct kedge_server *server, uint64_t client, const char *method,
		      struct kedge_span params, uint64_t *ret_number)
{
	struct client *c = enter(server, client);

	return c ? leave(c, kedge_conn_call(c->conn, method, params, ret_number)) : -ESTALE;
}

void kedge_server_forget(struct kedge_server *server, uint64_t client, uint64_t number)
{
	struct client *c = client_find(server, client);

	if (c)
		kedge_conn_forget(c->conn, number);
}

size_t kedge_server_output_bytes(const struct kedge_server *server, uint64_t client)
{
	const struct client *c = client_find(server, client);

	return c ? kedge_conn_output_bytes(c->conn) : 0;
}

int kedge_server_peer(const struct kedge_server *server, uint64_t client,
		      struct kedge_peer *ret_peer)
{
	const struct client *c = client_find(server, client);

	if (!c)
		return -ESTALE;
	*ret_peer = c->peer;
	return 0;
}

void kedge_server_disconnect(struct kedge_server *server, uint64_t client)
{
	struct client *c = client_find(server, client);

	if (!c)
		return;
	c->doomed = true;
	client_mark(c);
}

size_t kedge_server_clients(const struct kedge_server *server)
{
	return server->client_count;
}

void kedge_server_stats(const struct kedge_server *server, struct kedge_server_stats *ret)
{
	struct kedge_server_stats stats = server->stats;
	size_t size = ret->size < sizeof(stats) ? ret->size : sizeof(stats);

	stats.size = ret->size;
	stats.clients = server->client_count;
	memcpy(ret, &stats, size);
}
