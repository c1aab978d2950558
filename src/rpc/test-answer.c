#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/answer.h"
#include "wire/json.h"

static const struct kedge_span id = { "\"i\"", 3 };

static void expect(struct buf *b, int r, const char *text)
{
	assert_int_equal(r, 0);
	assert_int_equal(buf_size(b), strlen(text));
	assert_memory_equal(buf_front(b), text, strlen(text));
	assert_true(json_is_valid((struct kedge_span){ buf_front(b), buf_size(b) }, 9));
	buf_deinit(b);
}

static void test_results(void **state)
{
	struct kedge_span parts[] = { { NULL, 0 }, kedge_span("[1"), { "", 0 }, kedge_span(",2]") };
	struct buf b = BUF_INIT;

	(void)state;
	expect(&b, answer_parts(&b, id, parts, 4), "{\"id\":\"i\",\"result\":[1,2]}");
	expect(&b, answer_parts(&b, id, parts, 1), "{\"id\":\"i\"}");
	expect(&b, answer_parts(&b, id, NULL, 0), "{\"id\":\"i\"}");
	expect(&b, answer_result(&b, id, kedge_span("[1]")), "{\"id\":\"i\",\"result\":[1]}");
	expect(&b, answer_result(&b, id, kedge_span("null")), "{\"id\":\"i\",\"result\":null}");
	expect(&b, answer_result(&b, id, kedge_span(NULL)), "{\"id\":\"i\"}");
}

static const struct {
	struct kedge_rpc_error error;
	const char *text;
} errors[] = {
	{ { .text = { "a", 1 }, .status = 418, .code = "TEAPOT" },
	  "\"a\",\"statusCode\":418,\"errorCode\":\"TEAPOT\"" },
	{ { .text = { "a", 1 }, .status = 409, .details = { "[1]", 3 } },
	  "\"a\",\"statusCode\":409,\"errorCode\":\"CONFLICT\",\"errorDetails\":[1]" },
	{ { .text = { "a", 1 }, .status = 400, .code = "a\"b" },
	  "\"a\",\"statusCode\":400,\"errorCode\":\"a\\\"b\"" },
	/* No text would be no error to some clients. */
	{ { .status = 599 },
	  "\"Unknown error\",\"statusCode\":599,\"errorCode\":\"INTERNAL_ERROR\"" },
	/* Quotes, control characters, UTF-8, and bytes that are none. */
	{ { .text = { "\"\\\n\x01\x7F", 5 }, .status = 400 },
	  "\"\\\"\\\\\\n\\u0001\x7F\",\"statusCode\":400,\"errorCode\":\"BAD_REQUEST\"" },
	{ { .text = { "\xE2\x82\xAC\0", 4 }, .status = 400 },
	  "\"\xE2\x82\xAC\\u0000\",\"statusCode\":400,\"errorCode\":\"BAD_REQUEST\"" },
	/* Cut within a character, of which the rest stands in memory behind it. */
	{ { .text = { "\xC3\xA4", 1 }, .status = 400 },
	  "\"\xEF\xBF\xBD\",\"statusCode\":400,\"errorCode\":\"BAD_REQUEST\"" },
	{ { .text = { "\xFF"
		      "a\xC3\xE2\x82",
		      5 },
	    .status = 400 },
	  "\"\xEF\xBF\xBD"
	  "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\",\"statusCode\":400,\"errorCode\":\"BAD_"
	  "REQUEST\"" },
};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct buf b = BUF_INIT;
		char text[256];

		(void)snprintf(text, sizeof(text), "{\"id\":\"i\",\"error\":%s}", errors[i].text);
		expect(&b, answer_error(&b, id, &errors[i].error), text);
	}
}

static const struct {
	const char *object, *members;
} headers[] = {
	{ NULL, "" },
	{ "{}", "" },
	{ "[1]", "" },
	{ "{\"a\" : 1 , \"b\":[ 2]}", "\"a\":1,\"b\":[ 2]," },
	{ "{\"content-length\":1,\"transfer-encoding\":{}}", "" },
	{ "{\"a\":1,\"content\\u002dlength\":2,\"b\":3}", "\"a\":1,\"b\":3," },
	{ "{\"content-type\":\"x\"}", "\"content-type\":\"x\"," },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct buf members = BUF_INIT, b = BUF_INIT;
		char text[256];

		assert_int_equal(answer_headers(&members, kedge_span(headers[i].object)), 0);
		(void)snprintf(text, sizeof(text), "{\"id\":\"i\",\"headers\":{%s\"n\":\"v\"}}",
			       headers[i].members);
		expect(&b,
		       answer_envelope(
			       &b, id,
			       (struct kedge_span){ buf_front(&members), buf_size(&members) }, "n",
			       "v"),
		       text);
		buf_deinit(&members);
	}
}

static void test_events_and_calls(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	expect(&b, answer_event(&b, kedge_span("e\n"), kedge_span("1")),
	       "{\"event\":\"e\\n\",\"data\":1}");
	expect(&b, answer_event(&b, kedge_span("e"), kedge_span(NULL)), "{\"event\":\"e\"}");
	expect(&b, answer_call(&b, "d:", UINT64_MAX, kedge_span("m"), kedge_span("{}")),
	       "{\"id\":\"d:18446744073709551615\",\"method\":\"m\",\"params\":{}}");
	expect(&b, answer_call(&b, "", 1, kedge_span("m"), kedge_span(NULL)),
	       "{\"id\":\"1\",\"method\":\"m\"}");
}

/* The table of the wire's document. */
static void test_codes(void **state)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
		{ 400, "BAD_REQUEST" },
		{ 401, "UNAUTHORIZED" },
		{ 403, "FORBIDDEN" },
		{ 404, "NOT_FOUND" },
		{ 409, "CONFLICT" },
		{ 410, "GONE" },
		{ 413, "PAYLOAD_TOO_LARGE" },
		{ 422, "UNPROCESSABLE_ENTITY" },
		{ 424, "FAILED_DEPENDENCY" },
		{ 429, "RATE_LIMITED" },
		{ 500, "INTERNAL_ERROR" },
		{ 502, "BAD_GATEWAY" },
		{ 503, "SERVICE_UNAVAILABLE" },
		{ 504, "GATEWAY_TIMEOUT" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_string_equal(status_code(codes[i].status), codes[i].code);
		assert_int_equal(code_status(codes[i].code), codes[i].status);
	}
	assert_string_equal(status_code(499), "INTERNAL_ERROR");
	assert_int_equal(code_status("UNKNOWN"), 500);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_headers), cmocka_unit_test(test_events_and_calls),
		cmocka_unit_test(test_codes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
