#include "cmd/top-model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/table.h"
#include "services/ledger.h"
#include "wire/json.h"

/* Requests per second are an average of at least so long: a push makes us ask at once. */
#define RATE_NS (50 * NSEC_PER_MSEC)

const char *const top_column_names[TOP_COLUMN_MAX_] = {
	[TOP_STATE] = "state",     [TOP_LOSSES] = "losses", [TOP_OUTAGE] = "outage",
	[TOP_CLIENTS] = "clients", [TOP_RATE] = "rate",     [TOP_OWNER] = "owner",
	[TOP_PATH] = "path",
};

int top_column_find(const char *name)
{
	for (int i = 0; i < TOP_COLUMN_MAX_; i++)
		if (strcmp(top_column_names[i], name) == 0)
			return i;
	return -EINVAL;
}

/* From JSON to rows. */

static int64_t number_of(struct kedge_span object, const char *name)
{
	struct kedge_span value = json_member(object, name);

	/* The object's end stands behind it, so strtoll() stops. */
	return json_kind(value) == JSON_NUMBER ? strtoll(value.data, NULL, 10) : TOP_UNKNOWN;
}

static int state_of(struct kedge_span state)
{
	for (int i = 0; i < LEDGER_STATE_MAX_; i++)
		if (json_string_is(state, ledger_state_names[i]))
			return i;
	return TOP_UNKNOWN;
}

/* Of another daemon its name and pid, of a server of the kedge itself the server's. */
static int read_owner(struct top_row *row, struct kedge_span path)
{
	struct kedge_span owner = json_member(path, "owner");
	_cleanup_(freep) char *comm = text_of_json(json_member(owner, "comm"));
	_cleanup_(freep) char *name = text_of_json(json_member(path, "name"));

	if (!comm || !name)
		return -ENOMEM;
	if (owner.size)
		(void)snprintf(row->owner, sizeof(row->owner), "%.15s/%lld", comm,
			       (long long)number_of(owner, "pid"));
	else
		(void)snprintf(row->owner, sizeof(row->owner), "%.31s", name);
	return 0;
}

static int read_row(struct top_row *row, pid_t guard, struct kedge_span path, struct top_moment now)
{
	*row = (struct top_row){
		.guard = guard,
		.path = text_of_json(json_member(path, "path")),
		.state = state_of(json_member(path, "state")),
		.since_ms = number_of(path, "sinceMs"),
		.losses = number_of(path, "losses"),
		.outage_ns = number_of(path, "outageLastNs"),
		.outage_total_ns = number_of(path, "outageTotalNs"),
		.clients = number_of(path, "clients"),
		.rate = TOP_UNKNOWN,
		.requests = number_of(path, "requests"),
		.base_ns = now.monotonic_ns,
	};
	row->lost = row->state == LEDGER_REPAIRING || row->state == LEDGER_DISPLACED ||
		    row->state == LEDGER_BLOCKED;
	if (row->lost)
		row->outage_ns = (now.wall_ms - row->since_ms) * (int64_t)NSEC_PER_MSEC;
	return row->path ? read_owner(row, path) : -ENOMEM;
}

static void source_deinit(struct top_source *source)
{
	for (size_t i = 0; i < source->count; i++)
		free(source->rows[i].path);
	free(source->rows);
	*source = (struct top_source){ .pid = source->pid };
}

static int source_read(struct top_source *source, struct kedge_span status, struct top_moment now)
{
	struct kedge_span paths = json_member(status, "paths"), path;
	const char *at = NULL;
	size_t capacity = 0;

	while (json_kind(paths) == JSON_ARRAY && json_next_element(paths, &at, &path)) {
		if (source->count == capacity) {
			void *more;

			capacity = capacity ? 2 * capacity : 16;
			more = reallocarray(source->rows, capacity, sizeof(*source->rows));
			if (!more)
				return -ENOMEM;
			source->rows = more;
		}
		if (read_row(&source->rows[source->count++], source->pid, path, now) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What was counted since the row was told of before. */
static void count_rate(struct top_row *row, const struct top_row *before)
{
	uint64_t passed_ns = row->base_ns - before->base_ns;

	if (row->requests < before->requests)
		return;
	if (passed_ns >= RATE_NS) {
		row->rate = (double)(row->requests - before->requests) * 1e9 / (double)passed_ns;
		return;
	}
	row->rate = before->rate;
	row->requests = before->requests;
	row->base_ns = before->base_ns;
}

/* Only servers count requests, and a process has three at most: a search for each is cheap. */
static void count_rates(struct top_source *now, const struct top_source *before)
{
	for (size_t i = 0; i < now->count; i++) {
		struct top_row *row = &now->rows[i];

		for (size_t k = 0; row->requests >= 0 && k < before->count; k++)
			if (before->rows[k].requests >= 0 &&
			    strcmp(before->rows[k].path, row->path) == 0) {
				count_rate(row, &before->rows[k]);
				break;
			}
	}
}

/* Sources. */

static struct top_source *find_source(struct top_model *m, pid_t pid)
{
	for (size_t i = 0; i < m->source_count; i++)
		if (m->sources[i].pid == pid)
			return &m->sources[i];
	return NULL;
}

int top_model_take(struct top_model *m, pid_t pid, struct kedge_span status, struct top_moment now)
{
	struct top_source *source = find_source(m, pid), fresh = { .pid = pid };

	if (!source && m->source_count == TOP_SOURCES_MAX)
		return -ENOSPC;
	if (source_read(&fresh, status, now) < 0) {
		source_deinit(&fresh);
		return -ENOMEM;
	}
	if (!source) {
		source = &m->sources[m->source_count++];
		*source = (struct top_source){ .pid = pid };
	}
	count_rates(&fresh, source);
	source_deinit(source);
	*source = fresh;
	return 0;
}

void top_model_drop(struct top_model *m, pid_t pid)
{
	struct top_source *source = find_source(m, pid);

	if (!source)
		return;
	source_deinit(source);
	*source = m->sources[--m->source_count];
}

void top_model_silence(struct top_model *m, pid_t pid)
{
	struct top_source *source = find_source(m, pid);

	for (size_t i = 0; source && i < source->count; i++)
		source->rows[i].silent = true;
}

/* Order. */

/* How much a row wants to be looked at: 0 most. */
static int rank_of(const struct top_row *row)
{
	static const int ranks[LEDGER_STATE_MAX_] = {
		[LEDGER_BLOCKED] = 1,    [LEDGER_DISPLACED] = 2, [LEDGER_REPAIRING] = 3,
		[LEDGER_LEFT_ALONE] = 4, [LEDGER_AWAITED] = 5,   [LEDGER_REACHABLE] = 6,
	};

	return row->silent || row->state < 0 ? 0 : ranks[row->state];
}

static int compare_numbers(double a, double b)
{
	return (a > b) - (a < b);
}

/* As one wants to see them first: the worst, the most, the first of the alphabet. */
static int compare_by(enum top_column column, const struct top_row *a, const struct top_row *b)
{
	switch (column) {
	case TOP_STATE:
		return rank_of(a) - rank_of(b);
	case TOP_LOSSES:
		return compare_numbers((double)b->losses, (double)a->losses);
	case TOP_OUTAGE:
		return compare_numbers((double)b->outage_ns, (double)a->outage_ns);
	case TOP_CLIENTS:
		return compare_numbers((double)b->clients, (double)a->clients);
	case TOP_RATE:
		return compare_numbers(b->rate, a->rate);
	case TOP_OWNER:
		return strcmp(a->owner, b->owner);
	default:
		return 0;
	}
}

static int compare(const void *left, const void *right, void *userdata)
{
	const struct top_row *a = *(struct top_row *const *)left;
	const struct top_row *b = *(struct top_row *const *)right;
	const struct top_model *m = userdata;
	int r = compare_by(m->sort, a, b);

	/* Nothing jumps about where figures are the same. */
	if (r == 0)
		r = strcmp(a->path, b->path);
	if (r == 0)
		r = a->guard - b->guard;
	return m->reverse ? -r : r;
}

static bool is_shown(const struct top_model *m, const struct top_row *row)
{
	if (m->only_unwell && row->state == LEDGER_REACHABLE && !row->silent)
		return false;
	return !*m->filter || strcasestr(row->path, m->filter) || strcasestr(row->owner, m->filter);
}

static void count_row(struct top_model *m, const struct top_row *row)
{
	m->total++;
	m->in_state[row->state < 0 ? LEDGER_STATE_MAX_ : row->state]++;
	m->losses += row->losses > 0 ? row->losses : 0;
}

/* The chosen row is where it was, or what is now in its place is chosen. */
static void find_choice(struct top_model *m)
{
	size_t at = m->at;

	for (size_t i = 0; m->choice.path && i < m->shown_count; i++)
		if (m->shown[i]->guard == m->choice.guard &&
		    strcmp(m->shown[i]->path, m->choice.path) == 0)
			at = i;
	top_model_choose(m, at);
}

int top_model_arrange(struct top_model *m)
{
	size_t capacity = 0;

	_Static_assert(LEDGER_STATE_MAX_ < ARRAY_SIZE(m->in_state), "each state has its count");
	memset(m->in_state, 0, sizeof(m->in_state));
	m->total = m->shown_count = 0;
	m->losses = 0;
	for (size_t i = 0; i < m->source_count; i++)
		capacity += m->sources[i].count;
	free(m->shown);
	m->shown = calloc(capacity ? capacity : 1, sizeof(*m->shown));
	if (!m->shown)
		return -ENOMEM;
	for (size_t i = 0; i < m->source_count; i++)
		for (size_t k = 0; k < m->sources[i].count; k++) {
			struct top_row *row = &m->sources[i].rows[k];

			count_row(m, row);
			if (is_shown(m, row))
				m->shown[m->shown_count++] = row;
		}
	qsort_r(m->shown, m->shown_count, sizeof(*m->shown), compare, m);
	find_choice(m);
	return 0;
}

void top_model_choose(struct top_model *m, size_t at)
{
	const struct top_row *row;

	m->at = at < m->shown_count ? at : m->shown_count ? m->shown_count - 1 : 0;
	row = top_model_chosen(m);
	/* Where all are left out, the choice is not forgotten: they may come back. */
	if (!row)
		return;
	if (m->choice.path && m->choice.guard == row->guard &&
	    strcmp(m->choice.path, row->path) == 0)
		return;
	free(m->choice.path);
	m->choice = (struct top_choice){ row->guard, strdup(row->path) };
}

const struct top_row *top_model_chosen(const struct top_model *m)
{
	return m->at < m->shown_count ? m->shown[m->at] : NULL;
}

void top_model_deinit(struct top_model *m)
{
	for (size_t i = 0; i < m->source_count; i++)
		source_deinit(&m->sources[i]);
	free(m->shown);
	free(m->choice.path);
	*m = (struct top_model){ 0 };
}
