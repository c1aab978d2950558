#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/streak.h"

static void test_one_report_then_silence(void **state)
{
	struct streak s = STREAK_INIT;
	uint64_t length_ns = 0;
	uint32_t swallowed = 0;

	(void)state;
	assert_int_equal(streak_fail(&s, 100, -EACCES), STREAK_REPORT);
	for (int i = 1; i <= 1000; i++)
		assert_int_equal(streak_fail(&s, 100 + (uint64_t)i, -EACCES), STREAK_SWALLOW);

	assert_true(streak_recover(&s, 5100, &length_ns, &swallowed));
	assert_int_equal(length_ns, 5000);
	assert_int_equal(swallowed, 1000);
}

static void test_no_streak_to_recover_from(void **state)
{
	struct streak s = STREAK_INIT;
	uint64_t length_ns = 7;
	uint32_t swallowed = 7;

	(void)state;
	assert_false(streak_recover(&s, 1, &length_ns, &swallowed));
	assert_int_equal(length_ns, 7);
	assert_int_equal(swallowed, 7);

	streak_fail(&s, 2, -EIO);
	assert_true(streak_recover(&s, 3, NULL, NULL));
	assert_false(streak_recover(&s, 4, NULL, NULL));
}

static void test_a_second_streak_starts_fresh(void **state)
{
	struct streak s = STREAK_INIT;
	uint64_t length_ns = 0;
	uint32_t swallowed = 9;

	(void)state;
	streak_fail(&s, 10, -EIO);
	streak_fail(&s, 11, -EIO);
	streak_recover(&s, 12, NULL, NULL);

	assert_int_equal(streak_fail(&s, 50, -EIO), STREAK_REPORT);
	assert_true(streak_recover(&s, 51, &length_ns, &swallowed));
	assert_int_equal(length_ns, 1);
	assert_int_equal(swallowed, 0);
}

static void test_another_error_is_news_once(void **state)
{
	struct streak s = STREAK_INIT;

	(void)state;
	assert_int_equal(streak_fail(&s, 1, -ENOENT), STREAK_REPORT);
	assert_int_equal(streak_fail(&s, 2, -ENOSPC), STREAK_REPORT);
	assert_int_equal(streak_fail(&s, 3, -ENOSPC), STREAK_SWALLOW);
}

/* Two errors that take turns are each news, but not without end. */
static void test_reports_of_a_streak_are_bounded(void **state)
{
	struct streak s = STREAK_INIT;
	uint32_t swallowed = 0;
	unsigned reports = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		if (streak_fail(&s, i, i % 2 ? -EACCES : -ENOENT) == STREAK_REPORT)
			reports++;

	assert_int_equal(reports, STREAK_REPORTS_MAX);
	assert_true(streak_recover(&s, 1000, NULL, &swallowed));
	assert_int_equal(swallowed, 1000 - STREAK_REPORTS_MAX);
}

static void test_backoff_doubles_to_its_maximum(void **state)
{
	static const uint64_t expected_ms[] = { 10, 20, 40, 80, 100, 100, 100 };
	struct backoff b = BACKOFF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected_ms); i++)
		assert_int_equal(backoff_next_ns(&b, 100 * NSEC_PER_MSEC),
				 expected_ms[i] * NSEC_PER_MSEC);

	b = (struct backoff)BACKOFF_INIT;
	assert_int_equal(backoff_next_ns(&b, 100 * NSEC_PER_MSEC), BACKOFF_FIRST_NS);
}

static void test_backoff_at_the_ends_of_its_range(void **state)
{
	struct backoff small = BACKOFF_INIT;
	struct backoff endless = BACKOFF_INIT;
	uint64_t last = 0;

	(void)state;
	assert_int_equal(backoff_next_ns(&small, NSEC_PER_MSEC), NSEC_PER_MSEC);
	assert_int_equal(backoff_next_ns(&small, NSEC_PER_MSEC), NSEC_PER_MSEC);

	for (int i = 0; i < 200; i++) {
		uint64_t next = backoff_next_ns(&endless, TIME_NEVER);

		assert_true(next >= last);
		last = next;
	}
	assert_true(last == TIME_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_report_then_silence),
		cmocka_unit_test(test_no_streak_to_recover_from),
		cmocka_unit_test(test_a_second_streak_starts_fresh),
		cmocka_unit_test(test_another_error_is_news_once),
		cmocka_unit_test(test_reports_of_a_streak_are_bounded),
		cmocka_unit_test(test_backoff_doubles_to_its_maximum),
		cmocka_unit_test(test_backoff_at_the_ends_of_its_range),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
