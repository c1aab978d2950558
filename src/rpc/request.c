/* An envelope: the checks, in the order of the wire, and whom it goes to. */
#include <stdio.h>

#include "rpc/answer.h"
#include "rpc/output.h"
#include "wire/envelope.h"

const struct kedge_span id_unknown = { "\"unknown\"", 9 };

void request_refuse(struct kedge_conn *conn, struct kedge_span id, const char *text, int status)
{
	struct kedge_rpc_error error = { .text = kedge_span(text), .status = status };
	struct message m = message_begin(conn);

	(void)message_end(conn, &m, answer_error(m.to, id, &error));
}

void request_large_text(const struct kedge_conn *conn, size_t size, char *to, size_t room)
{
	(void)snprintf(to, room, "Message too large: %zu bytes, limit %zu", size,
		       conn->limits.message_bytes_max);
}

void request_refuse_large(struct kedge_conn *conn, struct kedge_span id, size_t size)
{
	char text[96];

	request_large_text(conn, size, text, sizeof(text));
	request_refuse(conn, id, text, 413);
}

static void refuse_reserved(struct kedge_conn *conn, struct kedge_span id)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "Reserved id prefix '%s': skill-initiated request ids must not collide "
		       "with daemon-initiated ids",
		       conn->call_prefix);
	request_refuse(conn, id, text, 400);
}

HOT_INLINE void dispatch(struct kedge_conn *conn, struct kedge_request *request)
{
	struct ticket_slot *slot = tickets_take(&conn->tickets, request->id);

	if (!slot) {
		(void)conn_die(conn, -ENOMEM);
		return;
	}
	request->ticket = slot->ticket;
	conn->handlers.on_request(conn, request, conn->userdata);
	/* Not answered yet: its id must outlive the message. */
	if (!conn->dead && slot->ticket == request->ticket && tickets_keep(slot) < 0)
		(void)conn_die(conn, -ENOMEM);
}

void request_dispatch(struct kedge_conn *conn, struct kedge_request *request)
{
	dispatch(conn, request);
}

/* Resolve the escapes of the method where it stands: the buffer is ours. */
static struct kedge_span decode_method(const struct envelope *e)
{
	struct kedge_span string = e->members[MEMBER_METHOD];
	char *text = (char *)(uintptr_t)string.data;

	if (e->method_is_plain || !memchr(string.data, '\\', string.size))
		return (struct kedge_span){ string.data + 1, string.size - 2 };
	return (struct kedge_span){ text, json_string_decode(string, text) };
}

/* Whether an id may be one of the other side's requests at all. */
static bool id_is_good(const struct kedge_conn *conn, struct kedge_span id)
{
	if (*conn->call_prefix && json_kind(id) != JSON_STRING)
		return false;
	return envelope_id_counts(id);
}

static bool method_is_good(struct kedge_span method)
{
	return json_kind(method) == JSON_STRING && method.size > 2;
}

static bool is_cancel(const struct kedge_conn *conn, struct kedge_span method)
{
	return conn->protocol == KEDGE_PROTOCOL_FRAMES && method.size == 7 &&
	       memcmp(method.data, "$cancel", 7) == 0;
}

/* Whether the request is for a handler; else it was seen to. */
static bool is_for_handler(struct kedge_conn *conn, const struct envelope *e,
			   struct kedge_request *ret)
{
	struct kedge_span id = e->members[MEMBER_ID], method = e->members[MEMBER_METHOD];
	bool own = *conn->call_prefix && calls_own_id(conn, id);

	if (own && !method.size) {
		calls_take_answer(conn, e);
		return false;
	}
	if (conn->draining)
		return false;
	if (!id_is_good(conn, id) || !method_is_good(method)) {
		request_refuse(conn, json_kind(id) == JSON_STRING ? id : id_unknown,
			       "Missing 'id' or 'method' field", 400);
		return false;
	}
	if (own) {
		refuse_reserved(conn, id);
		return false;
	}
	*ret = (struct kedge_request){ .id = id,
				       .method = decode_method(e),
				       .params = e->members[MEMBER_PARAMS],
				       .headers = e->members[MEMBER_HEADERS] };
	if (!is_cancel(conn, ret->method))
		return true;
	cancel_asked(conn, id, ret->params);
	return false;
}

/* The size of the message at the front of @text, where it is a request for a handler with all
 * that it says in the usual places. 0: what it is else, and whatever is special about the
 * connection, is told by the long way. */
static size_t take_usual(struct kedge_conn *conn, struct kedge_span text, struct kedge_request *ret)
{
	size_t size;

	conn->params.of = NULL;
	if (conn->draining || *conn->call_prefix)
		return 0;
	size = envelope_scan_usual(text, conn->limits.depth_max, ret, &conn->params);
	if (!size || is_cancel(conn, ret->method))
		return 0;
	ret->headers = (struct kedge_span){ NULL, 0 };
	ret->body_kind = KEDGE_BODY_NONE;
	ret->body = (struct kedge_span){ NULL, 0 };
	return size;
}

size_t request_take_line(struct kedge_conn *conn, struct kedge_span text)
{
	struct kedge_request request;
	size_t size = take_usual(conn, text, &request);

	if (!size || size == text.size || text.data[size] != '\n' ||
	    size > conn->limits.message_bytes_max)
		return 0;
	dispatch(conn, &request);
	return size;
}

bool request_take_frame(struct kedge_conn *conn, struct kedge_span text, size_t size)
{
	struct kedge_request request;

	if (!size || take_usual(conn, text, &request) != size)
		return false;
	dispatch(conn, &request);
	return true;
}

enum input_state request_take(struct kedge_conn *conn, struct kedge_span text)
{
	enum input_state follows = INPUT_ENVELOPE;
	struct kedge_request request;
	struct envelope e;

	if (envelope_scan(text, conn->limits.depth_max, &e) == ENVELOPE_NOT_JSON) {
		request_refuse(conn, id_unknown, "Invalid JSON", 400);
		return INPUT_ENVELOPE;
	}
	if (e.members[MEMBER_HEADERS].size && conn_is_framed(conn))
		follows = body_announced(e.members[MEMBER_HEADERS]);
	/* The body of what is not for a handler is skipped. */
	if (!is_for_handler(conn, &e, &request))
		return follows;
	if (follows == INPUT_ENVELOPE)
		request_dispatch(conn, &request);
	else
		body_expect(conn, &request, text, follows);
	return follows;
}

struct kedge_span kedge_conn_param(const struct kedge_conn *conn, struct kedge_span params,
				   struct kedge_span name)
{
	return members_find(&conn->params, params, name);
}
