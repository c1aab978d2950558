/* Answers to requests, and messages that answer nothing. */
#include <errno.h>
#include <stdio.h>

#include "base/debug.h"
#include "rpc/answer.h"
#include "rpc/output.h"
#include "wire/json.h"

static bool is_json(struct kedge_span text)
{
	return json_is_valid(text, JSON_DEPTH_MAX);
}

int kedge_conn_set_tag(struct kedge_conn *conn, uint64_t ticket, void *tag)
{
	struct ticket_slot *slot = conn_find(conn, ticket);

	if (!slot)
		return -ESTALE;
	slot->tag = tag;
	return 0;
}

void *kedge_conn_tag(struct kedge_conn *conn, uint64_t ticket)
{
	struct ticket_slot *slot = conn_find(conn, ticket);

	return slot ? slot->tag : NULL;
}

struct kedge_span kedge_conn_request_id(struct kedge_conn *conn, uint64_t ticket)
{
	struct ticket_slot *slot = conn_find(conn, ticket);

	return slot ? slot->id : (struct kedge_span){ NULL, 0 };
}

int kedge_conn_reply(struct kedge_conn *conn, uint64_t ticket, struct kedge_span result)
{
	return kedge_conn_reply_parts(conn, ticket, &result, 1);
}

/* What was appended since the message began, as one text. */
static struct kedge_span appended(const struct kedge_conn *conn, const struct message *m)
{
	size_t header = conn_is_framed(conn) ? FRAME_HEADER_BYTES : 0;

	return (struct kedge_span){ buf_front(m->to) + m->before + header,
				    buf_size(m->to) - m->before - header };
}

int kedge_conn_reply_parts(struct kedge_conn *conn, uint64_t ticket, const struct kedge_span *parts,
			   size_t count)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	struct message m;
	int r;

	if (!slot || slot->stream)
		return slot ? -EINVAL : -ESTALE;
	m = message_begin(conn);
	r = m.r < 0 ? m.r : answer_parts(m.to, slot->id, parts, count);
	debug_assert(r < 0 || is_json(appended(conn, &m)));
	r = message_end(conn, &m, r);
	conn_answered(conn, slot);
	return r;
}

int kedge_conn_fail(struct kedge_conn *conn, uint64_t ticket, const struct kedge_rpc_error *error)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	struct message m;
	int r;

	if (!slot)
		return -ESTALE;
	if (slot->stream && !stream_forget(conn, slot))
		return kedge_conn_stream_end(conn, ticket);
	debug_assert(!error->details.size || is_json(error->details));
	m = message_begin(conn);
	r = message_end(conn, &m, answer_error(m.to, slot->id, error));
	conn_answered(conn, slot);
	return r;
}

/* The envelope, and behind it, by frames, the body: one message to whatever comes after. */
static int reply_body(struct kedge_conn *conn, struct kedge_span id, struct kedge_span headers,
		      struct kedge_span body)
{
	struct message m = message_begin(conn);
	size_t before = buf_size(&conn->out);
	char length[24];
	int r;

	(void)snprintf(length, sizeof(length), "%zu", body.size);
	r = answer_envelope(m.to, id, headers, "content-length", length);
	r = message_end(conn, &m, r);
	if (r < 0 || !conn_is_framed(conn))
		return r;
	if (body.size > FRAME_BYTES_MAX)
		return conn_die(conn, -ENOBUFS);
	r = frame_append(m.to, body);
	return r < 0 ? conn_die(conn, r) : output_appended(conn, before);
}

int kedge_conn_reply_body(struct kedge_conn *conn, uint64_t ticket, struct kedge_span headers,
			  struct kedge_span body)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	struct buf members = BUF_INIT;
	int r;

	if (!slot || slot->stream)
		return slot ? -EINVAL : -ESTALE;
	debug_assert(!headers.size || is_json(headers));
	r = answer_headers(&members, headers);
	if (r < 0)
		r = conn_die(conn, r);
	else
		r = reply_body(conn, slot->id,
			       (struct kedge_span){ buf_front(&members), buf_size(&members) },
			       body);
	buf_deinit(&members);
	conn_answered(conn, slot);
	return r;
}

int kedge_conn_push(struct kedge_conn *conn, const char *name, struct kedge_span data)
{
	struct message m;

	if (conn->dead)
		return -ENOBUFS;
	debug_assert(!data.size || is_json(data));
	m = message_begin(conn);
	return message_end(conn, &m, answer_event(m.to, kedge_span(name), data));
}

int kedge_conn_send(struct kedge_conn *conn, struct kedge_span message)
{
	struct message m;

	if (conn->dead)
		return -ENOBUFS;
	debug_assert(is_json(message) && !memchr(message.data, '\n', message.size));
	m = message_begin(conn);
	return message_end(conn, &m, buf_append(m.to, message.data, message.size));
}
