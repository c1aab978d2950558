/* What follows an envelope. */
#include <assert.h>
#include <errno.h>

#include "rpc/conn-internal.h"
#include "wire/json.h"

enum input_state body_announced(struct kedge_span headers)
{
	enum input_state how = INPUT_ENVELOPE;
	struct kedge_span name, value;
	const char *at = NULL;

	if (json_kind(headers) != JSON_OBJECT)
		return how;
	while (json_next_member(headers, &at, &name, &value)) {
		if (json_string_is(name, "content-length"))
			return INPUT_BODY;
		if (json_string_is(name, "transfer-encoding"))
			how = json_string_is(value, "chunked") ? INPUT_CHUNK : INPUT_ENVELOPE;
	}
	return how;
}

static void forget(struct body *body)
{
	body->fate = BODY_SKIP;
	body->ticket = 0;
	buf_consume(&body->envelope, buf_size(&body->envelope));
	buf_consume(&body->collected, buf_size(&body->collected));
	buf_trim(&body->envelope, CONN_IDLE_BYTES);
	buf_trim(&body->collected, CONN_IDLE_BYTES);
}

/* Where a span of the text at @from is in the copy at @to. */
static void rebase(struct kedge_span *span, const char *from, const char *to)
{
	if (span->data)
		span->data = to + (span->data - from);
}

/* The input goes on while the body comes: keep the envelope. */
static void keep(struct kedge_conn *conn, const struct kedge_request *request,
		 struct kedge_span text)
{
	struct body *body = &conn->body;
	struct kedge_request *kept = &body->request;
	const char *copy;

	if (buf_append(&body->envelope, text.data, text.size) < 0) {
		(void)conn_die(conn, -ENOMEM);
		return;
	}
	copy = buf_front(&body->envelope);
	*kept = *request;
	rebase(&kept->id, text.data, copy);
	rebase(&kept->method, text.data, copy);
	rebase(&kept->params, text.data, copy);
	rebase(&kept->headers, text.data, copy);
}

static bool is_streamed(struct kedge_conn *conn, const struct kedge_request *request)
{
	return conn->handlers.on_upload &&
	       conn->handlers.on_upload(conn, request, conn->userdata) == KEDGE_UPLOAD_STREAM;
}

void body_expect(struct kedge_conn *conn, const struct kedge_request *request,
		 struct kedge_span text, enum input_state how)
{
	struct kedge_request now = *request;

	assert(conn->body.fate == BODY_SKIP);
	if (how == INPUT_CHUNK && is_streamed(conn, request)) {
		now.body_kind = KEDGE_BODY_STREAMED;
		conn->body.fate = BODY_PASS;
		request_dispatch(conn, &now);
		conn->body.ticket = now.ticket;
		return;
	}
	keep(conn, request, text);
	conn->body.fate = how == INPUT_BODY ? BODY_TAKE : BODY_COLLECT;
}

static void refuse_large(struct kedge_conn *conn, size_t size)
{
	request_refuse_large(conn, conn->body.request.id, size);
	forget(&conn->body);
}

bool body_admit(struct kedge_conn *conn, uint32_t size)
{
	if (conn->body.fate == BODY_TAKE && size > conn->limits.message_bytes_max)
		refuse_large(conn, size);
	return conn->body.fate == BODY_TAKE;
}

void body_take(struct kedge_conn *conn, struct kedge_span bytes)
{
	struct kedge_request request = conn->body.request;

	request.body_kind = KEDGE_BODY_WHOLE;
	request.body = bytes;
	request_dispatch(conn, &request);
	forget(&conn->body);
}

/* A streamed body of which a frame is too large: its request is at an end. */
static void break_large(struct kedge_conn *conn, uint32_t size)
{
	struct ticket_slot *slot = conn_find(conn, conn->body.ticket);
	char text[96];

	request_large_text(conn, size, text, sizeof(text));
	forget(&conn->body);
	if (slot)
		cancel_request(
			conn, slot,
			&(struct kedge_rpc_error){ .text = kedge_span(text), .status = 413 });
}

void body_chunk(struct kedge_conn *conn, uint32_t size)
{
	size_t total = buf_size(&conn->body.collected) + size;

	if (conn->body.fate == BODY_COLLECT && total > conn->limits.message_bytes_max)
		refuse_large(conn, total);
	else if (conn->body.fate == BODY_PASS && size > conn->limits.message_bytes_max)
		break_large(conn, size);
}

/* Hand a piece on; one that is too late for its request goes nowhere. */
static void pass(struct kedge_conn *conn, struct kedge_span piece)
{
	struct ticket_slot *slot = conn_find(conn, conn->body.ticket);

	if (slot)
		conn->handlers.on_body(conn, slot->ticket, slot->tag, piece, conn->userdata);
}

void body_piece(struct kedge_conn *conn, struct kedge_span piece)
{
	if (conn->body.fate == BODY_PASS)
		pass(conn, piece);
	else if (conn->body.fate == BODY_COLLECT &&
		 buf_append(&conn->body.collected, piece.data, piece.size) < 0)
		(void)conn_die(conn, -ENOMEM);
}

void body_end(struct kedge_conn *conn)
{
	struct kedge_span collected = { buf_front(&conn->body.collected),
					buf_size(&conn->body.collected) };

	/* Empty is not absent. */
	if (!collected.data)
		collected.data = "";
	if (conn->body.fate == BODY_PASS)
		pass(conn, (struct kedge_span){ "", 0 });
	if (conn->body.fate == BODY_COLLECT)
		body_take(conn, collected);
	else
		forget(&conn->body);
}

void body_break(struct kedge_conn *conn)
{
	struct ticket_slot *slot = conn_find(conn, conn->body.ticket);

	if (conn->body.fate == BODY_PASS && slot)
		cancel_request(conn, slot, NULL);
	forget(&conn->body);
}
