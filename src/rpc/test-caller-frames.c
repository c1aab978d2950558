/* Calls on frames: bodies and streams both ways, cancel, what breaks the protocol. */
#include "rpc/caller.h"
#include "rpc/test-caller.h"

#include <stdlib.h>

#define FRAMES KEDGE_PROTOCOL_FRAMES

static void put_frame(struct buf *b, const void *data, size_t size)
{
	unsigned char header[4] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
				    (unsigned char)(size >> 8), (unsigned char)size };

	assert_int_equal(buf_append(b, header, 4), 0);
	assert_int_equal(buf_append(b, data, size), 0);
}

static void put(struct buf *b, const char *text)
{
	put_frame(b, text, strlen(text));
}

static int feed_frame(struct rig *rig, const char *text)
{
	struct buf b = BUF_INIT;
	int r;

	put(&b, text);
	r = rig_feed(rig, buf_front(&b), buf_size(&b));
	buf_deinit(&b);
	return r;
}

/* What was sent, each frame on a line of its own. */
static void sends_frames(struct rig *rig, const char *wanted)
{
	struct buf text = BUF_INIT;
	const char *p, *end;

	rig_take(rig);
	p = buf_front(&rig->sent);
	end = p + buf_size(&rig->sent);
	while (p < end) {
		const unsigned char *h = (const unsigned char *)p;
		size_t n = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];

		assert_true((size_t)(end - p) >= 4 + n);
		assert_int_equal(buf_append(&text, p + 4, n), 0);
		assert_int_equal(buf_append(&text, "\n", 1), 0);
		p += 4 + n;
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_string_equal(buf_front(&text), wanted);
	buf_deinit(&text);
}

static void test_requests_as_they_are_sent(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	rig_call(&rig, "plain");
	ask.headers = S("{\"a\":\"b\",\"content-length\":\"99\",\"transfer-encoding\":\"x\"}");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	ask.body_kind = KEDGE_BODY_WHOLE;
	ask.body = S("bytes");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	ask.headers.size = 0;
	ask.body.size = 0;
	ask.params = S("{}");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	sends_frames(&rig, "{\"id\":\"1\",\"method\":\"plain\"}\n"
			   "{\"id\":\"2\",\"method\":\"m\",\"headers\":{\"a\":\"b\"}}\n"
			   "{\"id\":\"3\",\"method\":\"m\",\"headers\":{\"a\":\"b\","
			   "\"content-length\":\"5\"}}\nbytes\n"
			   "{\"id\":\"4\",\"method\":\"m\",\"params\":{},\"headers\":"
			   "{\"content-length\":\"0\"}}\n\n");
	rig_end(&rig);
}

/* All kinds of answers after each other, cut at each place. */
static void test_every_cut(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	put(&b, "{\"id\":\"2\",\"headers\":{\"x\":\"y\",\"content-length\":\"4\"}}");
	put(&b, "body");
	put(&b, "{\"id\":\"1\",\"result\":1}");
	put(&b, "{\"id\":\"3\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	put(&b, "one");
	put(&b, "{\"id\":\"4\"}");
	put(&b, "");
	put(&b, "{\"id\":\"7\",\"headers\":{\"content-length\":\"2\"}}");
	put(&b, "no");
	put(&b, "{\"id\":\"4\",\"headers\":{\"content-length\":\"0\"}}");
	put(&b, "");
	put(&b, "{\"id\":\"5\",\"headers\":{\"content-length\":\"3\"}}");
	put(&b, "abc");
	put(&b, "{\"event\":\"e\"}");
	for (size_t cut = 0; cut <= buf_size(&b); cut++) {
		struct kedge_ask pieces = rig_ask("e");
		struct rig rig;

		rig_begin(&rig, FRAMES);
		rig_call(&rig, "a");
		rig_call(&rig, "b");
		rig_call(&rig, "c");
		rig_call(&rig, "d");
		assert_int_equal(kedge_caller_call(rig.caller, &pieces, NULL), 0);
		assert_int_equal(rig_feed(&rig, buf_front(&b), cut), 0);
		assert_int_equal(rig_feed(&rig, buf_front(&b) + cut, buf_size(&b) - cut), 0);
		rig_says(&rig, "b body {\"x\":\"y\",\"content-length\":\"4\"} body\na result 1\n"
			       "c stream {\"transfer-encoding\":\"chunked\"}\nc chunk one\n"
			       "c chunk {\"id\":\"4\"}\nc end\nd body {\"content-length\":\"0\"} \n"
			       "e body {\"content-length\":\"3\"} abc\nevent \"e\"\n");
		assert_int_equal(kedge_caller_dropped(rig.caller), 1);
		rig_end(&rig);
	}
	buf_deinit(&b);
}

static void test_an_error_has_no_body(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	rig_call(&rig, "a");
	rig_call(&rig, "b");
	feed_frame(&rig, "{\"id\":\"1\",\"error\":\"x\",\"headers\":{\"content-length\":\"1\"}}");
	feed_frame(&rig, "{\"id\":\"2\",\"result\":2,\"headers\":{\"content-length\":\"1\"}}");
	rig_says(&rig, "a error 0 \"x\"\nb result 2\n");
	rig_end(&rig);
}

static size_t pieces_bytes, piece_longest;

static void count_piece(struct kedge_span chunk, void *userdata)
{
	(void)userdata;
	pieces_bytes += chunk.size;
	if (chunk.size > piece_longest)
		piece_longest = chunk.size;
}

/* A body of any length, in pieces: beyond the limit of what is taken whole. */
static void test_a_body_in_pieces(void **state)
{
	struct kedge_caller_options options = rig_options(FRAMES);
	struct kedge_ask ask = rig_ask("m");
	struct buf b = BUF_INIT;
	size_t size = 3 << 20;
	char *bytes = calloc(1, size);
	struct rig rig;

	(void)state;
	assert_non_null(bytes);
	options.limits.message_bytes_max = 1000;
	rig_open(&rig, &options);
	ask.take = KEDGE_TAKE_PIECES;
	ask.on_chunk = count_piece;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	put(&b, "{\"id\":\"1\",\"headers\":{\"content-length\":\"3145728\"}}");
	put_frame(&b, bytes, size);
	put(&b, "{\"id\":\"2\",\"headers\":{\"content-length\":\"0\"}}");
	put_frame(&b, bytes, 0);
	pieces_bytes = piece_longest = 0;
	assert_int_equal(rig_feed(&rig, buf_front(&b), buf_size(&b)), 0);
	rig_says(&rig, "m stream {\"content-length\":\"3145728\"}\nm end\n"
		       "m stream {\"content-length\":\"0\"}\nm end\n");
	assert_int_equal(pieces_bytes, size);
	/* Nothing was gathered: a piece is what came in one read. */
	assert_true(piece_longest <= 131072);
	rig_end(&rig);
	buf_deinit(&b);
	free(bytes);
}

static void test_a_long_chunk_comes_in_pieces(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	size_t size = KEDGE_CHUNK_WHOLE_MAX + 1;
	char *bytes = calloc(1, size);
	struct buf b = BUF_INIT;
	struct rig rig;

	(void)state;
	assert_non_null(bytes);
	rig_begin(&rig, FRAMES);
	ask.on_chunk = count_piece;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	put(&b, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	put_frame(&b, bytes, size - 1);
	pieces_bytes = piece_longest = 0;
	assert_int_equal(rig_feed(&rig, buf_front(&b), buf_size(&b)), 0);
	assert_int_equal(piece_longest, KEDGE_CHUNK_WHOLE_MAX);
	buf_consume(&b, buf_size(&b));
	put_frame(&b, bytes, size);
	put_frame(&b, bytes, 0);
	pieces_bytes = piece_longest = 0;
	assert_int_equal(rig_feed(&rig, buf_front(&b), buf_size(&b)), 0);
	assert_int_equal(pieces_bytes, size);
	assert_true(piece_longest < KEDGE_CHUNK_WHOLE_MAX);
	rig_says(&rig, "m stream {\"transfer-encoding\":\"chunked\"}\nm end\n");
	rig_end(&rig);
	buf_deinit(&b);
	free(bytes);
}

static void test_a_body_that_is_too_large(void **state)
{
	struct kedge_caller_options options = rig_options(FRAMES);
	char text[101] = "";
	struct rig rig;

	(void)state;
	memset(text, 'x', 100);
	options.limits.message_bytes_max = 99;
	rig_open(&rig, &options);
	rig_call(&rig, "m");
	rig_call(&rig, "n");
	assert_int_equal(feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"content-length\":\"\"}}"),
			 0);
	assert_int_equal(feed_frame(&rig, text), 0);
	assert_int_equal(feed_frame(&rig, "{\"id\":\"2\",\"result\":2}"), 0);
	rig_says(&rig, "m too-large {\"content-length\":\"\"}\nn result 2\n");
	assert_int_equal(feed_frame(&rig, text), -EMSGSIZE);
	rig_end(&rig);
}

static void test_what_breaks_the_protocol(void **state)
{
	static const char *const bad[] = { "", "nonsense", "[1]", "{\"id\":\"1\"" };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_begin(&rig, FRAMES);
		rig_call(&rig, "m");
		assert_int_equal(feed_frame(&rig, bad[i]), -EPROTO);
		kedge_caller_lost(rig.caller);
		rig_says(&rig, "m lost\n");
		rig_end(&rig);
	}
	rig_begin(&rig, FRAMES);
	assert_int_equal(rig_line(&rig, "{\"id\":\"1\"}\n"), -EPROTO);
	rig_end(&rig);
}

/* Cancel, or a time-out, while an answer is awaited, a body or a stream comes. */
static void test_cancel_in_each_state(void **state)
{
	static const struct {
		const char *header, *body, *says;
	} rows[] = {
		{ NULL, NULL, "m cancelled\n" },
		{ "{\"id\":\"1\",\"headers\":{\"content-length\":\"4\"}}", "body",
		  "m cancelled\n" },
		{ "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}", "",
		  "m stream {\"transfer-encoding\":\"chunked\"}\nm cancelled\n" },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rig rig;
		uint64_t number;

		rig_begin(&rig, FRAMES);
		number = rig_call(&rig, "m");
		rig_call(&rig, "n");
		rig_take(&rig);
		if (rows[i].header)
			assert_int_equal(feed_frame(&rig, rows[i].header), 0);
		assert_int_equal(kedge_caller_cancel(rig.caller, number), 0);
		rig_says(&rig, rows[i].says);
		sends_frames(&rig, "{\"id\":\"3\",\"method\":\"$cancel\",\"params\":"
				   "{\"targetId\":\"1\"}}\n");
		/* What was under way is read past. */
		if (rows[i].body)
			assert_int_equal(feed_frame(&rig, rows[i].body), 0);
		assert_int_equal(feed_frame(&rig, "{\"id\":\"3\",\"result\":null}"), 0);
		assert_int_equal(feed_frame(&rig, "{\"id\":\"2\",\"result\":2}"), 0);
		rig_says(&rig, "n result 2\n");
		rig_end(&rig);
	}
}

static void cancel_in_chunk(struct kedge_span chunk, void *userdata)
{
	rig_chunk(chunk, userdata);
	(void)kedge_caller_cancel(the_rig->caller, 1);
}

static void test_cancel_from_a_chunk(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.on_chunk = cancel_in_chunk;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	feed_frame(&rig, "one");
	feed_frame(&rig, "two");
	feed_frame(&rig, "");
	rig_says(&rig, "m stream {\"transfer-encoding\":\"chunked\"}\nm chunk one\nm cancelled\n");
	rig_call(&rig, "n");
	feed_frame(&rig, "{\"id\":\"3\",\"result\":2}");
	rig_says(&rig, "n result 2\n");
	rig_end(&rig);
}

static void test_time_out_of_the_first_chunk(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.deadline_ns = 10;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	assert_true(kedge_caller_deadline(rig.caller) == TIME_NEVER);
	assert_int_equal(kedge_caller_set_deadline(rig.caller, number, 20), 0);
	feed_frame(&rig, "one");
	kedge_caller_expire(rig.caller, 30);
	assert_int_equal(kedge_caller_set_deadline(rig.caller, number, 40), 0);
	kedge_caller_expire(rig.caller, 50);
	rig_says(&rig, "m stream {\"transfer-encoding\":\"chunked\"}\nm chunk one\nm timed-out\n");
	rig_end(&rig);
}

/* Whoever reads from a socket says what time it is, and need not set a deadline by hand. */
static void test_the_first_chunk_has_a_deadline_of_its_own(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.first_chunk_ms = 5;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig.caller->clock_ns = 1000;
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	assert_true(kedge_caller_deadline(rig.caller) == 1000 + 5 * NSEC_PER_MSEC);
	kedge_caller_expire(rig.caller, 1000 + 5 * NSEC_PER_MSEC);
	rig_says(&rig, "m stream {\"transfer-encoding\":\"chunked\"}\nm timed-out\n");
	rig_end(&rig);
}

static void test_loss_in_each_state(void **state)
{
	static const char *const headers[] = {
		"{\"id\":\"1\",\"headers\":{\"content-length\":\"4\"}}",
		"{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct kedge_ask ask = rig_ask("m");
		struct rig rig;

		rig_begin(&rig, FRAMES);
		ask.if_lost = KEDGE_IF_LOST_RESEND;
		assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
		rig_take(&rig);
		feed_frame(&rig, headers[i]);
		rig_feed(&rig, "\0\0\0\4bo", 6);
		kedge_caller_lost(rig.caller);
		/* A stream that has begun cannot be asked for again. */
		rig_says(&rig,
			 i == 0 ? "" : "m stream {\"transfer-encoding\":\"chunked\"}\nm lost\n");
		sends_frames(&rig, i == 0 ? "{\"id\":\"1\",\"method\":\"m\"}\n" : "");
		/* The next connection begins with a message. */
		feed_frame(&rig, "{\"id\":\"1\",\"result\":1}");
		rig_says(&rig, i == 0 ? "m result 1\n" : "");
		rig_end(&rig);
	}
}

/* While a body is sent in chunks, what else is asked waits behind it. */
static void test_uploads(void **state)
{
	struct kedge_ask ask = rig_ask("up");
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.body_kind = KEDGE_BODY_STREAMED;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -EBUSY);
	rig_call(&rig, "other");
	assert_int_equal(kedge_caller_upload(rig.caller, number, S("one")), 0);
	assert_int_equal(kedge_caller_upload(rig.caller, number, S("")), 0);
	assert_int_equal(kedge_caller_upload(rig.caller, number + 1, S("x")), -ESTALE);
	assert_int_equal(kedge_caller_upload(rig.caller, 0, S("x")), -ESTALE);
	assert_int_equal(kedge_caller_upload_end(rig.caller, number), 0);
	assert_int_equal(kedge_caller_upload_end(rig.caller, number), -ESTALE);
	sends_frames(&rig, "{\"id\":\"1\",\"method\":\"up\",\"headers\":{\"transfer-encoding\":"
			   "\"chunked\"}}\none\n\n{\"id\":\"2\",\"method\":\"other\"}\n");
	ask.if_lost = KEDGE_IF_LOST_RESEND;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -EINVAL);
	rig_end(&rig);
}

/* Headers are an object, or are not sent; those that say how a body comes are the caller's. */
static void test_headers(void **state)
{
	static const char *const bad[] = { "[]", "1", "\"a\"", "{", "{\"a\":1}," };
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ask.headers = S(bad[i]);
		assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -EINVAL);
	}
	ask.headers = S("{\"content-length\":7}");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	ask.headers = S("{\"a\":1,\"content-length\":7}");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	sends_frames(&rig, "{\"id\":\"1\",\"method\":\"m\",\"headers\":{}}\n"
			   "{\"id\":\"2\",\"method\":\"m\",\"headers\":{\"a\":1}}\n");
	rig_end(&rig);
}

/* The server refuses before it has read all, or the call is given up: the body is ended. */
static void test_uploads_that_end_early(void **state)
{
	struct kedge_ask ask = rig_ask("up");
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.body_kind = KEDGE_BODY_STREAMED;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"error\":\"too large\",\"statusCode\":413}");
	assert_int_equal(kedge_caller_upload(rig.caller, number, S("x")), -ESTALE);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	assert_int_equal(kedge_caller_upload(rig.caller, number, S("x")), 0);
	assert_int_equal(kedge_caller_cancel(rig.caller, number), 0);
	rig_says(&rig, "up error 413 \"too large\"\nup cancelled\n");
	sends_frames(&rig,
		     "{\"id\":\"1\",\"method\":\"up\",\"headers\":{\"transfer-encoding\":"
		     "\"chunked\"}}\n\n{\"id\":\"2\",\"method\":\"up\",\"headers\":"
		     "{\"transfer-encoding\":\"chunked\"}}\nx\n\n"
		     "{\"id\":\"3\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"2\"}}\n");
	rig_end(&rig);
}

static void test_answers_to_the_server(void **state)
{
	struct kedge_rpc_error error = { .text = S("no"), .status = 404, .code = "NOT_FOUND" };
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	feed_frame(&rig, "{\"id\":\"d:1\",\"method\":\"m\"}");
	rig_says(&rig, "request \"d:1\" m\n");
	assert_int_equal(kedge_caller_reply(rig.caller, S("\"d:1\""), S("1")), 0);
	assert_int_equal(kedge_caller_fail(rig.caller, S("\"d:2\""), &error), 0);
	sends_frames(&rig, "{\"id\":\"d:1\",\"result\":1}\n{\"id\":\"d:2\",\"error\":"
			   "\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}\n");
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_as_they_are_sent),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_an_error_has_no_body),
		cmocka_unit_test(test_a_body_in_pieces),
		cmocka_unit_test(test_a_long_chunk_comes_in_pieces),
		cmocka_unit_test(test_a_body_that_is_too_large),
		cmocka_unit_test(test_what_breaks_the_protocol),
		cmocka_unit_test(test_cancel_in_each_state),
		cmocka_unit_test(test_cancel_from_a_chunk),
		cmocka_unit_test(test_time_out_of_the_first_chunk),
		cmocka_unit_test(test_the_first_chunk_has_a_deadline_of_its_own),
		cmocka_unit_test(test_loss_in_each_state),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_uploads_that_end_early),
		cmocka_unit_test(test_answers_to_the_server),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
