/* What is said of errors: one line, whatever was put into it, and one thing in one way. */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_words(void **state)
{
	(void)state;
	/* Where there is no errno value at hand it is written so: an answer is the same. */
	assert_string_equal(error_words(-ENOMEM), "out of memory");
	assert_string_equal(error_words(ENOMEM), "out of memory");
	assert_string_equal(error_words(-ENOENT), "No such file or directory");
	assert_string_equal(error_words(-99999), "unknown error");
	assert_string_equal(error_name(-ENOMEM), "ENOMEM");
	assert_string_equal(error_name(99999), "E?");
}

static void test_one_line(void **state)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	(void)state;
	assert_int_equal(error_set(&error, -EINVAL, "the path '%s'", "a\nb\x1b[2J\x7f\xC3\xA9"),
			 -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_string_equal(error.text, "the path 'a?b?[2J?\xC3\xA9'");
	assert_int_equal(error_set(NULL, -EIO, "nobody asked"), -EIO);
}

static void test_too_long(void **state)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	char text[2 * KEDGE_ERROR_TEXT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(error_set(&error, -E2BIG, "%s", text), -E2BIG);
	assert_int_equal(strlen(error.text), KEDGE_ERROR_TEXT_MAX - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_too_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
