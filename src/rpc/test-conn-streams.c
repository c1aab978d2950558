/* Streams: what waits behind them, whose turn it is, and who has to wait for the reader. */
#include <stdio.h>

#include "rpc/conn-internal.h"
#include "rpc/test-peer.h"

#define BEGUN(id)  "{\"id\":" id ",\"headers\":{\"x\":[1],\"transfer-encoding\":\"chunked\"}}"
#define OPEN(id)   "{\"id\":" id ",\"method\":\"open\"}"
#define ECHO(id)   "{\"id\":" id ",\"method\":\"echo\"}"
#define NULLED(id) "{\"id\":" id ",\"result\":null}"
#define CHUNKED    ",\"headers\":{\"transfer-encoding\":\"chunked\"}}"

static void open_frames(struct peer *p, size_t high, size_t max)
{
	struct kedge_conn_options options = peer_options(p, KEDGE_PROTOCOL_FRAMES);

	options.limits.output_bytes_high = high;
	options.limits.output_bytes_max = max;
	peer_open(p, &options);
}

/* Chunks carry no id: nothing comes between them. */
static void test_answers_wait_behind(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, ECHO("2"));
	peer_feed_frame(&p, "?");
	assert_int_equal(kedge_conn_push(p.conn, "e", (struct kedge_span){ NULL, 0 }), 0);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], kedge_span("ab")), 0);
	EXPECT(&p, BEGUN("1"), "ab");
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], kedge_span("")), 0);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), -ESTALE);
	EXPECT(&p, "", NULLED("2"),
	       "{\"id\":\"unknown\",\"error\":\"Invalid JSON\",\"statusCode\":400,"
	       "\"errorCode\":\"BAD_REQUEST\"}",
	       "{\"event\":\"e\"}");
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

/* A second stream opens when the first ends; one that ends before its turn takes none. */
static void test_turns(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_frames(&p, 0, 0);
	for (int i = 0; i < 4; i++)
		peer_feed_frame(&p, OPEN("1"));
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[1], kedge_span("{}")), -EINVAL);
	assert_int_equal(kedge_conn_reply(p.conn, p.later[1], kedge_span("1")), -EINVAL);
	assert_int_equal(
		kedge_conn_reply_body(p.conn, p.later[1], kedge_span("{}"), kedge_span("1")),
		-EINVAL);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[1], kedge_span("b")), -EAGAIN);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[2]), 0);
	EXPECT(&p, BEGUN("1"));
	peer_expect_log(&p, "");
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	EXPECT(&p, "", BEGUN("1"), "", BEGUN("1"));
	peer_expect_log(&p, "output\nwritable 2\n");
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[1], kedge_span("b")), 0);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[1]), 0);
	EXPECT(&p, "b", "", BEGUN("1"));
	peer_expect_log(&p, "output\nwritable 4\n");
	assert_int_equal(kedge_conn_in_flight(p.conn), 1);
	peer_close(&p);
}

/* A failure: what was seen ends; what was not seen becomes an error. */
static void test_fail(void **state)
{
	struct kedge_rpc_error error = { .text = kedge_span("why"), .status = 503 };
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, OPEN("2"));
	assert_int_equal(kedge_conn_fail(p.conn, p.later[1], &error), 0);
	assert_int_equal(kedge_conn_fail(p.conn, p.later[0], &error), 0);
	EXPECT(&p, BEGUN("1"), "",
	       "{\"id\":2,\"error\":\"why\",\"statusCode\":503,"
	       "\"errorCode\":\"SERVICE_UNAVAILABLE\"}");
	assert_int_equal(kedge_conn_in_flight(p.conn), 0);
	peer_close(&p);
}

/* The writer waits for the reader, and memory stays what it was. */
static void test_back_pressure(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	size_t chunks = 1000000, taken = 0, n;
	int r;

	(void)state;
	open_frames(&p, 1000, 2000);
	peer_feed_frame(&p, OPEN("1"));
	p.refill = p.later[0];
	p.refill_left = chunks;
	do {
		r = kedge_conn_stream_write(p.conn, p.refill, kedge_span("xxxx"));
		p.refill_left -= r >= 0;
	} while (r == 0);
	assert_int_equal(r, 1);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.refill, kedge_span("xxxx")), -EAGAIN);
	assert_in_range(buf_size(&p.conn->out), 1001, 1008);
	/* It is woken when half is gone, and not for every byte. */
	n = p.refill_left;
	taken += peer_take_some(&p, 400);
	assert_int_equal(p.refill_left, n);
	while ((n = peer_take_some(&p, 333)) > 0) {
		taken += n;
		assert_true(p.conn->out.capacity <= 4096);
		buf_consume(&p.sent, buf_size(&p.sent));
	}
	assert_int_equal(p.refill_left, 0);
	assert_int_equal(taken, chunks * 8 + FRAME_HEADER_BYTES + strlen(BEGUN("1")));
	peer_close(&p);
}

/* Nobody is woken to write where there is no room, at its beginning or at its turn. */
static void test_begun_without_room(void **state)
{
	static const char *const hundred = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
					   "xxxxxxxxxxxxxxxxxxxxxxxxx\"";
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_frames(&p, 90, 10000);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"}");
	peer_feed_frame(&p, "{\"id\":2,\"method\":\"later\"}");
	assert_int_equal(kedge_conn_push(p.conn, "e", kedge_span(hundred)), 0);
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[0], kedge_span("{}")), 1);
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[1], kedge_span("{}")), 1);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], kedge_span("a")), -EAGAIN);
	peer_take(&p);
	peer_expect_log(&p, "output\nwritable 1\n");
	/* What waits behind the stream keeps further requests out as well. */
	assert_true(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_push(p.conn, "e", kedge_span(hundred)), 0);
	assert_false(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	peer_expect_log(&p, "output\n");
	peer_take(&p);
	peer_expect_log(&p, "writable 2\n");
	peer_close(&p);
}

/* An upload that is broken off ends its stream, and the next has its turn. */
static void test_turn_after_a_broken_upload(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };

	(void)state;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"}");
	peer_feed_frame(&p, "{\"id\":2,\"method\":\"open\"" CHUNKED);
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[0], kedge_span("{\"x\":[1]}")), 1);
	peer_feed_frame(&p, "ab");
	kedge_conn_received_eof(p.conn);
	EXPECT(&p, BEGUN("2"), "", BEGUN("1"));
	peer_expect_log(&p, "abcancel 2\nwritable 1\n");
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	EXPECT(&p, "");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* A chunk for which there would be room later is not the end of the connection. */
static void test_chunk_waits_for_room(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	char chunk[150] = { 0 };
	struct kedge_span span = { chunk, sizeof(chunk) };

	(void)state;
	open_frames(&p, 180, 200);
	peer_feed_frame(&p, OPEN("1"));
	p.refill = 1;
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], span), -EAGAIN);
	peer_take(&p);
	peer_expect_log(&p, "writable 1\n");
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], span), 0);
	peer_take(&p);
	span.size = 40;
	/* What waits behind the stream counts against the limit as well. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(kedge_conn_push(p.conn, "0123456789012345678901234567890123456789",
						 (struct kedge_span){ NULL, 0 }),
				 0);
	assert_int_equal(kedge_conn_push(p.conn, "012345678901234567890123456789012345678",
					 (struct kedge_span){ NULL, 0 }),
			 -ENOBUFS);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], span), -ESTALE);
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* Streams that wait are bounded too, each with its headers. */
static void test_waiting_is_bounded(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	int n = 0;

	(void)state;
	open_frames(&p, 1000, 1000);
	while (!kedge_conn_is_finished(p.conn) && n < PEER_LATER_MAX) {
		int r;

		peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"}");
		r = kedge_conn_stream_begin(p.conn, p.later[n++], kedge_span("{\"x\":1}"));
		assert_true(r >= 0 || r == -ENOBUFS);
	}
	assert_in_range(n, 2, 20);
	peer_close(&p);
}

/* One that ends before its turn is not counted twice: as one that waits, and as what is sent. */
static void test_a_share_is_given_up(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	char headers[1008] = "{\"x\":\"", envelope[1100];

	(void)state;
	memset(headers + 6, 'x', 1000);
	memcpy(headers + 1006 - 2, "\"}", 3);
	(void)snprintf(envelope, sizeof(envelope), "{\"id\":2,\"headers\":%.*s,%s}}",
		       (int)strlen(headers) - 1, headers, "\"transfer-encoding\":\"chunked\"");
	open_frames(&p, 0, 2000);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, "{\"id\":2,\"method\":\"later\"}");
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[1], kedge_span(headers)), 1);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[1]), 0);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	EXPECT(&p, BEGUN("1"), "", envelope, "");
	assert_int_equal(kedge_conn_in_flight(p.conn), 0);
	peer_close(&p);
}

/* An upload that is held: nothing more is read, and goes on where it was. */
static void test_hold(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };
	struct buf in = BUF_INIT;

	(void)state;
	open_frames(&p, 0, 0);
	frames_append(&in, "{\"id\":1,\"method\":\"hold\"" CHUNKED, "ab", "cd", "", ECHO("2"),
		      NULL);
	peer_feed(&p, buf_front(&in), buf_size(&in));
	assert_false(kedge_conn_wants_input(p.conn));
	peer_expect_log(&p, "");
	assert_int_equal(kedge_conn_release(p.conn, p.later[0]), 0);
	peer_expect_log(&p, "abcd end of 1\noutput\n");
	EXPECT(&p, NULLED("2"));
	assert_true(kedge_conn_wants_input(p.conn));
	/* Without effect now, and no trap for later. */
	assert_int_equal(kedge_conn_hold(p.conn, p.later[0]), 0);
	assert_true(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	assert_int_equal(kedge_conn_hold(p.conn, p.later[0]), -ESTALE);
	assert_int_equal(kedge_conn_release(p.conn, p.later[0]), -ESTALE);
	buf_deinit(&in);
	peer_close(&p);
}

/* An upload comes to its end whatever the limits on requests and answers say. */
static void test_upload_at_the_limits(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);

	(void)state;
	options.limits.in_flight_max = 1;
	options.limits.output_bytes_high = 1;
	peer_open(&p, &options);
	assert_int_equal(kedge_conn_push(p.conn, "e", (struct kedge_span){ NULL, 0 }), 0);
	assert_false(kedge_conn_wants_input(p.conn));
	peer_take(&p);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"" CHUNKED);
	assert_int_equal(kedge_conn_push(p.conn, "e", (struct kedge_span){ NULL, 0 }), 0);
	assert_true(kedge_conn_wants_input(p.conn));
	peer_feed_frame(&p, "ab");
	peer_feed_frame(&p, "");
	peer_expect_log(&p, "output\noutput\nab end of 1\n");
	assert_false(kedge_conn_wants_input(p.conn));
	peer_close(&p);
}

/* An answer before the end of the body: the rest is nobody's. */
static void test_answer_before_the_end(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };

	(void)state;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"hold\"" CHUNKED);
	peer_feed_frame(&p, "ab");
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	peer_feed_frame(&p, "cd");
	peer_feed_frame(&p, "");
	peer_feed_frame(&p, ECHO("2"));
	EXPECT(&p, "{\"id\":1,\"result\":1}", NULLED("2"));
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

/* Bodies beyond the limit: refused as soon as that is known, skipped, in constant memory. */
static void test_large_bodies(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	static const char *const large =
		"{\"id\":1,\"error\":\"Message too large: 268435456 bytes, limit 100\","
		"\"statusCode\":413,\"errorCode\":\"PAYLOAD_TOO_LARGE\"}";
	static const char head[] =
		"{\"id\":1,\"method\":\"size\",\"headers\":{\"content-length\":1}}";
	static char block[65536];

	(void)state;
	options.limits.message_bytes_max = 100;
	peer_open(&p, &options);
	peer_feed_frame(&p, head);
	peer_feed(&p, "\x10\0\0\0", 4);
	EXPECT(&p, large);
	for (int i = 0; i < 4096; i++) {
		peer_feed(&p, block, sizeof(block));
		assert_true(p.conn->in.buf.capacity <= CONN_IDLE_BYTES);
	}
	peer_feed_frame(&p, ECHO("2"));
	EXPECT(&p, NULLED("2"));
	/* An envelope: its id is not known. */
	peer_feed(&p, "\0\0\0\x65", 4);
	EXPECT(&p, "{\"id\":\"unknown\",\"error\":\"Message too large: 101 bytes, limit 100\","
		   "\"statusCode\":413,\"errorCode\":\"PAYLOAD_TOO_LARGE\"}");
	peer_feed(&p, block, 101);
	/* At the limit it is taken, and so is a body. */
	memset(block, ' ', 100);
	memcpy(block, head, strlen(head));
	peer_feed(&p, "\0\0\0\x64", 4);
	peer_feed(&p, block, 100);
	peer_feed(&p, "\0\0\0\x64", 4);
	peer_feed(&p, block, 100);
	EXPECT(&p, "{\"id\":1,\"result\":[\"whole\",100]}");
	peer_feed_frame(&p, ECHO("3"));
	EXPECT(&p, NULLED("3"));
	peer_close(&p);
}

/* Chunks that are collected count together; of those passed on each for itself. */
static void test_large_chunks(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	static const char *const large =
		"{\"id\":1,\"error\":\"Message too large: 120 bytes, limit 100\","
		"\"statusCode\":413,\"errorCode\":\"PAYLOAD_TOO_LARGE\"}";
	char sixty[61], more[121];

	(void)state;
	memset(sixty, 'x', 60), sixty[60] = 0;
	memset(more, 'y', 120), more[120] = 0;
	options.limits.message_bytes_max = 100;
	peer_open(&p, &options);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"" CHUNKED);
	peer_feed_frame(&p, sixty);
	peer_feed_frame(&p, sixty);
	peer_feed_frame(&p, sixty);
	peer_feed_frame(&p, "");
	EXPECT(&p, large);
	p.upload = KEDGE_UPLOAD_STREAM;
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"" CHUNKED);
	peer_feed_frame(&p, sixty);
	peer_feed_frame(&p, sixty);
	assert_int_equal(p.body_bytes, 120);
	buf_consume(&p.log, buf_size(&p.log));
	peer_feed_frame(&p, more);
	peer_feed_frame(&p, "");
	EXPECT(&p, large);
	peer_expect_log(&p, "cancel 1\n");
	peer_feed_frame(&p, ECHO("2"));
	EXPECT(&p, NULLED("2"));
	peer_close(&p);
}

/* Draining: an upload that is under way comes to its end, one that is gathered does not. */
static void test_drain(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };

	(void)state;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"" CHUNKED);
	kedge_conn_drain(p.conn);
	assert_true(kedge_conn_wants_input(p.conn));
	peer_feed_frame(&p, "ab");
	peer_feed_frame(&p, "");
	peer_expect_log(&p, "ab end of 1\n");
	assert_false(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	EXPECT(&p, "{\"id\":1,\"result\":1}");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);

	p.upload = KEDGE_UPLOAD_COLLECT;
	open_frames(&p, 0, 0);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"" CHUNKED);
	peer_feed_frame(&p, "ab");
	kedge_conn_drain(p.conn);
	assert_true(kedge_conn_is_finished(p.conn));
	peer_feed_frame(&p, "");
	assert_int_equal(p.later_count, 0);
	peer_close(&p);
}

/* Nothing came yet, and something is sent: in frames. */
static void test_before_the_first_byte(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_frames(&p, 0, 0);
	assert_int_equal(kedge_conn_push(p.conn, "e", (struct kedge_span){ NULL, 0 }), 0);
	EXPECT(&p, "{\"event\":\"e\"}");
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_wait_behind),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_begun_without_room),
		cmocka_unit_test(test_turn_after_a_broken_upload),
		cmocka_unit_test(test_chunk_waits_for_room),
		cmocka_unit_test(test_waiting_is_bounded),
		cmocka_unit_test(test_a_share_is_given_up),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_upload_at_the_limits),
		cmocka_unit_test(test_answer_before_the_end),
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_large_chunks),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_before_the_first_byte),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
