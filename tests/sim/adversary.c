/*
 * The world: sweepers, movers, mounters, strangers that bind, and clients.
 * A table; each step does what it can where things are as they are, or nothing.
 */
#include <stdio.h>
#include <string.h>

#include "target.h"

static void unlink_path(void)
{
	struct target t;

	if (target_entry(&t) && t.entry->inode->kind != INODE_DIRECTORY)
		(void)names_unlink(&the_world, t.dir, t.name, choose(2) == 1);
}

static void rename_path(void)
{
	struct target t;

	if (target_entry(&t))
		(void)names_rename(&the_world, t.dir, t.name, t.dir, target_new_name("gone"),
				   RENAME_NEW);
}

/* Two guarded names change places. */
static void swap_paths(void)
{
	struct target t;

	if (target_entry(&t) && kernel_entry(t.dir.inode, "t") && !kernel.no_swap)
		(void)names_rename(&the_world, t.dir, "s", t.dir, "t", RENAME_BOTH);
}

/* Put what was prepared under another name at the path, over what is there. */
static void put(const struct target *t, const char *prepared)
{
	if (t->entry && t->entry->inode->kind == INODE_DIRECTORY)
		(void)names_unlink(&the_world, t->dir, prepared, false);
	else if (names_rename(&the_world, t->dir, prepared, t->dir, t->name, RENAME_OVER) < 0)
		(void)names_unlink(&the_world, t->dir, prepared, false);
}

static void put_file(void)
{
	struct target t;
	struct inode *made = NULL;
	const char *name = target_new_name("new");

	if (!target_aim(&t))
		return;
	if (names_make(&the_world, t.dir, name, choose(2) ? INODE_SYMLINK : INODE_FILE, 0644,
		       &made) < 0)
		return;
	made->target = "/elsewhere";
	put(&t, name);
}

static void put_directory(void)
{
	struct target t;

	if (!target_aim(&t))
		return;
	if (t.entry && t.entry->inode->kind != INODE_DIRECTORY)
		(void)names_unlink(&the_world, t.dir, t.name, false);
	(void)names_make(&the_world, t.dir, t.name, INODE_DIRECTORY, 0755, NULL);
}

static struct socket *put_socket(void)
{
	const struct actor same = { sim.profile.uid, 0 };
	const struct actor *who = choose(2) ? &same : &the_world;
	struct target t;
	struct socket *s;
	const char *name = target_new_name("new");

	if (!target_aim(&t))
		return NULL;
	/* A plain server removes what is there, and binds; others rename over it. */
	if (t.entry && choose(2) && t.entry->inode->kind != INODE_DIRECTORY &&
	    names_unlink(&the_world, t.dir, t.name, false) == 0)
		t.entry = NULL;
	if (!t.entry)
		name = t.name;
	if (socket_bind(who, t.dir, name, 0, choose(2) ? 0600 : 0666, &s) < 0)
		return NULL;
	if (t.entry)
		put(&t, name);
	return s;
}

static void put_stale(void)
{
	struct socket *s = put_socket();

	if (s)
		socket_close(s);
}

static void put_live(void)
{
	struct socket *s = put_socket();

	if (!s)
		return;
	s->listening = choose(4) != 3;
	s->backlog = choose(2) ? 16 : 0;
}

static void close_strangers(void)
{
	unsigned skip = choose(2);

	for (unsigned i = kernel.socket_count; i-- > 0;) {
		struct socket *s = &kernel.sockets[i];

		if (s->maker == 0 && s->refs == 1 && !s->inherited && !process_of(s) &&
		    s->inode->socket == s) {
			/* A server's own listener is a file of its process. */
			bool owned = false;

			for (int p = 0; p < PROCESSES_MAX && !owned; p++)
				for (int fd = 0; fd < FDS_MAX && !owned; fd++)
					owned = sim.guards[p].os.files[fd].socket == s;
			if (!owned && skip-- == 0) {
				socket_close(s);
				return;
			}
		}
	}
}

bool adversary_end_children(void)
{
	bool any = false;

	for (unsigned i = 0; i < kernel.socket_count; i++) {
		struct socket *s = &kernel.sockets[i];

		any |= s->inherited;
		if (s->inherited)
			socket_close(s);
		s->inherited = false;
	}
	return any;
}

static void end_children(void)
{
	(void)adversary_end_children();
}

/* Bind, then listen: now it listens. */
static void strangers_listen(void)
{
	for (unsigned i = 0; i < kernel.socket_count; i++)
		if (kernel.sockets[i].maker == 0 && kernel.sockets[i].refs)
			kernel.sockets[i].listening = true;
}

static void clear_path(void)
{
	struct target t;

	if (target_entry(&t) && t.entry->inode->maker == 0)
		target_remove_tree(t.dir, t.name, 0);
}

static void change_rights(void)
{
	static const uint32_t modes[] = { 0600, 0, 0644, 0777 };
	struct target t;

	if (!target_entry(&t) || t.entry->inode->kind != INODE_SOCKET)
		return;
	sim.swept = true;
	if (choose(3) == 2)
		(void)names_chown(&the_world, t.entry->inode, 55, 55);
	else
		(void)names_chmod(&the_world, t.entry->inode, modes[choose(4)]);
}

static void connect_client(void)
{
	struct target t;
	struct socket *s;

	if (target_entry(&t) &&
	    socket_connect(&the_world, kernel_across(t.dir.mount, t.entry), 0, &s) == 0) {
		s->published = true;
		s->queued++;
	}
}

/* Whoever waits in the queue of a listener that is lost with all its names is not lost. */
static void connect_and_remove(void)
{
	connect_client();
	adversary_remove_directory();
}

/* A container has the inode of a listener mounted: it knows no path. */
static void connect_to_inode(void)
{
	unsigned skip = choose(4);

	for (unsigned i = kernel.socket_count; i-- > 0;) {
		struct socket *s = &kernel.sockets[i];

		if (s->published && s->refs && s->listening && !s->shut && skip-- == 0) {
			if (s->queued <= s->backlog)
				s->queued++;
			return;
		}
	}
}

static void shut_listener_down(void)
{
	struct target t;

	if (target_entry(&t) && t.entry->inode->socket && process_of(t.entry->inode->socket)) {
		t.entry->inode->socket->shut = true;
		sim.unseen = true;
	}
}

static void link_elsewhere(void)
{
	struct target t;

	if (target_entry(&t) && t.entry->inode->kind == INODE_SOCKET)
		(void)names_link(&the_world, (struct spot){ t.dir.mount, t.entry->inode }, t.dir,
				 target_new_name("link"));
}

static void limit_watches(void)
{
	kernel.watch_room = choose(2) ? 3 : WATCHES_MAX;
}

static void wait_a_little(void)
{
	kernel.now_ns += NSEC_PER_MSEC * (1 + choose(30));
}

struct step {
	const char *name;
	unsigned weight;
	void (*take)(void);
	bool leads_elsewhere; /* the path then names another directory */
};

/* In a restless world such steps are so much more frequent. */
#define RESTLESS 8

static const struct step steps[] = {
	{ "nothing", 1, wait_a_little },
	{ "unlink the path", 14, unlink_path },
	{ "rename the path", 6, rename_path },
	{ "swap two paths", 2, swap_paths },
	{ "unlink an anchor", 8, adversary_unlink_anchor },
	{ "move an anchor out", 3, adversary_move_anchor_out },
	{ "rm -rf the anchors", 3, adversary_remove_anchors },
	{ "rm -rf the directory", 4, adversary_remove_directory },
	{ "move the directory", 4, adversary_move_directory, true },
	{ "move a directory back", 4, adversary_move_directory_back },
	{ "put a file", 5, put_file },
	{ "put a directory", 3, put_directory },
	{ "put a stale socket", 7, put_stale },
	{ "put a live socket", 7, put_live },
	{ "close a stranger", 8, close_strangers },
	{ "strangers listen", 3, strangers_listen },
	{ "children of servers end", 3, end_children },
	{ "clear the path", 5, clear_path },
	{ "change rights", 4, change_rights },
	{ "change rights of the directory", 2, adversary_change_directory_rights },
	{ "mount over the directory", 4, adversary_mount_over, true },
	{ "mount over the path", 3, adversary_mount_over_path },
	{ "unmount", 4, adversary_unmount },
	{ "read-only, or full", 2, adversary_change_mount },
	{ "a client connects", 8, connect_client },
	{ "a client connects, and all is removed", 2, connect_and_remove },
	{ "a client connects to an inode", 3, connect_to_inode },
	{ "the server shuts its listener down", 2, shut_listener_down },
	{ "link the socket elsewhere", 2, link_elsewhere },
	{ "forge the anchor directory", 2, adversary_forge_anchors },
	{ "limit watches", 1, limit_watches },
};

void adversary_step(void)
{
	unsigned weights[sizeof(steps) / sizeof(steps[0])];
	unsigned count = sizeof(steps) / sizeof(steps[0]), i;

	for (i = 0; i < count; i++)
		weights[i] = steps[i].weight *
			     (sim.profile.restless && steps[i].leads_elsewhere ? RESTLESS : 1);
	i = choose_weighted(weights, count);
	trace("the world: %s", steps[i].name);
	sim.disturbances++;
	steps[i].take();
}

void adversary_rest(void)
{
	for (unsigned i = 0; i < kernel.mount_count; i++)
		kernel.mounts[i].read_only = false;
	for (unsigned i = 0; i < kernel.filesystem_count; i++)
		kernel.filesystems[i].full = false;
	kernel.watch_room = WATCHES_MAX;
	kernel_settle_all();
}
