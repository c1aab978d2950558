/*
 * Directories, names, watches and mounts.
 */
#include <errno.h>
#include <stdio.h>

#include "call.h"

/* Names that a listing has room for. */
#define LISTED_MAX 64

static const int errors_open[] = { -EMFILE, -ENFILE, -ENOMEM, -EIO, -EACCES, 0 };
static const int errors_stat[] = { -EIO, -ENOMEM, -EACCES, 0 };
static const int errors_make[] = { -ENOSPC, -EDQUOT, -EROFS, -EACCES, -ENOMEM, -EIO, -EMLINK, 0 };
static const int errors_link[] = { -ENOSPC, -EDQUOT, -EROFS, -EACCES, -EPERM,
				   -EMLINK, -ENOMEM, -EIO,   0 };
static const int errors_remove[] = { -EROFS, -EACCES, -EPERM, -EBUSY, -EIO, -ENOMEM, 0 };
static const int errors_rename[] = { -ENOSPC, -EROFS, -EACCES, -EPERM, -EIO, -EDQUOT, -ENOMEM, 0 };
static const int errors_rights[] = { -EPERM, -EROFS, -EIO, -ENOENT, 0 };
static const int errors_mount_id[] = { -EOPNOTSUPP, -ENOMEM, -EACCES, 0 };
static const int errors_watch[] = { -ENOSPC, -EMFILE, -ENOMEM, -EACCES, 0 };

static int open_spot(struct guard_process *g, int r, struct spot at)
{
	if (r < 0)
		return r;
	if (!at.inode)
		return -ENOENT;
	return files_open(&g->os, at);
}

static int open_dir(struct guard_process *g, int r, struct spot at)
{
	if (r == 0 && at.inode && at.inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	return open_spot(g, r, at);
}

static int port_dir_open(void *ctx, const char *path)
{
	struct guard_process *g = ctx;
	struct spot at = { 0 };

	return CALL(g, "dir_open", path, errors_open, false,
		    open_dir(g, kernel_walk(&g->os.actor, path, &at), at));
}

static int port_dir_open_private(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;
	struct spot at = { 0 };

	return CALL(g, "dir_open_private", name, errors_open, false,
		    open_dir(g, kernel_lookup(&g->os.actor, call_dir(g, dir), name, &at), at));
}

static int dir_stat(struct guard_process *g, const char *path, struct node *ret)
{
	struct spot at;
	int r = kernel_walk(&g->os.actor, path, &at);

	if (r < 0)
		return r;
	if (at.inode->kind != INODE_DIRECTORY)
		return -ENOTDIR;
	*ret = kernel_node(at.inode);
	return 0;
}

static int port_dir_stat(void *ctx, const char *path, struct node *ret)
{
	struct guard_process *g = ctx;

	return CALL(g, "dir_stat", path, errors_stat, false, dir_stat(g, path, ret));
}

static int port_dir_make(void *ctx, int dir, const char *name, uint32_t mode)
{
	struct guard_process *g = ctx;

	return CALL(g, "dir_make", name, errors_make, true,
		    names_make(&g->os.actor, call_dir(g, dir), name, INODE_DIRECTORY, mode, NULL));
}

static int port_dir_remove(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "dir_remove", name, errors_remove, true,
		    (foul_rmdir(g, call_dir(g, dir), name),
		     names_rmdir(&g->os.actor, call_dir(g, dir), name)));
}

static int list_names(struct guard_process *g, int fd, void (*each)(const char *, void *),
		      void *userdata)
{
	struct spot dir = call_dir(g, fd);
	char names[LISTED_MAX][NAME_BYTES];
	unsigned count = 0;

	if (!kernel_may(&g->os.actor, dir.inode, 4))
		return -EACCES;
	for (const struct entry *e = dir.inode->entries; e && count < LISTED_MAX; e = e->next)
		(void)snprintf(names[count++], NAME_BYTES, "%s", e->name);
	for (unsigned i = 0; i < count; i++)
		each(names[i], userdata);
	return 0;
}

static int port_list(void *ctx, int dir, void (*each)(const char *name, void *userdata),
		     void *userdata)
{
	struct guard_process *g = ctx;

	return CALL(g, "list", "", errors_open, false, list_names(g, dir, each, userdata));
}

static int stat_name(struct guard_process *g, int dir, const char *name, struct node *ret)
{
	struct spot at;
	int r = kernel_lookup(&g->os.actor, call_dir(g, dir), name, &at);

	*ret = r == 0 && at.inode ? kernel_node(at.inode) : (struct node){ 0 };
	return r;
}

static int port_stat(void *ctx, int dir, const char *name, struct node *ret)
{
	struct guard_process *g = ctx;

	*ret = (struct node){ 0 };
	g->looked = sim.disturbances;
	foul_seen(g, call_dir(g, dir), name);
	return CALL(g, "stat", name, errors_stat, false, stat_name(g, dir, name, ret));
}

static int stat_fd(struct guard_process *g, int fd, struct node *ret)
{
	*ret = kernel_node(call_dir(g, fd).inode);
	return 0;
}

static int port_stat_fd(void *ctx, int fd, struct node *ret)
{
	struct guard_process *g = ctx;

	return CALL(g, "stat_fd", "", errors_stat, false, stat_fd(g, fd, ret));
}

static int link_name(struct guard_process *g, int from, const char *from_name, int dir,
		     const char *name)
{
	struct spot at;
	int r = kernel_lookup(&g->os.actor, call_dir(g, from), from_name, &at);

	if (r < 0)
		return r;
	return at.inode ? names_link(&g->os.actor, at, call_dir(g, dir), name) : -ENOENT;
}

static int port_link(void *ctx, int from, const char *from_name, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "link", name, errors_link, true, link_name(g, from, from_name, dir, name));
}

static int port_link_fd(void *ctx, int handle, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "link_fd", name, errors_link, true,
		    names_link(&g->os.actor, call_dir(g, handle), call_dir(g, dir), name));
}

static int port_rename(void *ctx, int from, const char *from_name, int dir, const char *name,
		       enum rename_how how)
{
	struct guard_process *g = ctx;
	struct spot a = call_dir(g, from), b = call_dir(g, dir);

	trace("  %d: %s to", g->index, from_name);
	return CALL(g, how == RENAME_SWAP ? "swap" : "rename", name, errors_rename, true,
		    (foul_rename(g, a, from_name, b, name, how),
		     names_rename(&g->os.actor, a, from_name, b, name,
				  how == RENAME_SWAP ? RENAME_BOTH : RENAME_NEW)));
}

static int port_unlink(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "unlink", name, errors_remove, true,
		    (foul_unlink(g, call_dir(g, dir), name),
		     names_unlink(&g->os.actor, call_dir(g, dir), name, false)));
}

static int port_set_mode(void *ctx, int fd, uint32_t mode)
{
	struct guard_process *g = ctx;
	struct inode *inode = call_dir(g, fd).inode;

	return CALL(g, "set_mode", "", errors_rights, true,
		    (foul_rights(g, inode), names_chmod(&g->os.actor, inode, mode)));
}

static int port_set_owner(void *ctx, int fd, uint32_t uid, uint32_t gid)
{
	struct guard_process *g = ctx;
	struct inode *inode = call_dir(g, fd).inode;

	return CALL(g, "set_owner", "", errors_rights, true,
		    (foul_rights(g, inode), names_chown(&g->os.actor, inode, uid, gid)));
}

static int port_handle_open(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;
	struct spot at = { 0 };

	return CALL(g, "handle_open", name, errors_open, false,
		    open_spot(g, kernel_lookup(&g->os.actor, call_dir(g, dir), name, &at), at));
}

static int port_close(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	(void)call_enter(g, "close", NULL, false);
	foul_close(g, fd);
	if (files_close(&g->os, fd) < 0)
		sim_fail("descriptor %d is closed, and is none", fd);
	return 0;
}

static int port_watch(void *ctx, int fd, enum watch_what what)
{
	struct guard_process *g = ctx;

	return CALL(g, "watch", "", errors_watch, false,
		    notify_watch(&g->os, call_dir(g, fd).inode, what == WATCH_ENTRIES));
}

static int port_unwatch(void *ctx, int watch)
{
	struct guard_process *g = ctx;

	(void)call_enter(g, "unwatch", NULL, false);
	return call_leave(g, "unwatch", "", notify_unwatch(&g->os, watch));
}

static int port_mount_over(void *ctx, int handle, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "mount_over", name, errors_remove, false,
		    (foul_mount(g, call_dir(g, dir), name),
		     names_mount(&g->os.actor, call_dir(g, handle), call_dir(g, dir), name)));
}

static int port_mount_point_make(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "mount_point_make", name, errors_make, false,
		    g->os.actor.uid ? -EPERM
				    : names_make(&g->os.actor, call_dir(g, dir), name, INODE_SOCKET,
						 0600, NULL));
}

static int port_unmount(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "unmount", name, errors_remove, false,
		    (foul_unmount(g, call_dir(g, dir), name),
		     names_unmount(&g->os.actor, call_dir(g, dir), name)));
}

static int mount_id(struct guard_process *g, int dir, const char *name, uint64_t *ret)
{
	struct spot in = call_dir(g, dir);
	struct entry *e = kernel_entry(in.inode, name);

	if (!e)
		return -ENOENT;
	/* A mount in memory is never forgotten, so its place in the list is no other's. */
	*ret = (uint64_t)(kernel_across(in.mount, e).mount - kernel.mounts) + 1;
	return 0;
}

static int port_mount_id(void *ctx, int dir, const char *name, uint64_t *ret)
{
	struct guard_process *g = ctx;

	return CALL(g, "mount_id", name, errors_mount_id, false, mount_id(g, dir, name, ret));
}

void ports_of_files(struct guard_ports *ports)
{
	ports->dir_open = port_dir_open;
	ports->dir_open_private = port_dir_open_private;
	ports->dir_stat = port_dir_stat;
	ports->dir_make = port_dir_make;
	ports->dir_remove = port_dir_remove;
	ports->list = port_list;
	ports->stat = port_stat;
	ports->stat_fd = port_stat_fd;
	ports->link = port_link;
	ports->link_fd = port_link_fd;
	ports->rename = port_rename;
	ports->unlink = port_unlink;
	ports->set_mode = port_set_mode;
	ports->set_owner = port_set_owner;
	ports->handle_open = port_handle_open;
	ports->close = port_close;
	ports->watch = port_watch;
	ports->unwatch = port_unwatch;
	ports->mount_over = port_mount_over;
	ports->mount_point_make = port_mount_point_make;
	ports->unmount = port_unmount;
	ports->mount_id = port_mount_id;
}
