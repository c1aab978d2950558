#include "rpc/test-peer.h"

#include <assert.h>
#include <stdio.h>

/* Scripts up to this size are cut at every two places: some ten thousand runs. */
#define TWO_CUTS_BYTES_MAX 160

static void leave_open(struct peer *p, uint64_t ticket)
{
	assert_true(p->later_count < PEER_LATER_MAX);
	p->later[p->later_count++] = ticket;
	/* The tag is what the log knows the request by. */
	assert_int_equal(kedge_conn_set_tag(p->conn, ticket, (void *)p->later_count), 0);
}

static void on_echo(struct peer *p, const struct kedge_request *r)
{
	struct kedge_span value = r->params.size ? r->params : kedge_span("null");

	assert_int_equal(kedge_conn_reply(p->conn, r->ticket, value), 0);
}

static void on_param(struct peer *p, const struct kedge_request *r)
{
	struct kedge_span value = kedge_conn_param(p->conn, r->params, kedge_span("value"));

	if (!value.size)
		value = kedge_span("null");
	assert_int_equal(kedge_conn_reply(p->conn, r->ticket, value), 0);
}

static void on_size(struct peer *p, const struct kedge_request *r)
{
	static const char *const kinds[] = { "none", "whole", "streamed" };
	char text[64];

	(void)snprintf(text, sizeof(text), "[\"%s\",%zu]", kinds[r->body_kind], r->body.size);
	assert_int_equal(kedge_conn_reply(p->conn, r->ticket, kedge_span(text)), 0);
}

static void on_body_method(struct peer *p, const struct kedge_request *r)
{
	struct kedge_span headers = kedge_span(
		"{\"a\":1,\"content-length\":\"no\",\"transfer-encoding\":2}");

	assert_int_equal(kedge_conn_reply_body(p->conn, r->ticket, headers, r->body), 0);
}

static void on_later(struct peer *p, const struct kedge_request *r)
{
	leave_open(p, r->ticket);
}

static void on_stream(struct peer *p, const struct kedge_request *r)
{
	static const char *const chunks[] = { "ab", "", "c" };

	assert_true(kedge_conn_stream_begin(p->conn, r->ticket, kedge_span("{}")) >= 0);
	for (size_t i = 0; i < 3; i++)
		assert_true(kedge_conn_stream_write(p->conn, r->ticket, kedge_span(chunks[i])) >=
			    0);
	assert_int_equal(kedge_conn_stream_end(p->conn, r->ticket), 0);
}

static void on_open(struct peer *p, const struct kedge_request *r)
{
	leave_open(p, r->ticket);
	assert_true(kedge_conn_stream_begin(p->conn, r->ticket, kedge_span("{\"x\":[1]}")) >= 0);
}

static void on_hold(struct peer *p, const struct kedge_request *r)
{
	leave_open(p, r->ticket);
	assert_int_equal(kedge_conn_hold(p->conn, r->ticket), 0);
}

static const struct {
	const char *name;
	void (*run)(struct peer *p, const struct kedge_request *r);
} methods[] = {
	{ "echo", on_echo },   { "size", on_size },   { "body", on_body_method },
	{ "later", on_later }, { "open", on_open },   { "stream", on_stream },
	{ "hold", on_hold },   { "param", on_param },
};

static bool span_is(struct kedge_span span, const char *text)
{
	return span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *r, void *userdata)
{
	struct peer *p = userdata;
	struct kedge_rpc_error unknown = { .text = kedge_span("no"), .status = 404 };
	struct kedge_span id = kedge_conn_request_id(conn, r->ticket);

	assert_int_equal(id.size, r->id.size);
	assert_memory_equal(id.data, r->id.data, id.size);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (span_is(r->method, methods[i].name)) {
			methods[i].run(p, r);
			return;
		}
	assert_int_equal(kedge_conn_fail(conn, r->ticket, &unknown), 0);
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct peer *p = userdata;

	assert_int_equal(kedge_conn_reply(conn, ticket, kedge_span("1")), -ESTALE);
	assert_int_equal(buf_appendf(&p->log, "cancel %zu\n", (size_t)tag), 0);
}

static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *r,
				   void *userdata)
{
	struct peer *p = userdata;

	(void)conn;
	assert_int_equal(r->ticket, 0);
	return p->upload;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	struct peer *p = userdata;

	assert_ptr_equal(kedge_conn_tag(conn, ticket), tag);
	p->body_bytes += piece.size;
	if (piece.size)
		assert_int_equal(buf_append(&p->log, piece.data, piece.size), 0);
	else
		assert_int_equal(buf_appendf(&p->log, " end of %zu\n", (size_t)tag), 0);
}

static void on_writable(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct peer *p = userdata;
	int r = 0;

	if (ticket != p->refill) {
		assert_int_equal(buf_appendf(&p->log, "writable %zu\n", (size_t)tag), 0);
		return;
	}
	while (r == 0 && p->refill_left) {
		r = kedge_conn_stream_write(conn, ticket, kedge_span("xxxx"));
		assert_true(r == 0 || r == 1 || r == -EAGAIN);
		p->refill_left -= r >= 0;
	}
}

static void on_answer(struct kedge_conn *conn, const struct kedge_conn_answer *a, void *userdata)
{
	struct peer *p = userdata;
	struct kedge_span value = a->failed ? a->error : a->result;

	(void)conn;
	assert_int_equal(buf_appendf(&p->log, "answer %d %s %.*s %d %.*s\n", (int)a->number,
				     a->failed ? "failed" : "ok", (int)value.size, value.data,
				     a->status, (int)a->error_code.size, a->error_code.data),
			 0);
}

static void on_output(struct kedge_conn *conn, void *userdata)
{
	struct peer *p = userdata;

	assert_true(kedge_conn_output_bytes(conn) > 0);
	assert_int_equal(buf_appendf(&p->log, "output\n"), 0);
}

struct kedge_conn_options peer_options(struct peer *p, enum kedge_protocol protocol)
{
	return (struct kedge_conn_options){
		.size = sizeof(struct kedge_conn_options),
		.protocol = protocol,
		.userdata = p,
		.handlers = { .on_request = on_request,
			      .on_cancel = on_cancel,
			      .on_output = on_output,
			      .on_upload = on_upload,
			      .on_body = on_body,
			      .on_writable = on_writable,
			      .on_answer = on_answer },
	};
}

void peer_open(struct peer *p, const struct kedge_conn_options *options)
{
	struct kedge_conn_options mine = *options;
	enum kedge_upload upload = p->upload;

	memset(p, 0, sizeof(*p));
	p->upload = upload;
	mine.userdata = p;
	assert_int_equal(kedge_conn_new(&p->conn, &mine), 0);
}

void peer_close(struct peer *p)
{
	p->conn = kedge_conn_free(p->conn);
	buf_deinit(&p->sent);
	buf_deinit(&p->log);
}

void peer_feed(struct peer *p, const void *data, size_t size)
{
	const char *from = data;

	while (size) {
		size_t room;
		void *to = kedge_conn_input(p->conn, &room);

		assert_non_null(to);
		room = room < size ? room : size;
		memcpy(to, from, room);
		if (kedge_conn_received(p->conn, room) < 0)
			return;
		from += room;
		size -= room;
	}
}

void peer_feed_text(struct peer *p, const char *text)
{
	peer_feed(p, text, strlen(text));
}

static void frame_text(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	char header[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	assert_int_equal(buf_append(b, header, 4), 0);
	assert_int_equal(buf_append(b, text, n), 0);
}

void frames_append(struct buf *b, const char *text, ...)
{
	va_list more;

	va_start(more, text);
	for (; text; text = va_arg(more, const char *))
		frame_text(b, text);
	va_end(more);
}

void peer_feed_frame(struct peer *p, const char *text)
{
	struct buf b = BUF_INIT;

	frame_text(&b, text);
	peer_feed(p, buf_front(&b), buf_size(&b));
	buf_deinit(&b);
}

size_t peer_take_some(struct peer *p, size_t size)
{
	const void *data;
	size_t there;

	if (!kedge_conn_output(p->conn, &data, &there))
		return 0;
	there = there < size ? there : size;
	assert_int_equal(buf_append(&p->sent, data, there), 0);
	p->pieces++;
	kedge_conn_sent(p->conn, there);
	return there;
}

void peer_take(struct peer *p)
{
	while (peer_take_some(p, SIZE_MAX))
		;
}

static void expect(struct buf *b, const void *data, size_t size)
{
	if (buf_size(b) != size || (size && memcmp(buf_front(b), data, size) != 0))
		print_error("got \"%.*s\"\nnot \"%.*s\"\n", (int)buf_size(b),
			    buf_size(b) ? buf_front(b) : "", (int)size,
			    size ? (const char *)data : "");
	assert_int_equal(buf_size(b), size);
	if (size)
		assert_memory_equal(buf_front(b), data, size);
	buf_consume(b, size);
}

void peer_expect(struct peer *p, const void *data, size_t size)
{
	peer_take(p);
	expect(&p->sent, data, size);
}

void peer_expect_text(struct peer *p, const char *text)
{
	peer_expect(p, text, strlen(text));
}

void peer_expect_log(struct peer *p, const char *text)
{
	expect(&p->log, text, strlen(text));
}

static void run_cut(const struct kedge_conn_options *options, struct kedge_span in,
		    const size_t cuts[2], struct kedge_span out, const char *log)
{
	struct peer p = { .upload = ((struct peer *)options->userdata)->upload };

	peer_open(&p, options);
	peer_feed(&p, in.data, cuts[0]);
	peer_feed(&p, in.data + cuts[0], cuts[1] - cuts[0]);
	peer_feed(&p, in.data + cuts[1], in.size - cuts[1]);
	kedge_conn_received_eof(p.conn);
	peer_expect(&p, out.data, out.size);
	peer_expect_log(&p, log);
	peer_close(&p);
}

static void run_bytes(const struct kedge_conn_options *options, struct kedge_span in,
		      struct kedge_span out, const char *log)
{
	struct peer p = { .upload = ((struct peer *)options->userdata)->upload };

	peer_open(&p, options);
	for (size_t i = 0; i < in.size; i++) {
		peer_feed(&p, in.data + i, 1);
		(void)peer_take_some(&p, 1);
	}
	kedge_conn_received_eof(p.conn);
	while (peer_take_some(&p, 1))
		;
	expect(&p.sent, out.data, out.size);
	peer_expect_log(&p, log);
	peer_close(&p);
}

static void dialogue(const struct kedge_conn_options *options, struct kedge_span in,
		     struct kedge_span out, const char *log)
{
	run_bytes(options, in, out, log);
	for (size_t i = 0; i <= in.size; i++) {
		size_t last = in.size <= TWO_CUTS_BYTES_MAX ? in.size : i;

		for (size_t j = i; j <= last; j++)
			run_cut(options, in, (size_t[]){ i, j }, out, log);
	}
}

/* Whose memory it is makes no difference. */
void peer_dialogue(const struct kedge_conn_options *options, struct kedge_span in,
		   struct kedge_span out, const char *log)
{
	struct kedge_conn_options lending = *options;

	dialogue(options, in, out, log);
	lending.spares = kedge_conn_spares_new();
	assert_non_null(lending.spares);
	dialogue(&lending, in, out, log);
	kedge_conn_spares_free(lending.spares);
}

void peer_expect_frames(struct peer *p, const char *const *texts)
{
	struct buf b = BUF_INIT;

	for (; *texts; texts++)
		frames_append(&b, *texts, NULL);
	peer_expect(p, buf_front(&b), buf_size(&b));
	buf_deinit(&b);
}
