#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/envelope.h"

static void assert_span(struct kedge_span span, const char *text)
{
	assert_int_equal(span.size, strlen(text));
	assert_memory_equal(span.data, text, span.size);
}

static void test_members(void **state)
{
	struct envelope e;

	(void)state;
	assert_int_equal(envelope_scan(kedge_span(" {\"x\":[1],\"id\" : 1e3 ,\"method\":\"m\","
						  "\"params\":{\"id\":2},\"headers\":{}} "),
				       128, &e),
			 ENVELOPE_OK);
	assert_span(e.members[MEMBER_ID], "1e3");
	assert_span(e.members[MEMBER_METHOD], "\"m\"");
	assert_span(e.members[MEMBER_PARAMS], "{\"id\":2}");
	assert_span(e.members[MEMBER_HEADERS], "{}");
	assert_int_equal(e.members[MEMBER_ERROR].size, 0);
}

/* Of a member given twice the last counts, however its name is written. */
static void test_last_duplicate_wins(void **state)
{
	struct envelope e;

	(void)state;
	envelope_scan(kedge_span("{\"id\":1,\"\\u0069d\":2,\"ID\":3,\"id \":4}"), 128, &e);
	assert_span(e.members[MEMBER_ID], "2");
	envelope_scan(kedge_span("{\"\\u0069\\u0064\":1,\"id\":null}"), 128, &e);
	assert_span(e.members[MEMBER_ID], "null");
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *text;
		enum envelope_verdict verdict;
	} rows[] = {
		{ "{}", ENVELOPE_OK },
		{ "[]", ENVELOPE_NOT_OBJECT },
		{ "\"x\"", ENVELOPE_NOT_OBJECT },
		{ "null", ENVELOPE_NOT_OBJECT },
		{ "[", ENVELOPE_NOT_JSON },
		{ "{\"id\":1}}", ENVELOPE_NOT_JSON },
		{ "{\"id\":1", ENVELOPE_NOT_JSON },
		{ "{\"id\":1,}", ENVELOPE_NOT_JSON },
		{ "{\"id\" 1}", ENVELOPE_NOT_JSON },
		{ "{\"id\":[[[1]]]}", ENVELOPE_NOT_JSON }, /* deeper than 3 */
		{ "{\"id\":[[1]]}", ENVELOPE_OK },
		{ "", ENVELOPE_NOT_JSON },
		{ "{\"a\":\"\xFF\"}", ENVELOPE_NOT_JSON },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct envelope e;

		if (envelope_scan(kedge_span(rows[i].text), 3, &e) != rows[i].verdict)
			fail_msg("%s", rows[i].text);
	}
}

static void test_ids(void **state)
{
	static const char *const none[] = { "",    "null", "false", "0",   "-0",
					    "0.0", "0e7",  "0E+7",  "\"\"" };
	static const char *const some[] = { "1",   "true", "\"0\"", "{}",    "[]",
					    "0.1", "-1",   "1e-9",  "\" \"", "10" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(envelope_id_counts(kedge_span(none[i])));
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_true(envelope_id_counts(kedge_span(some[i])));
}

/* Whole numbers of up to five digits; anything else is no status. */
static void test_status(void **state)
{
	static const struct {
		const char *value;
		int status;
	} rows[] = { { "404", 404 },  { "0", 0 },       { "99999", 99999 },
		     { "100000", 0 }, { "-404", 0 },    { "4.04", 0 },
		     { "4e2", 0 },    { "\"404\"", 0 }, { "true", 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct envelope e = { .members = {
					      [MEMBER_STATUS_CODE] = kedge_span(rows[i].value) } };

		assert_int_equal(envelope_status(&e), rows[i].status);
	}
	assert_int_equal(envelope_status(&(struct envelope){ 0 }), 0);
}

/* Each name there is, and names beside it that are none. */
static void test_names(void **state)
{
	static const char *const names[MEMBER_MAX_] = {
		[MEMBER_ID] = "id",
		[MEMBER_METHOD] = "method",
		[MEMBER_PARAMS] = "params",
		[MEMBER_HEADERS] = "headers",
		[MEMBER_RESULT] = "result",
		[MEMBER_ERROR] = "error",
		[MEMBER_STATUS_CODE] = "statusCode",
		[MEMBER_ERROR_CODE] = "errorCode",
		[MEMBER_ERROR_DETAILS] = "errorDetails",
		[MEMBER_EVENT] = "event",
		[MEMBER_DATA] = "data",
		[MEMBER_PAYLOAD] = "payload",
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < MEMBER_MAX_; i++) {
		struct envelope e;

		/* Plain, with an escape for the first letter, with one letter more or less. */
		(void)snprintf(text, sizeof(text), "{\"%s\":%zu}", names[i], i + 1);
		assert_int_equal(envelope_scan(kedge_span(text), 9, &e), ENVELOPE_OK);
		assert_int_equal(e.members[i].size, i + 1 > 9 ? 2 : 1);
		(void)snprintf(text, sizeof(text), "{\"\\u%04x%s\":1}", names[i][0], names[i] + 1);
		assert_int_equal(envelope_scan(kedge_span(text), 9, &e), ENVELOPE_OK);
		assert_int_equal(e.members[i].size, 1);
		(void)snprintf(text, sizeof(text), "{\"%ss\":1,\"%s\":1,\"\":1}", names[i],
			       names[i] + 1);
		assert_int_equal(envelope_scan(kedge_span(text), 9, &e), ENVELOPE_OK);
		for (size_t j = 0; j < MEMBER_MAX_; j++)
			assert_int_equal(e.members[j].size, 0);
		(void)snprintf(text, sizeof(text), "{\"\\u%04x%ss\":1,\"\\n\":1}", names[i][0],
			       names[i] + 1);
		assert_int_equal(envelope_scan(kedge_span(text), 9, &e), ENVELOPE_OK);
		for (size_t j = 0; j < MEMBER_MAX_; j++)
			assert_int_equal(e.members[j].size, 0);
	}
}

/* A message of @count members, the names and values by @seed, and white
 * space between the tokens of each. */
static void write_message(char *to, size_t room, unsigned seed, int count,
			  const char *const space[4])
{
	static const char *const some[] = { "id",  "method", "params", "result",  "headers",
					    "ids", "i",      "metho",  "paramss", "error" };
	static const char *const values[] = { "\"a\"", "1",           "{\"value\":[1,\"\\\"}\"]}",
					      "\"\"",  "\"\\u0061\"", "\"seventeen bytes..\"",
					      "null" };
	size_t n = (size_t)snprintf(to, room, "{");

	for (int i = 0; i < count; i++) {
		seed = seed * 1664525 + 1013904223;
		n += (size_t)snprintf(to + n, room - n, "%s%s\"%s\"%s:%s%s%s", i ? "," : "",
				      space[0], some[(seed >> 16) % ARRAY_SIZE(some)], space[1],
				      space[2], values[(seed >> 24) % ARRAY_SIZE(values)],
				      space[3]);
	}
	(void)snprintf(to + n, room - n, "}");
}

/* Common names are told by their bytes, others looked for: however a message is written the
 * members are the same, and cut short it is none. */
static void test_written_otherwise(void **state)
{
	static const char *const none[4] = { "", "", "", "" };
	static const char *const spaces[][4] = { { "", " ", "", "" },
						 { " ", "", "", "" },
						 { "", "", " ", " " },
						 { "\n", "\t", "\r", "  " } };

	(void)state;
	for (unsigned seed = 0; seed < 2000; seed++) {
		char compact[512], other[512];
		struct envelope a, b;

		write_message(compact, sizeof(compact), seed, (int)(seed % 7), none);
		write_message(other, sizeof(other), seed, (int)(seed % 7),
			      spaces[seed % ARRAY_SIZE(spaces)]);
		assert_int_equal(envelope_scan(kedge_span(compact), 9, &a), ENVELOPE_OK);
		assert_int_equal(envelope_scan(kedge_span(other), 9, &b), ENVELOPE_OK);
		for (int i = 0; i < MEMBER_MAX_; i++) {
			assert_int_equal(a.members[i].size, b.members[i].size);
			if (a.members[i].size)
				assert_memory_equal(a.members[i].data, b.members[i].data,
						    a.members[i].size);
		}
		if (a.method_is_plain)
			assert_null(memchr(a.members[MEMBER_METHOD].data, '\\',
					   a.members[MEMBER_METHOD].size));
		for (size_t n = 0; n < strlen(compact); n++)
			assert_int_equal(envelope_scan((struct kedge_span){ compact, n }, 9, &b),
					 ENVELOPE_NOT_JSON);
	}
}

static void assert_same_span(struct kedge_span a, struct kedge_span b)
{
	assert_ptr_equal(a.data, b.data);
	assert_int_equal(a.size, b.size);
}

/* The size of a usual message at the front, in which the long way must find the same. */
static size_t usual_size(const char *text, size_t size)
{
	struct members members = { .of = NULL };
	struct kedge_request usual;
	struct envelope e;

	size = envelope_scan_usual((struct kedge_span){ text, size }, 9, &usual, &members);
	if (!size)
		return 0;
	assert_int_equal(envelope_scan((struct kedge_span){ text, size }, 9, &e), ENVELOPE_OK);
	assert_null(memchr(text, '\n', size));
	assert_same_span(usual.id, e.members[MEMBER_ID]);
	assert_ptr_equal(usual.method.data, e.members[MEMBER_METHOD].data + 1);
	assert_int_equal(usual.method.size, e.members[MEMBER_METHOD].size - 2);
	assert_same_span(usual.params, e.members[MEMBER_PARAMS]);
	assert_true(envelope_id_counts(usual.id) && usual.method.size > 0);
	for (int i = MEMBER_HEADERS; i < MEMBER_MAX_; i++)
		assert_int_equal(e.members[i].size, 0);
	assert_true(!members.of || members.of == usual.params.data);
	return size;
}

/* Whether it is usual, all of it. What follows a message makes no difference to it. */
static bool is_usual(const char *text, size_t size)
{
	size_t found = usual_size(text, size);
	char more[256];

	memcpy(more, text, size);
	memset(more + size, '}', sizeof(more) - size);
	if (found)
		assert_int_equal(usual_size(more, sizeof(more)), found);
	return found == size;
}

/* The short way takes nothing that the long one does not: each byte of a request is changed to
 * each other, it is cut everywhere, and a byte is put in between. */
static void test_usual(void **state)
{
	static const char *const texts[] = {
		"{\"id\":\"1\",\"method\":\"m\",\"params\":{\"v\":[1,\"x\"]}}",
		"{\"id\":\"1\",\"method\":\"m\",\"params\":{\"a\":\"b\",\"c\":-1.5e3,\"a\":{\"d\":["
		"]}}}",
		"{\"id\":\"s:17\",\"method\":\"health\",\"params\":null}",
		"{\"id\":\"0123456789abcde\",\"method\":\"a_method_of_1\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t size = strlen(texts[i]);
		char text[128], longer[129];

		strcpy(text, texts[i]);
		/* The strings of the last are too long for a word, and what is behind them too
		 * short for a block. */
		assert_true(is_usual(text, size) || i == ARRAY_SIZE(texts) - 1);
		for (size_t n = 0; n < size; n++) {
			assert_int_equal(usual_size(text, n), 0);
			for (int c = 1; c < 256; c++) {
				text[n] = (char)c;
				(void)usual_size(text, size);
				memcpy(longer, texts[i], n);
				longer[n] = (char)c;
				memcpy(longer + n + 1, texts[i] + n, size - n);
				(void)usual_size(longer, size + 1);
			}
			text[n] = texts[i][n];
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_written_otherwise),
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_last_duplicate_wins),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_status),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
