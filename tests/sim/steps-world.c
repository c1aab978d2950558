/* What the world does, and what can be seen of it: see steps.h. */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "call.h"
#include "steps.h"

#define ME (&sim.guards[0])

static void must(int r)
{
	if (r < 0)
		sim_fail("the world cannot do that: %s", strerror(-r));
}

/* The directory of @path; @ret_name: its last component. */
static struct spot directory_of(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char directory[256];
	struct spot spot;

	(void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
	must(kernel_walk(&the_world, directory, &spot));
	kernel_settle(spot.inode);
	*ret_name = slash + 1;
	return spot;
}

struct inode *world_at(const char *path)
{
	const char *name;
	struct spot at, dir = directory_of(path, &name);

	must(kernel_lookup(&the_world, dir, name, &at));
	return at.inode;
}

void world_unlink(const char *path)
{
	const char *name;
	struct spot dir = directory_of(path, &name);

	must(names_unlink(&the_world, dir, name, false));
}

void world_rename(const char *from, const char *to)
{
	const char *from_name, *to_name;
	struct spot a = directory_of(from, &from_name), b = directory_of(to, &to_name);

	must(names_rename(&the_world, a, from_name, b, to_name, RENAME_OVER));
}

void world_mkdir(const char *path, uint32_t mode, uint32_t uid)
{
	const char *name;
	struct spot dir = directory_of(path, &name);
	struct inode *made;

	must(names_make(&the_world, dir, name, INODE_DIRECTORY, mode, &made));
	made->uid = made->gid = uid;
}

void world_symlink(const char *path, const char *target)
{
	const char *name;
	struct spot dir = directory_of(path, &name);
	struct inode *made;

	must(names_make(&the_world, dir, name, INODE_SYMLINK, 0777, &made));
	made->target = target;
}

void world_file(const char *path)
{
	const char *name;
	struct spot dir = directory_of(path, &name);

	must(names_make(&the_world, dir, name, INODE_FILE, 0600, NULL));
}

struct socket *world_socket(const char *path)
{
	const char *name;
	struct spot dir = directory_of(path, &name);
	struct socket *s;

	must(socket_bind(&the_world, dir, name, 0, 0777, &s));
	s->listening = true;
	s->backlog = 16;
	return s;
}

void world_close(struct socket *s)
{
	socket_close(s);
}

void world_stale(const char *path)
{
	socket_close(world_socket(path));
}

static void remove_below(struct spot dir)
{
	for (struct entry *e = dir.inode->entries, *next; e; e = next) {
		next = e->next;
		if (e->inode->kind == INODE_DIRECTORY) {
			remove_below((struct spot){ dir.mount, e->inode });
			must(names_rmdir(&the_world, dir, e->name));
		} else {
			must(names_unlink(&the_world, dir, e->name, false));
		}
	}
}

void world_remove(const char *path)
{
	const char *name;
	struct spot at, dir = directory_of(path, &name);

	must(kernel_lookup(&the_world, dir, name, &at));
	remove_below(at);
	must(names_rmdir(&the_world, dir, name));
}

void world_sweep(const char *directory)
{
	struct spot dir;

	if (kernel_walk(&the_world, directory, &dir) < 0)
		return;
	kernel_settle(dir.inode);
	for (struct entry *e = dir.inode->entries, *next; e; e = next) {
		next = e->next;
		if (e->inode->kind == INODE_SOCKET)
			must(names_unlink(&the_world, dir, e->name, false));
	}
}

void world_bind(const char *from, const char *to)
{
	const char *from_name, *to_name;
	struct spot at, a = directory_of(from, &from_name), b = directory_of(to, &to_name);

	must(kernel_lookup(&the_world, a, from_name, &at));
	must(names_mount(&the_world, at, b, to_name));
}

void world_mount(const char *path)
{
	const char *name;
	struct spot dir = directory_of(path, &name), root = { 0 };
	struct inode *old = world_at(path);

	root.inode = kernel_inode(kernel_filesystem(), INODE_DIRECTORY, &the_world, 0755);
	root.inode->nlink = 1;
	root.inode->uid = root.inode->gid = old->uid;
	must(names_mount(&the_world, root, dir, name));
}

void world_unmount(const char *path)
{
	const char *name;
	struct spot dir = directory_of(path, &name);

	must(names_unmount(&the_world, dir, name));
}

void world_chmod(const char *path, uint32_t mode)
{
	must(names_chmod(&the_world, world_at(path), mode));
}

void world_chown(const char *path, uint32_t uid, uint32_t gid)
{
	must(names_chown(&the_world, world_at(path), uid, gid));
}

int own_socket(const char *path)
{
	const struct actor server = { ME->os.actor.uid, 0 };
	const char *name;
	struct spot dir = directory_of(path, &name);
	struct socket *s;
	int fd;

	must(socket_bind(&server, dir, name, 0, 0600, &s));
	s->listening = true;
	s->backlog = 16;
	fd = files_open_socket(&ME->os, s);
	must(fd);
	ME->os.files[fd].own = true;
	return fd;
}

struct socket *world_at_fd(int fd)
{
	return call_socket(ME, fd);
}

void own_close(int fd)
{
	must(files_close(&ME->os, fd));
}

bool is_reachable(const struct guarded *g, const char *path)
{
	const struct file *f = files_get(&ME->os, g->current->fd);

	return f && f->kind == FILE_SOCKET && world_at(path) == f->socket->inode &&
	       f->socket->listening && !f->socket->shut;
}

int names_in(const char *path)
{
	struct spot at;
	int count = 0;

	if (kernel_walk(&the_world, path, &at) < 0)
		return -1;
	kernel_settle(at.inode);
	for (const struct entry *e = at.inode->entries; e; e = e->next)
		count++;
	return count;
}
