#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "guard/engine.h"

struct spare guarded_spare(const struct guarded *g, const struct anchor_dir *home,
			   uint64_t generation, const char *suffix)
{
	struct spare at = { .dir = home ? home->fd : g->place->fd };
	char ending[ANCHOR_SUFFIX_MAX + 1];

	(void)snprintf(ending, sizeof(ending), "%" PRIu64 "%s", generation, suffix);
	if (home)
		at.name = anchor_name(home, g->place->path, g->name, ending);
	else
		(void)snprintf(at.name.text, sizeof(at.name.text), ".%.*s.kedge-%s",
			       ANCHOR_NAME_MAX - ANCHOR_SUFFIX_MAX - 8, g->name, ending);
	return at;
}

static struct listener *listener_new(struct guarded *g, uint64_t generation)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct listener){ .fd = -EBADF, .handle = -EBADF, .generation = generation };
	list_init(&l->link);
	watcher_init(&l->watcher, WATCHER_LISTENER, g);
	return l;
}

struct listener *listener_abandon(struct listener *l, struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	if (!l)
		return NULL;
	list_unlink(&l->link);
	if (l->fd >= 0)
		p->close(p->ctx, l->fd);
	if (l->handle >= 0)
		p->close(p->ctx, l->handle);
	anchor_dir_abandon(l->home);
	free(l);
	return NULL;
}

/* Return: 0; -ESTALE: what stands there is not @l. */
static int remove_at(const struct listener *l, const struct guarded *g, const struct spare *at)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;
	int r = p->stat(p->ctx, at->dir, at->name.text, &there);

	if (r < 0)
		return r;
	return node_same(&there, &l->node) ? p->unlink(p->ctx, at->dir, at->name.text) : -ESTALE;
}

int listener_remove_draft(struct listener *l, struct guarded *g, int dir)
{
	struct spare at = guarded_spare(g, NULL, l->generation, "");

	assert(l->draft);
	at.dir = dir;
	return remove_at(l, g, &at);
}

void listener_remove_private(struct listener *l, struct guarded *g)
{
	struct spare at = guarded_spare(g, l->home, l->generation, "");

	if (l->home || l->draft)
		(void)remove_at(l, g, &at);
	/* Without an anchor directory it may be where the path once led. */
	for (unsigned i = 0; l->draft && i < g->place->former_count; i++)
		(void)listener_remove_draft(l, g, g->place->former[i]);
}

struct listener *listener_close(struct listener *l, struct guarded *g)
{
	if (!l)
		return NULL;
	watcher_stop(&g->engine->watches, &l->watcher);
	publish_unmount(g, l);
	listener_remove_private(l, g);
	/* A reference that may be the last one, which removes an empty directory. */
	l->home = anchor_dir_unref(l->home);
	return listener_abandon(l, g);
}

int listener_watch(struct listener *l, struct guarded *g)
{
	struct engine *e = g->engine;
	int r = watcher_start(&e->watches, &l->watcher, l->handle, WATCH_INODE);

	/* An inode that its owner may not read cannot be watched: watch around it. */
	if (r == -EACCES)
		r = watcher_start(&e->watches, &l->watcher, g->place->fd, WATCH_ENTRIES);
	return r;
}

/* Bind at @at, by ourselves or by the owner's callback. Return: the fd. */
static int bind_at(struct guarded *g, const struct spare *at)
{
	const struct guard_ports *p = g->engine->ports;
	char path[PATH_MAX];
	int fd, r;

	if (!g->config.create)
		return p->listener_make(p->ctx, at->dir, at->name.text, &g->config.spec);
	r = p->listener_bind_path(p->ctx, at->dir, at->name.text, path, sizeof(path));
	if (r < 0)
		return r;
	fd = g->config.create(path, g->config.userdata);
	return fd < 0 ? fd : p->listener_dup(p->ctx, fd);
}

/*
 * Whether the name led to what was bound when @l opened it. Whoever may write there may have
 * been quicker; where we have no right to ask (CAP_NET_ADMIN) we have none over files of others.
 */
static bool opened_what_was_bound(const struct listener *l, const struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;
	int handle = p->listener_handle(p->ctx, l->fd);
	bool same = true;
	struct node bound;

	if (handle < 0)
		return true;
	if (p->stat_fd(p->ctx, handle, &bound) == 0)
		same = node_same(&bound, &l->node);
	p->close(p->ctx, handle);
	return same;
}

/* Open, watch and dress what was bound; the watch first, while it may be read. */
static int complete(struct listener *l, struct guarded *g, const struct spare *at)
{
	const struct guard_ports *p = g->engine->ports;
	const struct listen_config *c = &g->config;
	int r;

	l->handle = p->handle_open(p->ctx, at->dir, at->name.text);
	if (l->handle < 0)
		return l->handle;
	r = p->stat_fd(p->ctx, l->handle, &l->node);
	if (r < 0)
		return r;
	/* Where others may write, one of them may have been quicker: dress no file of theirs. */
	if (l->node.kind != NODE_SOCKET)
		return -ESTALE;
	if (!opened_what_was_bound(l, g)) {
		l->node = (struct node){ 0 };
		return -EADDRINUSE;
	}
	(void)listener_watch(l, g);
	if (c->set_owner)
		r = p->set_owner(p->ctx, l->handle, c->uid, c->gid);
	if (r == 0)
		r = p->set_mode(p->ctx, l->handle, c->spec.mode);
	if (r == 0)
		r = p->listener_listen(p->ctx, l->fd, &c->spec);
	return r < 0 ? r : p->stat_fd(p->ctx, l->handle, &l->node);
}

/*
 * A private name that nobody has, for @l. A crash may have left one that no note
 * tells of, and beside the path there are no notes: what is stale goes, what is
 * alive is another instance's, and the next generation is taken.
 */
static int find_free_name(struct listener *l, struct guarded *g, struct spare *ret)
{
	const struct guard_ports *p = g->engine->ports;
	struct node there;

	for (int i = 0; i < SPARE_TRIES; i++) {
		int r;

		*ret = guarded_spare(g, l->home, l->generation, "");
		r = p->stat(p->ctx, ret->dir, ret->name.text, &there);
		if (r < 0 || there.kind == NODE_NONE)
			return r;
		if (anchor_sweep_name(p, ret->dir, ret->name.text) < 0)
			l->generation = guarded_next_generation(g);
	}
	return -EADDRINUSE;
}

/* The name was free, so a socket that has it now, bound but never seen, is of our making. */
static void remove_unseen(const struct guarded *g, const struct spare *at)
{
	const struct guard_ports *p = g->engine->ports;
	struct node left;

	if (p->stat(p->ctx, at->dir, at->name.text, &left) == 0 && left.kind == NODE_SOCKET &&
	    left.uid == p->uid(p->ctx))
		(void)p->unlink(p->ctx, at->dir, at->name.text);
}

/* As listener_make(), but a listener that failed is left to the caller. */
static int make_at_free_name(struct listener *l, struct guarded *g)
{
	struct spare at;
	int r = find_free_name(l, g, &at);

	if (r < 0)
		return r;
	r = l->fd = bind_at(g, &at);
	if (r == -EADDRINUSE)
		return r;
	if (r >= 0)
		r = complete(l, g, &at);
	if (l->node.kind == NODE_NONE && r != -EADDRINUSE)
		remove_unseen(g, &at);
	/* The owner's callback may have closed the path: then nothing is published. */
	return r >= 0 && g->closed ? -ESTALE : r;
}

int listener_make(struct listener **ret, struct guarded *g, uint64_t generation)
{
	struct listener *l = listener_new(g, generation);
	int r;

	if (!l)
		return -ENOMEM;
	if (g->place->anchors)
		l->home = anchor_dir_ref(g->place->anchors);
	l->made = true;
	l->draft = !l->home;
	r = make_at_free_name(l, g);
	if (r < 0) {
		listener_close(l, g);
		return r;
	}
	*ret = l;
	return 0;
}

int listener_adopt(struct listener **ret, struct guarded *g, uint64_t generation, int fd)
{
	const struct guard_ports *p = g->engine->ports;
	struct listener *l = listener_new(g, generation);
	int r;

	if (!l)
		return -ENOMEM;
	r = l->fd = p->listener_dup(p->ctx, fd);
	if (r >= 0)
		r = l->handle = p->handle_open(p->ctx, g->place->fd, g->name);
	if (r >= 0)
		r = p->stat_fd(p->ctx, l->handle, &l->node);
	if (r < 0) {
		listener_abandon(l, g);
		return r;
	}
	(void)listener_watch(l, g);
	l->announced = true;
	*ret = l;
	return 0;
}

/* Return: its place in the table; put_count: none. */
static unsigned find_put_in(const struct listener *l, const struct node *dir)
{
	unsigned i = 0;

	while (i < l->put_count &&
	       (l->put_in[i].device != dir->device || l->put_in[i].inode != dir->inode))
		i++;
	return i;
}

static void drop_put_in(struct listener *l, unsigned i)
{
	l->put_count--;
	memmove(l->put_in + i, l->put_in + i + 1, (l->put_count - i) * sizeof(l->put_in[0]));
}

void listener_put_in(struct listener *l, const struct node *dir)
{
	if (listener_is_put_in(l, dir))
		return;
	if (l->put_count == ARRAY_SIZE(l->put_in))
		drop_put_in(l, 0);
	l->put_in[l->put_count++] = (struct dir_id){ .device = dir->device, .inode = dir->inode };
}

bool listener_is_put_in(const struct listener *l, const struct node *dir)
{
	return find_put_in(l, dir) < l->put_count;
}

void listener_forget_dir(struct listener *l, const struct node *dir)
{
	unsigned i = find_put_in(l, dir);

	if (i < l->put_count)
		drop_put_in(l, i);
}

/* Close a retired listener, after its owner was told to let go of it. */
static void retire_one(struct guarded *g, struct listener *l)
{
	const struct engine_options *o = &g->engine->options;

	list_unlink(&l->link);
	g->retired_count--;
	/* One that nobody was told of is not retired, but closed at once. */
	assert(l->announced);
	if (o->on_listener)
		o->on_listener(g->path, -1, l->fd, o->userdata);
	/* Names of it that are left anywhere would be stale from now on. */
	(void)guarded_withdraw(g, l);
	listener_close(l, g);
	if (!g->closed)
		report(g->engine, g, KEDGE_EVENT_RETIRED, 0, "");
}

void guarded_replace(struct guarded *g, struct listener *l)
{
	struct listener *old = g->current;

	/* Clients may wait in its queue, though it was lost before its owner heard of it. */
	if (old && old->published)
		report_listener(g);
	if (g->closed) {
		listener_close(l, g);
		return;
	}
	g->current = l;
	if (!old)
		return;
	if (!old->announced) {
		listener_close(old, g);
		return;
	}
	list_append(&g->retired, &old->link);
	g->retired_count++;
}

/* The one to close: dead, else the oldest that nobody waits for, else the oldest. */
static struct listener *find_surplus(const struct guarded *g)
{
	const struct guard_ports *p = g->engine->ports;

	list_for_each (it, &g->retired) {
		struct listener *l = list_entry(it, struct listener, link);

		if (p->listener_dead(p->ctx, l->fd))
			return l;
	}
	if (g->retired_count <= RETIRED_MAX)
		return NULL;
	list_for_each (it, &g->retired) {
		struct listener *l = list_entry(it, struct listener, link);

		if (p->listener_queued(p->ctx, l->fd) == 0)
			return l;
	}
	return list_entry(list_first(&g->retired), struct listener, link);
}

void guarded_trim(struct guarded *g)
{
	struct listener *l;

	while (!g->closed && g->retired_count && (l = find_surplus(g)))
		retire_one(g, l);
}
