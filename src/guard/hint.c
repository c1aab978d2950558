/*
 * Hints: events only mark what is to be looked at.
 */
#include <string.h>

#include "guard/engine.h"

void engine_hint(struct engine *e, struct guarded *g)
{
	if (!g->closed && list_empty(&g->dirty))
		list_append(&e->dirty, &g->dirty);
}

static void hint_place(struct engine *e, struct place *place)
{
	place->seen_turn = 0;
	list_for_each (it, &place->members)
		engine_hint(e, list_entry(it, struct guarded, in_place));
}

void engine_hint_watch(struct engine *e, int watch)
{
	for (struct watcher *w = watches_of(&e->watches, watch); w; w = w->next) {
		struct guarded *g = w->owner;

		switch (w->kind) {
		case WATCHER_PLACE:
			hint_place(e, w->owner);
			break;
		case WATCHER_LISTENER:
			g->hinted = true;
			engine_hint(e, g);
			break;
		case WATCHER_STRANGER:
			g->record.probe_until_ns = 0;
			engine_hint(e, g);
			break;
		}
	}
}

/*
 * A watch on a directory tells of the rights of its entries as well, asked for or
 * not: in a busy directory that must not cost a look at every path in it.
 */
void engine_hint_entry(struct engine *e, int watch, const char *name)
{
	for (struct watcher *w = watches_of(&e->watches, watch); w; w = w->next) {
		struct guarded *g = w->owner;

		if (w->kind != WATCHER_LISTENER || strcmp(g->name, name) != 0)
			continue;
		g->hinted = true;
		engine_hint(e, g);
	}
}

void engine_hint_dropped(struct engine *e, int watch)
{
	engine_hint_watch(e, watch);
	watches_dropped(&e->watches, watch);
}

void engine_hint_all(struct engine *e)
{
	list_for_each (it, &e->places) {
		struct place *place = list_entry(it, struct place, link);

		hint_place(e, place);
		if (place->anchors)
			anchor_dir_forget_listing(place->anchors);
	}
}

void engine_hint_overflow(struct engine *e)
{
	engine_hint_all(e);
	list_for_each (it, &e->dirty)
		list_entry(it, struct guarded, dirty)->hinted = true;
}
