/*
 * The lock of a path, and the note in it: what a guard that is killed leaves behind.
 *
 * Whoever comes next takes up what the note tells of. What cannot be taken away yet, since somebody
 * listens there, is told of on: in each note that is written, and in the file itself, which stays
 * where the mount does.
 */
#include <errno.h>

#include "guard/engine.h"

/* Generations that a note in the lock file covers beyond the newest. */
#define NOTE_AHEAD 64

void guarded_note(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	struct lock_note note = { .low = g->generation,
				  .high = g->generation + NOTE_AHEAD,
				  .mount_id = g->left.mount_id,
				  .mount_point = g->left.mount_point };

	if (g->lock < 0)
		return;
	if (g->current && g->current->mounts) {
		note.mount_id = g->current->mount_id;
		note.mount_point = g->current->mount_point.inode;
	}
	if (g->left.known && g->left.low < note.low)
		note.low = g->left.low;
	if (g->current && g->current->generation < note.low)
		note.low = g->current->generation;
	/* In no order: one that was retired may be current again. */
	list_for_each (it, &g->retired) {
		uint64_t generation = list_entry(it, struct listener, link)->generation;

		if (generation < note.low)
			note.low = generation;
	}
	if (p->lock_write(p->ctx, g->lock, &note) == 0)
		g->noted = note.high;
}

uint64_t guarded_next_generation(struct guarded *g)
{
	if (++g->generation > g->noted)
		guarded_note(g);
	return g->generation;
}

bool guarded_left_mount(const struct guarded *g)
{
	return publish_is_noted(g->engine->ports, g->place->fd, g->name, &g->left);
}

/* Sweep once more what was listened on when the lock was taken. */
static void sweep_left(struct guarded *g, const struct node *own)
{
	struct sweep sweep = { .note = g->left, .own = own };

	if (!g->left.known)
		return;
	anchor_sweep(g->lock_home, g->place->path, g->name, &sweep);
	g->left.low = sweep.lowest_left;
	g->left.known = sweep.lowest_left <= g->left.high;
}

void guarded_sweep_own(struct guarded *g)
{
	bool was_left = g->left.known;

	/* Without an anchor of ours those before may be all the names that it has. */
	if (!g->current->home)
		return;
	sweep_left(g, &g->current->node);
	if (was_left && !g->left.known)
		guarded_note(g);
}

void guarded_unlock(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	sweep_left(g, NULL);
	if (g->lock >= 0 && guarded_left_mount(g)) {
		guarded_note(g);
		p->unlock(p->ctx, g->lock);
	} else if (g->lock >= 0) {
		anchor_unlock(g->lock_home, g->place->path, g->name, g->lock);
	}
	g->lock = -EBADF;
	g->noted = 0;
	g->left = (struct lock_note){ 0 };
	g->lock_home = anchor_dir_unref(g->lock_home);
}

bool guarded_lost_lock(const struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	struct anchor_name name;
	struct node held, named;

	if (g->lock < 0)
		return false;
	name = anchor_name(g->lock_home, g->place->path, g->name, "lock");
	return p->stat_fd(p->ctx, g->lock, &held) == 0 &&
	       p->stat(p->ctx, g->lock_home->fd, name.text, &named) == 0 &&
	       !node_same(&held, &named);
}

int guarded_lock(struct guarded *g)
{
	struct anchor_dir *home = g->place->anchors;
	bool lost = guarded_lost_lock(g);
	struct sweep sweep = { 0 };
	int fd;

	if (!home || (g->lock_home == home && !lost))
		return 0;
	/* Back where we were: the lock that is held would be in our own way. */
	if (g->lock >= 0 && !lost && anchor_dir_same(g->lock_home, home)) {
		anchor_dir_unref(g->lock_home);
		g->lock_home = anchor_dir_ref(home);
		return 0;
	}
	fd = anchor_lock(home, g->place->path, g->name, &sweep.note);
	if (fd < 0)
		return fd;
	guarded_unlock(g);
	g->lock = fd;
	g->lock_home = anchor_dir_ref(home);
	anchor_sweep(home, g->place->path, g->name, &sweep);
	if (sweep.highest > g->generation)
		g->generation = sweep.highest;
	g->left = (struct lock_note){ .known = sweep.lowest_left <= sweep.highest,
				      .low = sweep.lowest_left,
				      .high = sweep.highest };
	if (sweep.note.known) {
		g->left.mount_id = sweep.note.mount_id;
		g->left.mount_point = sweep.note.mount_point;
	}
	guarded_note(g);
	return 0;
}
