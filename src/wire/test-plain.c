/* Strings in blocks, and levels of nesting in words: what goes over their edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "wire/json.h"
#include "wire/plain.h"

/* Strings are looked through in blocks: whatever ends a run of plain bytes is seen wherever
 * it stands, and nothing else is. */
static void test_every_place(void **state)
{
	char text[204];
	bool plain;

	(void)state;
	for (size_t n = 2; n < sizeof(text); n++) {
		memset(text, 'x', n);
		text[0] = text[n - 1] = '"';
		for (size_t i = 1; i < n - 1; i++) {
			struct kedge_span whole = { text, n };

			text[i] = '~';
			assert_true(json_is_valid(whole, 0));
			text[i] = ' ';
			assert_ptr_equal(json_skip_string(text, text + n), text + n);
			assert_ptr_equal(json_skip_short_string(text, text + n, &plain), text + n);
			text[i] = '"';
			assert_ptr_equal(json_skip_string(text, text + n), text + i + 1);
			assert_ptr_equal(json_skip_short_string(text, text + n, &plain),
					 text + i + 1);
			for (const char *bad = "\x1F\x80\\"; *bad; bad++) {
				text[i] = *bad;
				assert_null(json_skip_string(text, text + n));
				assert_null(json_skip_short_string(text, text + n, &plain));
				assert_false(plain);
			}
			text[i] = 'x';
		}
		assert_null(json_skip_string(text, text + n - 1));
		assert_null(json_skip_short_string(text, text + n - 1, &plain));
	}
}

/* An escape within the first block is no plain text, wherever it stands. */
static void test_plain(void **state)
{
	bool plain;

	(void)state;
	for (size_t n = 0; n < 64; n++) {
		char text[128];

		memset(text, ' ', sizeof(text));
		memset(text, 'x', n + 2);
		text[0] = text[n + 1] = '"';
		assert_ptr_equal(json_skip_short_string(text, text + sizeof(text), &plain),
				 text + n + 2);
		assert_true(plain == (n < PLAIN_BLOCK_BYTES));
		for (size_t i = 1; i + 1 <= n; i++) {
			memcpy(text + i, "\\n", 2);
			assert_ptr_equal(json_skip_short_string(text, text + sizeof(text), &plain),
					 text + n + 2);
			assert_false(plain);
			memcpy(text + i, "xx", 2);
		}
	}
}

/* Arrays and objects within each other, to the deepest: what opens as the one does not close
 * as the other, at any depth. */
static void test_brackets_match(void **state)
{
	static const char *const opens[] = { "[", "{\"\":" };
	char text[6 * JSON_DEPTH_MAX + 8];
	char closes[JSON_DEPTH_MAX + 1];

	(void)state;
	for (unsigned pattern = 1; pattern < 8; pattern++) {
		size_t n = 0, end;

		for (unsigned i = 0; i < JSON_DEPTH_MAX; i++) {
			bool object = i % pattern == 0;

			n += (size_t)sprintf(text + n, "%s", opens[object]);
			closes[JSON_DEPTH_MAX - 1 - i] = object ? '}' : ']';
		}
		text[n++] = '1';
		end = n + JSON_DEPTH_MAX;
		memcpy(text + n, closes, JSON_DEPTH_MAX);
		assert_ptr_equal(json_skip(text, text + end, JSON_DEPTH_MAX), text + end);
		for (unsigned i = 0; i < JSON_DEPTH_MAX; i++) {
			text[n + i] ^= '}' ^ ']';
			assert_null(json_skip(text, text + end, JSON_DEPTH_MAX));
			text[n + i] ^= '}' ^ ']';
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_brackets_match),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
