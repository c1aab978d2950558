/*
 * Taking over from a guard that was killed: its anchors and leases are still there.
 *
 * A lease is one name more of the inode, NAME.lease beside the anchor: it is
 * made before a path is put back, and says that the path is ours to remove.
 * Nothing has to be believed that a number in a file says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "api/tended.h"
#include "base/cleanup.h"

/* A predecessor's note that spans more than this is not believed. */
#define TAKEOVER_SPAN_MAX 4096

struct legacy {
	struct tender *tender;
	struct anchor_dir *anchors;
	int dir;
	char *place;
	const char *name;
	struct lock_note note;
};

static int stat_in(const struct legacy *l, int dir, const char *name, struct node *ret)
{
	return l->tender->ports.stat(l->tender->ports.ctx, dir, name, ret);
}

static bool is_live(const struct legacy *l, const struct node *node)
{
	const struct diag_socket *s = node->kind == NODE_SOCKET
					      ? tender_socket_at(l->tender, "", node->device,
								 node->inode)
					      : NULL;

	return s && census_takes_clients(s, SOCK_DGRAM);
}

static struct anchor_name name_of(const struct legacy *l, uint64_t generation)
{
	char suffix[32];

	(void)snprintf(suffix, sizeof(suffix), "%" PRIu64, generation);
	return anchor_name(l->anchors, l->place, l->name, suffix);
}

/* The newest anchor whose listener lives. */
static bool find_anchor(const struct legacy *l, struct anchor_name *ret)
{
	struct node node;

	for (uint64_t g = l->note.high + 1; g-- > l->note.low;) {
		*ret = name_of(l, g);
		if (stat_in(l, l->anchors->fd, ret->text, &node) == 0 && is_live(l, &node))
			return true;
	}
	return false;
}

/* A path that was put back and outlived its listener goes; with it goes the lease. */
static bool judge_lease(const struct legacy *l, const struct anchor_name *lease)
{
	const struct guard_ports *p = &l->tender->ports;
	struct node leased, there;

	if (stat_in(l, l->anchors->fd, lease->text, &leased) < 0 || leased.kind != NODE_SOCKET)
		return false;
	if (stat_in(l, l->dir, l->name, &there) == 0 && node_same(&there, &leased)) {
		if (is_live(l, &leased))
			return true;
		(void)p->unlink(p->ctx, l->dir, l->name);
	}
	if (!is_live(l, &leased))
		(void)p->unlink(p->ctx, l->anchors->fd, lease->text);
	return false;
}

/*
 * A mount that the killed one kept the path with. It is taken over while its listener lives: the
 * listener has no other name that leads to it. Else it goes, and what it was mounted on with it.
 * Return: whether it is to be taken over.
 */
static bool judge_mount(const struct legacy *l)
{
	const struct guard_ports *p = &l->tender->ports;
	struct node there, dir;

	if (!publish_is_noted(p, l->dir, l->name, &l->note))
		return false;
	if (stat_in(l, l->dir, l->name, &there) < 0 || is_live(l, &there))
		return true;
	if (p->probe(p->ctx, l->dir, l->name, 0) != PROBE_STALE ||
	    p->unmount(p->ctx, l->dir, l->name) < 0)
		return false;
	/* As long as it was mounted on, its number was its own; it may have been used since. */
	if (p->stat_fd(p->ctx, l->dir, &dir) == 0 && stat_in(l, l->dir, l->name, &there) == 0 &&
	    there.kind == NODE_SOCKET && there.device == dir.device &&
	    there.inode == l->note.mount_point &&
	    p->probe(p->ctx, l->dir, l->name, 0) == PROBE_STALE)
		(void)p->unlink(p->ctx, l->dir, l->name);
	return false;
}

/* Lost while nobody guarded it, and nobody knows by whom: settle, then put it back. */
static bool put_back(const struct legacy *l, const struct anchor_name *lease)
{
	const struct guard_ports *p = &l->tender->ports;
	struct anchor_name anchor;
	struct node there;

	if (stat_in(l, l->dir, l->name, &there) < 0 || there.kind != NODE_NONE ||
	    !find_anchor(l, &anchor))
		return false;
	p->pause(p->ctx, l->tender->options.settle_ns);
	l->tender->census_turn = 0;
	if (!find_anchor(l, &anchor))
		return false;
	(void)p->link(p->ctx, l->anchors->fd, anchor.text, l->anchors->fd, lease->text);
	return p->link(p->ctx, l->anchors->fd, anchor.text, l->dir, l->name) == 0;
}

/* Anchors that live are left by the engine's own sweep: they may be another's. Under the
 * lock of the path, in our own directory, they are our predecessor's. */
static void drop_anchors(const struct legacy *l)
{
	const struct guard_ports *p = &l->tender->ports;
	struct node node;

	for (uint64_t g = l->note.low; g <= l->note.high; g++) {
		struct anchor_name name = name_of(l, g);

		if (stat_in(l, l->anchors->fd, name.text, &node) == 0 && node.kind == NODE_SOCKET)
			(void)p->unlink(p->ctx, l->anchors->fd, name.text);
	}
}

static int take_over(struct legacy *l, struct inheritance *ret)
{
	struct anchor_name lease = anchor_name(l->anchors, l->place, l->name, "lease");
	int lock = anchor_lock(l->anchors, l->place, l->name, &l->note);

	if (lock < 0)
		return lock == -EWOULDBLOCK ? -EADDRINUSE : lock;
	if (l->note.known && l->note.low <= l->note.high &&
	    l->note.high - l->note.low < TAKEOVER_SPAN_MAX) {
		ret->mounted = judge_mount(l);
		ret->note = l->note;
		ret->leased = judge_lease(l, &lease) || put_back(l, &lease) || ret->mounted;
		drop_anchors(l);
	}
	anchor_unlock(l->anchors, l->place, l->name, lock);
	return 0;
}

/*
 * What the path led to when it was bound. A handle that was opened by the mount goes with that: it
 * could be mounted on nothing, and linked nowhere.
 */
static int open_bound(const struct diag_socket *s, const struct node *node)
{
	struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int pidfd = -EBADF;
	_cleanup_(fd_closep) int handle = -EBADF;
	const struct owner *owner;
	struct stat st;
	int r = owners_find(&s->socket_inode, 1, &owners);

	if (r == 0) {
		owner = owners_main(&owners, s->socket_inode);
		r = pidfd = owner ? owner_hold(owner) : -ESRCH;
		if (r >= 0)
			r = handle = owner_take_inode(owner, pidfd);
	}
	owners_deinit(&owners);
	if (r < 0)
		return r;
	if (fstat(handle, &st) < 0 || st.st_dev != node->device || st.st_ino != node->inode)
		return -ESTALE;
	return steal_fd(&handle);
}

void takeover_mount(struct tended *d, const struct inheritance *left, const struct diag_socket *s)
{
	struct listener *current = d->g->current;
	int handle = open_bound(s, &current->node);

	publish_inherit_mount(d->g, &left->note);
	if (handle < 0) {
		tender_tell(d->tender, d, KEDGE_EVENT_DEGRADED, handle,
			    "it is kept by a mount that cannot be made again");
		return;
	}
	fd_close(current->handle);
	current->handle = handle;
}

int takeover(struct tender *t, const char *path, struct inheritance *ret)
{
	struct legacy l = { .tender = t, .dir = -EBADF, .name = strrchr(path, '/') + 1 };
	size_t n = (size_t)(l.name - path - 1);
	int r;

	l.place = n ? strndup(path, n) : strdup("/");
	if (!l.place)
		return -ENOMEM;
	l.dir = t->ports.dir_open(t->ports.ctx, l.place);
	r = l.dir < 0 ? l.dir : anchor_dir_open(&l.anchors, &t->ports, l.dir, t->anchor_dir);
	if (r == 0 && strlen(l.name) <= anchor_socket_name_max(l.anchors))
		r = take_over(&l, ret);
	anchor_dir_unref(l.anchors);
	fd_close(l.dir);
	free(l.place);
	return r;
}
