/* The map: what was put is found, what was removed is not, also after collisions. */
#include "base/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static void test_empty(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;

	(void)state;
	assert_null(map_get(&m, 0));
	assert_null(map_get(&m, UINT64_MAX));
	assert_null(map_remove(&m, 0));
	assert_int_equal(m.count, 0);
}

/* The keys that a careless map would take for "free". */
static void test_zero_and_the_greatest_key(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;
	int a, b;

	(void)state;
	assert_int_equal(map_put(&m, 0, &a), 0);
	assert_int_equal(map_put(&m, UINT64_MAX, &b), 0);
	assert_ptr_equal(map_get(&m, 0), &a);
	assert_ptr_equal(map_get(&m, UINT64_MAX), &b);
	assert_ptr_equal(map_remove(&m, 0), &a);
	assert_null(map_get(&m, 0));
	assert_null(map_remove(&m, 0));
	assert_ptr_equal(map_get(&m, UINT64_MAX), &b);
}

static void test_put_again_replaces(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;
	int a, b;

	(void)state;
	assert_int_equal(map_put(&m, 7, &a), 0);
	assert_int_equal(map_put(&m, 7, &b), 0);
	assert_int_equal(m.count, 1);
	assert_ptr_equal(map_get(&m, 7), &b);
}

/* A full map that is asked to replace has no reason to grow, nor to fail. */
static void test_replacing_never_grows(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;
	struct map_slot *slots;
	int a, b;

	(void)state;
	for (uint64_t key = 0; key < 12; key++)
		assert_int_equal(map_put(&m, key, &a), 0);
	slots = m.slots;
	for (uint64_t key = 0; key < 12; key++)
		assert_int_equal(map_put(&m, key, &b), 0);
	assert_ptr_equal(m.slots, slots);
	assert_int_equal(m.count, 12);
}

#define KEYS 512

/*
 * The oracle is an array. Few keys and many removals, so that holes are closed
 * inside runs of collisions and across the end of the table.
 */
static void test_against_an_array(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;
	static char things[KEYS];
	void *model[KEYS] = { NULL };
	uint32_t seed = 99;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t k;

		seed = seed * 1664525u + 1013904223u;
		k = (seed >> 8) % KEYS;
		if (seed >> 31) {
			assert_ptr_equal(map_remove(&m, k * k), model[k]);
			model[k] = NULL;
		} else {
			model[k] = &things[(seed >> 16) % KEYS];
			assert_int_equal(map_put(&m, k * k, model[k]), 0);
		}
		if (i % 64 == 0)
			for (size_t j = 0; j < KEYS; j++)
				assert_ptr_equal(map_get(&m, j * j), model[j]);
	}
}

/* Keys in steps of a power of two must not fall upon one another. */
static void test_regular_keys_do_not_pile_up(void **state)
{
	_cleanup_(map_deinit) struct map m = MAP_INIT;
	size_t run = 0, run_max = 0;
	int a;

	(void)state;
	for (uint64_t i = 0; i < 4096; i++)
		assert_int_equal(map_put(&m, i * 4096, &a), 0);
	for (size_t i = 0; i < m.capacity; i++) {
		run = m.slots[i].value ? run + 1 : 0;
		run_max = run > run_max ? run : run_max;
	}
	assert_in_range(run_max, 1, 256);
}

/* Published values of 64-bit FNV-1a. */
static void test_hash_text(void **state)
{
	(void)state;
	assert_true(map_hash_text("") == UINT64_C(0xcbf29ce484222325));
	assert_true(map_hash_text("a") == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(map_hash_text("foobar") == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_zero_and_the_greatest_key),
		cmocka_unit_test(test_put_again_replaces),
		cmocka_unit_test(test_replacing_never_grows),
		cmocka_unit_test(test_against_an_array),
		cmocka_unit_test(test_regular_keys_do_not_pile_up),
		cmocka_unit_test(test_hash_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
