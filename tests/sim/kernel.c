#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINKS_FOLLOWED_MAX 8

struct kernel kernel;

const struct actor the_world;

static struct inode *next_inode(void)
{
	static struct inode spare;

	if (kernel.inode_count < INODES_MAX)
		return &kernel.inodes[kernel.inode_count++];
	kernel.exhausted = "inodes";
	return &spare;
}

struct filesystem *kernel_filesystem(void)
{
	struct filesystem *fs = &kernel.filesystems[kernel.filesystem_count];

	if (kernel.filesystem_count + 1 < FILESYSTEMS_MAX)
		kernel.filesystem_count++;
	else
		kernel.exhausted = "file systems";
	fs->device = 1 + kernel.filesystem_count;
	fs->freed_count = 0;
	fs->next_number = 2;
	fs->full = false;
	return fs;
}

struct inode *kernel_inode(struct filesystem *fs, enum inode_kind kind, const struct actor *maker,
			   uint32_t mode)
{
	struct inode *inode = next_inode();

	*inode = (struct inode){
		.fs = fs,
		.number = fs->freed_count ? fs->freed[--fs->freed_count] : fs->next_number++,
		.kind = kind,
		.mode = mode,
		.uid = maker->uid,
		.gid = maker->uid,
		.maker = maker->instance,
	};
	return inode;
}

void kernel_reset(void)
{
	struct inode *root;

	kernel.now_ns = 1000 * NSEC_PER_SEC;
	kernel.filesystem_count = kernel.inode_count = kernel.entry_count = 0;
	kernel.socket_count = kernel.mount_count = 0;
	kernel.event_room = EVENTS_MAX;
	kernel.watch_room = WATCHES_MAX;
	kernel.no_swap = false;
	kernel.exhausted = NULL;
	memset(kernel.processes, 0, sizeof(kernel.processes));
	root = kernel_inode(kernel_filesystem(), INODE_DIRECTORY, &the_world, 0755);
	root->nlink = 1;
	kernel.mounts[kernel.mount_count++] =
		(struct mount){ .fs = root->fs, .root = root, .attached = true };
}

struct spot kernel_root(void)
{
	return (struct spot){ &kernel.mounts[0], kernel.mounts[0].root };
}

struct node kernel_node(const struct inode *inode)
{
	static const enum node_kind kinds[] = { [INODE_DIRECTORY] = NODE_DIRECTORY,
						[INODE_SOCKET] = NODE_SOCKET,
						[INODE_FILE] = NODE_OTHER,
						[INODE_SYMLINK] = NODE_OTHER };

	return (struct node){ .kind = kinds[inode->kind],
			      .nlink = inode->nlink,
			      .device = inode->fs->device,
			      .inode = inode->number,
			      .mode = inode->mode,
			      .uid = inode->uid,
			      .gid = inode->gid };
}

/* @bits: 4 read, 2 write, 1 search. */
bool kernel_may(const struct actor *actor, const struct inode *inode, uint32_t bits)
{
	uint32_t mode = actor->uid == inode->uid ? inode->mode >> 6 : inode->mode;

	return actor->uid == 0 || (mode & bits) == bits;
}

void kernel_hold(struct inode *inode)
{
	inode->holds++;
}

static void free_if_unused(struct inode *inode)
{
	struct filesystem *fs = inode->fs;

	if (inode->nlink || inode->holds || inode->freed)
		return;
	inode->freed = true;
	notify_freed(inode);
	if (fs->freed_count < INODES_MAX)
		fs->freed[fs->freed_count++] = inode->number;
}

void kernel_release(struct inode *inode)
{
	inode->holds--;
	free_if_unused(inode);
}

struct entry *kernel_entry(const struct inode *dir, const char *name)
{
	for (struct entry *e = dir->entries; e; e = e->next)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

struct mount *names_mounted_at(const struct mount *parent, const struct entry *at)
{
	/* The newest lies on top. */
	for (unsigned i = kernel.mount_count; i-- > 1;) {
		struct mount *m = &kernel.mounts[i];

		if (m->attached && m->parent == parent && m->at == at)
			return m;
	}
	return NULL;
}

struct spot kernel_across(struct mount *mount, struct entry *entry)
{
	struct mount *m = names_mounted_at(mount, entry);

	return m ? (struct spot){ m, m->root } : (struct spot){ mount, entry->inode };
}

int kernel_lookup(const struct actor *actor, struct spot dir, const char *name, struct spot *ret)
{
	struct entry *e;

	*ret = (struct spot){ 0 };
	if (dir.inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	if (!kernel_may(actor, dir.inode, 1))
		return -EACCES;
	if (strcmp(name, ".") == 0) {
		*ret = dir;
		return 0;
	}
	e = kernel_entry(dir.inode, name);
	if (e)
		*ret = kernel_across(dir.mount, e);
	return 0;
}

static int walk_from(const struct actor *actor, const char *path, unsigned links, struct spot *ret)
{
	struct spot at = kernel_root(), next;
	char name[NAME_BYTES];

	while (*path) {
		size_t n;
		int r;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			break;
		(void)snprintf(name, sizeof(name), "%.*s", (int)n, path);
		path += n;
		r = kernel_lookup(actor, at, name, &next);
		if (r == 0 && next.inode && next.inode->kind == INODE_SYMLINK)
			r = links == LINKS_FOLLOWED_MAX
				    ? -ELOOP
				    : walk_from(actor, next.inode->target, links + 1, &next);
		if (r < 0)
			return r;
		if (!next.inode)
			return -ENOENT;
		at = next;
	}
	*ret = at;
	return 0;
}

int kernel_walk(const struct actor *actor, const char *path, struct spot *ret)
{
	return walk_from(actor, path, 0, ret);
}

static void drop_entry(struct entry *e)
{
	struct entry **at = &e->dir->entries;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	e->next = NULL;
}

void kernel_settle(struct inode *dir)
{
	for (struct entry *e = dir->entries, *next; e; e = next) {
		next = e->next;
		if (!e->going)
			continue;
		drop_entry(e);
		kernel_release(e->inode);
		e->dir = NULL;
	}
}

void kernel_settle_all(void)
{
	for (unsigned i = 0; i < kernel.entry_count; i++)
		if (kernel.entries[i].going && kernel.entries[i].dir)
			kernel_settle(kernel.entries[i].dir);
}
