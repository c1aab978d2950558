/* Requests that are written as most are go a short way: with the same answers, however they come,
 * and with nothing let through that the long way refuses. */
#include "rpc/conn-internal.h"
#include "rpc/test-peer.h"

#include <stdio.h>
#include <string.h>

#define BAD_JSON                                                                                   \
	"{\"id\":\"unknown\",\"error\":\"Invalid JSON\",\"statusCode\":400,"                       \
	"\"errorCode\":\"BAD_REQUEST\"}"
#define LARGE(size, limit)                                                                         \
	"{\"id\":\"unknown\",\"error\":\"Message too large: " size " bytes, limit " limit          \
	"\",\"statusCode\":413,\"errorCode\":\"PAYLOAD_TOO_LARGE\"}"
#define PARAM(params) "{\"id\":\"1\",\"method\":\"param\",\"params\":" params "}"
#define ANSWER(value) "{\"id\":\"1\",\"result\":" value "}"
#define LONG          "a text that is longer than four blocks of sixteen bytes are together, and then some"

/* The members of params are the same, noted or looked for. */
static const struct {
	const char *request, *answer;
} rows[] = {
	{ PARAM("{\"value\":\"x\"}"), ANSWER("\"x\"") },
	{ PARAM("{\"value\":\"" LONG "\"}"), ANSWER("\"" LONG "\"") },
	{ PARAM("{\"value\":\"" LONG "\\n\"}"), ANSWER("\"" LONG "\\n\"") },
	{ PARAM("{\"value\":\"" LONG "\303\244\"}"), ANSWER("\"" LONG "\303\244\"") },
	{ PARAM("{\"a\":-1.5e3,\"value\":[1,{}]}"), ANSWER("[1,{}]") },
	{ PARAM("{\"value\":1,\"b\":true,\"value\":2}"), ANSWER("2") },
	{ PARAM("{\"val\\u0075e\":3}"), ANSWER("3") },
	{ PARAM("{\"value\":1,\"val\\u0075e\":3}"), ANSWER("3") },
	{ PARAM("{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"value\":9}"),
	  ANSWER("9") },
	{ PARAM("{\"value\": 4}"), ANSWER("4") },
	{ PARAM(" {\"value\":4}"), ANSWER("4") },
	{ PARAM("{\"a name that is rather long\":5,\"value\":6}"), ANSWER("6") },
	{ PARAM("{\"x\":{\"value\":7}}"), ANSWER("null") },
	{ PARAM("{}"), ANSWER("null") },
	{ PARAM("[{\"value\":8}]"), ANSWER("null") },
	{ PARAM("\"value\""), ANSWER("null") },
	{ "{\"id\":\"1\",\"method\":\"param\"}", ANSWER("null") },
	{ "{\"params\":{\"value\":10},\"method\":\"param\",\"id\":\"1\"}", ANSWER("10") },
	{ "{\"id\":\"1\",\"method\":\"par\\u0061m\",\"params\":{\"value\":11}}", ANSWER("11") },
	/* What is not valid, in each place. */
	{ PARAM("{\"value\":x}"), BAD_JSON },
	{ PARAM("{\"value\":\"\\x\"}"), BAD_JSON },
	{ PARAM("{\"value\":\"" LONG "\xff\"}"), BAD_JSON },
	{ PARAM("{\"value\":\"a\tb\"}"), BAD_JSON },
	{ PARAM("{\"value\":1,}"), BAD_JSON },
	{ PARAM("{\"value\"}"), BAD_JSON },
	{ PARAM("{\"value\":}"), BAD_JSON },
	{ PARAM("{\"value\":[[[1]]]]}"), BAD_JSON },
	{ PARAM("{\"value\":1}}"), BAD_JSON },
	{ PARAM("{\"value\":1}") " x", BAD_JSON },
	{ PARAM("{\"value\":1},\"more\""), BAD_JSON },
};

/* All of them behind each other, each followed by one that goes the short way. */
static void feed_rows(struct peer *p, struct buf *answers, bool framed, size_t piece)
{
	struct buf all = BUF_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *texts[] = { rows[i].request, rows[0].request };
		const char *said[] = { rows[i].answer, rows[0].answer };

		for (int k = 0; k < 2; k++) {
			if (framed) {
				frames_append(&all, texts[k], NULL);
				frames_append(answers, said[k], NULL);
			} else {
				assert_int_equal(buf_appendf(&all, "%s\n", texts[k]), 0);
				assert_int_equal(buf_appendf(answers, "%s\n", said[k]), 0);
			}
		}
	}
	for (size_t at = 0; at < buf_size(&all); at += piece) {
		size_t left = buf_size(&all) - at;

		peer_feed(p, buf_front(&all) + at, left < piece ? left : piece);
	}
	buf_deinit(&all);
}

static void test_rows(void **state)
{
	static const size_t pieces[] = { 1, 7, 100, 1 << 20 };

	(void)state;
	for (int framed = 0; framed < 2; framed++)
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
			struct kedge_conn_options options = peer_options(
				&p, framed ? KEDGE_PROTOCOL_FRAMES : KEDGE_PROTOCOL_LINES);
			struct buf answers = BUF_INIT;

			peer_open(&p, &options);
			feed_rows(&p, &answers, framed, pieces[i]);
			peer_expect(&p, buf_front(&answers), buf_size(&answers));
			buf_deinit(&answers);
			peer_close(&p);
		}
}

/* The end of a line may come later than all before it. */
static void test_late_newline(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, rows[0].request);
	peer_expect_text(&p, "");
	peer_feed_text(&p, "\n");
	peer_expect_text(&p, ANSWER("\"x\"") "\n");
	peer_feed_text(&p, rows[0].request);
	peer_feed_text(&p, " x\n");
	peer_expect_text(&p, BAD_JSON "\n");
	peer_close(&p);
}

/* What was noted of one request is forgotten with it: the next lies where it was. */
static void test_stale(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);

	(void)state;
	/* The first answer fills the output: the other comes in before anything is looked at. */
	options.limits.output_bytes_high = 1;
	peer_open(&p, &options);
	peer_feed_text(&p, PARAM("{\"value\":1,\"b\":\"" LONG "\"}") "\n");
	assert_non_null(p.conn->params.of);
	peer_feed_text(&p, "{\"id\":2.0,\"method\":\"param\",\"params\":{\"b\":3,\"value\":4}}\n");
	assert_ptr_equal(p.conn->params.of, strchr(buf_front(&p.conn->in.buf) + 1, '{'));
	peer_expect_text(&p, ANSWER("1") "\n{\"id\":2.0,\"result\":4}\n");
	peer_close(&p);
}

/* A newline ends a line whatever is around it, and is white space in a frame. */
static void test_newline(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);

	(void)state;
	peer_open(&p, &options);
	peer_feed_text(&p, PARAM("{\"value\":[\n1]}") "\n" PARAM("[\n]") "\n");
	peer_expect_text(&p, BAD_JSON "\n" BAD_JSON "\n" BAD_JSON "\n" BAD_JSON "\n");
	peer_close(&p);
	peer_open(&p, &options);
	peer_feed_frame(&p, PARAM("{\"value\":[\n1]}"));
	peer_feed_frame(&p, PARAM("[\n]"));
	peer_take(&p);
	assert_non_null(memmem(buf_front(&p.sent), buf_size(&p.sent), ANSWER("[\n1]"),
			       strlen(ANSWER("[\n1]"))));
	assert_non_null(memmem(buf_front(&p.sent), buf_size(&p.sent), ANSWER("null"),
			       strlen(ANSWER("null"))));
	peer_close(&p);
}

/* A limit is one for these, too. */
static void test_limit(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);
	char size[16], limit[16], expected[256];
	size_t bytes = strlen(rows[0].request);

	(void)state;
	options.limits.message_bytes_max = bytes;
	peer_open(&p, &options);
	peer_feed_text(&p, PARAM("{\"value\":\"x\"}") "\n" PARAM("{\"value\":\"xx\"}") "\n");
	(void)snprintf(size, sizeof(size), "%zu", bytes + 1);
	(void)snprintf(limit, sizeof(limit), "%zu", bytes);
	(void)snprintf(expected, sizeof(expected), "%s\n" LARGE("%s", "%s") "\n", rows[0].answer,
		       size, limit);
	peer_expect_text(&p, expected);
	peer_close(&p);
}

/* A frame ends where its length says, and not where its text would. */
static void test_frame_length(void **state)
{
	static const char text[] = PARAM("{\"value\":\"x\"}");
	static const size_t size = sizeof(text) - 1;
	static const struct {
		size_t length; /* of text and what follows it */
		const char *answer;
	} lengths[] = {
		{ sizeof(text) - 1, ANSWER("\"x\"") },
		{ sizeof(text) - 2, BAD_JSON },
		{ sizeof(text) + 3, ANSWER("\"x\"") },
		{ 20, BAD_JSON },
		{ 0, BAD_JSON },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
		struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
		char bytes[256] = { 0, 0, 0, (char)lengths[i].length };
		size_t answer = strlen(lengths[i].answer);

		peer_open(&p, &options);
		memset(bytes + 4, ' ', sizeof(bytes) - 4);
		memcpy(bytes + 4, text, size);
		/* All of it is in the buffer, whatever the length says. */
		peer_feed(&p, bytes, 4 + size + 4);
		peer_take(&p);
		assert_true(buf_size(&p.sent) >= 4 + answer);
		assert_memory_equal(buf_front(&p.sent) + 4, lengths[i].answer, answer);
		buf_consume(&p.sent, buf_size(&p.sent));
		peer_close(&p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),  cmocka_unit_test(test_late_newline),
		cmocka_unit_test(test_stale), cmocka_unit_test(test_newline),
		cmocka_unit_test(test_limit), cmocka_unit_test(test_frame_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
