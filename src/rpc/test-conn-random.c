/*
 * A client and a handler that do whatever comes to their minds, a history a seed: requests with
 * and without bodies, refusals, cancels; answers of every kind, at once and late, streams
 * side by side, uploads that are held. Bytes are cut anywhere, the reader is slow, limits
 * are low.
 *
 * Whatever happens: what comes out is well-formed, every request is answered once, what is
 * uploaded arrives whole, and the connection ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "kedge/conn.h"
#include "wire/envelope.h"

#define SEEDS       2000
#define REQUESTS    60
#define MESSAGE_MAX 400

enum state { ASKED = 0, OPEN, STREAMING, DONE };

struct request {
	uint64_t ticket;
	enum state state;
	bool held;
	size_t uploaded, arrived; /* bytes of a chunked body */
	bool complete;            /* its end was seen */
	unsigned answers;         /* seen by the client */
};

struct world {
	uint64_t random;
	struct kedge_conn *conn;
	struct buf in, out;
	struct request requests[REQUESTS];
	unsigned asked;
};

/* Knuth's MMIX generator; its upper bits. */
static unsigned pick(struct world *w, unsigned n)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(w->random >> 33) % n;
}

static void frame(struct world *w, const char *bytes, size_t n)
{
	char header[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	assert_int_equal(buf_append(&w->in, header, 4), 0);
	assert_int_equal(buf_append(&w->in, bytes, n), 0);
}

/* Bytes of a body that would be a valid request, were they taken for one. */
static size_t body_frame(struct world *w, unsigned size_max)
{
	static const char trap[MESSAGE_MAX * 2] = "{\"id\":999,\"method\":\"trap\"}";
	size_t n = 1 + pick(w, size_max);

	frame(w, trap, n);
	return n;
}

static void chunks(struct world *w, struct request *r)
{
	for (unsigned i = pick(w, 6); i > 0; i--)
		r->uploaded += body_frame(w, 90);
	frame(w, "", 0);
}

/* The index of a request is its id. */
static void ask(struct world *w)
{
	static const char *const headers[] = { "", ",\"headers\":{\"content-length\":\"?\"}",
					       ",\"headers\":{\"transfer-encoding\":\"chunked\"}" };
	struct request *r = &w->requests[w->asked];
	unsigned body = pick(w, 3);
	char text[160];
	int n;

	if (pick(w, 5) == 0)
		n = snprintf(
			text, sizeof(text),
			"{\"id\":\"%u\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"%u\"}%s}",
			w->asked, pick(w, w->asked + 1), headers[body]);
	else
		n = snprintf(text, sizeof(text), "{\"id\":\"%u\",\"method\":%s%s}", w->asked,
			     pick(w, 8) ? "\"m\"" : "7", headers[body]);
	w->asked++;
	frame(w, text, (size_t)n);
	if (body == 1)
		(void)body_frame(w, MESSAGE_MAX + 100);
	else if (body == 2)
		chunks(w, r);
}

static struct request *request_of(struct world *w, struct kedge_span id)
{
	unsigned i = 0;

	assert_int_equal(id.data[0], '"');
	for (size_t at = 1; at < id.size - 1; at++)
		i = i * 10 + (unsigned)(id.data[at] - '0');
	assert_true(i < w->asked);
	return &w->requests[i];
}

static void check(int r)
{
	if (r < 0 && r != -EAGAIN)
		fail_msg("%d", r);
}

static void reply(struct world *w, struct request *r)
{
	static const struct kedge_rpc_error error = { .text = { "no", 2 }, .status = 500 };
	struct kedge_span headers = kedge_span("{\"a\":\"b\"}");
	unsigned how = pick(w, 4);

	r->state = how == 3 ? STREAMING : DONE;
	if (how == 0)
		check(kedge_conn_reply(w->conn, r->ticket, kedge_span("{\"headers\":1}")));
	else if (how == 1)
		check(kedge_conn_fail(w->conn, r->ticket, &error));
	else if (how == 2)
		check(kedge_conn_reply_body(w->conn, r->ticket, headers, kedge_span("body")));
	else
		check(kedge_conn_stream_begin(w->conn, r->ticket, headers));
}

static void go_on(struct world *w, struct request *r)
{
	static const struct kedge_rpc_error error = { .text = { "no", 2 }, .status = 500 };
	char chunk[100] = "{\"id\":\"0\"}";
	unsigned how = pick(w, 8);

	if (how > 1) {
		check(kedge_conn_stream_write(w->conn, r->ticket,
					      (struct kedge_span){ chunk, pick(w, 100) }));
		return;
	}
	r->state = DONE;
	if (how)
		check(kedge_conn_stream_end(w->conn, r->ticket));
	else
		check(kedge_conn_fail(w->conn, r->ticket, &error));
}

/* The handler does something with one of its requests. */
static void act(struct world *w)
{
	struct request *r = &w->requests[pick(w, w->asked + 1) % REQUESTS];

	if (r->state != OPEN && r->state != STREAMING)
		return;
	switch (pick(w, 4)) {
	case 0:
		r->held = true;
		check(kedge_conn_hold(w->conn, r->ticket));
		break;
	case 1:
		r->held = false;
		check(kedge_conn_release(w->conn, r->ticket));
		break;
	default:
		if (r->state == OPEN)
			reply(w, r);
		else
			go_on(w, r);
	}
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *q, void *userdata)
{
	struct world *w = userdata;
	struct request *r = request_of(w, q->id);

	assert_int_equal(q->method.size, 1);
	assert_int_equal(r->state, ASKED);
	r->ticket = q->ticket;
	r->state = OPEN;
	check(kedge_conn_set_tag(conn, q->ticket, r));
	if (q->body_kind == KEDGE_BODY_WHOLE && r->uploaded)
		assert_int_equal(q->body.size, r->uploaded);
	if (pick(w, 2))
		reply(w, r);
	else
		act(w);
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct request *r = tag;

	(void)userdata;
	assert_int_equal(r->ticket, ticket);
	assert_true(r->state == OPEN || r->state == STREAMING);
	assert_int_equal(kedge_conn_stream_end(conn, ticket), -ESTALE);
	r->state = DONE;
}

static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *q,
				   void *userdata)
{
	(void)conn, (void)q;
	return pick(userdata, 2) ? KEDGE_UPLOAD_STREAM : KEDGE_UPLOAD_COLLECT;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	struct request *r = tag;

	(void)conn;
	assert_int_equal(r->ticket, ticket);
	assert_false(r->held || r->complete);
	r->arrived += piece.size;
	r->complete = piece.size == 0;
	if (r->complete)
		assert_int_equal(r->arrived, r->uploaded);
	act(userdata);
}

static void on_writable(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct request *r = tag;

	(void)conn;
	assert_int_equal(r->ticket, ticket);
	assert_int_equal(r->state, STREAMING);
	go_on(userdata, r);
}

static void feed(struct world *w, size_t n)
{
	size_t room;
	void *to = kedge_conn_input(w->conn, &room);

	assert_non_null(to);
	assert_true(n <= room);
	if (n)
		memcpy(to, buf_front(&w->in), n);
	buf_consume(&w->in, n);
	assert_int_equal(kedge_conn_received(w->conn, n), 0);
}

static void take(struct world *w, size_t n)
{
	const void *data;
	size_t there;

	if (!kedge_conn_output(w->conn, &data, &there))
		return;
	n = n < there ? n : there;
	assert_int_equal(buf_append(&w->out, data, n), 0);
	kedge_conn_sent(w->conn, n);
}

/* The next frame that the client got. */
static struct kedge_span next_frame(struct world *w)
{
	const unsigned char *p = (const unsigned char *)buf_front(&w->out);
	size_t n;

	assert_true(buf_size(&w->out) >= 4);
	n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	assert_true(buf_size(&w->out) >= 4 + n);
	buf_consume(&w->out, 4 + n);
	return (struct kedge_span){ (const char *)p + 4, n };
}

static void read_answer(struct world *w)
{
	struct envelope e;
	struct kedge_span headers;

	assert_int_equal(envelope_scan(next_frame(w), 16, &e), ENVELOPE_OK);
	headers = e.members[MEMBER_HEADERS];
	request_of(w, e.members[MEMBER_ID])->answers++;
	if (json_member(headers, "content-length").size)
		assert_int_equal(next_frame(w).size, 4);
	else if (json_string_is(json_member(headers, "transfer-encoding"), "chunked"))
		while (next_frame(w).size)
			;
}

static void live(struct world *w)
{
	while (w->asked < REQUESTS || buf_size(&w->in)) {
		size_t n = pick(w, 80);

		if (w->asked < REQUESTS && pick(w, 2))
			ask(w);
		if (kedge_conn_wants_input(w->conn))
			feed(w, n < buf_size(&w->in) ? n : buf_size(&w->in));
		if (pick(w, 3) == 0)
			act(w);
		if (pick(w, 3) == 0)
			take(w, pick(w, 200));
	}
}

/* Everything comes to its end, in some order. */
static void end(struct world *w)
{
	kedge_conn_received_eof(w->conn);
	for (int turn = 0; !kedge_conn_is_finished(w->conn); turn++) {
		assert_in_range(turn, 0, 100000);
		act(w);
		take(w, 300);
	}
}

static void run(unsigned seed)
{
	struct world w = { .random = seed };
	struct kedge_conn_options options = {
		.size = sizeof(options),
		.protocol = KEDGE_PROTOCOL_FRAMES,
		.userdata = &w,
		.limits = { .message_bytes_max = MESSAGE_MAX,
			    .in_flight_max = 1 + seed % 8,
			    .output_bytes_high = 100 + seed % 400 },
		.handlers = { .on_request = on_request,
			      .on_cancel = on_cancel,
			      .on_upload = on_upload,
			      .on_body = on_body,
			      .on_writable = on_writable },
		.spares = seed % 2 ? kedge_conn_spares_new() : NULL,
	};

	assert_int_equal(kedge_conn_new(&w.conn, &options), 0);
	live(&w);
	end(&w);
	while (buf_size(&w.out))
		read_answer(&w);
	for (unsigned i = 0; i < REQUESTS; i++)
		if (w.requests[i].answers != 1)
			fail_msg("seed %u: request %u has %u answers", seed, i,
				 w.requests[i].answers);
	kedge_conn_free(w.conn);
	kedge_conn_spares_free(options.spares);
	buf_deinit(&w.in);
	buf_deinit(&w.out);
}

static unsigned last_seed;

static void test_histories(void **state)
{
	(void)state;
	for (last_seed = 0; last_seed < SEEDS; last_seed++)
		run(last_seed);
}

static int tell_seed(void **state)
{
	(void)state;
	print_message("# %u histories; a failure is the last seed's\n", last_seed);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_histories, tell_seed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
