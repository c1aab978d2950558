#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

void heap_deinit(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap)HEAP_INIT;
}

static void heap_place(struct heap *h, struct heap_node *node, size_t i)
{
	h->nodes[i] = node;
	node->index = i;
}

static void heap_up(struct heap *h, struct heap_node *node, size_t i)
{
	while (i > 0 && h->nodes[(i - 1) / 2]->at > node->at) {
		heap_place(h, h->nodes[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	heap_place(h, node, i);
}

static void heap_down(struct heap *h, struct heap_node *node, size_t i)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->count && h->nodes[child + 1]->at < h->nodes[child]->at)
			child++;
		if (child >= h->count || h->nodes[child]->at >= node->at)
			break;
		heap_place(h, h->nodes[child], i);
		i = child;
	}
	heap_place(h, node, i);
}

static int heap_insert(struct heap *h, struct heap_node *node)
{
	if (h->count == h->capacity) {
		size_t capacity = h->capacity ? h->capacity * 2 : 16;
		struct heap_node **nodes = realloc(h->nodes, capacity * sizeof(struct heap_node *));

		if (!nodes)
			return -ENOMEM;
		h->nodes = nodes;
		h->capacity = capacity;
	}
	heap_place(h, node, h->count++);
	return 0;
}

int heap_set(struct heap *h, struct heap_node *node, uint64_t at)
{
	if (node->index == HEAP_NOWHERE) {
		int r = heap_insert(h, node);

		if (r < 0)
			return r;
	}
	node->at = at;
	heap_up(h, node, node->index);
	heap_down(h, node, node->index);
	return 0;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	struct heap_node *last;
	size_t i = node->index;

	if (i == HEAP_NOWHERE)
		return;
	last = h->nodes[--h->count];
	node->index = HEAP_NOWHERE;
	if (last == node)
		return;
	heap_up(h, last, i);
	heap_down(h, last, last->index);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}
