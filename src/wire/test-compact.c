/* Compacting: what is between tokens goes, what is inside them stays. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wire/compact.h"

static void test_rows(void **state)
{
	static const struct {
		const char *text, *compact;
	} rows[] = {
		{ "1.50", "1.50" },
		{ " \"a b\\n \" ", "\"a b\\n \"" },
		{ "{ \"a\" : [ 1 ,\n\t2 ] , \"b\\\" c\" : { } }\r\n",
		  "{\"a\":[1,2],\"b\\\" c\":{}}" },
		{ "[true , false,null]", "[true,false,null]" },
		{ "\"\xC3\xA9 \xE2\x82\xAC\"", "\"\xC3\xA9 \xE2\x82\xAC\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT;

		assert_int_equal(buf_append(&b, "x", 1), 0);
		assert_int_equal(json_append_compact(&b, kedge_span(rows[i].text)), 0);
		assert_int_equal(buf_append(&b, "", 1), 0);
		assert_string_equal(buf_front(&b) + 1, rows[i].compact);
		buf_deinit(&b);
	}
}

/* What is not there is no member. */
static void test_members(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_append(&b, "{", 1), 0);
	assert_int_equal(json_append_member(&b, "a", (struct kedge_span){ NULL, 0 }), 0);
	assert_int_equal(json_append_member(&b, "b", kedge_span("[ 1 ]")), 0);
	assert_int_equal(json_append_member(&b, "c", (struct kedge_span){ NULL, 0 }), 0);
	assert_int_equal(json_append_member(&b, "d", kedge_span("null ")), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(buf_front(&b), "{\"b\":[1],\"d\":null");
	buf_deinit(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_members),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
