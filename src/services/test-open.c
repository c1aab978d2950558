/* Finding open requests, also where their hashes are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "services/open.h"

/* hash() of both is 5: one has the factor's inverse in it. */
static const struct kedge_later same_hash[] = {
	{ 0, 5 },
	{ 1, 5 - UINT64_C(0x9e3779b97f4a7c15) },
	{ 2, 5 - 2 * UINT64_C(0x9e3779b97f4a7c15) },
};

/* Whichever of a chain is taken out, and in whatever order, the others are found. */
static void test_chains(void **state)
{
	(void)state;
	for (size_t first = 0; first < 3; first++) {
		size_t second = (first + 1) % 3, third = (first + 2) % 3;
		struct open open[3] = { 0 };
		struct map map = MAP_INIT;

		for (size_t i = 0; i < 3; i++)
			assert_int_equal(open_put(&map, &open[i], same_hash[i]), 0);
		assert_int_equal(map.count, 1);
		open_remove(&map, &open[first]);
		assert_null(open_find(&map, same_hash[first]));
		assert_ptr_equal(open_find(&map, same_hash[second]), &open[second]);
		assert_ptr_equal(open_find(&map, same_hash[third]), &open[third]);
		open_remove(&map, &open[second]);
		assert_null(open_find(&map, same_hash[second]));
		assert_ptr_equal(open_find(&map, same_hash[third]), &open[third]);
		open_remove(&map, &open[third]);
		assert_int_equal(map.count, 0);
		map_deinit(&map);
	}
}

static void test_many(void **state)
{
	static struct open open[64 * 64];
	struct map map = MAP_INIT;

	(void)state;
	for (uint64_t i = 0; i < ARRAY_SIZE(open); i++)
		assert_int_equal(
			open_put(&map, &open[i], (struct kedge_later){ 1 + i / 64, 1 + i % 64 }),
			0);
	for (uint64_t i = 0; i < ARRAY_SIZE(open); i += 2)
		open_remove(&map, &open[i]);
	for (uint64_t i = 0; i < ARRAY_SIZE(open); i++)
		assert_ptr_equal(open_find(&map, (struct kedge_later){ 1 + i / 64, 1 + i % 64 }),
				 i % 2 ? &open[i] : NULL);
	map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_chains),
					    cmocka_unit_test(test_many) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
