/*
 * inotify: a queue for each process, that merges what is equal to its last
 * event and overflows; one number for each inode.
 */
#include "kernel.h"

#include <errno.h>

static void queue(struct process *p, enum event_kind kind, int number)
{
	struct event *last = p->event_count ? &p->events[p->event_count - 1] : NULL;

	if (last && last->kind == kind && last->watch == number)
		return;
	if (p->event_count == kernel.event_room)
		return;
	if (p->event_count + 1 == kernel.event_room)
		kind = EVENT_OVERFLOW;
	p->events[p->event_count++] = (struct event){ kind, number };
}

void notify(const struct inode *inode, enum notice what)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		struct process *p = kernel.processes[i];

		if (!p || !p->alive)
			continue;
		for (int w = 0; w < WATCHES_MAX; w++)
			if (p->watches[w].inode == inode &&
			    (what == NOTICE_SELF || p->watches[w].entries))
				queue(p, EVENT_HAPPENED, p->watches[w].number);
	}
}

void notify_freed(const struct inode *inode)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		struct process *p = kernel.processes[i];

		if (!p || !p->alive)
			continue;
		for (int w = 0; w < WATCHES_MAX; w++) {
			if (p->watches[w].inode != inode)
				continue;
			queue(p, EVENT_HAPPENED, p->watches[w].number);
			queue(p, EVENT_IGNORED, p->watches[w].number);
			p->watches[w].inode = NULL;
		}
	}
}

void notify_mounts(void)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (kernel.processes[i])
			kernel.processes[i]->mounts_changed = true;
}

int notify_watch(struct process *p, struct inode *inode, bool entries)
{
	struct watch *free_slot = NULL;

	if (!p->inotify)
		return -EMFILE;
	if (!kernel_may(&p->actor, inode, 4))
		return -EACCES;
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct watch *w = &p->watches[i];

		if (w->inode == inode) {
			w->entries |= entries;
			return w->number;
		}
		if (!w->inode && !free_slot)
			free_slot = w;
	}
	if (!free_slot || notify_watches(p) >= kernel.watch_room)
		return -ENOSPC;
	*free_slot = (struct watch){ inode, ++p->watch_next, entries };
	return free_slot->number;
}

int notify_unwatch(struct process *p, int number)
{
	for (int i = 0; i < WATCHES_MAX; i++)
		if (p->watches[i].inode && p->watches[i].number == number) {
			p->watches[i].inode = NULL;
			queue(p, EVENT_IGNORED, number);
			return 0;
		}
	return -EINVAL;
}

unsigned notify_watches(const struct process *p)
{
	unsigned count = 0;

	for (int i = 0; i < WATCHES_MAX; i++)
		count += p->watches[i].inode != NULL;
	return count;
}
