#include "guard/leftovers.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/time.h"
#include "guard/anchor.h"

#define SUFFIX_OUT ".out"

struct leftovers {
	uint64_t listed_ns;
	struct map by_prefix; /* hash of "SOCKET." -> the first struct leftover */
	int error;            /* of the listing */
};

/* The "." before the generation, where @name is that of an anchor; else NULL. */
static const char *split_name(const char *name, uint64_t *ret_generation, const char **ret_suffix)
{
	const char *end = name + strlen(name), *dot;

	*ret_suffix = "";
	if (end - name > (ptrdiff_t)strlen(SUFFIX_OUT) &&
	    strcmp(end - strlen(SUFFIX_OUT), SUFFIX_OUT) == 0) {
		*ret_suffix = SUFFIX_OUT;
		end -= strlen(SUFFIX_OUT);
	}
	for (dot = end; dot > name && isdigit((unsigned char)dot[-1]);)
		dot--;
	if (dot == end || dot == name || dot[-1] != '.')
		return NULL;
	*ret_generation = strtoull(dot, NULL, 10);
	return *ret_generation <= GENERATION_MAX ? dot - 1 : NULL;
}

static void note_name(const char *name, void *userdata)
{
	struct leftovers *l = userdata;
	struct leftover found;
	const char *dot = split_name(name, &found.generation, &found.suffix);
	size_t n = dot ? (size_t)(dot + 1 - name) : 0;
	struct leftover *copy;
	uint64_t hash;

	if (n == 0 || l->error < 0)
		return;
	hash = map_hash(name, n);
	copy = malloc(sizeof(*copy));
	found.next = map_get(&l->by_prefix, hash);
	if (!copy || map_put(&l->by_prefix, hash, copy) < 0) {
		free(copy);
		l->error = -ENOMEM;
		return;
	}
	*copy = found;
}

int leftovers_list(struct leftovers **ret, const struct guard_ports *ports, int dir)
{
	struct leftovers *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->listed_ns = ports->now_ns(ports->ctx);
	r = ports->list(ports->ctx, dir, note_name, l);
	if (r == 0)
		r = l->error;
	if (r < 0) {
		leftovers_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void free_chain(struct leftover *first)
{
	while (first) {
		struct leftover *next = first->next;

		free(first);
		first = next;
	}
}

struct leftovers *leftovers_free(struct leftovers *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->by_prefix.capacity; i++)
		free_chain(l->by_prefix.slots[i].value);
	map_deinit(&l->by_prefix);
	free(l);
	return NULL;
}

bool leftovers_fresh(const struct leftovers *l, const struct guard_ports *ports)
{
	return l && ports->now_ns(ports->ctx) - l->listed_ns < LEFTOVERS_NS;
}

const struct leftover *leftovers_of(const struct leftovers *l, const char *prefix)
{
	return map_get(&l->by_prefix, map_hash_text(prefix));
}
