/* What this side asks of the other, on one connection with what it is asked. */
#include "rpc/conn-internal.h"
#include "rpc/test-peer.h"

#define RESERVED(id)                                                                               \
	"{\"id\":" id                                                                              \
	",\"error\":\"Reserved id prefix 'd:': skill-initiated request ids must not "              \
	"collide with daemon-initiated ids\",\"statusCode\":400,\"errorCode\":\"BAD_REQUEST\"}\n"
#define MISSING(id)                                                                                \
	"{\"id\":" id ",\"error\":\"Missing 'id' or 'method' field\",\"statusCode\":400,"          \
	"\"errorCode\":\"BAD_REQUEST\"}\n"

/* Ten digits, as long as they can be written. */
#define ESCAPES "\\u0030\\u0031\\u0032\\u0033\\u0034\\u0035\\u0036\\u0037\\u0038\\u0039"

static void open_lines(struct peer *p)
{
	struct kedge_conn_options options = peer_options(p, KEDGE_PROTOCOL_LINES);

	options.call_prefix = "d:";
	peer_open(p, &options);
}

/* Three calls are open; then this comes. */
static const struct {
	const char *in, *out, *log;
} rows[] = {
	{ "{\"id\":\"d:2\",\"result\":{\"a\":1}}\n", "", "answer 2 ok {\"a\":1} 0 \n" },
	{ "{\"id\":\"d:1\"}\n", "", "answer 1 ok  0 \n" },
	{ "{\"id\":\"\\u0064\\u003a\\u0033\",\"result\":1}\n", "", "answer 3 ok 1 0 \n" },
	/* An error of any value, told by its presence. */
	{ "{\"id\":\"d:1\",\"error\":\"why\",\"statusCode\":503,\"errorCode\":\"X\"}\n", "",
	  "answer 1 failed \"why\" 503 \"X\"\n" },
	{ "{\"id\":\"d:1\",\"error\":null,\"result\":1}\n", "", "answer 1 failed null 0 \n" },
	{ "{\"id\":\"d:1\",\"error\":false,\"statusCode\":\"no\"}\n", "",
	  "answer 1 failed false 0 \n" },
	{ "{\"id\":\"d:1\",\"error\":{\"a\":[]},\"statusCode\":1.5}\n", "",
	  "answer 1 failed {\"a\":[]} 0 \n" },
	/* Once. */
	{ "{\"id\":\"d:1\",\"result\":1}\n{\"id\":\"d:1\",\"result\":2}\n", "",
	  "answer 1 ok 1 0 \n" },
	/* Unknown ones are dropped, whatever they look like. */
	{ "{\"id\":\"d:4\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:01\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:1 \",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:+1\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:1x\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:1" ESCAPES ESCAPES ESCAPES ESCAPES "\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:0\",\"result\":1}\n", "", "" },
	{ "{\"id\":\"d:184467440737095516170000000000000000000000000000000001\"}\n", "", "" },
	{ "{\"id\":\"d:18446744073709551617\",\"result\":1}\n", "", "" },
	/* Requests with ids that only this side may use. */
	{ "{\"id\":\"d:1\",\"method\":\"echo\"}\n", RESERVED("\"d:1\""), "" },
	{ "{\"id\":\"d:x\",\"method\":\"echo\"}\n", RESERVED("\"d:x\""), "" },
	{ "{\"id\":\"\\u0064:1\",\"method\":\"echo\"}\n", RESERVED("\"\\u0064:1\""), "" },
	{ "{\"id\":\"d:1\",\"method\":null}\n", MISSING("\"d:1\""), "" },
	{ "{\"id\":\"d:1\",\"method\":\"\"}\n", MISSING("\"d:1\""), "" },
	/* Requests as ever, but for ids that are no strings. */
	{ "{\"id\":\"s:1\",\"method\":\"echo\"}\n", "{\"id\":\"s:1\",\"result\":null}\n", "" },
	{ "{\"id\":\"D:1\",\"method\":\"echo\"}\n", "{\"id\":\"D:1\",\"result\":null}\n", "" },
	{ "{\"id\":\"d\",\"method\":\"echo\"}\n", "{\"id\":\"d\",\"result\":null}\n", "" },
	{ "{\"id\":1,\"method\":\"echo\"}\n", MISSING("\"unknown\""), "" },
	{ "{\"id\":[\"d:1\"],\"method\":\"echo\"}\n", MISSING("\"unknown\""), "" },
	{ "{\"result\":1}\n", MISSING("\"unknown\""), "" },
	{ "{\"id\":\"s:1\",\"result\":1}\n", MISSING("\"s:1\""), "" },
};

static void run(size_t row, size_t cut)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	const char *in = rows[row].in;
	uint64_t number;

	open_lines(&p);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(kedge_conn_call(p.conn, "m\"", kedge_span("[1]"), &number), 0);
		assert_int_equal(number, i);
	}
	peer_expect_text(&p, "{\"id\":\"d:1\",\"method\":\"m\\\"\",\"params\":[1]}\n"
			     "{\"id\":\"d:2\",\"method\":\"m\\\"\",\"params\":[1]}\n"
			     "{\"id\":\"d:3\",\"method\":\"m\\\"\",\"params\":[1]}\n");
	peer_expect_log(&p, "output\n");
	peer_feed(&p, in, cut);
	peer_feed_text(&p, in + cut);
	peer_expect_text(&p, rows[row].out);
	peer_expect_log(&p, rows[row].log);
	peer_close(&p);
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t cut = 0; cut <= strlen(rows[i].in); cut++)
			run(i, cut);
}

static void test_forget(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	uint64_t number;

	(void)state;
	open_lines(&p);
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	peer_expect_text(&p, "{\"id\":\"d:1\",\"method\":\"m\"}\n");
	kedge_conn_forget(p.conn, number);
	kedge_conn_forget(p.conn, 17);
	peer_feed_text(&p, "{\"id\":\"d:1\",\"result\":1}\n");
	peer_expect_log(&p, "output\n");
	/* Who does not want to know which answer belongs to it need not ask. */
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, NULL), 0);
	peer_close(&p);
}

/* Calls wait for their answers when the connection drains, but not beyond the other's end. */
static void test_drain(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	uint64_t number;

	(void)state;
	open_lines(&p);
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	peer_take(&p);
	kedge_conn_drain(p.conn);
	assert_true(kedge_conn_wants_input(p.conn));
	assert_false(kedge_conn_is_finished(p.conn));
	buf_consume(&p.sent, buf_size(&p.sent));
	peer_feed_text(&p,
		       "{\"id\":\"s\",\"method\":\"echo\"}\n?\n{\"id\":\"d:1\",\"result\":1}\n");
	peer_expect_log(&p, "output\nanswer 1 ok 1 0 \n");
	assert_false(kedge_conn_wants_input(p.conn));
	peer_expect_text(&p, "{\"id\":\"unknown\",\"error\":\"Invalid JSON\",\"statusCode\":400,"
			     "\"errorCode\":\"BAD_REQUEST\"}\n");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);

	open_lines(&p);
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	kedge_conn_received_eof(p.conn);
	assert_false(kedge_conn_is_finished(p.conn));
	peer_take(&p);
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

static void test_limits(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);
	uint64_t number = 0;

	(void)state;
	peer_open(&p, &options);
	assert_int_equal(kedge_conn_call(p.conn, "m", kedge_span("1"), &number), -EINVAL);
	peer_close(&p);
	open_lines(&p);
	for (int i = 0; i < 65536; i++)
		assert_int_equal(kedge_conn_call(p.conn, "m", kedge_span("1"), &number), 0);
	assert_int_equal(kedge_conn_call(p.conn, "m", kedge_span("1"), &number), -EBUSY);
	assert_int_equal(number, 65536);
	kedge_conn_forget(p.conn, 3);
	assert_int_equal(kedge_conn_call(p.conn, "m", kedge_span("1"), &number), 0);
	peer_close(&p);
}

/* ... and a request whose body has not come yet did not come any more. */
static void test_drain_in_a_body(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	uint64_t number;

	(void)state;
	options.call_prefix = "d:";
	peer_open(&p, &options);
	peer_feed_frame(&p, "{\"id\":\"s\",\"method\":\"size\",\"headers\":{"
			    "\"transfer-encoding\":\"chunked\"}}");
	peer_feed_frame(&p, "ab");
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	peer_take(&p);
	kedge_conn_drain(p.conn);
	buf_consume(&p.sent, buf_size(&p.sent));
	peer_feed_frame(&p, "cd");
	peer_feed_frame(&p, "");
	peer_feed_frame(&p, "{\"id\":\"d:1\",\"result\":1}");
	peer_expect(&p, "", 0);
	peer_expect_log(&p, "output\nanswer 1 ok 1 0 \n");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* Half a request was there when the connection was told to drain. What it is asked after that
 * was once answered in vain: the other half was read as a message. */
static void test_ask_when_drained(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	uint64_t number;

	(void)state;
	options.call_prefix = "d:";
	peer_open(&p, &options);
	peer_feed_frame(&p, "{\"id\":\"s\",\"method\":\"later\"}");
	peer_feed(&p, "\0\0\0\x1a{\"id\":\"t\",", 14);
	kedge_conn_drain(p.conn);
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	assert_true(kedge_conn_wants_input(p.conn));
	peer_feed_text(&p, "\"method\":\"echo\"}");
	peer_feed_frame(&p, "{\"id\":\"d:1\",\"result\":1}");
	peer_expect_log(&p, "output\nanswer 1 ok 1 0 \n");
	assert_false(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* Nobody waits for what was there and is not wanted any more. */
static void test_drained_in_a_message(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	(void)state;
	open_lines(&p);
	peer_feed_text(&p, "{\"id\":\"s\",");
	assert_false(kedge_conn_is_finished(p.conn));
	kedge_conn_drain(p.conn);
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* In frames, and behind a stream. */
static void test_frames(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	struct buf out = BUF_INIT;
	uint64_t number;

	(void)state;
	options.call_prefix = "d:";
	peer_open(&p, &options);
	peer_feed_frame(&p, "{\"id\":\"s\",\"method\":\"open\"}");
	assert_int_equal(kedge_conn_call(p.conn, "m", (struct kedge_span){ NULL, 0 }, &number), 0);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	frames_append(&out,
		      "{\"id\":\"s\",\"headers\":{\"x\":[1],\"transfer-encoding\":\"chunked\"}}",
		      "", "{\"id\":\"d:1\",\"method\":\"m\"}", NULL);
	peer_expect(&p, buf_front(&out), buf_size(&out));
	/* An answer may announce a body; it is nobody's. */
	peer_feed_frame(&p, "{\"id\":\"d:1\",\"headers\":{\"content-length\":\"1\"}}");
	peer_feed_frame(&p, "x");
	peer_feed_frame(&p, "{\"id\":\"d:1\",\"method\":\"echo\"}");
	peer_expect_log(&p, "answer 1 ok  0 \n");
	assert_int_equal(kedge_conn_in_flight(p.conn), 0);
	buf_deinit(&out);
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_drain_in_a_body),
		cmocka_unit_test(test_ask_when_drained),
		cmocka_unit_test(test_drained_in_a_message),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
