/* The byte buffer: what goes in comes out in order, and it is cheap. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_content(const struct buf *b, const char *expected)
{
	assert_int_equal(buf_size(b), strlen(expected));
	if (*expected)
		assert_memory_equal(buf_front(b), expected, strlen(expected));
}

static void test_starts_empty_and_without_memory(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	(void)state;
	assert_content(&b, "");
	assert_null(b.data);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_null(b.data);
	buf_consume(&b, 0);
	buf_trim(&b, 0);
	assert_content(&b, "");
}

static void test_append_and_consume(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_append(&b, "hello ", 6), 0);
	assert_int_equal(buf_append(&b, "world", 5), 0);
	assert_content(&b, "hello world");
	buf_consume(&b, 6);
	assert_content(&b, "world");
	assert_int_equal(buf_append(&b, "!", 1), 0);
	assert_content(&b, "world!");
	buf_consume(&b, 6);
	assert_content(&b, "");
	assert_int_equal(b.start, 0);
}

static void test_format_of_any_length(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	char expected[4001];

	(void)state;
	assert_int_equal(buf_appendf(&b, "%s", ""), 0);
	assert_content(&b, "");
	assert_int_equal(buf_appendf(&b, "%d-%s", 42, "x"), 0);
	assert_content(&b, "42-x");
	buf_consume(&b, 4);
	for (int length = 500; length <= 4000; length += 7) {
		memset(expected, 'y', (size_t)length);
		expected[length] = '\0';
		assert_int_equal(buf_appendf(&b, "%s", expected), 0);
		assert_content(&b, expected);
		buf_consume(&b, (size_t)length);
	}
}

/* More than there is memory for, twice over: refused, and nothing changed. */
static void test_too_much_is_refused(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_append(&b, "keep", 4), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
	assert_content(&b, "keep");
	assert_int_equal(buf_append(&b, "!", 1), 0);
	assert_content(&b, "keep!");
}

static void test_full_and_emptied_in_turn_never_allocates_again(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	char *first;

	(void)state;
	assert_int_equal(buf_append(&b, "0123456789", 10), 0);
	first = b.data;
	for (int i = 0; i < 10000; i++) {
		buf_consume(&b, buf_size(&b));
		assert_int_equal(buf_append(&b, "0123456789", 10), 0);
	}
	assert_ptr_equal(b.data, first);
}

/*
 * A buffer that is nearly full and has only a little room at its front used to
 * move all its bytes for each byte that came: it must grow instead. Counted in
 * moves of the front, since a stop-watch would measure the machine.
 */
static void test_slow_reader_does_not_cost_a_move_a_byte(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	size_t moves = 0;

	(void)state;
	for (size_t i = 0; i < 4095; i++)
		assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(b.capacity, 4096);
	for (size_t i = 0; i < 100000; i++) {
		size_t before;

		buf_consume(&b, 1);
		before = b.start;
		assert_int_equal(buf_append(&b, "x", 1), 0);
		moves += b.start < before;
	}
	assert_int_equal(buf_size(&b), 4095);
	assert_in_range(moves, 1, 100);
}

/* The oracle is a plain array: random appends and consumes, from a fixed seed. */
static void test_against_an_array(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	static unsigned char model[1 << 20];
	size_t from = 0, to = 0;
	uint32_t seed = 20260101;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		size_t n;

		seed = seed * 1664525u + 1013904223u;
		n = (seed >> 8) % 1000;
		if (seed >> 31 && to + n <= sizeof(model)) {
			for (size_t k = 0; k < n; k++)
				model[to + k] = (unsigned char)(seed >> (k % 24));
			assert_int_equal(buf_append(&b, model + to, n), 0);
			to += n;
		} else {
			n = n < to - from ? n : to - from;
			buf_consume(&b, n);
			from += n;
		}
		assert_int_equal(buf_size(&b), to - from);
		if (to > from)
			assert_memory_equal(buf_front(&b), model + from, to - from);
	}
}

static void test_trim_gives_back_only_what_is_empty_and_large(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_reserve(&b, 100000), 0);
	assert_int_equal(buf_append(&b, "x", 1), 0);
	buf_trim(&b, 4096);
	assert_content(&b, "x");
	buf_consume(&b, 1);
	buf_trim(&b, SIZE_MAX);
	assert_non_null(b.data);
	buf_trim(&b, 4096);
	assert_null(b.data);
	assert_int_equal(buf_append(&b, "again", 5), 0);
	assert_content(&b, "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_empty_and_without_memory),
		cmocka_unit_test(test_append_and_consume),
		cmocka_unit_test(test_format_of_any_length),
		cmocka_unit_test(test_too_much_is_refused),
		cmocka_unit_test(test_full_and_emptied_in_turn_never_allocates_again),
		cmocka_unit_test(test_slow_reader_does_not_cost_a_move_a_byte),
		cmocka_unit_test(test_against_an_array),
		cmocka_unit_test(test_trim_gives_back_only_what_is_empty_and_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
