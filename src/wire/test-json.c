#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/json.h"

static struct kedge_span copy_of(const char *text, size_t size, char **ret)
{
	/* On the heap, to the byte, so that a sanitizer sees a read beyond the end. */
	*ret = malloc(size ? size : 1);
	assert_non_null(*ret);
	memcpy(*ret, text, size);
	return (struct kedge_span){ *ret, size };
}

static bool valid(const char *text, unsigned depth_max)
{
	_cleanup_(freep) char *copy = NULL;

	return json_is_valid(copy_of(text, strlen(text), &copy), depth_max);
}

static void test_accepts(void **state)
{
	static const char *const texts[] = {
		"0",
		"-0",
		"1",
		"-1.5",
		"1e5",
		"1E+5",
		"1.25e-7",
		"true",
		"false",
		"null",
		"\"\"",
		"\"a\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\\u0000\"",
		"\"\\ud83d\\ude00\"",
		"\"\\ud800\"",
		"[]",
		"{}",
		" [ ] ",
		"\t{\r\n}",
		"[1,2]",
		"[[],[[]]]",
		"{\"a\":{}}",
		"{\"a\":1,\"a\":2}",
		"{\"\":[{\"x\":null}]}",
		"\"\xC2\x80\"",
		"\"\xE0\xA0\x80\"",
		"\"\xED\x9F\xBF\"",
		"\"\xF4\x8F\xBF\xBF\"",
		"\"\x7F\"",
		"123456789012345678901234567890",
		"-0.0e-0",
		"0e9999",
		"[\"\\u00e4\",\"\\uDBFF\\uDFFF\",\"\\uDFFF\"]",
		"\"\xEF\xBF\xBF\"",
		"\"\xEE\x80\x80\"",
		"\"\xF0\x90\x80\x80\"",
		"\"\xE2\x80\xA8\"",
		"\"\xEF\xBB\xBF\"",
		"\r\n[ \t{ \n\"a\" \r: 1 , \"b\" :[ ] } ] ",
		"\"a long string of plain text, longer than sixteen bytes \xE2\x82\xAC and more\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!valid(texts[i], 128))
			fail_msg("refused: %s", texts[i]);
}

/* What stands in memory behind the end is none of it, even where it would go on well. */
static void test_cut(void **state)
{
	static const char *const texts[] = { "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"",
					     "\"\\n\\u00e4\\ud83d\\ude00\"",
					     "[true,false,null,{\"a\":[1,\"b\"]}]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t n = 0; n < strlen(texts[i]); n++)
			if (json_is_valid((struct kedge_span){ texts[i], n }, 128))
				fail_msg("accepted: %zu bytes of %s", n, texts[i]);
}

/* Each level remembers what it is: also beyond the first 64. */
static void test_mixed_depth(void **state)
{
	char text[3 * 64 + 32];

	(void)state;
	for (unsigned outer = 62; outer <= 66; outer++) {
		memset(text, '[', outer);
		strcpy(text + outer, "{\"a\":1,\"b\":[2,3]}");
		memset(text + strlen(text), ']', outer);
		text[2 * outer + 17] = '\0';
		assert_true(valid(text, 128));
		text[outer + 16] = ']';
		assert_false(valid(text, 128));
	}
}

static void test_refuses(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"01",
		"-",
		"+1",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x1",
		"NaN",
		"Infinity",
		"tru",
		"truex",
		"nul",
		"True",
		"\"",
		"\"a",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\n\"",
		"\"\t\"",
		"'a'",
		"[",
		"]",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[1 2]",
		"{",
		"}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{1:1}",
		"{\"a\":1 \"b\":2}",
		"{,}",
		"[}",
		"[1}",
		"{\"a\":1]",
		"{]",
		"1 2",
		"[]]",
		"{}{}",
		"// c\n1",
		"[1]x",
		"\"\x80\"",
		"\"\xC0\xAF\"",
		"\"\xC1\xBF\"",
		"\"\xE0\x9F\xBF\"",
		"\"\xED\xA0\x80\"",
		"\"\xF0\x8F\xBF\xBF\"",
		"\"\xF4\x90\x80\x80\"",
		"\"\xF5\x80\x80\x80\"",
		"\"\xE2\x82\"",
		"\"\xE2\x82",
		"\"\xFF\"",
		"\xEF\xBB\xBF{}",
		"\v1",
		"\"a\x01\"",
		"{\"a\":1}}",
		"-a",
		"1.e5",
		"1e5.5",
		"-01",
		"00",
		"--1",
		"1a",
		"\"\\u\"",
		"\"\\U0041\"",
		"\"\\u 041\"",
		"\"\\'\"",
		"\"\\\n\"",
		"\"\x1F\"",
		"\"a\r\"",
		"\"\xC2\"",
		"\"\xC2\xC0\"",
		"\"\xDF\x7F\"",
		"\"\xE0\x80\x80\"",
		"\"\xED\xBF\xBF\"",
		"\"\xEF\xBF\xC0\"",
		"\"\xF0\x80\x80\x80\"",
		"\"\xF1\x80\x80\"",
		"\"\xF7\xBF\xBF\xBF\"",
		"\"\xF8\x88\x80\x80\x80\"",
		"\"\xFE\"",
		"\xC2\xA0[]",
		"1\xE2\x80\xA8",
		"\f1",
		"[1,,2]",
		"[1;2]",
		"{\"a\"=1}",
		"{\"a\"::1}",
		"{\"a\":1,,\"b\":2}",
		"{\"a\":1;\"b\":2}",
		"{null:1}",
		"{[]:1}",
		"{\"a\",\"b\"}",
		"[\"a\":1]",
		"[[]",
		"{\"a\":[}",
		"{\"a\":{]}",
		"nulll",
		"falsee",
		"/**/1",
		"1//",
		"undefined",
		"-Infinity",
		"1_000",
		"1n",
		"\"a\"b\"",
		"\"\" \"\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (valid(texts[i], 128))
			fail_msg("accepted: %s", texts[i]);
}

/* A NUL is no white space, and ends nothing. */
static void test_nul(void **state)
{
	_cleanup_(freep) char *copy = NULL;

	(void)state;
	assert_false(json_is_valid(copy_of("1\0", 2, &copy), 1));
	freep(&copy);
	assert_false(json_is_valid(copy_of("\"\0\"", 3, &copy), 1));
}

static void test_depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 8];

	(void)state;
	for (unsigned depth = 1; depth <= JSON_DEPTH_MAX; depth *= 2) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\0';
		assert_true(valid(text, depth));
		assert_false(valid(text, depth - 1));
	}
	assert_true(valid("1", 0));
	assert_false(valid("[]", 0));
}

static void test_members(void **state)
{
	struct kedge_span object = kedge_span(
		"{ \"a\" : 1 , \"b\":[1,{\"a\":2}], \"\\u0061\" : \"x\\n\" }");
	struct kedge_span name, value;
	const char *at = NULL;
	unsigned count = 0;

	(void)state;
	while (json_next_member(object, &at, &name, &value))
		count++;
	assert_int_equal(count, 3);
	value = json_member(object, "a");
	assert_true(json_string_is(value, "x\n"));
	assert_int_equal(json_member(object, "c").size, 0);
	assert_int_equal(json_member(kedge_span("[1]"), "a").size, 0);
	/* Nothing at all has no members either, and no address: a sanitizer looks on. */
	assert_int_equal(json_member((struct kedge_span){ NULL, 0 }, "a").size, 0);
	assert_false(json_next_member(kedge_span("{ }"), &(const char *){ NULL }, &name, &value));
}

static void test_elements(void **state)
{
	struct kedge_span array = kedge_span("[ 1, [2,3] ,{\"a\":[]} ]"), value;
	static const char *const expected[] = { "1", "[2,3]", "{\"a\":[]}" };
	const char *at = NULL;
	size_t i = 0;

	(void)state;
	for (; i < ARRAY_SIZE(expected) && json_next_element(array, &at, &value); i++) {
		assert_int_equal(value.size, strlen(expected[i]));
		assert_memory_equal(value.data, expected[i], value.size);
	}
	assert_int_equal(i, ARRAY_SIZE(expected));
	assert_false(json_next_element(array, &at, &value));
}

/* A member that is not there was gone through from the byte behind NULL on. */
static void test_absent_container(void **state)
{
	const struct kedge_span absent = json_member(kedge_span("{\"a\":[1]}"), "b");
	struct kedge_span name, value;
	const char *at = NULL;

	(void)state;
	assert_null(absent.data);
	assert_false(json_next_element(absent, &at, &value));
	assert_false(json_next_member(absent, &at, &name, &value));
	assert_int_equal(json_member(absent, "a").size, 0);
}

static void test_decode(void **state)
{
	static const struct {
		const char *json;
		const char *text;
		size_t size;
	} rows[] = {
		{ "\"\"", "", 0 },
		{ "\"a\\/b\\\\\"", "a/b\\", 4 },
		{ "\"\\u0000x\"", "\0x", 2 },
		{ "\"\\b\\f\\n\\r\\t\\\"\"", "\b\f\n\r\t\"", 6 },
		{ "\"\\u007f\\u0080\\u07FF\\u0800\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80", 8 },
		{ "\"\\u20ac\"", "\xE2\x82\xAC", 3 },
		{ "\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80", 4 },
		{ "\"\\ud83dx\"", "\xEF\xBF\xBDx", 4 },
		{ "\"\\ud83dabcdef\"",
		  "\xEF\xBF\xBD"
		  "abcdef",
		  9 },
		{ "\"\\ud83d\\n1234\"", "\xEF\xBF\xBD\n1234", 8 },
		{ "\"\\ud83d\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 6 },
		{ "\"\\ud83d\\uffff\"", "\xEF\xBF\xBD\xEF\xBF\xBF", 6 },
		{ "\"\\ude00\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 6 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[64];

		assert_int_equal(json_string_decode(kedge_span(rows[i].json), out), rows[i].size);
		assert_memory_equal(out, rows[i].text, rows[i].size);
		/* Only half a pair is no text; what stands for it may be written out. */
		assert_int_equal(json_string_is_text(kedge_span(rows[i].json)),
				 !strstr(rows[i].text, "\xEF\xBF\xBD"));
	}
	assert_true(json_string_is_text(kedge_span("\"\xEF\xBF\xBD \\ufffd \\\\ud800\"")));
}

/* Halves of pairs look the same in a message, but are not. */
static void test_halves_differ(void **state)
{
	(void)state;
	assert_true(json_scalar_equal(kedge_span("\"\\ud800\""), kedge_span("\"\\uD800\"")));
	assert_false(json_scalar_equal(kedge_span("\"\\ud800\""), kedge_span("\"\\ud801\"")));
	assert_false(json_scalar_equal(kedge_span("\"\\ud800\""), kedge_span("\"\\ufffd\"")));
	assert_false(json_string_is(kedge_span("\"\\ud800\""), "\xEF\xBF\xBD"));
}

static void test_append(void **state)
{
	struct buf b = BUF_INIT;
	char back[64];
	struct kedge_span text = { "a\"\\\n\x01\x1F\0\xE2\x82\xAC", 10 };

	(void)state;
	assert_int_equal(json_append_string(&b, text), 0);
	assert_true(json_is_valid((struct kedge_span){ buf_front(&b), buf_size(&b) }, 0));
	assert_int_equal(
		json_string_decode((struct kedge_span){ buf_front(&b), buf_size(&b) }, back), 10);
	assert_memory_equal(back, text.data, 10);
	assert_non_null(strstr(buf_front(&b), "\\u0001"));
	buf_deinit(&b);
}

/* Text without escapes costs no more memory than it has. */
static void test_append_large(void **state)
{
	struct buf b = BUF_INIT;
	size_t n = (size_t)1 << 20;
	_cleanup_(freep) char *text = malloc(n);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	assert_int_equal(json_append_string(&b, (struct kedge_span){ text, n }), 0);
	assert_int_equal(buf_size(&b), n + 2);
	assert_true(b.capacity <= 2 * n);
	buf_consume(&b, buf_size(&b));
	/* At worst each byte takes six. */
	memset(text, 1, n);
	assert_int_equal(json_append_string(&b, (struct kedge_span){ text, n }), 0);
	assert_int_equal(buf_size(&b), 6 * n + 2);
	assert_true(json_is_valid((struct kedge_span){ buf_front(&b), buf_size(&b) }, 0));
	buf_deinit(&b);
}

/* Strings with escapes are compared as what they say. */
static void test_compare(void **state)
{
	static const struct {
		const char *string, *text;
		bool is, starts;
	} rows[] = {
		{ "\"ab\"", "ab", true, true },
		{ "\"\\u0061b\"", "ab", true, true },
		{ "\"abc\"", "ab", false, true },
		{ "\"\\u0061\\u0062\\u0063\"", "ab", false, true },
		{ "\"a\"", "ab", false, false },
		{ "\"ac\"", "ab", false, false },
		{ "\"\\u0061\"", "ab", false, false },
		{ "\"\"", "ab", false, false },
		{ "\"\"", "", true, true },
		{ "\"\\n\"", "\n", true, true },
		{ "\"\\n\"", "\\n", false, false },
		{ "\"\\\\n\"", "\\n", true, true },
		{ "\"\\u20ac\"", "\xE2\x82\xAC", true, true },
		{ "[\"ab\"]", "ab", false, false },
		{ "ab", "ab", false, false },
		{ "", "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kedge_span string = kedge_span(rows[i].string);

		assert_int_equal(json_string_is(string, rows[i].text), rows[i].is);
		assert_int_equal(json_string_starts(string, rows[i].text), rows[i].starts);
	}
}

static void test_scalar_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{ "1", "1", true },
		{ "1", "1.0", false },
		{ "1", "\"1\"", false },
		{ "\"1\"", "1", false },
		{ "true", "true", true },
		{ "null", "\"null\"", false },
		{ "\"a\"", "\"\\u0061\"", true },
		{ "\"\\u0061\"", "\"\\u0061b\"", false },
		{ "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"", true },
		{ "\"\\ud83d\"", "\"\xEF\xBF\xBD\"", false },
		{ "\"\"", "\"\\u0000\"", false },
		{ "\"\\/\"", "\"/\"", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kedge_span a = kedge_span(rows[i].a), b = kedge_span(rows[i].b);

		assert_int_equal(json_scalar_equal(a, b), rows[i].equal);
		assert_int_equal(json_scalar_equal(b, a), rows[i].equal);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mixed_depth),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_halves_differ),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_large),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_scalar_equal),
		cmocka_unit_test(test_absent_container),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
