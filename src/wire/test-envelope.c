#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
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
	static const char *const none[] = { "", "null", "false", "0", "-0", "0.0", "0e7", "\"\"" };
	static const char *const some[] = { "1",   "true", "\"0\"", "{}",    "[]",
					    "0.1", "-1",   "1e-9",  "\" \"", "10" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(envelope_id_counts(kedge_span(none[i])));
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_true(envelope_id_counts(kedge_span(some[i])));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_last_duplicate_wins),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_ids),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
