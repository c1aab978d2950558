/* The cache: what goes first, what has run out, how much it keeps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/assistant/cache.h"

#define FOREVER UINT64_MAX

static int put(struct cache *c, const char *key, const char *data, uint64_t now, uint64_t until)
{
	return cache_set(c, kedge_span(key), kedge_span(data), now, until);
}

static void assert_has(struct cache *c, const char *key, uint64_t now, const char *wanted)
{
	struct kedge_span data;

	if (!wanted) {
		assert_false(cache_get(c, kedge_span(key), now, &data));
		return;
	}
	assert_true(cache_get(c, kedge_span(key), now, &data));
	assert_int_equal(data.size, strlen(wanted));
	assert_memory_equal(data.data, wanted, data.size);
}

static void test_time_runs_out(void **state)
{
	struct cache c;

	(void)state;
	cache_init(&c);
	assert_int_equal(put(&c, "a", "1", 0, 10), 0);
	assert_has(&c, "a", 9, "1");
	assert_has(&c, "a", 10, NULL);
	assert_int_equal(c.count, 0);
	assert_int_equal(put(&c, "a", "2", 10, 20), 0);
	assert_false(cache_delete(&c, kedge_span("a"), 20));
	/* One that is set again has its new time, and only that. */
	assert_int_equal(put(&c, "a", "3", 20, 30), 0);
	assert_int_equal(put(&c, "a", "4", 25, 50), 0);
	assert_has(&c, "a", 40, "4");
	assert_int_equal(c.count, 1);
	assert_true(cache_delete(&c, kedge_span("a"), 40));
	assert_int_equal(c.count + c.bytes, 0);
	cache_deinit(&c);
}

static void test_least_recently_used_goes_first(void **state)
{
	struct cache c;
	char key[16];

	(void)state;
	cache_init(&c);
	for (int i = 0; i < CACHE_ENTRIES_MAX; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(put(&c, key, "1", 0, FOREVER), 0);
	}
	assert_has(&c, "k0", 0, "1");
	assert_int_equal(put(&c, "new", "1", 0, FOREVER), 0);
	assert_int_equal(c.count, CACHE_ENTRIES_MAX);
	assert_has(&c, "k0", 0, "1");
	assert_has(&c, "k1", 0, NULL);
	/* What has run out goes before what is only old. */
	assert_int_equal(put(&c, "k2", "1", 0, 5), 0);
	assert_int_equal(put(&c, "newer", "1", 6, FOREVER), 0);
	assert_has(&c, "k3", 6, "1");
	assert_has(&c, "k2", 6, NULL);
	cache_deinit(&c);
}

static void test_bytes_are_bounded(void **state)
{
	size_t size = CACHE_BYTES_MAX / 4;
	char *data = calloc(1, CACHE_BYTES_MAX);
	struct cache c;

	(void)state;
	assert_non_null(data);
	cache_init(&c);
	for (int i = 0; i < 10; i++) {
		char key = (char)('a' + i);

		assert_int_equal(cache_set(&c, (struct kedge_span){ &key, 1 },
					   (struct kedge_span){ data, size }, 0, FOREVER),
				 0);
		assert_true(c.bytes <= CACHE_BYTES_MAX);
	}
	assert_int_equal(c.count, 3);
	assert_int_equal(cache_set(&c, kedge_span("k"),
				   (struct kedge_span){ data, CACHE_BYTES_MAX }, 0, FOREVER),
			 -E2BIG);
	assert_int_equal(c.count, 3);
	cache_deinit(&c);
	free(data);
}

/* Keys are bytes: also a NUL counts. */
static void test_keys_are_bytes(void **state)
{
	struct kedge_span a = { "x\0a", 3 }, b = { "x\0b", 3 }, data;
	struct cache c;

	(void)state;
	cache_init(&c);
	assert_int_equal(cache_set(&c, a, kedge_span("1"), 0, FOREVER), 0);
	assert_false(cache_get(&c, b, 0, &data));
	assert_false(cache_get(&c, kedge_span("x"), 0, &data));
	assert_true(cache_get(&c, a, 0, &data));
	cache_deinit(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_runs_out),
		cmocka_unit_test(test_least_recently_used_goes_first),
		cmocka_unit_test(test_bytes_are_bounded),
		cmocka_unit_test(test_keys_are_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
