#include "guard/watch.h"

#include <assert.h>

int watcher_start(struct watches *watches, struct watcher *w, int fd, enum watch_what what)
{
	const struct guard_ports *ports = watches->ports;
	int number, r;

	watcher_stop(watches, w);
	number = ports->watch(ports->ctx, fd, what);
	if (number < 0)
		return number;
	w->next = map_get(&watches->by_number, (uint64_t)number);
	r = map_put(&watches->by_number, (uint64_t)number, w);
	if (r < 0) {
		/* A number that others share has its place in the map already. */
		assert(!w->next);
		ports->unwatch(ports->ctx, number);
		return r;
	}
	w->number = number;
	return 0;
}

/* Take @w out of the chain that begins at @first. Return: what the chain begins with now. */
static struct watcher *chain_without(struct watcher *first, const struct watcher *w)
{
	struct watcher *it = first;

	if (first == w)
		return w->next;
	while (it->next != w)
		it = it->next;
	it->next = w->next;
	return first;
}

void watcher_stop(struct watches *watches, struct watcher *w)
{
	const struct guard_ports *ports = watches->ports;
	uint64_t number = (uint64_t)w->number;
	struct watcher *first;

	if (w->number == WATCH_NONE)
		return;
	first = chain_without(map_get(&watches->by_number, number), w);
	if (first) {
		/* The key is there already, so nothing is allocated. */
		(void)map_put(&watches->by_number, number, first);
	} else {
		map_remove(&watches->by_number, number);
		ports->unwatch(ports->ctx, w->number);
	}
	w->number = WATCH_NONE;
	w->next = NULL;
}

void watches_dropped(struct watches *watches, int number)
{
	struct watcher *w = map_remove(&watches->by_number, (uint64_t)number);

	while (w) {
		struct watcher *next = w->next;

		w->number = WATCH_NONE;
		w->next = NULL;
		w = next;
	}
}

struct watcher *watches_of(const struct watches *watches, int number)
{
	return number < 0 ? NULL : map_get(&watches->by_number, (uint64_t)number);
}
