/* The heap of deadlines: the earliest first, whatever moves or leaves. */
#include "base/heap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"

#define NODES 500

static void nodes_init(struct heap_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		nodes[i] = (struct heap_node)HEAP_NODE_INIT;
}

static void test_empty(void **state)
{
	_cleanup_(heap_deinit) struct heap h = HEAP_INIT;
	struct heap_node node = HEAP_NODE_INIT;

	(void)state;
	assert_null(heap_first(&h));
	heap_remove(&h, &node);
	assert_null(heap_first(&h));
}

static void test_one_moves_and_leaves(void **state)
{
	_cleanup_(heap_deinit) struct heap h = HEAP_INIT;
	struct heap_node node = HEAP_NODE_INIT;

	(void)state;
	assert_int_equal(heap_set(&h, &node, 5), 0);
	assert_int_equal(heap_set(&h, &node, 9), 0);
	assert_int_equal(h.count, 1);
	assert_ptr_equal(heap_first(&h), &node);
	assert_int_equal(node.at, 9);
	heap_remove(&h, &node);
	assert_null(heap_first(&h));
	assert_true(node.index == HEAP_NOWHERE);
	heap_remove(&h, &node);
	assert_int_equal(heap_set(&h, &node, 1), 0);
	assert_ptr_equal(heap_first(&h), &node);
}

static void test_taken_out_in_order(void **state)
{
	_cleanup_(heap_deinit) struct heap h = HEAP_INIT;
	struct heap_node nodes[NODES];
	uint64_t last = 0;

	(void)state;
	nodes_init(nodes, NODES);
	for (uint64_t i = 0; i < NODES; i++)
		assert_int_equal(heap_set(&h, &nodes[i], i * 7919 % 1009), 0);
	for (size_t i = 0; i < NODES; i++) {
		struct heap_node *first = heap_first(&h);

		assert_true(first->at >= last);
		last = first->at;
		heap_remove(&h, first);
	}
	assert_null(heap_first(&h));
}

/* Every node knows its place, and no child is earlier than its parent. */
static void assert_is_heap(const struct heap *h)
{
	for (size_t i = 0; i < h->count; i++) {
		assert_int_equal(h->nodes[i]->index, i);
		if (i)
			assert_true(h->nodes[(i - 1) / 2]->at <= h->nodes[i]->at);
	}
}

static void test_random_moves_keep_the_order(void **state)
{
	_cleanup_(heap_deinit) struct heap h = HEAP_INIT;
	struct heap_node nodes[NODES];
	uint32_t seed = 4711;
	size_t inside = 0;

	(void)state;
	nodes_init(nodes, NODES);
	for (int i = 0; i < 20000; i++) {
		struct heap_node *node;

		seed = seed * 1664525u + 1013904223u;
		node = &nodes[(seed >> 8) % NODES];
		if (seed >> 30 == 0) {
			inside -= node->index != HEAP_NOWHERE;
			heap_remove(&h, node);
		} else {
			inside += node->index == HEAP_NOWHERE;
			assert_int_equal(heap_set(&h, node, (seed >> 12) % 64), 0);
		}
		assert_int_equal(h.count, inside);
		if (i % 16 == 0)
			assert_is_heap(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_moves_and_leaves),
		cmocka_unit_test(test_taken_out_in_order),
		cmocka_unit_test(test_random_moves_keep_the_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
