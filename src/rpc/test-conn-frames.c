/* Frames, their bodies, and lines where the first byte says so. */
#include "rpc/test-peer.h"

#define BAD_JSON                                                                                   \
	("{\"id\":\"unknown\",\"error\":\"Invalid JSON\",\"statusCode\":400,"                      \
	 "\"errorCode\":\"BAD_REQUEST\"}")
#define MISSING                                                                                    \
	("{\"id\":\"x\",\"error\":\"Missing 'id' or 'method' field\",\"statusCode\":400,"          \
	 "\"errorCode\":\"BAD_REQUEST\"}")
#define WITH(head, members) (head ",\"headers\":{" members "}}")

struct row {
	const char *in[6];
	const char *out[6];
	const char *log;
	enum kedge_upload upload;
};

/* What a client sends, frame by frame, and what it gets. */
static const struct row rows[] = {
	{ { "{\"id\":1,\"method\":\"echo\",\"params\":[1, 2]}" },
	  { "{\"id\":1,\"result\":[1, 2]}" } },
	{ { " {\"id\":\"a\",\"method\":\"echo\"}\n" }, { "{\"id\":\"a\",\"result\":null}" } },
	{ { "{\"id\":1,\"method\":\"$cancem\"}" },
	  { "{\"id\":1,\"error\":\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}" } },
	/* The checks. */
	{ { "nonsense" }, { BAD_JSON } },
	{ { "" }, { BAD_JSON } },
	{ { "{\"id\":\"x\"}", "{\"id\":2,\"method\":\"echo\"}" },
	  { MISSING, "{\"id\":2,\"result\":null}" } },
	{ { "{\"id\":1,\"method\":\"none\"}" },
	  { "{\"id\":1,\"error\":\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}" } },
	/* A body is announced by content-length, whatever that says; it may look like a request. */
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"content-length\":null"),
	    "{\"id\":2,\"method\":\"echo\"}" },
	  { "{\"id\":1,\"result\":[\"whole\",24]}" } },
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"content-length\":\"0\""), "" },
	  { "{\"id\":1,\"result\":[\"whole\",0]}" } },
	{ { WITH("{\"id\":1,\"method\":\"body\"", "\"content-length\":\"5\""), "bytes" },
	  { "{\"id\":1,\"headers\":{\"a\":1,\"content-length\":\"5\"}}", "bytes" } },
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"other\":1") },
	  { "{\"id\":1,\"result\":[\"none\",0]}" } },
	{ { "{\"id\":1,\"method\":\"size\",\"headers\":\"content-length\"}" },
	  { "{\"id\":1,\"result\":[\"none\",0]}" } },
	/* Written with an escape, given twice with the other: content-length wins. */
	{ { WITH("{\"id\":1,\"method\":\"size\"",
		 "\"transfer-encoding\":\"chunked\",\"content\\u002dlength\":1"),
	    "abc" },
	  { "{\"id\":1,\"result\":[\"whole\",3]}" } },
	{ { WITH("{\"id\":1,\"method\":\"size\"",
		 "\"content-length\":1,\"transfer-encoding\":\"chunked\""),
	    "abc", "{\"id\":2,\"method\":\"echo\"}" },
	  { "{\"id\":1,\"result\":[\"whole\",3]}", "{\"id\":2,\"result\":null}" } },
	/* Chunks are collected up to the empty one; "identity" is no body. */
	{ { WITH("{\"id\":1,\"method\":\"body\"", "\"transfer-encoding\":\"chunked\""), "ab", "c",
	    "" },
	  { "{\"id\":1,\"headers\":{\"a\":1,\"content-length\":\"3\"}}", "abc" } },
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"transfer-encoding\":\"chunked\""), "" },
	  { "{\"id\":1,\"result\":[\"whole\",0]}" } },
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"transfer-encoding\":\"identity\"") },
	  { "{\"id\":1,\"result\":[\"none\",0]}" } },
	/* ... or handed over as they come. */
	{ { WITH("{\"id\":1,\"method\":\"later\"", "\"transfer-encoding\":\"chunked\""), "ab", "c",
	    "", "{\"id\":2,\"method\":\"$cancel\",\"params\":{\"targetId\":1}}" },
	  { "{\"id\":1,\"error\":\"Cancelled\",\"statusCode\":499,\"errorCode\":\"CANCELLED\"}",
	    "{\"id\":2,\"result\":null}" },
	  "abc end of 1\ncancel 1\n",
	  KEDGE_UPLOAD_STREAM },
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"transfer-encoding\":\"chunked\""), "ab", "",
	    "{\"id\":2,\"method\":\"echo\"}" },
	  { "{\"id\":1,\"result\":[\"streamed\",0]}", "{\"id\":2,\"result\":null}" },
	  "",
	  KEDGE_UPLOAD_STREAM },
	/* The body of a refused envelope is skipped. */
	{ { WITH("{\"id\":\"x\"", "\"content-length\":1"), "junk",
	    "{\"id\":2,\"method\":\"echo\"}" },
	  { MISSING, "{\"id\":2,\"result\":null}" } },
	{ { WITH("{\"id\":\"x\"", "\"transfer-encoding\":\"chunked\""), "junk", "more", "",
	    "{\"id\":2,\"method\":\"echo\"}" },
	  { MISSING, "{\"id\":2,\"result\":null}" } },
	{ { WITH("{\"id\":1,\"method\":\"$cancel\"", "\"content-length\":1"), "junk",
	    "{\"id\":2,\"method\":\"echo\"}" },
	  { "{\"id\":1,\"result\":null}", "{\"id\":2,\"result\":null}" } },
	/* A stream. */
	{ { "{\"id\":1,\"method\":\"stream\"}" },
	  { "{\"id\":1,\"headers\":{\"transfer-encoding\":\"chunked\"}}", "ab", "c", "" } },
	/* ... and what waits behind it. */
	{ { "{\"id\":1,\"method\":\"open\"}", "{\"id\":2,\"method\":\"echo\"}",
	    "{\"id\":3,\"method\":\"$cancel\",\"params\":{\"targetId\":1}}" },
	  { "{\"id\":1,\"headers\":{\"x\":[1],\"transfer-encoding\":\"chunked\"}}", "",
	    "{\"id\":2,\"result\":null}", "{\"id\":3,\"result\":null}" },
	  "cancel 1\n" },
	/* A body that never comes, whole or streamed. */
	{ { WITH("{\"id\":1,\"method\":\"size\"", "\"content-length\":1") }, { NULL } },
	{ { WITH("{\"id\":1,\"method\":\"later\"", "\"transfer-encoding\":\"chunked\""), "ab" },
	  { NULL },
	  "abcancel 1\n",
	  KEDGE_UPLOAD_STREAM },
};

static void join(struct buf *b, const char *const texts[6])
{
	for (size_t i = 0; i < 6 && texts[i]; i++)
		frames_append(b, texts[i], NULL);
}

static void run_row(const struct row *row)
{
	struct peer p = { .upload = row->upload };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	struct buf in = BUF_INIT, out = BUF_INIT;

	join(&in, row->in);
	join(&out, row->out);
	peer_dialogue(&options, (struct kedge_span){ buf_front(&in), buf_size(&in) },
		      (struct kedge_span){ buf_front(&out), buf_size(&out) },
		      row->log ? row->log : "");
	buf_deinit(&in);
	buf_deinit(&out);
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run_row(&rows[i]);
}

/* Nobody asks for pieces of a body: it comes whole. */
static void test_without_pieces(void **state)
{
	struct peer p = { .upload = KEDGE_UPLOAD_STREAM };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	struct buf in = BUF_INIT, out = BUF_INIT;

	(void)state;
	options.handlers.on_upload = NULL;
	options.handlers.on_body = NULL;
	frames_append(&in,
		      WITH("{\"id\":1,\"method\":\"size\"", "\"transfer-encoding\":\"chunked\""),
		      "ab", "c", "", NULL);
	frames_append(&out, "{\"id\":1,\"result\":[\"whole\",3]}", NULL);
	peer_dialogue(&options, (struct kedge_span){ buf_front(&in), buf_size(&in) },
		      (struct kedge_span){ buf_front(&out), buf_size(&out) }, "");
	buf_deinit(&in);
	buf_deinit(&out);
}

/* '{' as the first byte: lines for good. Bodies and streams become one line each. */
static void test_legacy(void **state)
{
	static const char in[] =
		"{\"id\":1,\"method\":\"size\",\"headers\":{\"content-length\":1}}\n"
		"{\"id\":2,\"method\":\"stream\"}\n"
		"\n"
		"{\"id\":3,\"method\":\"body\"}\n"
		"{\"id\":4,\"method\":\"later\"}\n"
		"{\"id\":5,\"method\":\"$cancel\",\"params\":{\"targetId\":4}}\n";
	static const char out[] = "{\"id\":1,\"result\":[\"none\",0]}\n"
				  "{\"id\":2,\"headers\":{\"content-length\":\"3\"}}\n"
				  "{\"id\":3,\"headers\":{\"a\":1,\"content-length\":\"0\"}}\n"
				  "{\"id\":4,\"error\":\"Cancelled\",\"statusCode\":499,"
				  "\"errorCode\":\"CANCELLED\"}\n"
				  "{\"id\":5,\"result\":null}\n";
	struct peer p = { .upload = KEDGE_UPLOAD_COLLECT };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);

	(void)state;
	peer_dialogue(&options, kedge_span(in), kedge_span(out), "cancel 1\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_without_pieces),
		cmocka_unit_test(test_legacy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
