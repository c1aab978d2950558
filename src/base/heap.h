/*
 * A binary heap of deadlines. The node lives in the element and knows its
 * place, so an element can be moved or taken out in O(log n).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HEAP_NOWHERE SIZE_MAX

struct heap_node {
	uint64_t at;  /* the deadline; set by heap_set() alone */
	size_t index; /* HEAP_NOWHERE: in no heap */
};

#define HEAP_NODE_INIT                                                                             \
	{                                                                                          \
		.at = UINT64_MAX, .index = HEAP_NOWHERE                                            \
	}

struct heap {
	struct heap_node **nodes;
	size_t count, capacity;
};

#define HEAP_INIT                                                                                  \
	{                                                                                          \
		0                                                                                  \
	}

void heap_deinit(struct heap *h);

/* Put @node in, or move it, to @at. Return: 0, or -ENOMEM (nothing changed). */
int heap_set(struct heap *h, struct heap_node *node, uint64_t at);

/* Take @node out, if it is in. */
void heap_remove(struct heap *h, struct heap_node *node);

/* The node with the earliest deadline, or NULL. */
struct heap_node *heap_first(const struct heap *h);
