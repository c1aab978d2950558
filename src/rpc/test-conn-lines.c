/* Lines: the checks of the wire, limits, pauses, the end. */
#include "rpc/conn-internal.h"
#include "rpc/test-peer.h"
#include "wire/json.h"

#define BAD_JSON                                                                                   \
	"{\"id\":\"unknown\",\"error\":\"Invalid JSON\",\"statusCode\":400,"                       \
	"\"errorCode\":\"BAD_REQUEST\"}\n"
#define MISSING(id)                                                                                \
	"{\"id\":" id ",\"error\":\"Missing 'id' or 'method' field\",\"statusCode\":400,"          \
	"\"errorCode\":\"BAD_REQUEST\"}\n"
#define ECHO(id)       "{\"id\":" id ",\"method\":\"echo\",\"params\":1}\n"
#define ECHOED(id)     "{\"id\":" id ",\"result\":1}\n"
#define WITHOUT(id)    "{\"id\":" id ",\"method\":\"echo\"}\n"
#define METHOD(method) "{\"id\":\"x\",\"method\":" method "}\n"
#define SAME_ID(id)                                                                                \
	{                                                                                          \
		ECHO(id), ECHOED(id)                                                               \
	}
#define NO_ID(id, said)                                                                            \
	{                                                                                          \
		WITHOUT(id), MISSING(said)                                                         \
	}

static const struct {
	const char *in, *out;
} rows[] = {
	/* Not JSON. */
	{ "{\n", BAD_JSON },
	{ "{\"id\":1,\"method\":\"echo\"} x\n", BAD_JSON },
	{ "{\"id\":01,\"method\":\"echo\"}\n", BAD_JSON },
	{ "{\"id\":\"\xC0\x80\",\"method\":\"echo\"}\n", BAD_JSON },
	{ "{\"id\":\"\xED\xA0\x80\",\"method\":\"echo\"}\n", BAD_JSON },
	{ "{'id':1}\n", BAD_JSON },
	{ "NaN\n", BAD_JSON },
	/* Not a request. */
	{ "1\n", MISSING("\"unknown\"") },
	{ "null\n", MISSING("\"unknown\"") },
	{ "[]\n", MISSING("\"unknown\"") },
	{ "{}\n", MISSING("\"unknown\"") },
	{ "{\"method\":\"echo\"}\n", MISSING("\"unknown\"") },
	NO_ID("null", "\"unknown\""),
	NO_ID("false", "\"unknown\""),
	NO_ID("0", "\"unknown\""),
	NO_ID("-0.0e9", "\"unknown\""),
	NO_ID("\"\"", "\"\""),
	{ "{\"id\":\"x\"}\n", MISSING("\"x\"") },
	{ "{\"id\":7}\n", MISSING("\"unknown\"") },
	{ METHOD("\"\""), MISSING("\"x\"") },
	{ METHOD("null"), MISSING("\"x\"") },
	{ METHOD("1"), MISSING("\"x\"") },
	{ METHOD("[\"echo\"]"), MISSING("\"x\"") },
	/* Ids come back byte for byte. */
	SAME_ID("1"),
	SAME_ID("1.50e+01"),
	SAME_ID("-1"),
	SAME_ID("true"),
	SAME_ID("{\"a\" : [1 ,2]}"),
	SAME_ID("[]"),
	SAME_ID("\"\\u0041\\n\xC3\xA4\""),
	SAME_ID("\"an id that is far too long to be kept within a ticket, of 48 bytes\""),
	/* The last of a kind counts; names may be written with escapes; the rest is ignored. */
	{ "{\"id\":1,\"id\":2,\"method\":\"none\",\"method\":\"echo\",\"params\":0,\"params\":[]}"
	  "\n",
	  "{\"id\":2,\"result\":[]}\n" },
	{ "{\"\\u0069d\":1,\"m\\u0065thod\":\"e\\u0063ho\",\"p\\u0061rams\":2,\"more\":{}}\n",
	  "{\"id\":1,\"result\":2}\n" },
	{ "{\"id\":1,\"method\":\"echo\",\"result\":1,\"error\":null}\n",
	  "{\"id\":1,\"result\":null}\n" },
	/* Blanks, a byte order mark, blank lines, a line that is not ended. */
	{ "\xEF\xBB\xBF{\"id\":3,\"method\":\"echo\"} \xEF\xBB\xBF\t\xEF\xBB\xBF\n",
	  "{\"id\":3,\"result\":null}\n" },
	{ "{\"id\":3,\"method\":\"echo\"}\xEF\xBF\xBD\n", BAD_JSON },
	{ "\xEF\xBB\xBF \t" ECHO("1") "\r\n \r\n\n  {\"id\":2,\"method\":\"echo\"}\t\r\n",
	  ECHOED("1") "{\"id\":2,\"result\":null}\n" },
	{ "\n\n\n", "" },
	{ ECHO("1") "{\"id\":2,\"method\":\"echo\"}", ECHOED("1") },
	/* Bodies and $cancel are not for lines. */
	{ "{\"id\":1,\"method\":\"size\",\"headers\":{\"content-length\":\"9\"}}\n" ECHO("2"),
	  "{\"id\":1,\"result\":[\"none\",0]}\n" ECHOED("2") },
	{ "{\"id\":1,\"method\":\"$cancel\"}\n",
	  "{\"id\":1,\"error\":\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}\n" },
};

static void test_dialogues(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		peer_dialogue(&options, kedge_span(rows[i].in), kedge_span(rows[i].out), "");
}

/* The message with the most bytes that is taken; one more, and it is refused. */
static void test_size_limit(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.message_bytes_max = sizeof(ECHO("1")) - 2;
	peer_dialogue(
		&options, kedge_span(ECHO("1") ECHO("11") ECHO("2")),
		kedge_span(ECHOED("1") "{\"id\":\"unknown\",\"error\":\"Message too large: 36 "
				       "bytes, limit 35\",\"statusCode\":413,\"errorCode\":"
				       "\"PAYLOAD_TOO_LARGE\"}\n" ECHOED("2")),
		"");
}

static void test_depth_limit(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.depth_max = 3;
	peer_dialogue(&options,
		      kedge_span("{\"id\":1,\"method\":\"echo\",\"params\":[[]]}\n"
				 "{\"id\":1,\"method\":\"echo\",\"params\":[[[]]]}\n"
				 "{\"id\":1,\"method\":\"echo\",\"params\":[{\"a\":{}}]}\n"),
		      kedge_span("{\"id\":1,\"result\":[[]]}\n" BAD_JSON BAD_JSON), "");
}

/* A line of 64 MiB is skipped, and costs no memory. */
static void test_oversized_is_not_buffered(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);
	static char block[65536];

	(void)state;
	options.limits.message_bytes_max = 100000;
	peer_open(&p, &options);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 1024; i++) {
		peer_feed(&p, block, sizeof(block));
		assert_true(p.conn->in.buf.capacity <= 4 * 100000);
	}
	peer_expect_text(&p, "");
	peer_feed_text(&p, "\n" ECHO("1"));
	peer_expect_text(&p, "{\"id\":\"unknown\",\"error\":\"Message too large: 67108864 bytes, "
			     "limit 100000\",\"statusCode\":413,\"errorCode\":"
			     "\"PAYLOAD_TOO_LARGE\"}\n" ECHOED("1"));
	assert_true(p.conn->in.buf.capacity <= CONN_IDLE_BYTES);
	peer_close(&p);
}

/* All answers to one read are one piece. */
static void test_one_piece(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, ECHO("1") ECHO("2") "?\n" ECHO("3"));
	peer_expect_text(&p, ECHOED("1") ECHOED("2") BAD_JSON ECHOED("3"));
	assert_int_equal(p.pieces, 1);
	peer_expect_log(&p, "");
	peer_close(&p);
}

/* At the limit reading pauses; nothing is refused; an answer lets the next one in. */
static void test_in_flight_limit(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.in_flight_max = 2;
	peer_open(&p, &options);
	for (int i = 0; i < 4; i++)
		peer_feed_text(&p, "{\"id\":1,\"method\":\"later\"}\n");
	assert_int_equal(p.later_count, 2);
	assert_int_equal(kedge_conn_in_flight(p.conn), 2);
	assert_false(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[1], kedge_span("1")), 0);
	assert_int_equal(p.later_count, 3);
	assert_int_equal(kedge_conn_reply(p.conn, p.later[1], kedge_span("1")), -ESTALE);
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	assert_int_equal(kedge_conn_reply(p.conn, p.later[2], kedge_span("1")), 0);
	assert_true(kedge_conn_wants_input(p.conn));
	assert_int_equal(kedge_conn_in_flight(p.conn), 1);
	peer_expect_text(&p, ECHOED("1") ECHOED("1") ECHOED("1"));
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

/* The limit itself may wait to be sent, a byte more may not. */
static void test_output_of_the_limit(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.output_bytes_max = 10;
	for (unsigned more = 0; more < 2; more++) {
		peer_open(&p, &options);
		assert_int_equal(kedge_conn_send(p.conn, kedge_span("\"234\"")), 0);
		assert_int_equal(kedge_conn_send(p.conn, kedge_span(more ? "1234" : "123")),
				 more ? -ENOBUFS : 0);
		assert_int_equal(kedge_conn_output_bytes(p.conn), more ? 0 : 10);
		peer_close(&p);
	}
}

/* A client that does not read is not read from, and in the end let go. */
static void test_output_limits(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.output_bytes_high = 40;
	options.limits.output_bytes_max = 100;
	peer_open(&p, &options);
	peer_feed_text(&p, ECHO("1") ECHO("2") ECHO("3") ECHO("4"));
	assert_int_equal(kedge_conn_output_bytes(p.conn), 3 * strlen(ECHOED("1")));
	assert_false(kedge_conn_wants_input(p.conn));
	assert_int_equal(peer_take_some(&p, 20), 20);
	assert_int_equal(kedge_conn_output_bytes(p.conn), 3 * strlen(ECHOED("1")) - 20 + 20);
	peer_expect_text(&p, ECHOED("1") ECHOED("2") ECHOED("3") ECHOED("4"));
	assert_true(kedge_conn_wants_input(p.conn));
	for (int i = 0; i < 6; i++)
		assert_int_equal(kedge_conn_push(p.conn, "e", (struct kedge_span){ NULL, 0 }), 0);
	assert_false(kedge_conn_is_finished(p.conn));
	assert_int_equal(kedge_conn_push(p.conn, "e", kedge_span("\"0123456789\"")), -ENOBUFS);
	assert_true(kedge_conn_is_finished(p.conn));
	assert_int_equal(kedge_conn_push(p.conn, "e", kedge_span("1")), -ENOBUFS);
	peer_expect_text(&p, "");
	peer_close(&p);
}

/* The client's end of file: what came before is answered, and then it is over. */
static void test_half_close(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	options.limits.in_flight_max = 1;
	peer_open(&p, &options);
	peer_feed_text(&p, "{\"id\":1,\"method\":\"later\"}\n");
	peer_feed_text(&p, ECHO("2") "{\"id\":3,");
	kedge_conn_received_eof(p.conn);
	assert_false(kedge_conn_wants_input(p.conn));
	assert_false(kedge_conn_is_finished(p.conn));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	assert_false(kedge_conn_is_finished(p.conn));
	peer_expect_text(&p, ECHOED("1") ECHOED("2"));
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);

	peer_open(&p, &options);
	kedge_conn_received_eof(p.conn);
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* Draining takes nothing more, and ends with the last answer. */
static void test_drain(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, "{\"id\":1,\"method\":\"later\"}\n{\"id\":2,");
	kedge_conn_drain(p.conn);
	assert_false(kedge_conn_wants_input(p.conn));
	peer_feed_text(&p, ECHO("3"));
	assert_false(kedge_conn_is_finished(p.conn));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	peer_expect_text(&p, ECHOED("1"));
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* An event, a message as it is, and what is no option. */
static void test_push_and_send(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	peer_open(&p, &options);
	assert_int_equal(kedge_conn_push(p.conn, "a\"b", kedge_span("{}")), 0);
	assert_int_equal(kedge_conn_push(p.conn, "\xFF", (struct kedge_span){ NULL, 0 }), 0);
	assert_int_equal(kedge_conn_send(p.conn, kedge_span("{\"id\":1,\"event\":2}")), 0);
	peer_expect_text(&p, "{\"event\":\"a\\\"b\",\"data\":{}}\n"
			     "{\"event\":\"\xEF\xBF\xBD\"}\n{\"id\":1,\"event\":2}\n");
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

static int try(struct kedge_conn_options options)
{
	struct kedge_conn *conn = NULL;
	int r = kedge_conn_new(&conn, &options);

	kedge_conn_free(conn);
	return r;
}

static void test_options(void **state)
{
	struct peer p;
	struct kedge_conn_options good = peer_options(&p, KEDGE_PROTOCOL_LINES), o;
	static const char *const prefixes[] = {
		"", "\"", "\\", "\n", "\xC3\xA4", "\x7F", "12345678901234567"
	};

	(void)state;
	assert_int_equal(kedge_conn_new(&p.conn, NULL), -EINVAL);
	assert_int_equal(try(good), 0);
	o = good, o.size--;
	assert_int_equal(try(o), -EINVAL);
	o = good, o.handlers.on_request = NULL;
	assert_int_equal(try(o), -EINVAL);
	o = good, o.handlers.on_body = NULL;
	assert_int_equal(try(o), -EINVAL);
	o = good, o.protocol = (enum kedge_protocol)7;
	assert_int_equal(try(o), -EINVAL);
	o = good, o.limits.depth_max = JSON_DEPTH_MAX + 1;
	assert_int_equal(try(o), -EINVAL);
	o = good, o.limits.in_flight_max = TICKETS_MAX + 1;
	assert_int_equal(try(o), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		o = good, o.call_prefix = prefixes[i];
		assert_int_equal(try(o), -EINVAL);
	}
	o = good, o.call_prefix = "1234567890123456";
	assert_int_equal(try(o), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_depth_limit),
		cmocka_unit_test(test_oversized_is_not_buffered),
		cmocka_unit_test(test_one_piece),
		cmocka_unit_test(test_in_flight_limit),
		cmocka_unit_test(test_output_limits),
		cmocka_unit_test(test_output_of_the_limit),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_push_and_send),
		cmocka_unit_test(test_options),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
