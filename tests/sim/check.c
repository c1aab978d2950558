/*
 * What must be true: after each operation, once the world rests, at the end.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

/* Watches of one guard: three per directory and path are plenty. */
#define WATCHES_ENOUGH 24

static unsigned count_listeners(const struct guarded *g)
{
	unsigned count = g->current != NULL;

	list_for_each (it, &g->retired)
		count++;
	return count;
}

/* Descriptors that @e has a use for: no more may be open. */
static unsigned fds_wanted(const struct engine *e)
{
	unsigned count = 0;

	list_for_each (it, &e->places) {
		const struct place *place = list_entry(it, struct place, link);

		/* Directory, former ones, anchors and their parent. */
		count += 1 + place->former_count + (place->anchors ? 2 : 0);
		list_for_each (it2, &place->members) {
			const struct guarded *g = list_entry(it2, struct guarded, in_place);

			/* A listener has its socket, its handle, maybe a home of its own. */
			count += 4 * count_listeners(g);
			count += (g->lock >= 0 ? 3u : 0u) + 2;
		}
	}
	return count;
}

static void check_idle_guarded(const struct guard_process *g, const struct guarded *guarded)
{
	if (guarded->retired_count > RETIRED_MAX + 1)
		sim_fail("%u retired listeners of %s are kept", guarded->retired_count,
			 guarded->path);
	if (!guarded->current)
		sim_fail("%s is guarded without a listener", guarded->path);
	(void)g;
}

void check_after(struct guard_process *g)
{
	const struct engine *e = &g->engine;

	foul_kidnaps(g);
	if (!g->engine_up)
		return;
	for (int i = 0; i < PATHS_MAX; i++)
		if (callbacks_find(g, i))
			check_idle_guarded(g, callbacks_find(g, i));
	if (files_count(&g->os) > fds_wanted(e))
		sim_fail("%u descriptors are open, of which %u are of use", files_count(&g->os),
			 fds_wanted(e));
	if (notify_watches(&g->os) > WATCHES_ENOUGH)
		sim_fail("%u watches", notify_watches(&g->os));
	if (e->count > 0)
		return;
	if (files_count(&g->os))
		sim_fail("nothing is guarded, but %u descriptors are open", files_count(&g->os));
	if (notify_watches(&g->os))
		sim_fail("nothing is guarded, but %u watches are kept", notify_watches(&g->os));
	if (!list_empty(&e->places))
		sim_fail("nothing is guarded, but a place is kept");
	if (!g->tainted)
		check_names(g->os.actor.instance);
}

void check_ended(struct guard_process *g)
{
	foul_kidnaps(g);
	if (files_count(&g->os))
		sim_fail("the guard has ended, but %u descriptors are open", files_count(&g->os));
	if (g->memory.allocations)
		sim_fail("the guard has ended, but %ld blocks of memory are in use",
			 g->memory.allocations);
	if (notify_watches(&g->os) && !g->abandoning)
		sim_fail("the guard has ended, but %u watches are kept", notify_watches(&g->os));
	if (!g->tainted && !g->abandoning)
		check_names(g->os.actor.instance);
	g->os.alive = false;
	files_close_all(&g->os);
}

/* Directories that were made again for the path belong to the path. */
static bool is_of_path(const struct entry *e)
{
	return e->inode->kind == INODE_DIRECTORY && strncmp(e->name, ".kedge", 6) != 0;
}

/* A directory of ours that the world has put something into. */
static bool holds_strange(const struct entry *e)
{
	return e->inode->kind == INODE_DIRECTORY && e->inode->entries;
}

/* Hidden below a mount, or in a directory that lets nobody change it. */
static bool is_out_of_reach(const struct entry *e)
{
	const struct actor actor = { sim.profile.uid, 0 };
	struct mount *any = &kernel.mounts[0];

	return names_are_mounted_on(e) ||
	       names_may_remove(&actor, (struct spot){ any, e->dir }, e) < 0;
}

static bool is_shared(int instance)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (sim.guards[i].os.alive && sim.guards[i].engine_up &&
		    sim.guards[i].os.actor.instance != instance)
			return true;
	return false;
}

/*
 * Two guards on one path, since the lock of one was removed: what one of them was about to move
 * aside was the other's name by then, and it could not be put back, since that one was quicker
 * with the next. Then it stays aside, as all that is.
 */
static bool is_moved_aside(const struct entry *e)
{
	return e->mover && e->mover != e->maker && strstr(e->name, ".displaced.");
}

void check_names(int instance)
{
	for (unsigned i = 0; i < kernel.entry_count; i++) {
		const struct entry *e = &kernel.entries[i];

		if (!e->dir || e->going || e->maker != instance || e->meddled)
			continue;
		if (is_moved_aside(e))
			continue;
		/* Whoever else is there has it in use. */
		if (e->inode->kind == INODE_DIRECTORY && (sim.crashed || is_shared(instance)))
			continue;
		if (is_of_path(e) || holds_strange(e) || is_out_of_reach(e))
			continue;
		/* What was adopted is left to its owner, at the path. */
		if (e->inode->maker == 0 && strlen(e->name) == 1)
			continue;
		sim_fail("%s is left behind in %s", e->name,
			 e->dir->self ? e->dir->self->name : "/");
	}
	for (unsigned i = 1; i < kernel.mount_count; i++)
		if (kernel.mounts[i].attached && kernel.mounts[i].maker == instance &&
		    !kernel.mounts[i].covered)
			sim_fail("a mount is left behind at %s", kernel.mounts[i].at->name);
}

/* Its owner may not change it. */
static bool is_reserved(const struct inode *dir)
{
	const struct actor actor = { sim.profile.uid, 0 };

	return !kernel_may(&actor, dir, 3);
}

/* NAME, NAME.GENERATION, .kedge-UID; not .kedge-UID-1. */
static bool is_prefixed(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && name[n] != '-';
}

static void check_left(const struct inode *dir, const char *prefix)
{
	for (const struct entry *e = dir->entries; e; e = e->next)
		/* Below the mount of a killed one that could not note it: a known limit. */
		if (!e->going && e->maker && !e->meddled && !is_moved_aside(e) &&
		    is_prefixed(e->name, prefix) && (e->inode->maker || e->name[1]) &&
		    !holds_strange(e) && !names_are_mounted_on(e))
			sim_fail("after a crash and a new start %s is left behind", e->name);
}

void check_leftovers(void)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		const char *name = strrchr(sim_paths[i], '/') + 1;
		struct spot dir, anchors = { 0 };
		char text[NAME_BYTES];

		(void)snprintf(text, sizeof(text), "%.*s", (int)(name - sim_paths[i]),
			       sim_paths[i]);
		if (kernel_walk(&the_world, text, &dir) < 0 || is_reserved(dir.inode))
			continue;
		check_left(dir.inode, name);
		if (sim.swept)
			continue;
		(void)snprintf(text, sizeof(text), ".kedge-%u", sim.profile.uid);
		if (kernel_lookup(&the_world, dir, text, &anchors) < 0 || !anchors.inode ||
		    anchors.inode->kind != INODE_DIRECTORY)
			continue;
		/* Another name of it (.kedge-UID-1) is not looked at once the first is to be had.
		 */
		if (!anchors.inode->entries)
			check_left(dir.inode, text);
		(void)snprintf(text, sizeof(text), "%s.", name);
		check_left(anchors.inode, text);
	}
}

enum hope { HOPE_REACHABLE, HOPE_DISPLACED, HOPE_BLOCKED, HOPE_NONE };

static bool may_write(const struct actor *actor, struct spot dir)
{
	return dir.inode->kind == INODE_DIRECTORY && kernel_may(actor, dir.inode, 3) &&
	       dir.inode->nlink;
}

/* The directory is missing: can it be made? */
static enum hope hope_of_missing(const struct actor *actor, const char *directory)
{
	char path[NAME_BYTES];
	struct spot at;
	char *slash;

	(void)snprintf(path, sizeof(path), "%s", directory);
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (kernel_walk(actor, path, &at) == 0)
			return may_write(actor, at) ? HOPE_REACHABLE : HOPE_NONE;
	}
	return HOPE_NONE;
}

static enum hope hope_of_entry(const struct guard_process *g, struct spot dir,
			       const struct entry *e, bool ours)
{
	const struct mount *m = names_mounted_at(dir.mount, e);
	const struct inode *at = m ? m->root : e->inode;

	/* Two mounts of one directory are one to stat(), and differ in what is mounted there. */
	for (unsigned i = 1; i < kernel.mount_count; i++)
		if (kernel.mounts[i].attached && kernel.mounts[i].at == e &&
		    kernel.mounts[i].parent != dir.mount)
			return HOPE_NONE;
	if (ours)
		return HOPE_REACHABLE;
	if (at->kind == INODE_SOCKET && at->socket && at->socket->refs && !at->socket->shut)
		return HOPE_DISPLACED;
	if (m)
		return HOPE_NONE;
	if (at->kind == INODE_DIRECTORY)
		return HOPE_BLOCKED;
	if (at->kind == INODE_SOCKET && !kernel_may(&g->os.actor, at, 2))
		return HOPE_NONE;
	return names_may_remove(&g->os.actor, dir, e) < 0 ? HOPE_NONE : HOPE_REACHABLE;
}

/* Two paths are one: one directory is mounted at two places. */
static bool is_double(const struct inode *dir, const struct guarded *guarded)
{
	char directory[NAME_BYTES];
	struct spot other;

	for (int i = 0; i < PATHS_MAX; i++) {
		const char *name = strrchr(sim_paths[i], '/');

		(void)snprintf(directory, sizeof(directory), "%.*s", (int)(name - sim_paths[i]),
			       sim_paths[i]);
		if (strcmp(sim_paths[i], guarded->path) != 0 &&
		    strcmp(name + 1, guarded->name) == 0 &&
		    kernel_walk(&the_world, directory, &other) == 0 && other.inode == dir)
			return true;
	}
	return false;
}

/* What may be hoped for a path, by what the kernel knows. */
static enum hope hope_of(const struct guard_process *g, const struct guarded *guarded)
{
	char directory[NAME_BYTES];
	struct spot dir, at;
	const struct entry *e;
	int r;

	(void)snprintf(directory, sizeof(directory), "%s", guarded->path);
	*strrchr(directory, '/') = '\0';
	r = kernel_walk(&g->os.actor, directory, &dir);
	if (r < 0)
		return r == -2 ? hope_of_missing(&g->os.actor, directory) : HOPE_NONE;
	if (!may_write(&g->os.actor, dir) || is_double(dir.inode, guarded))
		return HOPE_NONE;
	e = kernel_entry(dir.inode, guarded->name);
	if (!e)
		return HOPE_REACHABLE;
	at = kernel_across(dir.mount, (struct entry *)e);
	/* An owner that we may not give back. */
	if (g->os.actor.uid && guarded->record.keep &&
	    (at.inode->uid != g->os.actor.uid || at.inode->uid != guarded->record.want.uid))
		return HOPE_NONE;
	return hope_of_entry(g, dir, e, at.inode->socket && process_of(at.inode->socket) == g);
}

/* The guard whose current listener a client meets at the path. */
static struct guarded *who_answers(const char *path, struct guard_process **ret)
{
	struct socket *s;
	struct spot at;

	if (kernel_walk(&the_world, path, &at) < 0 || socket_connect(&the_world, at, 0, &s) < 0)
		return NULL;
	*ret = process_of(s);
	for (int i = 0; *ret && i < PATHS_MAX; i++) {
		struct guarded *g = callbacks_find(*ret, i);
		const struct file *f = g ? files_get(&(*ret)->os, g->current->fd) : NULL;

		if (f && f->socket == s)
			return g;
	}
	return NULL;
}

/* Whether another process guards the path as well: one of them has its lock. */
static bool is_contended(const struct guard_process *g, const struct guarded *guarded)
{
	for (int p = 0; p < PROCESSES_MAX; p++) {
		const struct guard_process *other = &sim.guards[p];

		if (other != g && other->os.alive && other->engine_up &&
		    engine_find(&other->engine, guarded->path))
			return true;
	}
	return false;
}

static const char *state_wanted(struct guard_process *g, struct guarded *guarded, enum hope hope)
{
	struct guard_process *who = NULL;
	const struct guarded *answers = who_answers(guarded->path, &who);
	bool well = answers == guarded;

	if (hope == HOPE_REACHABLE && !well && who == g && answers && answers->current->made &&
	    !is_contended(g, guarded))
		return "another path's listener answers at it";
	if (hope == HOPE_REACHABLE && !well && !(who == g && answers))
		return "it could be reached, and is not";
	if (well != (guarded->state == KEDGE_STATE_REACHABLE))
		return well ? "it is reachable, and said not to be"
			    : "it is not reachable, and said to be";
	if (hope == HOPE_DISPLACED && guarded->state != KEDGE_STATE_DISPLACED)
		return "a stranger listens, and it is not said to be displaced";
	if (hope == HOPE_BLOCKED && guarded->state != KEDGE_STATE_BLOCKED)
		return "a directory stands there, and it is not said to be blocked";
	if (well && guarded->record.keep && guarded->current->node.kind == NODE_SOCKET) {
		const struct file *f = files_get(&g->os, guarded->current->fd);

		if (f->socket->inode->mode != guarded->record.want.mode)
			return "its mode is to be kept, and is not";
	}
	return NULL;
}

static const char *find_wrong(struct guard_process **ret, struct guarded **ret_guarded)
{
	for (int p = 0; p < PROCESSES_MAX; p++) {
		struct guard_process *g = &sim.guards[p];

		if (!g->os.alive || !g->engine_up)
			continue;
		for (int i = 0; i < PATHS_MAX; i++) {
			struct guarded *guarded = callbacks_find(g, i);
			enum hope hope = guarded ? hope_of(g, guarded) : HOPE_NONE;
			const char *wrong;

			/* Somebody else is as stubborn. */
			if (guarded && guarded->record.restore_count >= PLAN_RESTORE_MAX)
				hope = HOPE_NONE;
			if (hope == HOPE_NONE)
				continue;
			*ret = g;
			*ret_guarded = guarded;
			wrong = state_wanted(g, guarded, hope);
			if (wrong)
				return wrong;
		}
	}
	return NULL;
}

bool check_waits(void)
{
	struct guard_process *g;
	struct guarded *guarded;

	return find_wrong(&g, &guarded) != NULL;
}

void check_reachable(void)
{
	struct guard_process *g;
	struct guarded *guarded;
	const char *wrong = find_wrong(&g, &guarded);

	if (wrong)
		sim_fail("process %d, %s: %s (state %s, error %d)", g->index, guarded->path, wrong,
			 (const char *[]){ "stopped", "reachable", "repairing", "displaced",
					   "blocked" }[guarded->state],
			 guarded->record.error);
}
