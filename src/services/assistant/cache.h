/*
 * A small cache: JSON texts by key, each for a time; the least recently used goes
 * first. Does no I/O: the caller says what time it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "kedge/conn.h"

/* Entries that are kept, and what they may take all together: a client could put 64
 * messages of the largest size here otherwise. */
#define CACHE_ENTRIES_MAX 64
#define CACHE_BYTES_MAX   ((size_t)64 << 20)

struct cache {
	struct map by_key;
	struct list entries; /* least recently used first */
	size_t count, bytes;
};

void cache_init(struct cache *c);
void cache_deinit(struct cache *c);

/* Keep @data (copied) under @key until @until_ns. Return: 0; -ENOMEM; -E2BIG: more than
 * the whole cache holds. */
int cache_set(struct cache *c, struct kedge_span key, struct kedge_span data, uint64_t now_ns,
	      uint64_t until_ns);

/* Return: true: @ret_data is valid until the next call. */
bool cache_get(struct cache *c, struct kedge_span key, uint64_t now_ns,
	       struct kedge_span *ret_data);

/* Return: whether there was one (that had not run out). */
bool cache_delete(struct cache *c, struct kedge_span key, uint64_t now_ns);
