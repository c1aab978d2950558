/*
 * Entering: the path leads to another directory than before.
 *
 * The ones before are held for the clean-up, each by a descriptor, and there may be any
 * number of them: a directory is mounted over again and again. So only so many are held, and
 * whatever is let go of is left as if the guard had ended: without a name of ours. A listener
 * is not closed by that, and where the path leads to that directory once more it is published
 * there anew, as in any other.
 */
#include "guard/engine.h"

/* Take our names out of a directory that the paths led to. Return: whether none is left. */
static bool clear(struct place *place, int dir)
{
	bool all = true;

	list_for_each (it, &place->members)
		all &= guarded_clear(list_entry(it, struct guarded, in_place), dir) == 0;
	return all;
}

/* The oldest; but rather another than one that cannot be changed now (read-only, say). */
static void let_go_of_one(struct place *place, const struct guard_ports *ports)
{
	unsigned i = 0;

	while (i < place->former_count && !clear(place, place->former[i]))
		i++;
	if (i == place->former_count)
		i = 0;
	list_for_each (it, &place->members)
		guarded_forget_dir(list_entry(it, struct guarded, in_place), place->former[i]);
	place_let_go(place, ports, i);
}

int engine_enter(struct engine *e, struct place *place)
{
	int r;

	/* Mounts of ours go while the directory they are in is still at hand. */
	list_for_each (it, &place->members) {
		struct guarded *g = list_entry(it, struct guarded, in_place);

		if (g->current)
			publish_unmount(g, g->current);
		list_for_each (it2, &g->retired)
			publish_unmount(g, list_entry(it2, struct listener, link));
	}
	r = place_enter(place, e->ports, &e->watches);
	if (r < 0)
		return r;
	if (place->former_count > PLACE_FORMER_MAX)
		let_go_of_one(place, e->ports);
	list_for_each (it, &place->members) {
		struct guarded *g = list_entry(it, struct guarded, in_place);

		g->record.cross_mount = false;
		g->record.mount_failed = false;
		if (g->config.keep == KEDGE_KEEP_MADE) {
			/* What was noticed since is not what it was made with. */
			g->record.keep_dir = place->made;
			g->record.want_dir = place->node;
		}
		engine_hint(e, g);
	}
	return 0;
}
