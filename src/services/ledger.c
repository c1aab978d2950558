#include "services/ledger.h"

#include <assert.h>
#include <string.h>

#include "services/ledgerbook.h"
#include "wire/utf8.h"

const char *const ledger_state_names[LEDGER_STATE_MAX_] = {
	[LEDGER_REACHABLE] = "reachable",   [LEDGER_REPAIRING] = "repairing",
	[LEDGER_DISPLACED] = "displaced",   [LEDGER_BLOCKED] = "blocked",
	[LEDGER_LEFT_ALONE] = "left-alone", [LEDGER_AWAITED] = "awaited",
};

const uint64_t ledger_bounds_ns[LEDGER_BOUNDS] = {
	25 * NSEC_PER_USEC, 50 * NSEC_PER_USEC, 100 * NSEC_PER_USEC, 250 * NSEC_PER_USEC,
	NSEC_PER_MSEC,      10 * NSEC_PER_MSEC, 100 * NSEC_PER_MSEC, NSEC_PER_SEC,
	10 * NSEC_PER_SEC,  60 * NSEC_PER_SEC,
};

/* What an event says of where its path stands; -1: nothing. */
#define STAYS (-1)
#define GONE  (-2)
static const int state_after[KEDGE_EVENT_MAX_] = {
	[KEDGE_EVENT_LISTENING] = LEDGER_REACHABLE,
	[KEDGE_EVENT_LOST] = LEDGER_REPAIRING,
	[KEDGE_EVENT_RELINKED] = STAYS,
	[KEDGE_EVENT_REBOUND] = STAYS,
	[KEDGE_EVENT_BIND_MOUNTED] = STAYS,
	[KEDGE_EVENT_MODE_RESTORED] = STAYS,
	[KEDGE_EVENT_MOVED_ASIDE] = STAYS,
	[KEDGE_EVENT_DISPLACED] = LEDGER_DISPLACED,
	[KEDGE_EVENT_BLOCKED] = LEDGER_BLOCKED,
	[KEDGE_EVENT_RECOVERED] = LEDGER_REACHABLE,
	[KEDGE_EVENT_ANCHORED] = STAYS,
	[KEDGE_EVENT_DEGRADED] = STAYS,
	[KEDGE_EVENT_RETIRED] = STAYS,
	[KEDGE_EVENT_NOTICED] = STAYS,
	[KEDGE_EVENT_STOPPED] = GONE,
	[KEDGE_EVENT_FOLLOWED] = LEDGER_REACHABLE,
	[KEDGE_EVENT_LEFT_ALONE] = LEDGER_LEFT_ALONE,
	[KEDGE_EVENT_WITHDRAWN] = STAYS,
	[KEDGE_EVENT_AWAITED] = LEDGER_AWAITED,
};

struct ledger *ledger_new(size_t events_max)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->events_max = events_max ? events_max : LEDGER_EVENTS_DEFAULT;
	l->events = calloc(l->events_max, sizeof(*l->events));
	list_init(&l->paths);
	list_init(&l->listeners);
	list_init(&l->pushes.link);
	return l->events ? l : ledger_free(l);
}

static void forget_path(struct ledger *l, struct ledger_path *p)
{
	uint64_t hash = map_hash_text(p->path);
	struct ledger_path *first = map_remove(&l->by_path, hash);

	if (first == p)
		first = p->same_hash;
	for (struct ledger_path *it = first; it; it = it->same_hash)
		if (it->same_hash == p)
			it->same_hash = p->same_hash;
	/* The slot was just freed, so nothing is allocated. */
	if (first)
		(void)map_put(&l->by_path, hash, first);
	l->in_state[p->state]--;
	list_unlink(&p->link);
	free(p);
}

struct ledger *ledger_free(struct ledger *l)
{
	struct list *it;

	if (!l)
		return NULL;
	while ((it = list_first(&l->paths)))
		forget_path(l, list_entry(it, struct ledger_path, link));
	while ((it = list_first(&l->listeners)))
		list_unlink(it);
	for (size_t i = 0; l->events && i < l->events_max; i++)
		free(l->events[i].text);
	map_deinit(&l->by_path);
	free(l->events);
	free(l);
	return NULL;
}

/* Copy @from and its NUL to @to, without what is no UTF-8 and what ends a line. */
static char *copy_clean(char *to, const char *from, size_t size)
{
	const char *end = from + size;

	while (from < end) {
		size_t n = (unsigned char)*from < 0x80 ? 1 : utf8_sequence(from, end);

		if (n == 0 || (n == 1 && ((unsigned char)*from < 0x20 || *from == 0x7f))) {
			*to++ = '?';
			from++;
			continue;
		}
		memcpy(to, from, n);
		to += n;
		from += n;
	}
	*to++ = '\0';
	return to;
}

static size_t text_size(const char *text)
{
	return text ? strnlen(text, LEDGER_TEXT_MAX) : 0;
}

/* Put the texts of an event into one piece of memory, which the slot owns. */
static void keep_texts(struct ledger_slot *slot, const struct kedge_event *e,
		       const struct ledger_actor *by)
{
	const char *texts[] = { e->path, e->detail, by ? by->comm : "", by ? by->exe : "" };
	const char **kept[] = { &slot->event.path, &slot->event.detail, &slot->event.by.comm,
				&slot->event.by.exe };
	size_t size = 0;
	char *to;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		size += text_size(texts[i]) + 1;
	to = slot->text = malloc(size);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*kept[i] = to ? to : "";
		if (to)
			to = copy_clean(to, texts[i] ? texts[i] : "", text_size(texts[i]));
	}
}

static struct ledger_event *keep_event(struct ledger *l, const struct kedge_event *e,
				       const struct ledger_actor *by, int64_t time_ms)
{
	struct ledger_slot *slot = &l->events[l->noted++ % l->events_max];

	free(slot->text);
	*slot = (struct ledger_slot){ .event = { .number = l->noted,
						 .time_ms = time_ms,
						 .kind = e->kind,
						 .cause = e->cause,
						 .generation = e->generation,
						 .error = e->error,
						 .outage_ns = e->outage_ns,
						 .swallowed = e->swallowed } };
	if (by)
		slot->event.by = *by;
	keep_texts(slot, e, by);
	return &slot->event;
}

struct ledger_path *ledger_find(const struct ledger *l, const char *path)
{
	struct ledger_path *p = map_get(&l->by_path, map_hash_text(path));

	while (p && strcmp(p->path, path) != 0)
		p = p->same_hash;
	return p;
}

static struct ledger_path *meet_path(struct ledger *l, const char *path, int64_t time_ms)
{
	struct ledger_path *p = ledger_find(l, path);
	size_t size = strlen(path) + 1;

	if (p)
		return p;
	p = calloc(1, sizeof(*p) + size);
	if (!p)
		return NULL;
	memcpy(p->path, path, size);
	p->same_hash = map_get(&l->by_path, map_hash_text(path));
	if (map_put(&l->by_path, map_hash_text(path), p) < 0) {
		free(p);
		return NULL;
	}
	p->since_ms = time_ms;
	list_append(&l->paths, &p->link);
	l->in_state[p->state]++;
	return p;
}

static void enter_state(struct ledger *l, struct ledger_path *p, enum ledger_state state,
			int64_t time_ms)
{
	if (p->state == state)
		return;
	l->in_state[p->state]--;
	l->in_state[state]++;
	p->state = state;
	p->since_ms = time_ms;
}

/* A path that is reachable is not blocked because its anchor or its mode is. */
static bool moves(const struct ledger_path *p, enum kedge_event_kind kind)
{
	return kind != KEDGE_EVENT_BLOCKED || p->state != LEDGER_REACHABLE;
}

static void note_path(struct ledger *l, const struct ledger_event *e)
{
	int after = state_after[e->kind];
	struct ledger_path *p = ledger_find(l, e->path);

	if (after == GONE) {
		if (p)
			forget_path(l, p);
		return;
	}
	p = meet_path(l, e->path, e->time_ms);
	if (!p)
		return;
	if (e->kind == KEDGE_EVENT_LOST) {
		p->losses++;
		p->cause = e->cause;
	}
	if (e->kind == KEDGE_EVENT_RECOVERED) {
		p->outage_last_ns = e->outage_ns;
		p->outage_total_ns += e->outage_ns;
	}
	if (after != STAYS && moves(p, e->kind))
		enter_state(l, p, (enum ledger_state)after, e->time_ms);
}

static void note_outage(struct ledger *l, uint64_t outage_ns)
{
	size_t i = 0;

	while (i < LEDGER_BOUNDS && outage_ns > ledger_bounds_ns[i])
		i++;
	l->outages[i]++;
	l->outage_count++;
	l->outage_total_ns += outage_ns;
}

void ledger_note(struct ledger *l, const struct kedge_event *e, const struct ledger_actor *by,
		 int64_t time_ms)
{
	const struct ledger_event *kept;

	assert((unsigned)e->kind < KEDGE_EVENT_MAX_ && (unsigned)e->cause < KEDGE_CAUSE_MAX_);
	kept = keep_event(l, e, by, time_ms);
	l->counts[e->kind]++;
	if (*kept->path) {
		note_path(l, kept);
		l->losses[e->cause] += e->kind == KEDGE_EVENT_LOST;
		if (e->kind == KEDGE_EVENT_RECOVERED)
			note_outage(l, e->outage_ns);
	}
	list_for_each_safe (it, &l->listeners) {
		struct ledger_listener *listener = list_entry(it, struct ledger_listener, link);

		listener->fn(kept, listener->userdata);
	}
}

void ledger_listen(struct ledger *l, struct ledger_listener *listener)
{
	list_append(&l->listeners, &listener->link);
}

void ledger_unlisten(struct ledger_listener *listener)
{
	if (listener->link.next)
		list_unlink(&listener->link);
}

void ledger_on_describe(struct ledger *l, ledger_describe_fn *fn, void *userdata)
{
	l->on_describe = fn;
	l->describe_userdata = userdata;
}

void ledger_on_metrics(struct ledger *l, ledger_metrics_fn *fn, void *userdata)
{
	l->on_metrics = fn;
	l->metrics_userdata = userdata;
}

size_t ledger_paths(const struct ledger *l, enum ledger_state state)
{
	return l->in_state[state];
}

uint64_t ledger_count(const struct ledger *l, enum kedge_event_kind kind)
{
	return l->counts[kind];
}

void ledger_range(const struct ledger *l, uint64_t *ret_first, uint64_t *ret_last)
{
	*ret_first = l->noted > l->events_max ? l->noted - l->events_max + 1 : 1;
	*ret_last = l->noted;
}

const struct ledger_event *ledger_event_at(const struct ledger *l, uint64_t number)
{
	uint64_t first, last;

	ledger_range(l, &first, &last);
	if (number < first || number > last)
		return NULL;
	return &l->events[(number - 1) % l->events_max].event;
}
