/* Deadlines become time-outs that come neither early nor over and over. */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

static void test_until(void **state)
{
	static const struct {
		uint64_t deadline_ns, now_ns;
		int ms;
	} rows[] = {
		{ 0, 0, 0 },
		{ 5 * MS, 5 * MS, 0 },
		{ 5 * MS, 6 * MS, 0 },
		{ 5 * MS, TIME_NEVER - 1, 0 },
		/* What is left of a millisecond is waited for, and not polled through. */
		{ 5 * MS, 5 * MS - 1, 1 },
		{ 5 * MS, 4 * MS + 1, 1 },
		{ 5 * MS, 4 * MS, 1 },
		{ 5 * MS, 4 * MS - 1, 2 },
		{ 5 * MS, 0, 5 },
		{ INT_MAX * MS, 0, INT_MAX },
		{ (INT_MAX - 1) * MS + 1, 0, INT_MAX },
		{ (INT_MAX - 1) * MS, 0, INT_MAX - 1 },
		{ TIME_NEVER - 1, 0, INT_MAX },
		{ TIME_NEVER, 0, -1 },
		{ TIME_NEVER, TIME_NEVER, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(time_until_ms(rows[i].deadline_ns, rows[i].now_ns), rows[i].ms);
}

/* A caller who waits as long as he is told waits once, wherever in a millisecond he begins. */
static void test_one_wait_is_enough(void **state)
{
	(void)state;
	for (uint64_t now = 0; now < 3 * MS; now += 997) {
		int ms = time_until_ms(3 * MS, now);

		assert_true(ms > 0);
		assert_int_equal(time_until_ms(3 * MS, now + (uint64_t)ms * MS), 0);
		assert_true(now + (uint64_t)(ms - 1) * MS < 3 * MS);
	}
}

static void test_from_usec(void **state)
{
	(void)state;
	assert_int_equal(time_from_usec(0), 0);
	assert_int_equal(time_from_usec(7), 7000);
	assert_true(time_from_usec(UINT64_MAX) == TIME_NEVER);
	assert_true(time_from_usec(UINT64_MAX / 1000) == TIME_NEVER);
	assert_true(time_from_usec(UINT64_MAX / 1000 - 1) < TIME_NEVER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until),
		cmocka_unit_test(test_one_wait_is_enough),
		cmocka_unit_test(test_from_usec),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
