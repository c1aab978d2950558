/* Calls on lines, deadlines, loss, limits: what does not need frames. */
#include "rpc/test-caller.h"

#define LINES KEDGE_PROTOCOL_LINES

static void test_requests_as_they_are_sent(void **state)
{
	struct kedge_ask ask = rig_ask("a");
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	rig_call(&rig, "plain");
	ask.method = "with \"quotes\"";
	ask.params = S("{\"a\":\n[1,\r\n2]}");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig_sends(&rig, "{\"id\":\"1\",\"method\":\"plain\"}\n"
			"{\"id\":\"2\",\"method\":\"with \\\"quotes\\\"\",\"params\":"
			"{\"a\": [1,  2]}}\n");
	rig_end(&rig);
}

static void test_what_cannot_be_asked(void **state)
{
	struct kedge_ask asks[] = {
		{ .method = NULL },
		{ .method = "" },
		{ .method = "m", .params = S("{") },
		{ .method = "m", .headers = S("{}") },
		{ .method = "m", .body_kind = KEDGE_BODY_WHOLE },
		{ .method = "m", .body_kind = KEDGE_BODY_STREAMED },
	};
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		assert_int_equal(kedge_caller_call(rig.caller, &asks[i], NULL), -EINVAL);
	assert_int_equal(kedge_caller_in_flight(rig.caller), 0);
	rig_sends(&rig, "");
	rig_end(&rig);
}

static void test_options_out_of_range(void **state)
{
	struct kedge_caller_options good = rig_options(LINES), bad[8];
	struct kedge_caller *caller = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].size = 1;
	bad[1].id_prefix = "a\"b";
	bad[2].id_prefix = "s1";
	bad[3].id_prefix = "12345678901234567:";
	bad[4].limits.depth_max = 1025;
	bad[5].limits.message_bytes_max = (size_t)0x7B000000;
	bad[6].protocol = (enum kedge_protocol)7;
	bad[7].limits.output_bytes_max = SIZE_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(kedge_caller_new(&caller, &bad[i]), -EINVAL);
	assert_null(caller);
	assert_int_equal(kedge_caller_new(&caller, NULL), 0);
	assert_null(kedge_caller_free(caller));
	assert_null(kedge_caller_free(NULL));
}

/* What a server may say, and what is made of it. */
static const struct {
	const char *line, *says;
} answers[] = {
	{ "{\"id\":\"1\",\"result\":{\"a\":1}}", "m result {\"a\":1}\n" },
	{ "{\"id\":\"1\"}", "m result\n" },
	{ "{\"id\":\"1\",\"result\":null}", "m result null\n" },
	{ "\r\n {\"id\":\"1\",\"result\":2} \r", "m result 2\n" },
	{ "{\"id\":\"1\",\"error\":\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}",
	  "m error 404 \"no\" \"NOT_FOUND\"\n" },
	{ "{\"id\":\"1\",\"error\":\"no\"}", "m error 0 \"no\"\n" },
	{ "{\"id\":\"1\",\"error\":{\"a\":1},\"statusCode\":-5}", "m error 0 {\"a\":1}\n" },
	{ "{\"id\":\"1\",\"error\":\"no\",\"statusCode\":1234567}", "m error 0 \"no\"\n" },
	{ "{\"id\":\"1\",\"error\":null,\"result\":3}", "m result 3\n" },
	{ "{\"id\":\"1\",\"error\":false,\"result\":3}", "m result 3\n" },
	{ "{\"id\":\"1\",\"error\":\"\",\"result\":3}", "m result 3\n" },
	{ "{\"id\":\"1\",\"error\":0,\"result\":3}", "m result 3\n" },
	{ "{\"id\":\"9\",\"result\":1}\n{\"id\":\"1\",\"result\":3}", "m result 3\n" },
	{ "{\"id\":\"1\",\"error\":true,\"id\":\"1\"}", "m error 0 true\n" },
	{ "{\"\\u0069d\":\"1\",\"result\":3}", "m result 3\n" },
	{ "{\"event\":\"e\"}\n\n{\"event\":\"f\",\"data\":[1]}\n{\"id\":\"1\"}",
	  "event \"e\"\nevent \"f\" [1]\nm result\n" },
	{ "{\"id\":\"d:1\",\"method\":\"a\\nb\",\"params\":{}}\n{\"id\":\"1\"}",
	  "request \"d:1\" a\nb\nm result\n" },
	{ "{\"id\":\"unknown\",\"error\":\"Not allowed: uid "
	  "7\",\"statusCode\":403}\n{\"id\":\"1\"}",
	  "stray \"Not allowed: uid 7\"\nm result\n" },
	{ "{\"id\":\"1\",\"headers\":{\"content-length\":\"7\"}}", "m result\n" },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct rig rig;

		rig_begin(&rig, LINES);
		rig_call(&rig, "m");
		assert_int_equal(rig_line(&rig, answers[i].line), 0);
		assert_int_equal(rig_line(&rig, "\n"), 0);
		rig_says(&rig, answers[i].says);
		assert_int_equal(kedge_caller_in_flight(rig.caller), 0);
		rig_end(&rig);
	}
}

/* Bytes may be cut anywhere between reads. */
static void test_every_cut(void **state)
{
	const char *text =
		"{\"event\":\"e\",\"data\":\"\\u00e9\"}\n\n{\"id\":\"2\",\"result\":{\"x\":"
		"[1,2]}}\r\n{\"id\":\"1\",\"error\":\"no\"}\n";
	size_t size = strlen(text);

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		struct rig rig;

		rig_begin(&rig, LINES);
		rig_call(&rig, "a");
		rig_call(&rig, "b");
		assert_int_equal(rig_feed(&rig, text, cut), 0);
		assert_int_equal(rig_feed(&rig, text + cut, size - cut), 0);
		rig_says(&rig,
			 "event \"e\" \"\\u00e9\"\nb result {\"x\":[1,2]}\na error 0 \"no\"\n");
		rig_end(&rig);
	}
}

static void test_dropped_and_counted(void **state)
{
	static const char *const lines[] = {
		"{\"id\":\"2\",\"result\":1}\n",
		"{\"id\":\"01\"}\n",
		"{\"id\":1}\n",
		"{\"id\":\"99999999999999999999\"}\n",
		"nonsense\n",
		"[1]\n",
		"{\"data\":1}\n",
		"{\"event\":7}\n",
		"{\"id\":\"\"}\n",
		"{\"id\":\"1\",\"event\":\"x\"}\n",
		"{\"method\":\"m\"}\n",
		"{\"id\":\"x1\"}\n",
	};
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	rig_call(&rig, "m");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(rig_line(&rig, lines[i]), 0);
		assert_int_equal(kedge_caller_dropped(rig.caller), i + 1);
	}
	rig_says(&rig, "");
	assert_int_equal(kedge_caller_in_flight(rig.caller), 1);
	rig_end(&rig);
}

static void test_prefixed_ids(void **state)
{
	struct kedge_caller_options options = rig_options(LINES);
	struct kedge_span id;
	uint64_t number;
	struct rig rig;

	(void)state;
	options.id_prefix = "s:";
	rig_open(&rig, &options);
	number = rig_call(&rig, "m");
	id = kedge_caller_id(rig.caller, number);
	assert_memory_equal(id.data, "\"s:1\"", 5);
	rig_sends(&rig, "{\"id\":\"s:1\",\"method\":\"m\"}\n");
	rig_line(&rig, "{\"id\":\"1\"}\n{\"id\":\"d:1\"}\n{\"id\":\"s:\"}\n");
	rig_says(&rig, "");
	rig_line(&rig, "{\"id\":\"s:1\"}\n");
	rig_says(&rig, "m result\n");
	rig_end(&rig);
}

static void test_answers_to_the_server(void **state)
{
	struct kedge_rpc_error error = { .text = S("no"), .status = 404, .code = "NOT_FOUND" };
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	assert_int_equal(kedge_caller_reply(rig.caller, S("\"d:1\""), S("{\"ok\":true}")), 0);
	assert_int_equal(kedge_caller_fail(rig.caller, S("\"d:2\""), &error), 0);
	rig_sends(&rig, "{\"id\":\"d:1\",\"result\":{\"ok\":true}}\n{\"id\":\"d:2\",\"error\":"
			"\"no\",\"statusCode\":404,\"errorCode\":\"NOT_FOUND\"}\n");
	rig_end(&rig);
}

static void test_cancel_on_lines_tells_nobody_there(void **state)
{
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, LINES);
	number = rig_call(&rig, "m");
	rig_take(&rig);
	assert_int_equal(kedge_caller_cancel(rig.caller, number), 0);
	rig_says(&rig, "m cancelled\n");
	rig_sends(&rig, "");
	assert_int_equal(kedge_caller_cancel(rig.caller, number), -ESTALE);
	rig_end(&rig);
}

static void test_limits(void **state)
{
	struct kedge_caller_options options = rig_options(LINES);
	struct kedge_ask ask = rig_ask("m");
	char text[1001];
	struct rig rig;

	(void)state;
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	options.limits = (struct kedge_caller_limits){
		.message_bytes_max = 1000, .depth_max = 2, .output_bytes_max = 2000, .calls_max = 3
	};
	rig_open(&rig, &options);
	ask.params = S(text);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -ENOBUFS);
	ask.if_lost = KEDGE_IF_LOST_RESEND;
	rig_take(&rig);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -ENOBUFS);
	rig_call(&rig, "b");
	rig_call(&rig, "c");
	ask.params.size = 0;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -EBUSY);

	rig_line(&rig, "{\"id\":\"1\",\"result\":[[1]]}\n");
	assert_int_equal(kedge_caller_dropped(rig.caller), 1);
	rig_line(&rig, "{\"id\":\"1\",\"result\":[1]}\n");
	rig_says(&rig, "m result [1]\n");
	/* 1000 bytes without an end are still a line; one more is none. */
	assert_int_equal(rig_line(&rig, text), 0);
	assert_int_equal(rig_line(&rig, "1"), -EMSGSIZE);
	kedge_caller_lost(rig.caller);
	rig_says(&rig, "b lost\nc lost\n");
	rig_end(&rig);
}

/* What is kept to be sent again takes room as long as it has no answer, sent or not. */
static void test_kept_is_limited(void **state)
{
	struct kedge_caller_options options = rig_options(LINES);
	struct kedge_ask ask = rig_ask("m");
	char text[300];
	struct rig rig;

	(void)state;
	memset(text, '1', sizeof(text));
	options.limits.output_bytes_max = 2000;
	rig_open(&rig, &options);
	ask.params = (struct kedge_span){ text, sizeof(text) };
	ask.if_lost = KEDGE_IF_LOST_RESEND;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
		rig_take(&rig);
	}
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), -ENOBUFS);
	rig_line(&rig, "{\"id\":\"2\",\"result\":1}\n");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig_says(&rig, "m result 1\n");
	rig_end(&rig);
}

/* What the server asks is refused an answer, and an upload its piece, where the output's limit
 * has no room: nothing of it is sent, and what was there stays. */
static void test_no_room_to_answer(void **state)
{
	struct kedge_caller_options options = rig_options(KEDGE_PROTOCOL_FRAMES);
	const struct kedge_rpc_error error = { .text = S("no"), .status = 400 };
	struct kedge_ask ask = rig_ask("m");
	uint64_t number;
	char text[2000];
	struct rig rig;
	size_t before;

	(void)state;
	memset(text, '1', sizeof(text));
	options.limits.output_bytes_max = 2000;
	rig_open(&rig, &options);
	ask.body_kind = KEDGE_BODY_STREAMED;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	before = kedge_caller_output_bytes(rig.caller);
	assert_int_equal(
		kedge_caller_upload(rig.caller, number, (struct kedge_span){ text, sizeof(text) }),
		-ENOBUFS);
	assert_int_equal(kedge_caller_upload(rig.caller, number, (struct kedge_span){ text, 1200 }),
			 0);
	assert_int_equal(
		kedge_caller_reply(rig.caller, S("\"d:1\""), (struct kedge_span){ text, 1000 }),
		-ENOBUFS);
	assert_int_equal(kedge_caller_fail(rig.caller, (struct kedge_span){ text, 1000 }, &error),
			 -ENOBUFS);
	assert_int_equal(kedge_caller_output_bytes(rig.caller), before + 4 + 1200);
	assert_int_equal(kedge_caller_upload(rig.caller, 0, S("x")), -ESTALE);
	assert_int_equal(kedge_caller_upload_end(rig.caller, 0), -ESTALE);
	rig_end(&rig);
}

static void test_outcome_names(void **state)
{
	(void)state;
	for (int i = 0; i < KEDGE_OUTCOME_MAX_; i++)
		assert_string_not_equal(kedge_outcome_name((enum kedge_outcome)i), "unknown");
	assert_string_equal(kedge_outcome_name(KEDGE_OUTCOME_TOO_LARGE), "too-large");
	assert_string_equal(kedge_outcome_name(KEDGE_OUTCOME_MAX_), "unknown");
	assert_string_equal(kedge_outcome_name((enum kedge_outcome) - 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_as_they_are_sent),
		cmocka_unit_test(test_what_cannot_be_asked),
		cmocka_unit_test(test_options_out_of_range),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_dropped_and_counted),
		cmocka_unit_test(test_prefixed_ids),
		cmocka_unit_test(test_answers_to_the_server),
		cmocka_unit_test(test_cancel_on_lines_tells_nobody_there),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_kept_is_limited),
		cmocka_unit_test(test_no_room_to_answer),
		cmocka_unit_test(test_outcome_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
