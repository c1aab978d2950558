/*
 * Publishing: how a listener comes to its path, and leaves it.
 *
 * A listener is complete before anybody can see it, and one call makes its
 * path: a client finds a working listener or none. Nothing is removed or
 * replaced by name alone: it is renamed to a private name first, looked at
 * there, and put back if it is not what was judged.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guard/engine.h"

/* Names NAME.displaced.1 to .999 are tried; beyond that somebody should tidy up. */
#define ASIDE_NAMES_MAX 999

/* Is @node what stands under the private name? */
static bool spare_is(const struct guarded *g, const struct spare *at, const struct node *node)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;

	return p->stat(p->ctx, at->dir, at->name.text, &there) == 0 && node_same(&there, node);
}

static bool is_at_path(const struct guarded *g, const struct node *node)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;

	return p->stat(p->ctx, g->place->fd, g->name, &there) == 0 && node_same(&there, node);
}

/* The current listener has its name at the path. */
static void note_published(struct guarded *g)
{
	struct listener *c = g->current;

	c->draft = false;
	c->published = true;
	/* Its other names are its owner's. */
	if (!c->made)
		listener_put_in(c, &g->place->node);
}

int publish_link(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	const struct listener *c = g->current;
	struct spare at = guarded_spare(g, c->home, c->generation, "");
	int r = -ENOENT;
	bool renamed = false;

	if (c->draft)
		r = p->rename(p->ctx, at.dir, at.name.text, g->place->fd, g->name, RENAME_TO_FREE);
	else if (c->home && spare_is(g, &at, &c->node))
		r = p->link(p->ctx, at.dir, at.name.text, g->place->fd, g->name);
	renamed = r == 0 && c->draft;
	/* The anchor went away, or was replaced, or a draft was given another name: any name
	 * of the inode will do. */
	if (r == -ENOENT)
		r = p->link_fd(p->ctx, c->handle, g->place->fd, g->name);
	if (r == -EEXIST)
		return PUBLISH_TAKEN;
	/* A rename that was said to have failed may have been done. */
	if (r == -ENOENT && c->draft && is_at_path(g, &c->node)) {
		note_published(g);
		return PUBLISH_TAKEN;
	}
	/* Either end may be missing; which one shows in the next look. */
	if (r == -ENOENT)
		return c->draft ? -ESTALE : -EAGAIN;
	/* The path leads elsewhere than where the draft was made: its name is there still. */
	if (r == 0 && c->draft && !renamed)
		listener_remove_private(g->current, g);
	if (r == 0)
		note_published(g);
	return r;
}

/*
 * Rename what stands at dir/NAME to a private name of ours, in the same
 * directory where the anchors cannot take it: they are on another mount, or
 * were removed, or the disk is full.
 */
static int take_away(struct guarded *g, int dir, struct spare *ret)
{
	const struct guard_ports *p = g->engine->ports;
	int r = -EEXIST;

	for (int i = 0; i < SPARE_TRIES && r == -EEXIST; i++) {
		*ret = guarded_spare(g, g->place->anchors, guarded_next_generation(g), ".out");
		r = p->rename(p->ctx, dir, g->name, ret->dir, ret->name.text, RENAME_TO_FREE);
		if (r == 0 || r == -EEXIST || ret->dir == dir)
			continue;
		*ret = guarded_spare(g, NULL, g->generation, ".out");
		ret->dir = dir;
		r = p->rename(p->ctx, dir, g->name, dir, ret->name.text, RENAME_TO_FREE);
	}
	return r;
}

int publish_withdraw(struct guarded *g, int dir, const struct node *ours)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;
	struct spare at;
	int r = p->stat(p->ctx, dir, g->name, &there);

	if (r < 0 || there.kind == NODE_NONE)
		return r;
	if (!node_same(&there, ours))
		return -ESTALE;
	r = take_away(g, dir, &at);
	if (r < 0)
		return r;
	if (spare_is(g, &at, ours))
		return p->unlink(p->ctx, at.dir, at.name.text);
	/* It was replaced between the look and the rename: it goes back. */
	(void)p->rename(p->ctx, at.dir, at.name.text, dir, g->name, RENAME_TO_FREE);
	return -ESTALE;
}

/* Another name of the current listener, to be swapped with what is at the path. */
static int make_twin(struct guarded *g, struct spare *ret)
{
	const struct guard_ports *p = g->engine->ports;
	const struct listener *c = g->current;
	int r = -EEXIST;

	if (c->draft) {
		*ret = guarded_spare(g, NULL, c->generation, "");
		return 0;
	}
	for (int i = 0; i < SPARE_TRIES && r == -EEXIST; i++) {
		*ret = guarded_spare(g, g->place->anchors, guarded_next_generation(g), ".out");
		r = p->link_fd(p->ctx, c->handle, ret->dir, ret->name.text);
		/* The anchor directory was removed, or is full: beside the path, then. */
		if (r == 0 || r == -EEXIST || ret->dir == g->place->fd)
			continue;
		*ret = guarded_spare(g, NULL, g->generation, ".out");
		r = p->link_fd(p->ctx, c->handle, ret->dir, ret->name.text);
	}
	return r;
}

/* Where names cannot be swapped: remove the stale socket, and let a link follow. */
static int replace_in_two(struct guarded *g, const struct node *stale)
{
	int r = publish_withdraw(g, g->place->fd, stale);

	if (r == -ESTALE)
		return -EAGAIN;
	return r < 0 ? r : (publish_link(g) == PUBLISH_DONE ? 0 : -EAGAIN);
}

/* What came out is not what was judged: it goes back, also where ours is gone from there. */
static void swap_back(struct guarded *g, const struct spare *twin)
{
	const struct guard_ports *p = g->engine->ports;
	int r = p->rename(p->ctx, twin->dir, twin->name.text, g->place->fd, g->name, RENAME_SWAP);

	if (r == -ENOENT)
		(void)p->rename(p->ctx, twin->dir, twin->name.text, g->place->fd, g->name,
				RENAME_TO_FREE);
}

static int replace_held(struct guarded *g, const struct node *stale)
{
	const struct guard_ports *p = g->engine->ports;
	struct spare twin;
	int r = make_twin(g, &twin);

	if (r == 0)
		r = p->rename(p->ctx, twin.dir, twin.name.text, g->place->fd, g->name, RENAME_SWAP);
	if (r == 0 && spare_is(g, &twin, stale)) {
		note_published(g);
		return p->unlink(p->ctx, twin.dir, twin.name.text);
	}
	/* Our own name is below what is mounted there: names of one inode are not swapped. */
	if (r == 0 && spare_is(g, &twin, &g->current->node)) {
		r = -EBUSY;
	} else if (r == 0) {
		swap_back(g, &twin);
		r = -EAGAIN;
	}
	if (!g->current->draft && spare_is(g, &twin, &g->current->node))
		(void)p->unlink(p->ctx, twin.dir, twin.name.text);
	if (r == -EXDEV || r == -EOPNOTSUPP || r == -EINVAL)
		return replace_in_two(g, stale);
	if (r == -ENOENT)
		return g->current->draft ? -ESTALE : -EAGAIN;
	return r;
}

/*
 * Is @handle, what stands at the path, still the stale socket that was judged? It is held
 * from here on: its number would else be used again as soon as it is gone, maybe by a
 * stranger's new listener.
 */
static bool is_still_stale(const struct guarded *g, int handle, const struct node *stale)
{
	const struct guard_ports *p = g->engine->ports;
	struct node held;

	return p->stat_fd(p->ctx, handle, &held) == 0 && node_same(&held, stale) &&
	       (p->probe(p->ctx, g->place->fd, g->name, g->config.spec.type) == PROBE_STALE ||
		(guarded_is_of_another(g, stale) && is_at_path(g, stale)));
}

int publish_replace(struct guarded *g, const struct node *stale)
{
	const struct guard_ports *p = g->engine->ports;
	int r, handle = p->handle_open(p->ctx, g->place->fd, g->name);

	if (handle < 0)
		return handle == -ENOENT ? -EAGAIN : handle;
	r = is_still_stale(g, handle, stale) ? replace_held(g, stale) : -EAGAIN;
	p->close(p->ctx, handle);
	return r;
}

int publish_aside(struct guarded *g, const struct node *found)
{
	const struct guard_ports *p = g->engine->ports;
	char aside[ANCHOR_NAME_MAX + 1];
	struct node there;
	int r = -EEXIST, n = 0;

	while (r == -EEXIST && n < ASIDE_NAMES_MAX) {
		(void)snprintf(aside, sizeof(aside), "%s.displaced.%d", g->name, ++n);
		r = p->rename(p->ctx, g->place->fd, g->name, g->place->fd, aside, RENAME_TO_FREE);
	}
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (p->stat(p->ctx, g->place->fd, aside, &there) == 0 && !node_same(&there, found)) {
		(void)p->rename(p->ctx, g->place->fd, aside, g->place->fd, g->name, RENAME_TO_FREE);
		return -EAGAIN;
	}
	return n;
}

/* A mount outlives its maker: whoever comes after us is to know that it is ours. Where the lock
 * of this directory is not held yet, the note is written with it. */
static void note_mount(struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	struct listener *c = g->current;

	c->published = true;
	c->mounts++;
	c->mount_id = 0;
	(void)p->mount_id(p->ctx, g->place->fd, g->name, &c->mount_id);
	if (g->lock_home == g->place->anchors)
		guarded_note(g);
}

/* What we made to mount on goes, unless somebody was quicker: its number may be that of a socket
 * that somebody listens on, or does a moment later. */
static void remove_mount_point(struct guarded *g, const struct node *made)
{
	const struct guard_ports *p = g->engine->ports;
	int handle = p->handle_open(p->ctx, g->place->fd, g->name);

	if (handle < 0)
		return;
	if (is_still_stale(g, handle, made))
		(void)publish_withdraw(g, g->place->fd, made);
	p->close(p->ctx, handle);
}

int publish_mount(struct guarded *g, enum mount_on on)
{
	const struct guard_ports *p = g->engine->ports;
	struct listener *c = g->current;
	int r = 0;

	c->mount_point = (struct node){ 0 };
	if (on == MOUNT_ON_NEW) {
		/* A free path has nothing mounted on it: whoever took ours away took all of them.
		 */
		c->mounts = 0;
		r = p->mount_point_make(p->ctx, g->place->fd, g->name);
		if (r == 0)
			r = p->stat(p->ctx, g->place->fd, g->name, &c->mount_point);
		/* Nobody listens on what we made: somebody may have been quicker. */
		if (r == 0 && p->probe(p->ctx, g->place->fd, g->name, 0) != PROBE_STALE) {
			c->mount_point = (struct node){ 0 };
			r = -EAGAIN;
		}
	}
	if (r == 0)
		r = p->mount_over(p->ctx, c->handle, g->place->fd, g->name);
	if (r == 0)
		note_mount(g);
	else if (c->mount_point.kind == NODE_SOCKET)
		remove_mount_point(g, &c->mount_point);
	return r;
}

bool publish_is_noted(const struct guard_ports *ports, int dir, const char *name,
		      const struct lock_note *note)
{
	uint64_t id;

	return note->mount_id && ports->mount_id(ports->ctx, dir, name, &id) == 0 &&
	       id == note->mount_id;
}

void publish_inherit_mount(struct guarded *g, const struct lock_note *note)
{
	struct listener *c = g->current;

	c->mounts = 1;
	c->mount_id = note->mount_id;
	g->left.mount_id = 0;
	if (note->mount_point)
		c->mount_point = (struct node){ .kind = NODE_SOCKET,
						.device = g->place->node.device,
						.inode = note->mount_point };
	guarded_note(g);
}

void publish_unmount(struct guarded *g, struct listener *l)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;

	if (!l->mounts)
		return;
	for (; l->mounts; l->mounts--)
		if (p->stat(p->ctx, g->place->fd, g->name, &there) < 0 ||
		    !node_same(&there, &l->node) || p->unmount(p->ctx, g->place->fd, g->name) < 0)
			break;
	if (l->mounts) {
		/* It may be there still, and whoever comes after us is to know it. */
		g->left.mount_id = l->mount_id;
		g->left.mount_point = l->mount_point.inode;
		l->mounts = 0;
		return;
	}
	if (l->mount_point.kind == NODE_SOCKET)
		remove_mount_point(g, &l->mount_point);
}
