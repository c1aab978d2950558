/*
 * The judge: kedge removes and replaces nothing that it did not make, but stale
 * sockets; what it took away in a race it puts back.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static const char *kind_of(const struct inode *inode)
{
	static const char *const kinds[] = { "directory", "socket", "file", "symlink" };

	return kinds[inode->kind];
}

/* Also a descriptor of its server counts. */
static bool has_open(const struct guard_process *g, const struct socket *s)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (g->os.files[fd].kind == FILE_SOCKET && g->os.files[fd].socket == s)
			return true;
	return false;
}

/* Somebody other than @g would miss it. */
static bool is_strange(const struct guard_process *g, const struct inode *inode)
{
	if (inode->kind != INODE_SOCKET)
		return inode->maker == 0;
	return inode->socket && inode->socket->refs && !inode->socket->shut &&
	       !has_open(g, inode->socket);
}

static bool may_remove_adopted(const struct guard_process *g, const struct entry *e)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		const struct guarded *guarded = callbacks_find(g, i);

		if (guarded && guarded->config.at_close == KEDGE_AT_CLOSE_REMOVE)
			return true;
	}
	/* What was adopted and was told to be removed is not found by its path any more. */
	return !socket_lives(e->inode->socket) || g->stopping > 0;
}

void foul_unlink(struct guard_process *g, struct spot dir, const char *name)
{
	const struct entry *e = kernel_entry(dir.inode, name);

	if (g->abandoning)
		sim_fail("a child removes %s", name);
	if (!e || e->going)
		return;
	if (e->inode->kind == INODE_FILE && e->inode->locked_by && e->inode->locked_by != &g->os &&
	    g->looked == sim.disturbances)
		sim_fail("removes %s, the lock of another guard", name);
	if (is_strange(g, e->inode))
		sim_fail("removes %s, a %s that is not its own", name, kind_of(e->inode));
	if (e->inode->kind == INODE_SOCKET && e->maker == 0 && e->inode->maker == 0 &&
	    e->inode->socket && !may_remove_adopted(g, e))
		sim_fail("removes %s, which it was to leave", name);
}

void foul_rmdir(struct guard_process *g, struct spot dir, const char *name)
{
	const struct entry *e = kernel_entry(dir.inode, name);

	if (g->abandoning)
		sim_fail("a child removes the directory %s", name);
	if (!e || e->inode->kind != INODE_DIRECTORY || e->inode->entries)
		return;
	if (e->inode->maker == 0 && g->looked == sim.disturbances &&
	    (strncmp(name, ".kedge-", 7) != 0 || e->inode->uid != g->os.actor.uid ||
	     e->inode->mode != 0700))
		sim_fail("removes the directory %s, which is not its own", name);
}

void foul_seen(struct guard_process *g, struct spot dir, const char *name)
{
	/* Paths of the tests have one letter; private names have more. */
	if (!name[1])
		g->path_seen = (struct sight){ dir.inode, name[0], sim.disturbances };
}

static void take(struct guard_process *g, struct entry *e)
{
	const struct sight *seen = &g->path_seen;

	if (seen->dir == e->dir && seen->name == e->name[0] &&
	    seen->disturbances == sim.disturbances)
		sim_fail("takes %s away, a %s that it has seen not to be its own", e->name,
			 kind_of(e->inode));
	g->kidnap = (struct kidnap){ .entry = e, .dir = e->dir, .disturbances = sim.disturbances };
	(void)snprintf(g->kidnap.name, sizeof(g->kidnap.name), "%s", e->name);
}

static bool is_aside(const char *name, const char *from_name)
{
	size_t n = strlen(from_name);

	return strncmp(name, from_name, n) == 0 && strncmp(name + n, ".displaced.", 11) == 0;
}

void foul_rename(struct guard_process *g, struct spot from, const char *from_name, struct spot dir,
		 const char *name, enum rename_how how)
{
	struct entry *e = kernel_entry(from.inode, from_name);
	struct entry *target = kernel_entry(dir.inode, name);

	if (g->abandoning)
		sim_fail("a child renames %s", from_name);
	if (from.mount != dir.mount || !e || e->going || (how == RENAME_SWAP && kernel.no_swap))
		return;
	if (how == RENAME_TO_FREE && target && !target->going)
		return;
	/* The kernel will say EBUSY. */
	if (names_are_mounted_on(e) || (target && names_are_mounted_on(target)))
		return;
	if (g->kidnap.entry == e) {
		/* On its way back. */
		if (dir.inode == g->kidnap.dir && strcmp(name, g->kidnap.name) == 0)
			g->kidnap.entry = NULL;
		return;
	}
	if (is_strange(g, e->inode) && (e->inode->kind == INODE_SOCKET ||
					(!is_aside(name, from_name) && !is_aside(from_name, name))))
		take(g, e);
	if (how == RENAME_SWAP && target && is_strange(g, target->inode))
		take(g, target);
}

void foul_kidnaps(struct guard_process *g)
{
	struct kidnap *k = &g->kidnap;
	const struct entry *there;

	if (!k->entry)
		return;
	there = kernel_entry(k->dir, k->name);
	/* In its absence the world took its name, or stepped in otherwise. */
	if (k->entry->dir && there != k->entry && (!there || there->maker) &&
	    k->disturbances == sim.disturbances && k->dir->nlink)
		sim_fail("took %s away, a %s that is not its own, and did not put it back", k->name,
			 kind_of(k->entry->inode));
	k->entry = NULL;
}

static bool keeps_always(const struct guard_process *g)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		const struct guarded *guarded = callbacks_find(g, i);

		if (guarded && guarded->config.keep == KEDGE_KEEP_ALWAYS)
			return true;
	}
	return false;
}

void foul_rights(struct guard_process *g, const struct inode *inode)
{
	if (g->abandoning)
		sim_fail("a child changes rights");
	/* Mode 0700 and of the same user: it could be ours, and nothing is lost. */
	if (inode->maker == 0 && !keeps_always(g) &&
	    !(inode->mode == 0700 && inode->uid == g->os.actor.uid))
		sim_fail("changes the rights of a %s that is not its own", kind_of(inode));
}

void foul_mount(struct guard_process *g, struct spot dir, const char *name)
{
	struct entry *e = kernel_entry(dir.inode, name);
	struct spot at = e ? kernel_across(dir.mount, e) : (struct spot){ 0 };

	if (at.inode && at.inode->kind == INODE_SOCKET && is_strange(g, at.inode) &&
	    g->looked == sim.disturbances)
		sim_fail("mounts over %s, where a stranger listens", name);
}

void foul_unmount(struct guard_process *g, struct spot dir, const char *name)
{
	const struct entry *e = kernel_entry(dir.inode, name);
	const struct mount *m = e ? names_mounted_at(dir.mount, e) : NULL;

	if (g->abandoning)
		sim_fail("a child unmounts %s", name);
	if (m && m->maker == 0 && g->looked == sim.disturbances)
		sim_fail("unmounts %s, a mount that is not its own", name);
}

/* Listeners that @g has open, beside @s. */
static unsigned listeners_beside(const struct guard_process *g, const struct socket *s)
{
	unsigned count = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		count += g->os.files[fd].kind == FILE_SOCKET && g->os.files[fd].socket != s;
	return count;
}

void foul_close(struct guard_process *g, int fd)
{
	const struct file *f = files_get(&g->os, fd);
	const struct socket *s;

	if (!f || f->kind != FILE_SOCKET || g->stopping || g->abandoning)
		return;
	s = f->socket;
	if (s->queued && !s->shut && s->refs == 1 && listeners_beside(g, s) <= RETIRED_MAX)
		sim_fail("closes a listener with %u clients in its queue", s->queued);
}
