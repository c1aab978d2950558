/*
 * Awaiting: paths where nobody listens, until somebody does.
 *
 * The entries of the directory are watched, or, while that is missing, those of
 * the nearest one above. That costs a wake-up for each file of the directory,
 * so it is done only while a path is awaited, or was taken away by its daemon.
 */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "api/tended.h"
#include "base/cleanup.h"

#define ENTRIES_EVENTS                                                                             \
	(IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR |        \
	 IN_MASK_ADD)

/* A socket that is bound and does not listen yet is looked at so often, and later so. */
#define BOUND_GAP_NS  NSEC_PER_MSEC
#define BOUND_SLOW_NS (500 * NSEC_PER_MSEC)

/* bind(2) makes the name first and binds then, so one that nobody is bound to is looked at again
 * after so long, doubling until it has been so for TEND_BOUND_NS. No event tells of the rest. */
#define UNBOUND_FIRST_NS NSEC_PER_MSEC

/* Without a watch, and after a failure, it is looked at so often. */
#define POLL_NS NSEC_PER_SEC

/* What stands at a path where nobody listens. */
enum await_there {
	AWAIT_NOTHING, /* nothing, or no socket */
	AWAIT_UNBOUND, /* a socket's name that nobody is bound to: stale, or not bound yet */
	AWAIT_BOUND,   /* a socket that does not listen, yet */
};

static struct watched *watched_find(struct tender *t, const char *path, bool is_parent)
{
	list_for_each (it, &t->watched) {
		struct watched *w = list_entry(it, struct watched, link);

		if (w->is_parent == is_parent && strcmp(w->path, path) == 0)
			return w;
	}
	return NULL;
}

static struct watched *watched_open(struct tender *t, const char *path, bool is_parent)
{
	struct watched *w = watched_find(t, path, is_parent);
	size_t size = strlen(path) + 1;

	if (w && w->number >= 0)
		return w;
	w = w ? w : calloc(1, sizeof(*w) + size);
	if (!w)
		return NULL;
	if (!w->path[0]) {
		memcpy(w->path, path, size);
		w->is_parent = is_parent;
		list_init(&w->members);
		list_init(&w->link);
		list_append(&t->watched, &w->link);
	}
	w->number = t->entries < 0 ? -1 : inotify_add_watch(t->entries, path, ENTRIES_EVENTS);
	if (w->number >= 0)
		return w;
	if (list_empty(&w->members)) {
		list_unlink(&w->link);
		free(w);
	}
	return NULL;
}

static bool number_shared(const struct tender *t, const struct watched *w)
{
	list_for_each (it, &t->watched) {
		const struct watched *other = list_entry(it, struct watched, link);

		if (other != w && other->number == w->number)
			return true;
	}
	return false;
}

void await_unwatch(struct tended *d)
{
	struct watched *w = d->watched;

	if (!w)
		return;
	d->watched = NULL;
	list_unlink(&d->in_directory);
	if (!list_empty(&w->members))
		return;
	if (w->number >= 0 && !number_shared(d->tender, w))
		(void)inotify_rm_watch(d->tender->entries, w->number);
	list_unlink(&w->link);
	free(w);
}

bool await_watch(struct tended *d)
{
	_cleanup_(freep) char *path = strdup(d->path);
	struct watched *w = NULL;
	bool is_parent = true;
	char *slash;

	if (d->watched && d->watched->is_parent && d->watched->number >= 0)
		return false;
	while (path && !w && (slash = strrchr(path, '/'))) {
		slash[slash == path ? 1 : 0] = '\0';
		w = watched_open(d->tender, path, is_parent);
		if (slash == path)
			break;
		is_parent = false;
	}
	if (w == d->watched)
		return false;
	await_unwatch(d);
	if (!w)
		return false;
	d->watched = w;
	list_append(&w->members, &d->in_directory);
	return true;
}

static void look_at(struct tended *d, uint64_t at_ns)
{
	if (at_ns == TIME_NEVER)
		heap_remove(&d->tender->timers, &d->timer);
	else
		(void)heap_set(&d->tender->timers, &d->timer, at_ns);
}

/* When to look again at what stands at the path, besides events: TIME_NEVER: not for that. */
static uint64_t next_look(const struct tended *d, enum await_there there, uint64_t now)
{
	uint64_t age = now - d->there_ns;

	switch (there) {
	case AWAIT_NOTHING:
		return TIME_NEVER;
	case AWAIT_UNBOUND:
		if (age >= TEND_BOUND_NS)
			return TIME_NEVER;
		return now + (age > UNBOUND_FIRST_NS ? age : UNBOUND_FIRST_NS);
	case AWAIT_BOUND:
		return now + (age < TEND_BOUND_NS ? BOUND_GAP_NS : BOUND_SLOW_NS);
	}
	return now + POLL_NS;
}

/* Nobody listens: when to look again if no event comes. */
static void wait_on(struct tended *d, enum await_there there, uint64_t now)
{
	bool anew = await_watch(d);
	uint64_t next;

	if (there == AWAIT_NOTHING)
		d->there_ns = 0;
	else if (!d->there_ns)
		d->there_ns = now;
	next = next_look(d, there, now);
	if (!d->watched && next > now + POLL_NS)
		next = now + POLL_NS;
	look_at(d, anew ? now : next);
}

/* What tender_look_up() has found, but for a listener. */
static enum await_there there_by(int found)
{
	if (found == 1)
		return AWAIT_BOUND;
	return found == 0 || found == -EREMOTE ? AWAIT_UNBOUND : AWAIT_NOTHING;
}

/* It is no passing state of a socket that is being bound. */
static void tell_remote(struct tended *d)
{
	if (d->await_error == -EREMOTE || tender_now(d->tender) - d->there_ns < TEND_BOUND_NS)
		return;
	d->await_error = -EREMOTE;
	tender_tell(d->tender, d, KEDGE_EVENT_BLOCKED, -EREMOTE,
		    "its listener is in a network namespace that cannot be entered");
}

void await_look(struct tended *d)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct tender *t = d->tender;
	struct diag_socket s;
	struct node node;
	int r;

	if (d->g)
		return;
	r = tender_look_up(t, d->path, &s, &node);
	if (r != 1 || !census_takes_clients(&s, SOCK_DGRAM)) {
		wait_on(d, there_by(r), tender_now(t));
		if (r == -EREMOTE)
			tell_remote(d);
		return;
	}
	r = tended_hold(d, &s, &node, NULL, &error);
	if (r == 0) {
		d->there_ns = 0;
		d->await_error = 0;
		look_at(d, TIME_NEVER);
		await_unwatch(d);
		return;
	}
	/* It went away meanwhile: that is no failure. */
	if (r != -ESTALE && r != -EAGAIN && r != d->await_error)
		tender_tell(t, d, KEDGE_EVENT_BLOCKED, r, error.text);
	d->await_error = r;
	look_at(d, tender_now(t) + (r == -ESTALE || r == -EAGAIN ? BOUND_GAP_NS : POLL_NS));
}

/* Something happened at a path, or to the directories above it. */
static void touch(struct tended *d)
{
	if (d->rewatch) {
		d->rewatch = false;
		await_unwatch(d);
		(void)await_watch(d);
	}
	/* Another socket may stand there now, even of the same inode's number. */
	d->there_ns = 0;
	if (d->g)
		engine_hint(&d->tender->engine, d->g);
	else
		await_look(d);
}

static void wake(struct tended *d, bool rewatch)
{
	d->rewatch |= rewatch;
	if (list_empty(&d->woken))
		list_append(&d->tender->woken, &d->woken);
}

/* One event for one watched directory: only note whom it concerns. */
static void note_event(struct tender *t, struct watched *w, const struct inotify_event *event)
{
	bool own = event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED);

	list_for_each (it, &w->members) {
		struct tended *d = list_entry(it, struct tended, in_directory);

		if (own || !w->is_parent)
			wake(d, true);
		else if (event->mask & IN_Q_OVERFLOW || strcmp(d->name, event->name) == 0)
			wake(d, false);
	}
	if (!own)
		return;
	if (!(event->mask & IN_IGNORED))
		(void)inotify_rm_watch(t->entries, event->wd);
	w->number = -1;
}

static void pass_on(struct tender *t, const struct inotify_event *event)
{
	list_for_each (it, &t->watched) {
		struct watched *w = list_entry(it, struct watched, link);

		if (w->number >= 0 && (event->mask & IN_Q_OVERFLOW || w->number == event->wd))
			note_event(t, w, event);
	}
}

void await_read(struct tender *t)
{
	_Alignas(struct inotify_event) char buffer[16384];
	struct list *it;
	ssize_t n;

	while (t->entries >= 0 && (n = read(t->entries, buffer, sizeof(buffer))) > 0)
		for (const char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const void *)at;

			pass_on(t, event);
			at += sizeof(*event) + event->len;
		}
	while ((it = list_first(&t->woken))) {
		list_unlink(it);
		touch(list_entry(it, struct tended, woken));
	}
}
