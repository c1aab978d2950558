#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/members.h"
#include "wire/plain.h"

/* A copy that ends where its memory ends, so that a sanitizer sees a byte too far. */
static char *copy(const char *text, size_t size)
{
	char *to = malloc(size ? size : 1);

	assert_non_null(to);
	memcpy(to, text, size);
	return to;
}

static void expect_member(const struct members *m, struct kedge_span object, const char *name,
			  const char *value)
{
	struct kedge_span found = members_find(m, object, kedge_span(name));

	assert_int_equal(found.size, value ? strlen(value) : 0);
	if (value)
		assert_memory_equal(found.data, value, found.size);
}

#define SPACE "                    " /* that more follows makes no difference */

/* Noted are few members with short names, as JSON.stringify() writes them. */
static void test_what_is_noted(void **state)
{
	static const struct {
		const char *text;
		unsigned count;   /* 0: nothing is noted */
		unsigned longest; /* of its names, where that matters */
	} rows[] = {
		{ "{\"a\":1}", 1 },
		{ "{\"a\":\"x\",\"b\":null,\"a\":[2]}", 3 },
		{ "{\"fifteen_letters\":-0.5e1,\"b\":{\"c\":\"a rather long text, it goes on\"}}",
		  2, 15 },
		{ "{\"\":true}", 1 },
		{ "{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8}", 8 },
		{ "{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9}", 0 },
		{ "{\"sixteen__letters\":1}", 0 },
		{ "{\"\\u0061\":1}", 0 },
		{ "{ \"a\":1}", 0 },
		{ "{\"a\" :1}", 0 },
		{ "{\"a\": 1}", 0 },
		{ "{\"a\":1 }", 0 },
		{ "{\"a\":[\n1]}", 0 },
		{ "{\"\303\251\":1}", 0 },
		{ "[{\"a\":1}]", 0 },
		{ "\"a\"", 0 },
		{ "17", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].text);
		char text[256];
		struct members m;

		assert_true((size_t)snprintf(text, sizeof(text), "%s" SPACE, rows[i].text) <
			    sizeof(text));
		assert_ptr_equal(members_skip(text, text + strlen(text), 9, &m), text + size);
		if (rows[i].count && rows[i].longest < PLAIN_BLOCK_BYTES) {
			assert_ptr_equal(m.of, text);
			assert_int_equal(m.count, rows[i].count);
		} else {
			assert_null(m.of);
		}
	}
}

/* Whether they were noted or not, what is found is the same. */
static void test_find(void **state)
{
	static const char text[] = "{\"a\":\"x\",\"bb\":{\"c\":1},\"a\":[2],\"d\":null}" SPACE;
	struct kedge_span object = { text, sizeof(text) - sizeof(SPACE) };
	struct members noted, none = { .of = NULL };
	const struct members *both[] = { &noted, &none };

	(void)state;
	assert_ptr_equal(members_skip(text, text + sizeof(text) - 1, 9, &noted),
			 text + object.size);
	assert_ptr_equal(noted.of, text);
	for (int i = 0; i < 2; i++) {
		expect_member(both[i], object, "a", "[2]");
		expect_member(both[i], object, "bb", "{\"c\":1}");
		expect_member(both[i], object, "d", "null");
		expect_member(both[i], object, "b", NULL);
		expect_member(both[i], object, "c", NULL);
	}
	/* A name is as long as it says, and no NUL need follow it. */
	assert_int_equal(members_find(&noted, object, (struct kedge_span){ "bbb", 2 }).size, 7);
	object = kedge_span("{\"\\u0062b\":17}");
	assert_int_equal(members_find(&noted, object, (struct kedge_span){ "bbb", 2 }).size, 2);
	/* Of another object nothing was noted, nor of what is no object. */
	expect_member(&noted, (struct kedge_span){ "{\"a\":7}", 7 }, "a", "7");
	expect_member(&noted, (struct kedge_span){ "[1]", 3 }, "a", NULL);
	expect_member(&noted, (struct kedge_span){ NULL, 0 }, "a", NULL);
}

static void test_depth(void **state)
{
	static const char text[] = "{\"a\":[[]]}" SPACE;
	const char *end = text + sizeof(text) - 1;
	struct members m;

	(void)state;
	assert_null(members_skip(text, end, 0, &m));
	assert_null(members_skip(text, end, 2, &m));
	assert_null(m.of);
	assert_non_null(members_skip(text, end, 3, &m));
	assert_non_null(m.of);
}

static void as_skip(const char *text, size_t size)
{
	struct members m;

	if (!json_is_space(text[0]))
		assert_ptr_equal(members_skip(text, text + size, 9, &m),
				 json_skip(text, text + size, 9));
}

/* Each byte is changed to each other, and the text is cut everywhere: what is valid, and where
 * it ends, is as json_skip() has it. */
static void test_as_skip(void **state)
{
	static const char *const texts[] = {
		"{\"a\":\"x\",\"bb\":{\"c\":1},\"a\":[2],\"d\":null}" SPACE,
		"{\"fifteen_letters\":\"a text of more than a block\",\"n\":-1.5e+3}}}}}}",
		"{}" SPACE,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t size = 1; size <= strlen(texts[i]); size++) {
			char *text = copy(texts[i], size);
			/* Of what is cut off one change is enough. */
			int first = size == strlen(texts[i]) ? 1 : 255;

			as_skip(text, size);
			for (size_t n = 0; n < size; n++) {
				for (int c = first; c < 256; c++) {
					text[n] = (char)c;
					as_skip(text, size);
				}
				text[n] = texts[i][n];
			}
			free(text);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_noted),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_as_skip),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
