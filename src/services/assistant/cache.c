#include "services/assistant/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct list link;
	struct entry *same_hash;
	uint64_t hash, until_ns;
	size_t key_size, data_size;
	char text[]; /* the key, then the data */
};

static size_t entry_bytes(const struct entry *e)
{
	return sizeof(*e) + e->key_size + e->data_size;
}

void cache_init(struct cache *c)
{
	*c = (struct cache){ 0 };
	list_init(&c->entries);
}

static void drop(struct cache *c, struct entry *e)
{
	struct entry *first = map_remove(&c->by_key, e->hash);

	if (first == e)
		first = e->same_hash;
	for (struct entry *it = first; it; it = it->same_hash)
		if (it->same_hash == e)
			it->same_hash = e->same_hash;
	/* The slot was just freed, so nothing is allocated. */
	if (first)
		(void)map_put(&c->by_key, e->hash, first);
	list_unlink(&e->link);
	c->count--;
	c->bytes -= entry_bytes(e);
	free(e);
}

void cache_deinit(struct cache *c)
{
	struct list *it;

	while ((it = list_first(&c->entries)))
		drop(c, list_entry(it, struct entry, link));
	map_deinit(&c->by_key);
}

/* The entry of a key; one that has run out is dropped. */
static struct entry *find(struct cache *c, struct kedge_span key, uint64_t now_ns)
{
	struct entry *e = map_get(&c->by_key, map_hash(key.data, key.size));

	while (e && (e->key_size != key.size || memcmp(e->text, key.data, key.size) != 0))
		e = e->same_hash;
	if (e && e->until_ns <= now_ns) {
		drop(c, e);
		e = NULL;
	}
	return e;
}

static void make_room(struct cache *c, size_t bytes, uint64_t now_ns)
{
	list_for_each_safe (it, &c->entries) {
		struct entry *e = list_entry(it, struct entry, link);

		if (e->until_ns <= now_ns)
			drop(c, e);
	}
	while (c->count >= CACHE_ENTRIES_MAX || (c->count && c->bytes + bytes > CACHE_BYTES_MAX))
		drop(c, list_entry(list_first(&c->entries), struct entry, link));
}

int cache_set(struct cache *c, struct kedge_span key, struct kedge_span data, uint64_t now_ns,
	      uint64_t until_ns)
{
	size_t bytes = sizeof(struct entry) + key.size + data.size;
	struct entry *e, *old;
	int r;

	if (bytes > CACHE_BYTES_MAX)
		return -E2BIG;
	e = malloc(bytes);
	if (!e)
		return -ENOMEM;
	*e = (struct entry){ .hash = map_hash(key.data, key.size),
			     .until_ns = until_ns,
			     .key_size = key.size,
			     .data_size = data.size };
	memcpy(e->text, key.data, key.size);
	memcpy(e->text + key.size, data.data, data.size);
	old = find(c, key, now_ns);
	if (old)
		drop(c, old);
	make_room(c, bytes, now_ns);
	e->same_hash = map_get(&c->by_key, e->hash);
	r = map_put(&c->by_key, e->hash, e);
	if (r < 0) {
		free(e);
		return r;
	}
	list_append(&c->entries, &e->link);
	c->count++;
	c->bytes += bytes;
	return 0;
}

bool cache_get(struct cache *c, struct kedge_span key, uint64_t now_ns, struct kedge_span *ret_data)
{
	struct entry *e = find(c, key, now_ns);

	if (!e)
		return false;
	list_unlink(&e->link);
	list_append(&c->entries, &e->link);
	*ret_data = (struct kedge_span){ e->text + e->key_size, e->data_size };
	return true;
}

bool cache_delete(struct cache *c, struct kedge_span key, uint64_t now_ns)
{
	struct entry *e = find(c, key, now_ns);

	if (e)
		drop(c, e);
	return e != NULL;
}
