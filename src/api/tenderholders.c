/*
 * Who holds the listeners: found by one walk over /proc for all, held by pidfd.
 *
 * The walk reads every descriptor of every process: 20 ms on a small machine, a
 * second where somebody has 100,000 open. Nothing waits for it: a thread walks,
 * and until it is back what was known before is held to be so.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#include "api/tended.h"
#include "base/cleanup.h"
#include "sys/owners.h"

void holding_want(struct tended *d)
{
	d->holding.wanted = true;
	d->tender->holders_wanted = true;
}

static struct holder *holder_unref(struct tender *t, struct holder *h)
{
	uint64_t pid = h ? (uint64_t)h->process.pid : 0;

	if (!h || --h->refs > 0)
		return NULL;
	/* One that has ended may have left its number to another. */
	if (map_get(&t->holders, pid) == h)
		map_remove(&t->holders, pid);
	if (h->pidfd >= 0) {
		map_remove(&t->by_pidfd, (uint64_t)h->pidfd);
		/* Out of the set with its last descriptor. */
		fd_close(h->pidfd);
	}
	free(h);
	return NULL;
}

void holding_drop(struct tended *d)
{
	struct holding *held = &d->holding;

	for (unsigned i = 0; i < held->held_count; i++)
		holder_unref(d->tender, held->held[i]);
	free(held->pids);
	*held = (struct holding){ 0 };
}

bool holding_is_held(const struct tended *d)
{
	const struct holding *h = &d->holding;

	if (h->socket_inode != token_get(d->tender, d->g->current->fd)->socket_inode)
		return false;
	for (unsigned i = 0; i < h->held_count; i++)
		if (h->held[i]->pidfd != -ESRCH)
			return true;
	return false;
}

void holding_retry(struct tended *d)
{
	if (!d->holding.asked && tender_now(d->tender) >= d->holding.next_ns)
		holding_want(d);
}

bool holding_has(const struct tended *d, pid_t pid)
{
	for (size_t i = 0; i < d->holding.count; i++)
		if (d->holding.pids[i] == pid)
			return true;
	return false;
}

/* Hear of its end. Without that the safety look tells. */
static int watch_end(struct tender *t, struct holder *h)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = h->pidfd };
	int r = h->pidfd;

	if (r >= 0)
		r = map_put(&t->by_pidfd, (uint64_t)h->pidfd, h);
	if (r >= 0 && epoll_ctl(t->world.epoll, EPOLL_CTL_ADD, h->pidfd, &event) < 0)
		r = -errno;
	if (r < 0 && h->pidfd >= 0) {
		map_remove(&t->by_pidfd, (uint64_t)h->pidfd);
		fd_close(h->pidfd);
		h->pidfd = r;
	}
	return r;
}

static struct holder *holder_new(struct tender *t, const struct owner *o)
{
	struct holder *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return NULL;
	h->refs = 1;
	h->process.pid = o->pid;
	h->pidfd = owner_hold(o);
	r = watch_end(t, h);
	/* It ended, or lets go of the listener, just now: not to be found by its number. */
	if (r == -ESRCH)
		return h;
	if (map_put(&t->holders, (uint64_t)o->pid, h) < 0)
		return holder_unref(t, h);
	if (r < 0 && !t->told_pidfd) {
		t->told_pidfd = true;
		tender_tell(t, NULL, KEDGE_EVENT_DEGRADED, r,
			    "the end of processes is not told: the safety look alone");
	}
	return h;
}

static struct holder *holder_ref(struct tender *t, const struct owner *o)
{
	struct holder *h = map_get(&t->holders, (uint64_t)o->pid);

	if (!h)
		return holder_new(t, o);
	h->refs++;
	return h;
}

/* The one to name, and to be asked what it does. */
static void choose_main(struct holding *to, struct holder *h, int fd)
{
	if (!h->identified)
		(void)process_identify(h->process.pid, &h->process);
	h->identified = true;
	to->main = h;
	to->main_fd = fd;
}

/* Hold the processes that a walk has found for the socket @inode. */
static void hold_all(struct tended *d, const struct owners *owners, uint32_t inode)
{
	struct holding anew = { .socket_inode = inode, .wanted = d->holding.wanted };
	const struct owner *all, *first = owners_main(owners, inode);
	size_t n;

	all = owners_of(owners, inode, &n);
	anew.pids = calloc(n, sizeof(*anew.pids));
	for (size_t i = 0; i < n; i++) {
		struct holder *h = anew.held_count < HOLDERS_HELD_MAX
					   ? holder_ref(d->tender, &all[i])
					   : NULL;

		if (h)
			anew.held[anew.held_count++] = h;
		if (h && &all[i] == first)
			choose_main(&anew, h, first->fd);
		if (anew.pids)
			anew.pids[anew.count++] = all[i].pid;
	}
	/* Only now, so that whoever is in both stays held all the while. */
	holding_drop(d);
	d->holding = anew;
}

static void holding_fill(struct tended *d, const struct owners *owners)
{
	uint32_t inode = token_get(d->tender, d->g->current->fd)->socket_inode;
	bool asked = d->holding.asked, found = owners_main(owners, inode);
	uint64_t gap = d->holding.gap_ns;

	d->holding.asked = false;
	if (!asked && !found)
		return;
	/* Pids of before stay known: one that closed its listener and then removes the path
	 * is its owner all the same. Only a main holder that is found replaces them. */
	if (found)
		hold_all(d, owners, inode);
	if (holding_is_held(d))
		return;
	/* Whoever held it ended before the walk came by, or between the walk and now: nothing
	 * tells of that. Or nobody can be found; then not at once again. */
	gap = gap ? 2 * gap : HOLDERS_GAP_FIRST_NS;
	d->holding.gap_ns = gap < HOLDERS_GAP_MOST_NS ? gap : HOLDERS_GAP_MOST_NS;
	d->holding.next_ns = tender_now(d->tender) + d->holding.gap_ns;
	engine_hint(&d->tender->engine, d->g);
}

static void *walk_thread(void *data)
{
	struct holders_walk *w = data;
	uint64_t one = 1;

	w->result = owners_find(w->inodes, w->count, &w->owners);
	(void)!write(w->done, &one, sizeof(one));
	return NULL;
}

/* The sockets whose holders are wanted. */
static int collect(struct tender *t)
{
	struct holders_walk *w = &t->walk;

	w->count = 0;
	w->owners = (struct owners)OWNERS_INIT;
	w->inodes = calloc(t->by_path.count + 1, sizeof(*w->inodes));
	if (!w->inodes)
		return -ENOMEM;
	list_for_each (it, &t->paths) {
		struct tended *d = list_entry(it, struct tended, link);

		d->holding.asked = d->holding.wanted && d->g;
		if (d->holding.asked)
			w->inodes[w->count++] = token_get(t, d->g->current->fd)->socket_inode;
		d->holding.wanted = false;
	}
	return 0;
}

static void take_in(struct tender *t)
{
	struct holders_walk *w = &t->walk;

	/* Whoever was asked for and is found is filled in; a listener that took over
	 * meanwhile has been wanted anew. A walk that failed has found nobody. */
	list_for_each (it, &t->paths) {
		struct tended *d = list_entry(it, struct tended, link);

		if (d->g)
			holding_fill(d, &w->owners);
	}
	owners_deinit(&w->owners);
	free(w->inodes);
	w->inodes = NULL;
}

void holders_find(struct tender *t)
{
	t->holders_wanted = false;
	if (t->walk.running) {
		t->holders_wanted = true;
		return;
	}
	if (collect(t) < 0)
		return;
	t->walk.result = owners_find(t->walk.inodes, t->walk.count, &t->walk.owners);
	take_in(t);
}

void holders_begin(struct tender *t)
{
	struct holders_walk *w = &t->walk;

	if (w->running)
		return;
	t->holders_wanted = false;
	if (collect(t) < 0)
		return;
	if (w->done >= 0 && pthread_create(&w->thread, NULL, walk_thread, w) == 0) {
		w->running = true;
		return;
	}
	w->result = owners_find(w->inodes, w->count, &w->owners);
	take_in(t);
}

void holders_read(struct tender *t)
{
	struct holders_walk *w = &t->walk;
	uint64_t count;

	if (!w->running || read(w->done, &count, sizeof(count)) != sizeof(count))
		return;
	(void)pthread_join(w->thread, NULL);
	w->running = false;
	take_in(t);
}

void holders_stop(struct tender *t)
{
	struct holders_walk *w = &t->walk;

	if (w->running) {
		(void)pthread_join(w->thread, NULL);
		owners_deinit(&w->owners);
		free(w->inodes);
	}
	w->running = false;
	w->done = fd_close(w->done);
}

static bool is_held_by(const struct tended *d, const struct holder *h)
{
	for (unsigned i = 0; d->g && i < d->holding.held_count; i++)
		if (d->holding.held[i] == h)
			return true;
	return false;
}

/* A process that held the listener of @d ended. It may have been the last one. */
static void on_ended(struct tended *d, const struct holder *ended)
{
	const struct holding *h = &d->holding;

	/* The main one may have closed it long ago, and say so to nobody. */
	if (h->main == ended || !h->main ||
	    !process_holds_at(h->main->process.pid, h->main_fd, h->socket_inode))
		holding_want(d);
	engine_hint(&d->tender->engine, d->g);
	/* What the kernel does at the end of a process may outlast it. */
	vigil_begin(d);
}

bool holders_ended(struct tender *t, int fd)
{
	struct holder *h = map_remove(&t->by_pidfd, (uint64_t)fd);

	if (!h)
		return false;
	fd_close(h->pidfd);
	h->pidfd = -ESRCH;
	/* Another process of that number is another one. */
	map_remove(&t->holders, (uint64_t)h->process.pid);
	list_for_each (it, &t->paths) {
		struct tended *d = list_entry(it, struct tended, link);

		if (is_held_by(d, h))
			on_ended(d, h);
	}
	return true;
}
