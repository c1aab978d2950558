/*
 * A map from 64-bit keys to pointers: open addressing, linear probing,
 * Fibonacci hashing (Knuth, TAOCP vol. 3, 6.4). Values are never NULL.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

struct map {
	struct map_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

#define MAP_INIT                                                                                   \
	{                                                                                          \
		0                                                                                  \
	}

void map_deinit(struct map *m);

/* The value of @key, or NULL. */
void *map_get(const struct map *m, uint64_t key);

/* Set @key to @value (not NULL). Return: 0, or -ENOMEM (nothing changed), which a
 * key that is in the map already never meets. */
int map_put(struct map *m, uint64_t key, void *value);

/* Take @key out. Return: its value, or NULL where there was none. */
void *map_remove(struct map *m, uint64_t key);

/* FNV-1a, to use a map for names: the values must be compared. */
uint64_t map_hash(const void *data, size_t size);
uint64_t map_hash_text(const char *text);
