/* Params: what is wrong is said where it is wrong, all of it at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "services/params.h"
#include "wire/json.h"

static void assert_words(struct params *p, const char *words)
{
	assert_int_equal(buf_append(&p->words, "", 1), 0);
	assert_string_equal(buf_front(&p->words), words);
}

static void assert_details(struct params *p, const char *details)
{
	assert_int_equal(buf_append(&p->details, "]", 2), 0);
	assert_string_equal(buf_front(&p->details), details);
}

static void test_no_object(void **state)
{
	struct params p;

	(void)state;
	params_init_value(&p, kedge_span("[1]"));
	assert_int_equal(params_any(&p, "a", PARAMS_REQUIRED).size, 0);
	assert_int_equal(p.failures, 1);
	assert_words(&p, "params: expected object, received array");
	assert_details(&p, "[{\"path\":[],\"code\":\"invalid_type\","
			   "\"message\":\"expected object, received array\"}]");
	params_deinit(&p);
}

static void test_each_kind(void **state)
{
	static const char *const words[] = { "low", "high" };
	struct params p;
	size_t size;
	char *text;

	(void)state;
	params_init_value(&p, kedge_span("{\"s\":\"\",\"c\":\"Low\",\"o\":1,\"l\":[],\"b\":null}"));
	assert_false(params_string(&p, "s", PARAMS_NOT_EMPTY, &text, &size));
	assert_int_equal(params_choice(&p, "c", PARAMS_REQUIRED, words, 2), -1);
	assert_int_equal(params_object(&p, "o", PARAMS_OPTIONAL).size, 0);
	assert_int_equal(params_list(&p, "l").size, 0);
	assert_int_equal(params_boolean(&p, "b", PARAMS_OPTIONAL), -1);
	assert_int_equal(params_any(&p, "none", PARAMS_REQUIRED).size, 0);
	assert_words(&p, "s: Too small: expected string to have >=1 characters; "
			 "c: Invalid option: expected one of \"low\"|\"high\"; "
			 "o: expected object, received number; "
			 "l: Too small: expected array to have >=1 items; "
			 "b: expected boolean, received null; none: Required");
	params_deinit(&p);
}

static void test_what_may_be_absent(void **state)
{
	struct params p;
	size_t size;
	char *text;

	(void)state;
	params_init_value(&p, kedge_span("{\"s\":\"x\"}"));
	assert_false(params_string(&p, "t", PARAMS_MAY_BE_ABSENT, &text, &size));
	assert_true(params_string(&p, "s", PARAMS_MAY_BE_ABSENT, &text, &size));
	assert_string_equal(text, "x");
	assert_int_equal(params_boolean(&p, "b", PARAMS_OPTIONAL), -1);
	assert_int_equal(params_object(&p, "o", PARAMS_OPTIONAL).size, 0);
	assert_int_equal(p.failures, 0);
	free(text);
	params_deinit(&p);
}

static void test_places_inside(void **state)
{
	struct kedge_span outer, outermost, tool;
	struct params p;

	(void)state;
	params_init_value(&p, kedge_span("{\"tools\":[{\"n\":7}]}"));
	tool = json_member(p.object, "tools");
	outermost = params_enter(&p, (struct params_step){ .name = "event" }, p.object);
	outer = params_enter(&p, (struct params_step){ .index = 0 }, kedge_span("{\"n\":7}"));
	(void)params_string_json(&p, "n", PARAMS_NOT_EMPTY);
	params_leave(&p, outer);
	outer = params_enter(&p, (struct params_step){ .index = 1 }, tool);
	params_leave(&p, outer);
	params_leave(&p, outermost);
	assert_words(&p, "event.0.n: expected string, received number; "
			 "event.1: expected object, received array");
	assert_details(&p, "[{\"path\":[\"event\",0,\"n\"],\"code\":\"invalid_type\","
			   "\"message\":\"expected string, received number\"},"
			   "{\"path\":[\"event\",1],\"code\":\"invalid_type\","
			   "\"message\":\"expected object, received array\"}]");
	params_deinit(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_object),
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_what_may_be_absent),
		cmocka_unit_test(test_places_inside),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
