/* What the ledger tells: JSON for kedge's own commands, text for Prometheus. */
#include <inttypes.h>

#include "base/error.h"
#include "services/ledgerbook.h"
#include "sys/clock.h"
#include "wire/json.h"

/* "name":"text", or nothing where there is no text. */
static int append_text(struct buf *b, const char *name, const char *text)
{
	if (!*text)
		return 0;
	if (buf_appendf(b, ",\"%s\":", name) < 0)
		return -ENOMEM;
	return json_append_string(b, kedge_span(text));
}

static int append_time(struct buf *b, int64_t time_ms)
{
	int r = buf_append(b, "\"time\":\"", 8);

	if (r == 0)
		r = append_utc(b, time_ms);
	return r < 0 ? r : buf_appendf(b, "\",\"timeMs\":%" PRId64, time_ms);
}

static int append_actor(struct buf *b, const struct ledger_actor *by)
{
	int r;

	if (by->pid == 0)
		return 0;
	r = buf_appendf(b, ",\"by\":{\"pid\":%d", (int)by->pid);
	if (r == 0 && by->uid != (uid_t)-1)
		r = buf_appendf(b, ",\"uid\":%u", by->uid);
	if (r == 0)
		r = append_text(b, "comm", by->comm);
	if (r == 0)
		r = append_text(b, "exe", by->exe);
	return r < 0 ? r : buf_append(b, "}", 1);
}

int ledger_append_event(struct buf *b, const struct ledger_event *e)
{
	int r = buf_appendf(b, "{\"number\":%" PRIu64 ",", e->number);

	if (r == 0)
		r = append_time(b, e->time_ms);
	if (r == 0)
		r = buf_appendf(b, ",\"event\":\"%s\"", kedge_event_name(e->kind));
	if (r == 0)
		r = append_text(b, "path", e->path);
	if (r == 0 && e->cause != KEDGE_CAUSE_NONE)
		r = buf_appendf(b, ",\"cause\":\"%s\"", kedge_cause_name(e->cause));
	if (r == 0 && e->generation)
		r = buf_appendf(b, ",\"generation\":%" PRIu64, e->generation);
	if (r == 0 && e->error)
		r = buf_appendf(b, ",\"error\":\"%s\"", error_name(e->error));
	if (r == 0 && e->kind == KEDGE_EVENT_RECOVERED)
		r = buf_appendf(b, ",\"outageNs\":%" PRIu64 ",\"swallowed\":%" PRIu32, e->outage_ns,
				e->swallowed);
	if (r == 0)
		r = append_text(b, "detail", e->detail);
	if (r == 0)
		r = append_actor(b, &e->by);
	return r < 0 ? r : buf_append(b, "}", 1);
}

static bool is_chosen(const struct ledger_event *e, const struct ledger_choice *choice)
{
	return e->time_ms >= choice->since_ms &&
	       (!choice->path || strcmp(e->path, choice->path) == 0);
}

/* The number of the first event to be told. */
static uint64_t first_chosen(const struct ledger *l, const struct ledger_choice *choice)
{
	uint64_t first, last, n;
	size_t found = 0;

	ledger_range(l, &first, &last);
	for (n = last + 1; n > first && found < choice->most; n--)
		found += is_chosen(ledger_event_at(l, n - 1), choice);
	return n;
}

int ledger_append_events(struct buf *b, const struct ledger *l, const struct ledger_choice *choice)
{
	int r = buf_append(b, "[", 1);
	bool begun = false;

	for (uint64_t n = first_chosen(l, choice); r == 0 && n <= l->noted; n++) {
		const struct ledger_event *e = ledger_event_at(l, n);

		if (!is_chosen(e, choice))
			continue;
		if (begun)
			r = buf_append(b, ",", 1);
		begun = true;
		if (r == 0)
			r = ledger_append_event(b, e);
	}
	return r < 0 ? r : buf_append(b, "]", 1);
}

static int append_path(struct buf *b, const struct ledger *l, const struct ledger_path *p)
{
	int r = buf_append(b, "{\"path\":", 8);

	if (r == 0)
		r = json_append_string(b, kedge_span(p->path));
	if (r == 0)
		r = buf_appendf(b, ",\"state\":\"%s\",\"sinceMs\":%" PRId64 ",\"losses\":%" PRIu64,
				ledger_state_names[p->state], p->since_ms, p->losses);
	if (r == 0 && p->losses)
		r = buf_appendf(b,
				",\"cause\":\"%s\",\"outageLastNs\":%" PRIu64
				",\"outageTotalNs\":%" PRIu64,
				kedge_cause_name(p->cause), p->outage_last_ns, p->outage_total_ns);
	if (r == 0 && l->on_describe)
		l->on_describe(b, p->path, l->describe_userdata);
	return r < 0 ? r : buf_append(b, "}", 1);
}

static int append_totals(struct buf *b, const struct ledger *l)
{
	int r = buf_appendf(b, "],\"states\":{");

	for (int i = 0; r == 0 && i < LEDGER_STATE_MAX_; i++)
		r = buf_appendf(b, "%s\"%s\":%zu", i ? "," : "", ledger_state_names[i],
				l->in_state[i]);
	if (r == 0)
		r = buf_appendf(b, "},\"events\":{");
	for (int i = 0; r == 0 && i < KEDGE_EVENT_MAX_; i++)
		r = buf_appendf(b, "%s\"%s\":%" PRIu64, i ? "," : "",
				kedge_event_name((enum kedge_event_kind)i), l->counts[i]);
	return r < 0 ? r : buf_append(b, "}}", 2);
}

int ledger_append_status(struct buf *b, const struct ledger *l, const char *only)
{
	int r = buf_appendf(b, "{\"paths\":[");
	bool begun = false;

	list_for_each (it, &l->paths) {
		const struct ledger_path *p = list_entry(it, struct ledger_path, link);

		if (only && strcmp(p->path, only) != 0)
			continue;
		if (r == 0 && begun)
			r = buf_append(b, ",", 1);
		begun = true;
		if (r == 0)
			r = append_path(b, l, p);
	}
	return r < 0 ? r : append_totals(b, l);
}

static int begin_metric(struct buf *b, const char *name, const char *type, const char *help)
{
	return buf_appendf(b, "# HELP kedge_%s %s\n# TYPE kedge_%s %s\n", name, help, name, type);
}

static int append_counts(struct buf *b, const struct ledger *l)
{
	int r = begin_metric(b, "losses_total", "counter", "Paths that were found lost, by cause.");

	for (int i = 1; r == 0 && i < KEDGE_CAUSE_MAX_; i++)
		r = buf_appendf(b, "kedge_losses_total{cause=\"%s\"} %" PRIu64 "\n",
				kedge_cause_name((enum kedge_cause)i), l->losses[i]);
	if (r == 0)
		r = begin_metric(b, "events_total", "counter",
				 "What happened to guarded paths: repairs, and all else.");
	for (int i = 0; r == 0 && i < KEDGE_EVENT_MAX_; i++)
		r = buf_appendf(b, "kedge_events_total{event=\"%s\"} %" PRIu64 "\n",
				kedge_event_name((enum kedge_event_kind)i), l->counts[i]);
	return r;
}

/* Kinds that put a path back, or would have had to. */
static const enum kedge_event_kind repairs[] = {
	KEDGE_EVENT_RELINKED,      KEDGE_EVENT_REBOUND,     KEDGE_EVENT_BIND_MOUNTED,
	KEDGE_EVENT_MODE_RESTORED, KEDGE_EVENT_MOVED_ASIDE,
};

static int append_repairs(struct buf *b, const struct ledger *l)
{
	int r = begin_metric(b, "repairs_total", "counter", "What was done to paths, by kind.");

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(repairs); i++)
		r = buf_appendf(b, "kedge_repairs_total{kind=\"%s\"} %" PRIu64 "\n",
				kedge_event_name(repairs[i]), l->counts[repairs[i]]);
	return r;
}

static int append_outages(struct buf *b, const struct ledger *l)
{
	int r = begin_metric(b, "outage_seconds", "histogram",
			     "From the look that found a path lost to the one that found it back.");
	uint64_t below = 0;

	for (int i = 0; r == 0 && i < LEDGER_BOUNDS; i++) {
		below += l->outages[i];
		r = buf_appendf(b, "kedge_outage_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
				(double)ledger_bounds_ns[i] / 1e9, below);
	}
	if (r == 0)
		r = buf_appendf(
			b,
			"kedge_outage_seconds_bucket{le=\"+Inf\"} %" PRIu64
			"\nkedge_outage_seconds_sum %.9f\nkedge_outage_seconds_count %" PRIu64 "\n",
			l->outage_count, (double)l->outage_total_ns / 1e9, l->outage_count);
	return r;
}

int ledger_append_metrics(struct buf *b, const struct ledger *l)
{
	int r = begin_metric(b, "paths", "gauge", "Guarded paths, by state.");

	for (int i = 0; r == 0 && i < LEDGER_STATE_MAX_; i++)
		r = buf_appendf(b, "kedge_paths{state=\"%s\"} %zu\n", ledger_state_names[i],
				l->in_state[i]);
	if (r == 0)
		r = append_counts(b, l);
	if (r == 0)
		r = append_repairs(b, l);
	if (r == 0)
		r = append_outages(b, l);
	return r == 0 && l->on_metrics ? l->on_metrics(b, l->metrics_userdata) : r;
}
