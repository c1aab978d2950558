#include "services/open.h"

/* Tickets count from low numbers on each connection: clients are spread wide of them. */
static uint64_t hash(struct kedge_later later)
{
	return later.client * UINT64_C(0x9e3779b97f4a7c15) + later.ticket;
}

int open_put(struct map *m, struct open *open, struct kedge_later later)
{
	open->later = later;
	open->same_hash = map_get(m, hash(later));
	return map_put(m, hash(later), open);
}

struct open *open_find(const struct map *m, struct kedge_later later)
{
	struct open *it = map_get(m, hash(later));

	while (it && (it->later.client != later.client || it->later.ticket != later.ticket))
		it = it->same_hash;
	return it;
}

void open_remove(struct map *m, struct open *open)
{
	struct open *first = map_remove(m, hash(open->later));

	if (first == open)
		first = open->same_hash;
	for (struct open *it = first; it; it = it->same_hash)
		if (it->same_hash == open)
			it->same_hash = open->same_hash;
	/* The slot was just freed, so nothing is allocated. */
	if (first)
		(void)map_put(m, hash(first->later), first);
}
