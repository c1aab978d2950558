/* Requests that end without their handler: "$cancel", and clients that go away. */
#include "rpc/test-peer.h"

#define LATER(id)  "{\"id\":" id ",\"method\":\"later\"}"
#define OPEN(id)   "{\"id\":" id ",\"method\":\"open\"}"
#define CANCEL(id) "{\"id\":\"c\",\"method\":\"$cancel\",\"params\":{\"targetId\":" id "}}"
#define BEGUN(id)  "{\"id\":" id ",\"headers\":{\"x\":[1],\"transfer-encoding\":\"chunked\"}}"
#define CANCELLED(id)                                                                              \
	"{\"id\":" id ",\"error\":\"Cancelled\",\"statusCode\":499,\"errorCode\":\"CANCELLED\"}"
#define DONE "{\"id\":\"c\",\"result\":null}"

static const struct {
	const char *in[5];
	const char *out[7];
	const char *log;
} rows[] = {
	/* A target is the same value: of one kind, and with the same text. */
	{ { LATER("\"a\""), CANCEL("\"a\"") }, { CANCELLED("\"a\""), DONE }, "cancel 1\n" },
	{ { LATER("\"a\""), CANCEL("\"\\u0061\"") }, { CANCELLED("\"a\""), DONE }, "cancel 1\n" },
	{ { LATER("\"\\ud83d\\ude00\""), CANCEL("\"\xF0\x9F\x98\x80\"") },
	  { CANCELLED("\"\\ud83d\\ude00\""), DONE },
	  "cancel 1\n" },
	{ { LATER("1"), CANCEL("\"1\"") }, { DONE }, "cancel 1\n" },
	{ { LATER("\"a\""), CANCEL("\"ab\"") }, { DONE }, "cancel 1\n" },
	{ { LATER("\"ab\""), CANCEL("\"a\"") }, { DONE }, "cancel 1\n" },
	/* Of two with one id the later. */
	{ { LATER("1"), LATER("1"), CANCEL("1") },
	  { CANCELLED("1"), DONE },
	  "cancel 2\ncancel 1\n" },
	/* ... also where that one stands in front, in the place of one that is answered. */
	{ { LATER("1"), LATER("2"), CANCEL("1"), LATER("2"), CANCEL("2") },
	  { CANCELLED("1"), DONE, CANCELLED("2"), DONE },
	  "cancel 1\ncancel 3\ncancel 2\n" },
	/* There is none; it has its answer; it is cancelled twice; it asks for nothing. */
	{ { CANCEL("1") }, { DONE }, "" },
	{ { "{\"id\":1,\"method\":\"echo\"}", CANCEL("1") },
	  { "{\"id\":1,\"result\":null}", DONE },
	  "" },
	{ { LATER("1"), CANCEL("1"), CANCEL("1") }, { CANCELLED("1"), DONE, DONE }, "cancel 1\n" },
	{ { "{\"id\":\"c\",\"method\":\"$cancel\"}" }, { DONE }, "" },
	{ { "{\"id\":\"c\",\"method\":\"$cancel\",\"params\":[]}" }, { DONE }, "" },
	{ { "{\"id\":\"c\",\"method\":\"\\u0024cancel\"}" }, { DONE }, "" },
	/* It needs an id as any other. */
	{ { "{\"method\":\"$cancel\"}" },
	  { "{\"id\":\"unknown\",\"error\":\"Missing 'id' or 'method' field\",\"statusCode\":400,"
	    "\"errorCode\":\"BAD_REQUEST\"}" },
	  "" },
	/* A stream ends; what waited goes out before the next one opens. */
	{ { OPEN("1"), OPEN("2"), "{\"id\":3,\"method\":\"echo\"}", CANCEL("1"), CANCEL("2") },
	  { BEGUN("1"), "", "{\"id\":3,\"result\":null}", DONE, BEGUN("2"), "", DONE },
	  "cancel 1\nwritable 2\ncancel 2\n" },
	/* One that waits has not been seen: an error. */
	{ { OPEN("1"), OPEN("2"), CANCEL("2"), CANCEL("1") },
	  { BEGUN("1"), "", CANCELLED("2"), DONE, DONE },
	  "cancel 2\ncancel 1\n" },
};

static void append_all(struct buf *b, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n && texts[i]; i++)
		frames_append(b, texts[i], NULL);
}

/* The client goes away at the end of each. */
static void run(const struct kedge_conn_options *options, size_t row)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };

	append_all(&in, rows[row].in, ARRAY_SIZE(rows[row].in));
	append_all(&out, rows[row].out, ARRAY_SIZE(rows[row].out));
	for (size_t cut = 0; cut <= buf_size(&in); cut++) {
		peer_open(&p, options);
		peer_feed(&p, buf_front(&in), cut);
		peer_feed(&p, buf_front(&in) + cut, buf_size(&in) - cut);
		peer_expect(&p, buf_front(&out), buf_size(&out));
		p.conn = kedge_conn_free(p.conn);
		peer_expect_log(&p, rows[row].log);
		peer_close(&p);
	}
	buf_deinit(&in);
	buf_deinit(&out);
}

static void test_dialogues(void **state)
{
	struct peer p;
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run(&options, i);
}

/* Lines that stand for frames: a stream was not seen yet. */
static void test_legacy_stream(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, OPEN("1") "\n" CANCEL("1") "\n");
	kedge_conn_received_eof(p.conn);
	peer_expect_text(&p, CANCELLED("1") "\n" DONE "\n");
	peer_expect_log(&p, "cancel 1\n");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

/* The client half-closes right behind it: all is answered, then it is over. */
static void test_half_close(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	struct buf out = BUF_INIT;

	(void)state;
	peer_open(&p, &options);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, CANCEL("1"));
	kedge_conn_received_eof(p.conn);
	frames_append(&out, BEGUN("1"), "", DONE, NULL);
	peer_expect(&p, buf_front(&out), buf_size(&out));
	assert_true(kedge_conn_is_finished(p.conn));
	buf_deinit(&out);
	peer_close(&p);
}

/* No room to say so: the connection is at its end, and its handler has heard of it once. */
static void test_no_room_to_say_so(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	const void *data;
	size_t size;

	(void)state;
	options.limits.output_bytes_max = strlen(CANCELLED("1"));
	peer_open(&p, &options);
	peer_feed_frame(&p, LATER("1"));
	peer_feed_frame(&p, LATER("2"));
	peer_feed_frame(&p, CANCEL("1"));
	peer_expect_log(&p, "cancel 1\n");
	assert_true(kedge_conn_is_finished(p.conn));
	assert_false(kedge_conn_output(p.conn, &data, &size));
	p.conn = kedge_conn_free(p.conn);
	peer_expect_log(&p, "cancel 2\n");
	peer_close(&p);
}

/* On a connection of lines alone it is a method like any other. */
static void test_lines_do_not_know_it(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, LATER("1") "\n" CANCEL("1") "\n");
	peer_expect_text(&p, "{\"id\":\"c\",\"error\":\"no\",\"statusCode\":404,"
			     "\"errorCode\":\"NOT_FOUND\"}\n");
	peer_expect_log(&p, "");
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_legacy_stream),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_no_room_to_say_so),
		cmocka_unit_test(test_lines_do_not_know_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
