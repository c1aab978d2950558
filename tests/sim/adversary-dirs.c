/*
 * The world at work on directories: their anchors, their place, their mounts.
 */
#include <stdio.h>
#include <string.h>

#include "target.h"

bool target_aim(struct target *t)
{
	const char *path = sim_paths[choose(PATHS_MAX)];
	char *slash;

	(void)snprintf(t->directory, sizeof(t->directory), "%s", path);
	slash = strrchr(t->directory, '/');
	*slash = '\0';
	t->name = strrchr(path, '/') + 1;
	(void)snprintf(t->parent, sizeof(t->parent), "%s", t->directory);
	slash = strrchr(t->parent, '/');
	*slash = '\0';
	t->dir_name = strrchr(t->directory, '/') + 1;
	/* Never one for two: then two paths would be one. */
	t->linked = strcmp(t->dir_name, "a") == 0 ? "/elsewhere/a" : "/elsewhere/c";
	t->bound = strcmp(t->dir_name, "a") == 0 ? "/bound/a" : "/bound/c";
	t->dir = (struct spot){ 0 };
	t->entry = NULL;
	if (kernel_walk(&the_world, t->directory, &t->dir) < 0 || !t->dir.inode ||
	    t->dir.inode->kind != INODE_DIRECTORY) {
		t->dir = (struct spot){ 0 };
		return false;
	}
	t->entry = kernel_entry(t->dir.inode, t->name);
	if (t->entry && t->entry->going) {
		kernel_settle(t->dir.inode);
		t->entry = NULL;
	}
	return true;
}

bool target_entry(struct target *t)
{
	return target_aim(t) && t->entry;
}

const char *target_new_name(const char *kind)
{
	static char name[NAME_BYTES];

	(void)snprintf(name, sizeof(name), "%s.%u", kind, ++sim.names);
	return name;
}

/* Some directory of anchors beside the path, or where they are all kept. */
static bool aim_at_anchors(struct spot *ret)
{
	struct target t;
	char name[32];

	sim.swept = true;
	if (sim.profile.anchor_dir)
		return kernel_walk(&the_world, sim.profile.anchor_dir, ret) == 0;
	(void)snprintf(name, sizeof(name), ".kedge-%u", sim.profile.uid);
	return target_aim(&t) && kernel_lookup(&the_world, t.dir, name, ret) == 0 && ret->inode &&
	       ret->inode->kind == INODE_DIRECTORY;
}

static struct entry *some_entry(const struct inode *dir)
{
	unsigned count = 0;
	struct entry *e;

	for (e = dir->entries; e; e = e->next)
		count++;
	if (!count)
		return NULL;
	count = choose(count);
	for (e = dir->entries; e && count; e = e->next)
		count--;
	return e && !e->going ? e : NULL;
}

void adversary_unlink_anchor(void)
{
	struct spot dir;
	struct entry *e;

	if (aim_at_anchors(&dir) && (e = some_entry(dir.inode)))
		(void)names_unlink(&the_world, dir, e->name, choose(2) == 1);
}

void adversary_move_anchor_out(void)
{
	struct spot dir, root = kernel_root(), run;
	struct entry *e;

	if (aim_at_anchors(&dir) && (e = some_entry(dir.inode)) &&
	    kernel_walk(&the_world, "/run", &run) == 0)
		(void)names_rename(&the_world, dir, e->name, dir.mount == root.mount ? root : run,
				   target_new_name("anchor"), RENAME_NEW);
}

/* rm -rf: what cannot be removed (a mount point, say) is left. */
void target_remove_tree(struct spot dir, const char *name, unsigned depth)
{
	struct entry *e = kernel_entry(dir.inode, name), *next;
	struct spot below;

	if (!e || e->going || depth > 6)
		return;
	below = kernel_across(dir.mount, e);
	if (below.inode->kind == INODE_DIRECTORY && below.mount == dir.mount) {
		kernel_settle(below.inode);
		for (struct entry *it = below.inode->entries; it; it = next) {
			next = it->next;
			target_remove_tree(below, it->name, depth + 1);
		}
		(void)names_rmdir(&the_world, dir, name);
	} else {
		(void)names_unlink(&the_world, dir, name, false);
	}
}

void adversary_remove_directory(void)
{
	struct target t;
	struct spot parent;

	(void)target_aim(&t);
	sim.unseen = true;
	if (kernel_walk(&the_world, t.parent, &parent) == 0)
		target_remove_tree(parent, t.dir_name, 0);
}

void adversary_remove_anchors(void)
{
	struct spot dir, parent;

	if (!aim_at_anchors(&dir) || !dir.inode->self)
		return;
	parent = (struct spot){ dir.mount, dir.inode->self->dir };
	sim.unseen = true;
	target_remove_tree(parent, dir.inode->self->name, 0);
}

/* The mode and owner that a directory of the tests has at first. */
static struct inode *make_directory(struct spot parent, const char *name)
{
	const struct actor owner = { sim.profile.uid, 0 };
	struct inode *made = NULL;

	(void)names_make(&the_world, parent, name, INODE_DIRECTORY, 0755, &made);
	if (made)
		made->uid = made->gid = owner.uid;
	return made;
}

void adversary_move_directory(void)
{
	struct target t;
	struct spot parent;

	if (!target_aim(&t) || kernel_walk(&the_world, t.parent, &parent) < 0)
		return;
	/* Of a link nothing tells: only where it leads is watched. */
	sim.unseen |= t.dir.inode->self != kernel_entry(parent.inode, t.dir_name);
	if (names_rename(&the_world, parent, t.dir_name, parent, target_new_name("moved"),
			 RENAME_NEW) < 0)
		return;
	switch (choose(4)) {
	case 1:
		(void)make_directory(parent, t.dir_name);
		break;
	case 2: {
		struct inode *link = NULL;

		(void)names_make(&the_world, parent, t.dir_name, INODE_SYMLINK, 0777, &link);
		if (link)
			link->target = t.linked;
		break;
	}
	case 3:
		(void)names_make(&the_world, parent, t.dir_name, INODE_FILE, 0644, NULL);
		break;
	default:
		break;
	}
}

/* What was moved away, or another of its kind, comes (back) to its name. */
void adversary_move_directory_back(void)
{
	struct target t;
	struct spot parent;
	struct entry *e;

	(void)target_aim(&t);
	if (kernel_walk(&the_world, t.parent, &parent) < 0)
		return;
	e = kernel_entry(parent.inode, t.dir_name);
	if (e && e->inode->kind != INODE_DIRECTORY) {
		(void)names_unlink(&the_world, parent, t.dir_name, false);
		sim.unseen = true;
		e = NULL;
	}
	if (e)
		return;
	for (e = parent.inode->entries; e; e = e->next)
		if (strncmp(e->name, "moved.", 6) == 0) {
			(void)names_rename(&the_world, parent, e->name, parent, t.dir_name,
					   RENAME_NEW);
			return;
		}
	(void)make_directory(parent, t.dir_name);
}

void adversary_change_directory_rights(void)
{
	static const uint32_t modes[] = { 0755, 0, 0555, 0700, 01777 };
	struct target t;

	if (target_aim(&t))
		(void)names_chmod(&the_world, t.dir.inode, modes[choose(5)]);
}

/* To stat() two mounts of one directory are one. */
static bool is_mounted(const struct inode *root)
{
	for (unsigned i = 1; i < kernel.mount_count; i++)
		if (kernel.mounts[i].attached && kernel.mounts[i].root == root)
			return true;
	return false;
}

void adversary_mount_over(void)
{
	struct target t;
	struct spot root = { 0 }, parent;
	struct inode *fresh;

	if (!target_aim(&t) || kernel_walk(&the_world, t.parent, &parent) < 0 ||
	    kernel.mount_count + 8 > MOUNTS_MAX || kernel.filesystem_count + 2 > FILESYSTEMS_MAX)
		return;
	if (choose(3) == 2) {
		if (kernel_walk(&the_world, t.bound, &root) < 0 || is_mounted(root.inode))
			return;
	} else {
		fresh = kernel_inode(kernel_filesystem(), INODE_DIRECTORY, &the_world, 0755);
		fresh->nlink = 1;
		fresh->uid = fresh->gid = sim.profile.uid;
		root.inode = fresh;
	}
	(void)names_mount(&the_world, root, parent, t.dir_name);
}

/* A file, or somebody's socket, is mounted over the path. */
void adversary_mount_over_path(void)
{
	struct target t;
	struct spot file;

	if (target_entry(&t) && kernel.mount_count + 8 < MOUNTS_MAX &&
	    kernel_walk(&the_world, "/bound/file", &file) == 0)
		(void)names_mount(&the_world, file, t.dir, t.name);
}

void adversary_unmount(void)
{
	for (unsigned i = kernel.mount_count; i-- > 1;) {
		struct mount *m = &kernel.mounts[i];

		if (!m->attached || m->maker != 0 || choose(2))
			continue;
		m->attached = false;
		kernel_release(m->root);
		notify_mounts();
		return;
	}
}

void adversary_change_mount(void)
{
	struct target t;

	if (!target_aim(&t))
		return;
	sim.unseen = true;
	if (choose(2))
		t.dir.mount->read_only = !t.dir.mount->read_only;
	else
		t.dir.inode->fs->full = !t.dir.inode->fs->full;
}

/* Something that is not ours stands where the anchors should be. */
void adversary_forge_anchors(void)
{
	struct target t;
	char name[32];
	struct inode *made = NULL;
	struct spot there;

	(void)snprintf(name, sizeof(name), ".kedge-%u", sim.profile.uid);
	if (!target_aim(&t) || kernel_lookup(&the_world, t.dir, name, &there) < 0)
		return;
	if (there.inode)
		(void)names_rename(&the_world, t.dir, name, t.dir, target_new_name("anchors"),
				   RENAME_NEW);
	if (names_make(&the_world, t.dir, name, choose(3) ? INODE_DIRECTORY : INODE_SYMLINK, 0700,
		       &made) < 0)
		return;
	made->target = "/elsewhere";
	if (made->kind == INODE_DIRECTORY && choose(2))
		made->uid = sim.profile.uid;
}
