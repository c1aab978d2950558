/* Answers that are streams: one at a time is on the wire, the others wait for their turn. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/debug.h"
#include "rpc/answer.h"
#include "rpc/output.h"
#include "wire/json.h"

struct stream {
	struct list link; /* in the connection's `waiting`, or in none */
	struct ticket_slot *slot;
	struct buf headers;  /* as answer_headers() has them; freed once they were sent */
	uint64_t total;      /* lines: bytes that were written, and not sent */
	bool wants_writable; /* its writer was told to wait */
};

static struct kedge_span headers_of(const struct stream *s)
{
	return (struct kedge_span){ buf_front(&s->headers), buf_size(&s->headers) };
}

static bool is_waiting(const struct stream *s)
{
	return !list_empty(&s->link);
}

/* A stream that waits owns a share of the output's limit. */
static void leave_queue(struct kedge_conn *conn, struct stream *s)
{
	if (!is_waiting(s))
		return;
	list_unlink(&s->link);
	conn->waiting_bytes -= buf_size(&s->headers) + sizeof(*s);
}

static void stream_free(struct kedge_conn *conn, struct stream *s)
{
	leave_queue(conn, s);
	if (conn->open == s)
		conn->open = NULL;
	s->slot->stream = NULL;
	buf_deinit(&s->headers);
	free(s);
}

static int send_envelope(struct kedge_conn *conn, struct stream *s)
{
	struct message m = message_begin(conn);

	return message_end(
		conn, &m,
		answer_envelope(m.to, s->slot->id, headers_of(s), "transfer-encoding", "chunked"));
}

/* From now on the wire is this stream's. */
static int stream_open(struct kedge_conn *conn, struct stream *s)
{
	int r;

	leave_queue(conn, s);
	r = send_envelope(conn, s);
	if (r < 0)
		return r;
	buf_deinit(&s->headers);
	conn->open = s;
	return 0;
}

static int stream_queue(struct kedge_conn *conn, struct stream *s)
{
	list_append(&conn->waiting, &s->link);
	conn->waiting_bytes += buf_size(&s->headers) + sizeof(*s);
	s->wants_writable = true;
	return output_appended(conn, buf_size(&conn->out));
}

static bool is_full(const struct kedge_conn *conn)
{
	return buf_size(&conn->out) > conn->limits.output_bytes_high;
}

static struct stream *stream_new(struct ticket_slot *slot, struct kedge_span headers)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (answer_headers(&s->headers, headers) < 0) {
		buf_deinit(&s->headers);
		free(s);
		return NULL;
	}
	list_init(&s->link);
	s->slot = slot;
	slot->stream = s;
	return s;
}

int kedge_conn_stream_begin(struct kedge_conn *conn, uint64_t ticket, struct kedge_span headers)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	struct stream *s;
	int r;

	if (!slot || slot->stream)
		return slot ? -EINVAL : -ESTALE;
	debug_assert(!headers.size || json_is_valid(headers, JSON_DEPTH_MAX));
	s = stream_new(slot, headers);
	if (!s)
		return conn_die(conn, -ENOMEM);
	if (!conn_is_framed(conn))
		return 0;
	/* Turns are not jumped: while one is being given another may wait for it. */
	r = conn->open || !list_empty(&conn->waiting) ? stream_queue(conn, s)
						      : stream_open(conn, s);
	if (r < 0)
		return r;
	s->wants_writable |= is_full(conn);
	return s->wants_writable;
}

/* A frame is limited in length; whoever allows so much output may write more. */
static int append_chunk(struct kedge_conn *conn, struct kedge_span chunk)
{
	size_t before = buf_size(&conn->out);

	while (chunk.size) {
		size_t n = chunk.size < FRAME_BYTES_MAX ? chunk.size : FRAME_BYTES_MAX;
		int r = frame_append(&conn->out, (struct kedge_span){ chunk.data, n });

		if (r < 0)
			return conn_die(conn, r);
		chunk = (struct kedge_span){ chunk.data + n, chunk.size - n };
	}
	return output_appended(conn, before);
}

/* Whether the chunk has to wait: for its turn, or for room. */
static bool must_wait(const struct kedge_conn *conn, const struct stream *s, size_t size)
{
	return is_waiting(s) || is_full(conn) ||
	       (buf_size(&conn->out) &&
		output_waiting(conn) + size + FRAME_HEADER_BYTES > conn->limits.output_bytes_max);
}

int kedge_conn_stream_write(struct kedge_conn *conn, uint64_t ticket, struct kedge_span chunk)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	struct stream *s = slot ? slot->stream : NULL;
	int r;

	if (!s)
		return slot ? -EINVAL : -ESTALE;
	s->total += chunk.size;
	if (!conn_is_framed(conn) || !chunk.size)
		return 0;
	if (must_wait(conn, s, chunk.size)) {
		s->wants_writable = true;
		return -EAGAIN;
	}
	r = append_chunk(conn, chunk);
	if (r < 0)
		return r;
	s->wants_writable = is_full(conn);
	return s->wants_writable;
}

static int finish_line(struct kedge_conn *conn, struct stream *s)
{
	struct message m = message_begin(conn);
	char length[24];

	(void)snprintf(length, sizeof(length), "%" PRIu64, s->total);
	return message_end(
		conn, &m,
		answer_envelope(m.to, s->slot->id, headers_of(s), "content-length", length));
}

static int finish_open(struct kedge_conn *conn)
{
	size_t before = buf_size(&conn->out);
	int r = frame_append(&conn->out, (struct kedge_span){ NULL, 0 });

	conn->open = NULL;
	if (r == 0)
		r = output_unblock(conn);
	if (r < 0)
		return conn_die(conn, r);
	/* The limit is for what begins: what was let begin may end, however full the output is. */
	if (before == 0)
		output_begins(conn);
	return 0;
}

/* It ends before its turn came, and so without a chunk: one message like any other. */
static int finish_waiting(struct kedge_conn *conn, struct stream *s)
{
	struct buf *to = conn->open ? &conn->behind : &conn->out;
	size_t before = buf_size(&conn->out);
	int r;

	leave_queue(conn, s);
	r = send_envelope(conn, s);
	if (r < 0)
		return r;
	r = frame_append(to, (struct kedge_span){ NULL, 0 });
	return r < 0 ? conn_die(conn, r) : output_appended(conn, before);
}

int stream_finish(struct kedge_conn *conn, struct ticket_slot *slot)
{
	struct stream *s = slot->stream;
	int r;

	if (!conn_is_framed(conn))
		r = finish_line(conn, s);
	else if (is_waiting(s))
		r = finish_waiting(conn, s);
	else
		r = finish_open(conn);
	stream_free(conn, s);
	return r;
}

bool stream_forget(struct kedge_conn *conn, struct ticket_slot *slot)
{
	/* On lines nothing is seen before the end. */
	if (conn_is_framed(conn) && !is_waiting(slot->stream))
		return false;
	stream_free(conn, slot->stream);
	return true;
}

void stream_drop(struct kedge_conn *conn, struct ticket_slot *slot)
{
	if (slot->stream)
		stream_free(conn, slot->stream);
}

int kedge_conn_stream_end(struct kedge_conn *conn, uint64_t ticket)
{
	struct ticket_slot *slot = conn_find(conn, ticket);
	int r;

	if (!slot || !slot->stream)
		return slot ? -EINVAL : -ESTALE;
	r = stream_finish(conn, slot);
	conn_answered(conn, slot);
	return r;
}

static void tell_writer(struct kedge_conn *conn, struct stream *s)
{
	s->wants_writable = false;
	if (conn->handlers.on_writable)
		conn->handlers.on_writable(conn, s->slot->ticket, s->slot->tag, conn->userdata);
}

void stream_turn(struct kedge_conn *conn)
{
	if (conn->turning)
		return;
	conn->turning = true;
	while (!conn->dead && !conn->open && !list_empty(&conn->waiting)) {
		struct stream *s = list_entry(list_first(&conn->waiting), struct stream, link);

		if (stream_open(conn, s) == 0 && !is_full(conn))
			tell_writer(conn, s);
	}
	conn->turning = false;
}

/* Half of what may wait must be gone: a writer that fills a byte at a time moves memory
 * for each, and wakes for each. */
void stream_resume(struct kedge_conn *conn)
{
	if (conn->open && conn->open->wants_writable &&
	    buf_size(&conn->out) <= conn->limits.output_bytes_high / 2)
		tell_writer(conn, conn->open);
}
