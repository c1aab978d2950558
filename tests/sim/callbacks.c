/*
 * The owner of a guard: starts and stops it, also from within its callbacks,
 * makes listeners of its own, and accepts whoever waits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

const char *const sim_paths[PATHS_MAX] = { "/run/a/s", "/run/a/t", "/run/b/c/s" };

enum first { FIRST_MADE, FIRST_ADOPTED };

struct variant {
	enum first first;
	enum kedge_keep keep;
	enum kedge_at_close at_close;
	int backlog;
	bool creates; /* the owner makes the listeners */
	bool gives_away;
};

static const struct variant variants[] = {
	{ FIRST_MADE, .backlog = 16 },
	{ FIRST_MADE, .backlog = 16 },
	{ FIRST_MADE, .backlog = 1 },
	{ FIRST_MADE, .keep = KEDGE_KEEP_ALWAYS, .backlog = 16 },
	{ FIRST_MADE, .keep = KEDGE_KEEP_NEVER, .backlog = 16 },
	{ FIRST_MADE, .creates = true, .backlog = 16 },
	{ FIRST_MADE, .gives_away = true, .backlog = 16 },
	{ FIRST_ADOPTED, .backlog = 16 },
	{ FIRST_ADOPTED, .keep = KEDGE_KEEP_ALWAYS, .backlog = 16 },
	{ FIRST_ADOPTED, .at_close = KEDGE_AT_CLOSE_REMOVE, .backlog = 16 },
};

#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct guarded *callbacks_find(const struct guard_process *g, int path)
{
	return g->engine_up ? engine_find(&g->engine, sim_paths[path]) : NULL;
}

/* A listener of the server's own. It is the world's as far as the guard goes. */
static int own_listener(struct guard_process *g, struct spot dir, const char *name,
			const struct actor *maker, unsigned backlog)
{
	struct socket *s;
	int fd, r = socket_bind(maker, dir, name, 0, 0600, &s);

	if (r < 0)
		return r;
	s->listening = true;
	s->backlog = backlog;
	fd = files_open_socket(&g->os, s);
	if (fd >= 0)
		g->os.files[fd].own = true;
	return fd;
}

/* It is passed in, by whoever has had it since before a guard of it was killed. */
static int take_own(struct guard_process *g, int path)
{
	struct spot at;
	struct socket *s;
	int fd;

	if (kernel_walk(&the_world, sim_paths[path], &at) < 0 || at.inode->kind != INODE_SOCKET)
		return -ENOENT;
	s = at.inode->socket;
	if (!s || !s->inherited)
		return -ENOENT;
	/* Two that guard one listener are not told apart. */
	if (process_of(s))
		return -EADDRINUSE;
	fd = files_open_socket(&g->os, s);
	if (fd >= 0) {
		s->refs++;
		g->os.files[fd].own = true;
		/* Whoever made it: from now on it is the server's. */
		s->maker = s->inode->maker = 0;
	}
	return fd;
}

static int make_own(struct guard_process *g, int path)
{
	const struct actor server = { g->os.actor.uid, 0 };
	char directory[NAME_BYTES];
	struct spot dir;
	int r;

	(void)snprintf(directory, sizeof(directory), "%s", sim_paths[path]);
	*strrchr(directory, '/') = '\0';
	r = kernel_walk(&server, directory, &dir);
	return r < 0 ? r : own_listener(g, dir, strrchr(sim_paths[path], '/') + 1, &server, 16);
}

/* Something that the owner does from within a callback, seldom. */
static void act_within(struct guard_process *g)
{
	if (sim.calm || !sim.callback_gap || g->op == OP_DEINIT || g->op == OP_ABANDON ||
	    --sim.callback_gap > 0)
		return;
	sim.callback_gap = choose_gap(sim.profile.callback_gap_max);
	switch (choose(4)) {
	case 0:
		engine_run(&g->engine);
		break;
	case 1:
		trace("  %d: from the callback: close", g->index);
		callbacks_close(g, (int)choose(PATHS_MAX));
		break;
	case 2:
		trace("  %d: from the callback: add", g->index);
		(void)callbacks_add(g, (int)choose(PATHS_MAX), choose(VARIANTS));
		break;
	default:
		trace("  %d: from the callback: close, and add again", g->index);
		callbacks_close(g, g->path);
		(void)callbacks_add(g, g->path, choose(VARIANTS));
	}
}

int callbacks_create(const char *bind_path, void *userdata)
{
	struct guard_process *g = userdata;
	const char *name = strchr(bind_path, '/') + 1;
	const struct file *dir = files_get(&g->os, atoi(bind_path));

	act_within(g);
	return own_listener(g, dir->spot, name, &g->os.actor, 16);
}

int callbacks_add(struct guard_process *g, int path, unsigned variant)
{
	const struct variant *v = &variants[variant % VARIANTS];
	struct listen_config config = {
		.spec = { .backlog = v->backlog, .mode = 0600 },
		.keep = v->keep,
		.at_close = v->at_close,
		.set_owner = v->gives_away && g->os.actor.uid == 0,
		.uid = 77,
		.gid = 77,
		.create = v->creates ? callbacks_create : NULL,
		.userdata = g,
	};
	struct kedge_error error = { 0 };
	struct guarded *guarded;
	int fd = -1, r;

	if (callbacks_find(g, path))
		return -EEXIST;
	if (v->first == FIRST_ADOPTED) {
		fd = take_own(g, path);
		if (fd == -ENOENT)
			fd = make_own(g, path);
		if (fd < 0)
			return fd;
	}
	g->stopping++;
	r = engine_add(&g->engine, sim_paths[path], &config, fd, &guarded, &error);
	g->stopping--;
	trace("  %d: add %s = %d", g->index, sim_paths[path], r);
	return r;
}

void callbacks_close(struct guard_process *g, int path)
{
	struct guarded *guarded = callbacks_find(g, path);

	if (!guarded)
		return;
	g->stopping++;
	guarded_stop(guarded);
	g->stopping--;
}

void callbacks_event(const struct kedge_event *event, void *userdata)
{
	struct guard_process *g = userdata;

	trace("  %d: event %d, cause %d, error %d, %s %s", g->index, (int)event->kind,
	      (int)event->cause, event->error, event->path, event->detail);
	if (g->abandoning)
		sim_fail("a child tells of events");
	act_within(g);
}

void callbacks_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct guard_process *g = userdata;
	const struct file *f = files_get(&g->os, new_fd >= 0 ? new_fd : old_fd);

	trace("  %d: listener of %s: new %d, old %d", g->index, path, new_fd, old_fd);
	if (!f || f->kind != FILE_SOCKET)
		sim_fail("the owner is told of descriptor %d, which is no socket",
			 new_fd >= 0 ? new_fd : old_fd);
	/* Whoever is in the queue of what is let go is accepted in the callback. */
	if (new_fd < 0)
		f->socket->queued = 0;
	act_within(g);
}

static void accept_all(struct guard_process *g, const struct listener *l)
{
	const struct file *f = l ? files_get(&g->os, l->fd) : NULL;

	if (f && f->kind == FILE_SOCKET && l->announced)
		f->socket->queued = 0;
}

void callbacks_accept(struct guard_process *g)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		struct guarded *guarded = callbacks_find(g, i);

		if (!guarded)
			continue;
		accept_all(g, guarded->current);
		list_for_each (it, &guarded->retired)
			accept_all(g, list_entry(it, struct listener, link));
	}
}
