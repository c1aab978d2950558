#include "guard/anchor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"

/* Another instance that ends may remove the directory between mkdir and open. */
#define ANCHOR_OPEN_TRIES 8
/* Hash of the directory and '-', in front of names in a shared directory. */
#define ANCHOR_PREFIX_BYTES 17
/* No user: (uid_t)-1 is given to nobody. */
#define ANY_OWNER UINT32_MAX
/* A predecessor's note that spans more than this is not believed. */
#define ANCHOR_SWEEP_SPAN_MAX 4096

/* Is the directory that @fd has open one that only we can write to? Return: 0; -EPERM: no. */
static int check_private(const struct guard_ports *p, int fd)
{
	struct node node;
	int r = p->stat_fd(p->ctx, fd, &node);

	if (r < 0)
		return r;
	return node.uid == p->uid(p->ctx) && node.mode == 0700 ? 0 : -EPERM;
}

/* A narrow umask took bits away that we need. What somebody was quick enough to put in
 * the place of the directory that we made is left as it is. */
static void widen(const struct guard_ports *p, int fd)
{
	struct node node;

	if (p->stat_fd(p->ctx, fd, &node) == 0 && node.uid == p->uid(p->ctx) && node.mode != 0700 &&
	    (node.mode & 0077) == 0)
		(void)p->set_mode(p->ctx, fd, 0700);
}

/* Make or open @name in @parent. Return: an fd; -EPERM: taken by something not ours. */
static int open_private(const struct guard_ports *p, int parent, const char *name, bool *ret_made)
{
	for (int i = 0; i < ANCHOR_OPEN_TRIES; i++) {
		int made = p->dir_make(p->ctx, parent, name, 0700);
		int fd = p->dir_open_private(p->ctx, parent, name), r;

		if (made < 0 && made != -EEXIST)
			return fd < 0 ? made : (p->close(p->ctx, fd), made);
		if (fd == -ENOENT)
			continue;
		/* Nothing is left behind where it was made in vain. */
		if (fd < 0 && made == 0)
			(void)p->dir_remove(p->ctx, parent, name);
		if (fd < 0)
			return fd == -ENOTDIR || fd == -ELOOP || fd == -EACCES ? -EPERM : fd;
		if (made == 0)
			widen(p, fd);
		*ret_made = made == 0;
		r = check_private(p, fd);
		if (r == 0)
			return fd;
		p->close(p->ctx, fd);
		if (made == 0 && r != -EPERM)
			(void)p->dir_remove(p->ctx, parent, name);
		return r;
	}
	return -EAGAIN;
}

static int open_beside(struct anchor_dir *a, int dir)
{
	const struct guard_ports *p = a->ports;

	/* A handle of its own, and first: the place may be replaced while anchors remain,
	 * and without it a directory that was made could not be removed again. */
	a->parent = p->dir_open_private(p->ctx, dir, ".");
	if (a->parent < 0)
		return a->parent;
	for (int attempt = 0; attempt < 2; attempt++) {
		(void)snprintf(a->name, sizeof(a->name), ".kedge-%" PRIu32 "%s", p->uid(p->ctx),
			       attempt ? "-1" : "");
		a->fd = open_private(p, a->parent, a->name, &a->made);
		if (a->fd != -EPERM)
			break;
	}
	return a->fd < 0 ? a->fd : 0;
}

static int open_elsewhere(struct anchor_dir *a, const char *path)
{
	const struct guard_ports *p = a->ports;
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *parent = NULL;

	assert(slash);
	parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	a->shared = true;
	if (strlen(slash + 1) == 0 || strlen(slash + 1) > ANCHOR_NAME_MAX)
		return -ENAMETOOLONG;
	(void)snprintf(a->name, sizeof(a->name), "%s", slash + 1);
	a->parent = p->dir_open(p->ctx, parent);
	if (a->parent < 0)
		return a->parent;
	a->fd = open_private(p, a->parent, a->name, &a->made);
	return a->fd < 0 ? a->fd : 0;
}

struct anchor_dir *anchor_dir_ref(struct anchor_dir *a)
{
	a->refs++;
	return a;
}

struct anchor_dir *anchor_dir_abandon(struct anchor_dir *a)
{
	if (!a || --a->refs > 0)
		return NULL;
	if (a->fd >= 0)
		a->ports->close(a->ports->ctx, a->fd);
	if (a->parent >= 0)
		a->ports->close(a->ports->ctx, a->parent);
	leftovers_free(a->leftovers);
	free(a);
	return NULL;
}

struct anchor_dir *anchor_dir_unref(struct anchor_dir *a)
{
	const struct guard_ports *p;
	struct node ours, named;

	if (!a || a->refs > 1)
		return anchor_dir_abandon(a);
	p = a->ports;
	/* rmdir() refuses where something is left, so the worst a race can do is nothing. Where
	 * it is open, so is its parent, which was opened first. */
	if ((a->made || !a->shared) && a->fd >= 0 && p->stat_fd(p->ctx, a->fd, &ours) == 0 &&
	    p->stat(p->ctx, a->parent, a->name, &named) == 0 && node_same(&ours, &named))
		(void)p->dir_remove(p->ctx, a->parent, a->name);
	return anchor_dir_abandon(a);
}

DEFINE_CLEANUP(struct anchor_dir *, anchor_dir_unref);

int anchor_dir_open(struct anchor_dir **ret, const struct guard_ports *ports, int dir,
		    const char *path)
{
	_cleanup_(anchor_dir_unrefp) struct anchor_dir *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	*a = (struct anchor_dir){ .ports = ports, .refs = 1, .fd = -EBADF, .parent = -EBADF };
	r = path ? open_elsewhere(a, path) : open_beside(a, dir);
	if (r < 0)
		return r;
	*ret = steal_ptr(a);
	return 0;
}

bool anchor_dir_same(const struct anchor_dir *a, const struct anchor_dir *b)
{
	const struct guard_ports *p;
	struct node first, second;

	if (!a || !b || a == b)
		return a == b;
	p = a->ports;
	return p->stat_fd(p->ctx, a->fd, &first) == 0 && p->stat_fd(p->ctx, b->fd, &second) == 0 &&
	       node_same(&first, &second);
}

size_t anchor_socket_name_max(const struct anchor_dir *a)
{
	return ANCHOR_NAME_MAX - ANCHOR_SUFFIX_MAX - (a && a->shared ? ANCHOR_PREFIX_BYTES : 0);
}

struct anchor_name anchor_name(const struct anchor_dir *a, const char *place, const char *socket,
			       const char *suffix)
{
	struct anchor_name name;
	int n;

	if (a->shared)
		n = snprintf(name.text, sizeof(name.text), "%016" PRIx64 "-%s.%s",
			     map_hash_text(place), socket, suffix);
	else
		n = snprintf(name.text, sizeof(name.text), "%s.%s", socket, suffix);
	assert(n > 0 && (size_t)n < sizeof(name.text));
	return name;
}

int anchor_lock(struct anchor_dir *a, const char *place, const char *socket,
		struct lock_note *ret_note)
{
	const struct guard_ports *p = a->ports;
	struct anchor_name name = anchor_name(a, place, socket, "lock");
	int fd = p->lock_open(p->ctx, a->fd, name.text);

	if (fd >= 0 && p->lock_read(p->ctx, fd, ret_note) < 0)
		*ret_note = (struct lock_note){ 0 };
	return fd;
}

void anchor_unlock(struct anchor_dir *a, const char *place, const char *socket, int lock)
{
	const struct guard_ports *p = a->ports;
	struct anchor_name name = anchor_name(a, place, socket, "lock");
	struct node held;

	if (p->stat_fd(p->ctx, lock, &held) == 0)
		(void)anchor_remove(a, name.text, &held);
	p->unlock(p->ctx, lock);
}

/* Remove dir/name if it is @node. Return: 0; -ESTALE: it is something else. */
static int remove_if(const struct guard_ports *p, int dir, const char *name,
		     const struct node *node)
{
	struct node there;
	int r = p->stat(p->ctx, dir, name, &there);

	if (r < 0)
		return r;
	return node_same(&there, node) ? p->unlink(p->ctx, dir, name) : -ESTALE;
}

int anchor_remove(struct anchor_dir *a, const char *name, const struct node *node)
{
	return remove_if(a->ports, a->fd, name, node);
}

static int sweep_owned(const struct guard_ports *p, int dir, const char *name, uint32_t owner)
{
	struct node node;

	if (p->stat(p->ctx, dir, name, &node) < 0 || node.kind != NODE_SOCKET ||
	    (owner != ANY_OWNER && node.uid != owner))
		return -ESTALE;
	/* A stream probe tells a bound socket of any type: it is not refused as stale. */
	if (p->probe(p->ctx, dir, name, 0) != PROBE_STALE)
		return -EADDRINUSE;
	return remove_if(p, dir, name, &node);
}

int anchor_sweep_name(const struct guard_ports *p, int dir, const char *name)
{
	return sweep_owned(p, dir, name, p->uid(p->ctx));
}

/* Remove what is stale, or the guarded listener's, of one generation. */
static void sweep_generation(struct anchor_dir *a, const char *place, const char *socket,
			     uint64_t generation, const char *ending, struct sweep *sweep)
{
	const struct guard_ports *p = a->ports;
	char suffix[ANCHOR_SUFFIX_MAX + 1];
	struct anchor_name name;
	/* The superuser gives sockets away, and nobody else can have put them here. */
	uint32_t owner = p->uid(p->ctx) == 0 ? ANY_OWNER : p->uid(p->ctx);

	(void)snprintf(suffix, sizeof(suffix), "%" PRIu64 "%s", generation, ending);
	name = anchor_name(a, place, socket, suffix);
	/* Its present anchor is of a generation beyond those that were left. */
	if (sweep->own && generation <= sweep->note.high &&
	    anchor_remove(a, name.text, sweep->own) == 0)
		return;
	if (sweep_owned(p, a->fd, name.text, owner) == -EADDRINUSE &&
	    generation < sweep->lowest_left)
		sweep->lowest_left = generation;
}

/* The note says which generations there may be: no need to list a large directory. */
static void sweep_noted(struct anchor_dir *a, const char *place, const char *socket,
			struct sweep *sweep)
{
	for (uint64_t g = sweep->note.low; g <= sweep->note.high; g++) {
		sweep_generation(a, place, socket, g, "", sweep);
		sweep_generation(a, place, socket, g, ".out", sweep);
	}
	sweep->highest = sweep->note.high;
}

static void sweep_listed(struct anchor_dir *a, const char *place, const char *socket,
			 struct sweep *sweep)
{
	struct anchor_name prefix = anchor_name(a, place, socket, "");

	for (const struct leftover *l = leftovers_of(a->leftovers, prefix.text); l; l = l->next) {
		if (l->generation > sweep->highest)
			sweep->highest = l->generation;
		sweep_generation(a, place, socket, l->generation, l->suffix, sweep);
	}
}

static bool note_believed(const struct lock_note *note)
{
	return note->known && note->low <= note->high && note->high <= GENERATION_MAX &&
	       note->high - note->low < ANCHOR_SWEEP_SPAN_MAX;
}

void anchor_dir_forget_listing(struct anchor_dir *a)
{
	a->leftovers = leftovers_free(a->leftovers);
}

static int list_leftovers(struct anchor_dir *a)
{
	if (leftovers_fresh(a->leftovers, a->ports))
		return 0;
	anchor_dir_forget_listing(a);
	return leftovers_list(&a->leftovers, a->ports, a->fd);
}

void anchor_sweep(struct anchor_dir *a, const char *place, const char *socket, struct sweep *sweep)
{
	sweep->highest = 0;
	sweep->lowest_left = UINT64_MAX;
	if (note_believed(&sweep->note))
		sweep_noted(a, place, socket, sweep);
	else if (list_leftovers(a) == 0)
		sweep_listed(a, place, socket, sweep);
}
