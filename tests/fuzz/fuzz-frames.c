/*
 * A connection whose first byte decides, fed with anything, cut anywhere: what
 * it says is whole frames (or lines, where it began with '{'), every request is
 * answered once, and the same is said however the bytes were cut.
 *
 * The first byte of an input says whether the rest is the stream itself, or a
 * text whose lines are put into frames: a fuzzer seldom guesses a length.
 */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kedge/conn.h"
#include "wire/json.h"

#define HEAD_BYTES   3
#define HEADER_BYTES 4

struct talk {
	struct kedge_conn *conn;
	struct buf out;
	size_t requests, answered, cancelled;
	uint64_t uploading; /* ticket of a body that is being passed on */
	size_t uploaded;
};

static struct kedge_span frame_or_null(struct kedge_span text)
{
	return text.size ? text : kedge_span("null");
}

/* The method's first letter is how it is answered. */
static void answer(struct talk *t, const struct kedge_request *r)
{
	static const struct kedge_rpc_error error = { .text = { "no", 2 },
						      .status = 404,
						      .code = "NOT_FOUND" };
	struct kedge_conn *conn = t->conn;
	struct kedge_span body = r->body_kind == KEDGE_BODY_WHOLE ? r->body : r->params;

	t->answered++;
	switch (*r->method.data) {
	case 'b':
		FUZZ_ASSERT(kedge_conn_reply_body(conn, r->ticket, r->headers, body) == 0);
		break;
	case 's':
		FUZZ_ASSERT(kedge_conn_stream_begin(conn, r->ticket, r->headers) == 0);
		FUZZ_ASSERT(kedge_conn_stream_write(conn, r->ticket, body) == 0);
		FUZZ_ASSERT(kedge_conn_stream_end(conn, r->ticket) == 0);
		break;
	case 'f':
		FUZZ_ASSERT(kedge_conn_fail(conn, r->ticket, &error) == 0);
		break;
	default:
		FUZZ_ASSERT(kedge_conn_reply(conn, r->ticket, frame_or_null(r->params)) == 0);
	}
	FUZZ_ASSERT(kedge_conn_fail(conn, r->ticket, &error) == -ESTALE);
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	struct talk *t = userdata;

	FUZZ_ASSERT(conn == t->conn && request->ticket && request->method.size);
	FUZZ_ASSERT(json_is_valid(request->id, JSON_DEPTH_MAX));
	FUZZ_ASSERT(!request->headers.size || json_is_valid(request->headers, JSON_DEPTH_MAX));
	t->requests++;
	if (request->body_kind == KEDGE_BODY_STREAMED) {
		FUZZ_ASSERT(t->uploading == 0);
		t->uploading = request->ticket;
		t->uploaded = 0;
	} else {
		answer(t, request);
	}
}

static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *request,
				   void *userdata)
{
	(void)conn;
	(void)userdata;
	return *request->method.data == 'u' ? KEDGE_UPLOAD_STREAM : KEDGE_UPLOAD_COLLECT;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	struct talk *t = userdata;
	char text[32];

	FUZZ_ASSERT(ticket == t->uploading && !tag);
	t->uploaded += piece.size;
	if (piece.size)
		return;
	(void)snprintf(text, sizeof(text), "%zu", t->uploaded);
	t->uploading = 0;
	t->answered++;
	FUZZ_ASSERT(kedge_conn_reply(conn, ticket, kedge_span(text)) == 0);
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct talk *t = userdata;

	FUZZ_ASSERT(conn == t->conn && ticket == t->uploading && !tag);
	t->uploading = 0;
	t->cancelled++;
}

static void send_some(struct talk *t, uint64_t *random)
{
	const void *data;
	size_t size, n;

	while (kedge_conn_output(t->conn, &data, &size)) {
		n = 1 + fuzz_random(random) % size;
		FUZZ_ASSERT(buf_append(&t->out, data, n) == 0);
		kedge_conn_sent(t->conn, n);
	}
}

static void feed(struct talk *t, const char *data, size_t size, uint64_t *random)
{
	while (size > 0 && !kedge_conn_is_finished(t->conn)) {
		size_t room, n = 1 + fuzz_random(random) % (*random % 2 ? 5 : 1024);
		void *to = kedge_conn_input(t->conn, &room);

		FUZZ_ASSERT(to && room);
		n = n < room ? n : room;
		n = n < size ? n : size;
		memcpy(to, data, n);
		FUZZ_ASSERT(kedge_conn_received(t->conn, n) == 0);
		data += n;
		size -= n;
		send_some(t, random);
		FUZZ_ASSERT(kedge_conn_wants_input(t->conn));
	}
}

static struct buf talk(const uint8_t *head, const struct buf *in, uint64_t random, bool *ret_framed)
{
	struct talk t = { 0 };
	struct kedge_conn_options options = {
		.size = sizeof(options),
		.limits = { .message_bytes_max = 64 + (size_t)head[1] * 4,
			    .depth_max = 1 + head[2] % 40u },
		.handlers = { .on_request = on_request,
			      .on_upload = on_upload,
			      .on_body = on_body,
			      .on_cancel = on_cancel },
		.userdata = &t,
		.protocol = KEDGE_PROTOCOL_FRAMES,
	};

	FUZZ_ASSERT(kedge_conn_new(&t.conn, &options) == 0);
	feed(&t, buf_front(in), buf_size(in), &random);
	kedge_conn_received_eof(t.conn);
	send_some(&t, &random);
	FUZZ_ASSERT(kedge_conn_is_finished(t.conn) && kedge_conn_in_flight(t.conn) == 0);
	FUZZ_ASSERT(t.requests == t.answered + t.cancelled && t.uploading == 0);
	*ret_framed = buf_size(in) == 0 || *buf_front(in) != '{';
	kedge_conn_free(t.conn);
	return t.out;
}

/* One frame at *@at. Return: its bytes. */
static struct kedge_span next_frame(const char **at, const char *end)
{
	const unsigned char *p = (const unsigned char *)*at;
	struct kedge_span frame;

	FUZZ_ASSERT(end - *at >= HEADER_BYTES);
	frame.size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	frame.data = *at + HEADER_BYTES;
	FUZZ_ASSERT((size_t)(end - frame.data) >= frame.size);
	*at = frame.data + frame.size;
	return frame;
}

/* What follows an envelope: a body of the length it names, or chunks up to an empty one. */
static void check_rest(struct kedge_span headers, const char **at, const char *end)
{
	struct kedge_span length = json_member(headers, "content-length");

	if (length.size) {
		char text[32];

		(void)snprintf(text, sizeof(text), "\"%zu\"", next_frame(at, end).size);
		FUZZ_ASSERT(strlen(text) == length.size &&
			    memcmp(text, length.data, length.size) == 0);
	} else if (json_string_is(json_member(headers, "transfer-encoding"), "chunked")) {
		while (next_frame(at, end).size)
			;
	}
}

static void check_envelope(struct kedge_span text)
{
	FUZZ_ASSERT(json_is_valid(text, JSON_DEPTH_MAX) && json_kind(text) == JSON_OBJECT);
	FUZZ_ASSERT(json_member(text, "id").size);
	FUZZ_ASSERT(!json_member(text, "error").size || !json_member(text, "result").size);
}

static void check_output(const struct buf *out, bool framed)
{
	const char *at = buf_front(out), *end = at;

	if (buf_size(out))
		end += buf_size(out);
	while (at < end && framed) {
		struct kedge_span envelope = next_frame(&at, end);

		check_envelope(envelope);
		check_rest(json_member(envelope, "headers"), &at, end);
	}
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		FUZZ_ASSERT(newline);
		check_envelope((struct kedge_span){ at, (size_t)(newline - at) });
		at = newline + 1;
	}
}

/* Each line of the text in a frame of its own; an empty line is an empty frame. */
static void put_in_frames(struct buf *to, const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ? newline : end) - text);
		unsigned char header[HEADER_BYTES] = { (unsigned char)(n >> 24),
						       (unsigned char)(n >> 16),
						       (unsigned char)(n >> 8), (unsigned char)n };

		FUZZ_ASSERT(buf_append(to, header, sizeof(header)) == 0);
		FUZZ_ASSERT(buf_append(to, text, n) == 0);
		text += n + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in = BUF_INIT, one, other;
	bool framed;

	if (size < HEAD_BYTES)
		return 0;
	if (data[0] % 2)
		put_in_frames(&in, (const char *)data + HEAD_BYTES, size - HEAD_BYTES);
	else
		FUZZ_ASSERT(buf_append(&in, data + HEAD_BYTES, size - HEAD_BYTES) == 0);
	one = talk(data, &in, 1, &framed);
	other = talk(data, &in, 2 + data[0], &framed);
	check_output(&one, framed);
	FUZZ_ASSERT(buf_size(&one) == buf_size(&other));
	FUZZ_ASSERT(buf_size(&one) == 0 ||
		    memcmp(buf_front(&one), buf_front(&other), buf_size(&one)) == 0);
	buf_deinit(&one);
	buf_deinit(&other);
	buf_deinit(&in);
	return 0;
}
