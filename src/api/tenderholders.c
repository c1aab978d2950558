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

static void holder_unref(struct tender *t, struct holder *h)
{
	if (--h->refs > 0)
		return;
	map_remove(&t->holders, (uint64_t)h->process.pid);
	if (h->pidfd >= 0) {
		map_remove(&t->by_pidfd, (uint64_t)h->pidfd);
		/* Out of the set with its last descriptor. */
		fd_close(h->pidfd);
	}
	free(h);
}

void holding_drop(struct tended *d)
{
	if (d->holding.main)
		holder_unref(d->tender, d->holding.main);
	free(d->holding.pids);
	d->holding = (struct holding){ 0 };
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

static struct holder *holder_ref(struct tender *t, const struct owner *o)
{
	struct holder *h = map_get(&t->holders, (uint64_t)o->pid);
	int r;

	if (h) {
		h->refs++;
		return h;
	}
	h = calloc(1, sizeof(*h));
	if (!h || map_put(&t->holders, (uint64_t)o->pid, h) < 0) {
		free(h);
		return NULL;
	}
	h->refs = 1;
	(void)process_identify(o->pid, &h->process);
	h->pidfd = owner_hold(o);
	r = watch_end(t, h);
	if (r < 0 && r != -ESRCH && !t->told_pidfd) {
		t->told_pidfd = true;
		tender_tell(t, NULL, KEDGE_EVENT_DEGRADED, r,
			    "the end of processes is not told: the safety look alone");
	}
	return h;
}

static void holding_fill(struct tended *d, const struct owners *owners)
{
	uint32_t inode = token_get(d->tender, d->g->current->fd)->socket_inode;
	const struct owner *all, *first = owners_main(owners, inode);
	bool asked = d->holding.asked;
	size_t n;

	d->holding.asked = false;
	all = owners_of(owners, inode, &n);
	/* Whoever held it may have ended before the walk came by: nothing tells of that. */
	if (asked && !first)
		engine_hint(&d->tender->engine, d->g);
	/* Pids of before stay known: one that closed its listener and then removes the path
	 * is its owner all the same. Only a main holder that is found replaces them. */
	if (!first)
		return;
	holding_drop(d);
	d->holding.main = holder_ref(d->tender, first);
	d->holding.main_fd = first->fd;
	/* It ended between the walk and now: nothing will tell of that any more. */
	if (d->holding.main && d->holding.main->pidfd == -ESRCH)
		engine_hint(&d->tender->engine, d->g);
	d->holding.pids = calloc(n, sizeof(*d->holding.pids));
	for (size_t i = 0; d->holding.pids && i < n; i++)
		d->holding.pids[d->holding.count++] = all[i].pid;
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
	 * meanwhile has been wanted anew. */
	list_for_each (it, &t->paths) {
		struct tended *d = list_entry(it, struct tended, link);

		if (w->result == 0 && d->g)
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

		if (d->holding.main != h || !d->g)
			continue;
		holding_want(d);
		engine_hint(&t->engine, d->g);
	}
	return true;
}
