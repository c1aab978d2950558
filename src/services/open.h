/*
 * Open requests: finding what a service remembers with one by its `later`.
 * The node lives in the service's own struct.
 */
#pragma once

#include "base/map.h"
#include "kedge/server.h"

struct open {
	struct kedge_later later;
	struct open *same_hash;
};

/* Return: 0 or -ENOMEM. */
int open_put(struct map *m, struct open *open, struct kedge_later later);

/* Return: NULL: there is none. */
struct open *open_find(const struct map *m, struct kedge_later later);

/* Take it out; it must be in. */
void open_remove(struct map *m, struct open *open);
