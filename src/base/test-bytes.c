#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/bytes.h"

#define SIZE_MAX_HERE 200

static void fill(char *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (char)('0' + i);
}

/* Of each size what memcpy() would copy, and no byte beyond. */
static void test_put(void **state)
{
	char from[SIZE_MAX_HERE], to[SIZE_MAX_HERE + 2];

	(void)state;
	fill(from, sizeof(from));
	for (size_t size = 0; size <= SIZE_MAX_HERE; size++) {
		memset(to, '#', sizeof(to));
		assert_ptr_equal(bytes_put(to + 1, from, size), to + 1 + size);
		assert_memory_equal(to + 1, from, size);
		assert_int_equal(to[0], '#');
		assert_int_equal(to[1 + size], '#');
	}
}

/* The source ends where its memory does: a sanitizer, or valgrind, sees a byte too many. */
static void test_nothing_beyond_is_read(void **state)
{
	char to[SIZE_MAX_HERE];

	(void)state;
	for (size_t size = 1; size <= SIZE_MAX_HERE; size++) {
		char *from = malloc(size);

		assert_non_null(from);
		fill(from, size);
		(void)bytes_put(to, from, size);
		assert_true(bytes_are_equal(from, to, size));
		free(from);
	}
}

/* A difference is seen wherever it is. */
static void test_equal(void **state)
{
	char a[SIZE_MAX_HERE], b[SIZE_MAX_HERE];

	(void)state;
	fill(a, sizeof(a));
	fill(b, sizeof(b));
	for (size_t size = 0; size <= SIZE_MAX_HERE; size++) {
		assert_true(bytes_are_equal(a, b, size));
		for (size_t i = 0; i < SIZE_MAX_HERE; i++) {
			b[i] ^= 1;
			assert_true(bytes_are_equal(a, b, size) == (i >= size));
			b[i] ^= 1;
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_nothing_beyond_is_read),
		cmocka_unit_test(test_equal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
