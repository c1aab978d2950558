/*
 * What changes the tree. Which error comes first is Linux's order: link() says
 * EEXIST before EXDEV, rename() says EXDEV before it looks at anything.
 */
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct entry *names_add(struct inode *dir, const char *name, struct inode *inode,
			const struct actor *maker)
{
	static struct entry spare;
	struct entry *e = &spare;

	if (kernel.entry_count < ENTRIES_MAX)
		e = &kernel.entries[kernel.entry_count++];
	else
		kernel.exhausted = "names";
	*e = (struct entry){ .dir = dir, .inode = inode, .maker = maker->instance };
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	e->next = dir->entries;
	dir->entries = e;
	inode->nlink++;
	if (inode->kind == INODE_DIRECTORY)
		inode->self = e;
	notify(dir, NOTICE_ENTRIES);
	return e;
}

/* Whether a name may be added here. */
static int may_add(const struct actor *actor, struct spot dir, const char *name)
{
	struct entry *e;

	if (dir.inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	if (!kernel_may(actor, dir.inode, 1))
		return -EACCES;
	kernel_settle(dir.inode);
	e = kernel_entry(dir.inode, name);
	if (e)
		return -EEXIST;
	if (!dir.inode->nlink)
		return -ENOENT;
	if (dir.mount->read_only)
		return -EROFS;
	if (!kernel_may(actor, dir.inode, 2))
		return -EACCES;
	return 0;
}

int names_make(const struct actor *actor, struct spot dir, const char *name, enum inode_kind kind,
	       uint32_t mode, struct inode **ret)
{
	struct inode *inode;
	int r = may_add(actor, dir, name);

	if (r == 0 && dir.inode->fs->full)
		r = -ENOSPC;
	if (r < 0)
		return r;
	inode = kernel_inode(dir.inode->fs, kind, actor, mode);
	names_add(dir.inode, name, inode, actor);
	if (ret)
		*ret = inode;
	return 0;
}

int names_link(const struct actor *actor, struct spot from, struct spot dir, const char *name)
{
	int r = may_add(actor, dir, name);

	if (r < 0)
		return r;
	if (from.mount != dir.mount)
		return -EXDEV;
	/* fs.protected_hardlinks: only one's own sockets. */
	if (actor->uid != 0 && actor->uid != from.inode->uid)
		return -EPERM;
	if (from.inode->nlink == 0)
		return -ENOENT;
	if (dir.inode->fs->full)
		return -ENOSPC;
	names_add(dir.inode, name, from.inode, actor);
	notify(from.inode, NOTICE_SELF);
	return 0;
}

int names_may_remove(const struct actor *actor, struct spot dir, const struct entry *entry)
{
	if (!kernel_may(actor, dir.inode, 3))
		return -EACCES;
	if ((dir.inode->mode & 01000) && actor->uid != 0 && actor->uid != entry->inode->uid &&
	    actor->uid != dir.inode->uid)
		return -EPERM;
	return dir.mount->read_only ? -EROFS : 0;
}

/* The entry that is to be changed. Waits for the directory's lock. */
static int find_own(const struct actor *actor, struct spot dir, const char *name,
		    struct entry **ret)
{
	if (dir.inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	if (!kernel_may(actor, dir.inode, 1))
		return -EACCES;
	kernel_settle(dir.inode);
	*ret = kernel_entry(dir.inode, name);
	return *ret ? names_may_remove(actor, dir, *ret) : -ENOENT;
}

static void remove_from_dir(struct entry *e)
{
	struct entry **at = &e->dir->entries;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	notify(e->dir, NOTICE_ENTRIES);
}

bool names_are_mounted_on(const struct entry *e)
{
	for (unsigned i = 1; i < kernel.mount_count; i++)
		if (kernel.mounts[i].attached && kernel.mounts[i].at == e)
			return true;
	return false;
}

static void unlink_entry(struct entry *e, bool going)
{
	struct inode *inode = e->inode, *dir = e->dir;

	kernel_hold(inode);
	inode->nlink--;
	notify(inode, NOTICE_SELF);
	/* The event is out, but the old name is still in the name cache. */
	e->going = true;
	if (!going)
		kernel_settle(dir);
	notify(dir, NOTICE_ENTRIES);
}

int names_unlink(const struct actor *actor, struct spot dir, const char *name, bool going)
{
	struct entry *e;
	int r = find_own(actor, dir, name, &e);

	if (r < 0)
		return r;
	if (e->inode->kind == INODE_DIRECTORY)
		return -EISDIR;
	if (names_are_mounted_on(e))
		return -EBUSY;
	unlink_entry(e, going);
	return 0;
}

int names_rmdir(const struct actor *actor, struct spot dir, const char *name)
{
	struct entry *e;
	struct inode *inode;
	int r = find_own(actor, dir, name, &e);

	if (r < 0)
		return r;
	inode = e->inode;
	if (inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	kernel_settle(inode);
	if (names_are_mounted_on(e))
		return -EBUSY;
	if (inode->entries)
		return -ENOTEMPTY;
	remove_from_dir(e);
	e->dir = NULL;
	inode->self = NULL;
	kernel_hold(inode);
	inode->nlink = 0;
	kernel_release(inode);
	return 0;
}

static void move_entry(struct entry *e, struct inode *dir, const char *name,
		       const struct actor *actor)
{
	remove_from_dir(e);
	e->dir = dir;
	if (e->name != name)
		(void)snprintf(e->name, sizeof(e->name), "%s", name);
	e->next = dir->entries;
	dir->entries = e;
	e->mover = actor->instance;
	e->meddled |= actor->instance == 0;
	notify(dir, NOTICE_ENTRIES);
	notify(e->inode, NOTICE_SELF);
}

/* Both names exist. */
static void swap_entries(struct entry *a, struct entry *b, const struct actor *actor)
{
	struct entry old = *a;

	move_entry(a, b->dir, b->name, actor);
	move_entry(b, old.dir, old.name, actor);
}

static int check_target(const struct actor *actor, struct spot dir, struct entry *source,
			struct entry *target, enum rename_kind kind)
{
	int r;

	if (!target && kind == RENAME_BOTH)
		return -ENOENT;
	if (!kernel_may(actor, dir.inode, 3))
		return -EACCES;
	if (!dir.inode->nlink)
		return -ENOENT;
	if (!target)
		return 0;
	r = names_may_remove(actor, dir, target);
	if (r < 0)
		return r;
	if (names_are_mounted_on(target))
		return -EBUSY;
	if (kind == RENAME_OVER && target->inode->kind == INODE_DIRECTORY)
		return source->inode->kind == INODE_DIRECTORY ? -ENOTEMPTY : -EISDIR;
	return 0;
}

int names_rename(const struct actor *actor, struct spot from, const char *from_name,
		 struct spot dir, const char *name, enum rename_kind kind)
{
	struct entry *source, *target;
	int r;

	if (from.mount != dir.mount)
		return -EXDEV;
	if (kind == RENAME_BOTH && kernel.no_swap)
		return -EOPNOTSUPP;
	kernel_settle(dir.inode);
	r = find_own(actor, from, from_name, &source);
	if (r < 0)
		return r;
	target = kernel_entry(dir.inode, name);
	if (target && kind == RENAME_NEW)
		return -EEXIST;
	/* Two links of one inode: nothing is done, and success reported. */
	if (target && target->inode == source->inode)
		return 0;
	if (names_are_mounted_on(source))
		return -EBUSY;
	r = check_target(actor, dir, source, target, kind);
	if (r < 0)
		return r;
	if (target && kind == RENAME_BOTH) {
		swap_entries(source, target, actor);
		return 0;
	}
	if (target)
		unlink_entry(target, false);
	move_entry(source, dir.inode, name, actor);
	return 0;
}

int names_chmod(const struct actor *actor, struct inode *inode, uint32_t mode)
{
	if (actor->uid != 0 && actor->uid != inode->uid)
		return -EPERM;
	inode->mode = mode;
	notify(inode, NOTICE_SELF);
	return 0;
}

int names_chown(const struct actor *actor, struct inode *inode, uint32_t uid, uint32_t gid)
{
	if (inode->uid == uid && inode->gid == gid)
		return 0;
	if (actor->uid != 0)
		return -EPERM;
	inode->uid = uid;
	inode->gid = gid;
	notify(inode, NOTICE_SELF);
	return 0;
}

/* Whether the tree below @root holds @dir: such a mount would hide itself. */
static bool is_below(const struct inode *dir, const struct inode *root)
{
	while (dir && dir != root)
		dir = dir->self ? dir->self->dir : NULL;
	return dir == root;
}

int names_mount(const struct actor *actor, struct spot root, struct spot dir, const char *name)
{
	struct entry *e = kernel_entry(dir.inode, name);
	struct spot at;

	if (actor->uid != 0)
		return -EPERM;
	if (!e || e->going)
		return -ENOENT;
	at = kernel_across(dir.mount, e);
	if ((at.inode->kind == INODE_DIRECTORY) != (root.inode->kind == INODE_DIRECTORY))
		return -ENOTDIR;
	if (root.inode->nlink == 0 || (root.mount && is_below(dir.inode, root.inode)))
		return -ENOENT;
	if (kernel.mount_count == MOUNTS_MAX) {
		kernel.exhausted = "mounts";
		return -ENOSPC;
	}
	kernel_hold(root.inode);
	/* What is mounted on cannot be removed meanwhile. */
	e->meddled |= actor->instance == 0;
	for (unsigned i = 1; i < kernel.mount_count; i++)
		kernel.mounts[i].covered |= kernel.mounts[i].at == e &&
					    kernel.mounts[i].maker != actor->instance;
	/* Mounts on one entry are kept as a pile: the newest is found first. */
	kernel.mounts[kernel.mount_count++] = (struct mount){ .fs = root.inode->fs,
							      .root = root.inode,
							      .parent = dir.mount,
							      .at = e,
							      .attached = true,
							      .maker = actor->instance };
	notify_mounts();
	return 0;
}

int names_unmount(const struct actor *actor, struct spot dir, const char *name)
{
	struct entry *e = kernel_entry(dir.inode, name);
	struct mount *m = e ? names_mounted_at(dir.mount, e) : NULL;

	if (actor->uid != 0)
		return -EPERM;
	if (!m)
		return e ? -EINVAL : -ENOENT;
	/* Lazily: whoever has something open below keeps it. */
	m->attached = false;
	kernel_release(m->root);
	notify_mounts();
	return 0;
}
