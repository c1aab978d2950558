#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAP_CAPACITY_MIN 16

void map_deinit(struct map *m)
{
	free(m->slots);
	*m = (struct map)MAP_INIT;
}

static size_t map_home(const struct map *m, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (m->capacity - 1);
}

/* The slot that holds @key, or the free one where it belongs. */
static struct map_slot *map_find(const struct map *m, uint64_t key)
{
	size_t i = map_home(m, key);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->capacity - 1);
	return &m->slots[i];
}

void *map_get(const struct map *m, uint64_t key)
{
	return m->count ? map_find(m, key)->value : NULL;
}

static int map_grow(struct map *m)
{
	struct map bigger = { .capacity = m->capacity ? m->capacity * 2 : MAP_CAPACITY_MIN };

	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->capacity; i++)
		if (m->slots[i].value)
			*map_find(&bigger, m->slots[i].key) = m->slots[i];
	bigger.count = m->count;
	free(m->slots);
	*m = bigger;
	return 0;
}

int map_put(struct map *m, uint64_t key, void *value)
{
	struct map_slot *slot;

	assert(value);
	slot = m->count ? map_find(m, key) : NULL;
	if (slot && slot->value) {
		slot->value = value;
		return 0;
	}
	/* Three quarters full at most, so that a search always meets a free slot. */
	if (m->count + 1 > m->capacity / 4 * 3) {
		int r = map_grow(m);

		if (r < 0)
			return r;
	}
	slot = map_find(m, key);
	m->count++;
	*slot = (struct map_slot){ key, value };
	return 0;
}

/* Close the hole at @hole: move back whatever can no longer be reached past it. */
static void map_close_hole(struct map *m, size_t hole)
{
	size_t mask = m->capacity - 1;

	for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
		size_t home = map_home(m, m->slots[i].key);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole].value = NULL;
}

void *map_remove(struct map *m, uint64_t key)
{
	struct map_slot *slot;
	void *value;

	if (!m->count)
		return NULL;
	slot = map_find(m, key);
	value = slot->value;
	if (!value)
		return NULL;
	map_close_hole(m, (size_t)(slot - m->slots));
	m->count--;
	return value;
}

uint64_t map_hash(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t map_hash_text(const char *text)
{
	return map_hash(text, strlen(text));
}
