/* The ledger from within: shared by what is noted, what is told, and what serves it. */
#pragma once

#include <stdbool.h>

#include "base/map.h"
#include "base/time.h"
#include "kedge/server.h"
#include "services/ledger.h"

/* sockets_status, sockets_events, metrics. */
#define LEDGER_METHODS 3

/* Upper bounds of the outage histogram; one more bucket has what is beyond. */
#define LEDGER_BOUNDS 10
extern const uint64_t ledger_bounds_ns[LEDGER_BOUNDS];

struct ledger_slot {
	struct ledger_event event;
	char *text; /* owns what event.path, detail, by.comm and by.exe point to */
};

struct ledger_path {
	struct list link;
	struct ledger_path *same_hash;
	enum ledger_state state;
	enum kedge_cause cause; /* of the last loss */
	int64_t since_ms;       /* in that state */
	uint64_t losses, outage_last_ns, outage_total_ns;
	char path[];
};

struct ledger {
	struct ledger_slot *events; /* a ring: number N stands in slot (N - 1) % events_max */
	size_t events_max;
	uint64_t noted;
	struct map by_path;
	struct list paths; /* in the order in which they were met */
	size_t in_state[LEDGER_STATE_MAX_];
	uint64_t counts[KEDGE_EVENT_MAX_];
	uint64_t losses[KEDGE_CAUSE_MAX_];
	uint64_t outages[LEDGER_BOUNDS + 1];
	uint64_t outage_count, outage_total_ns;
	struct list listeners;
	struct ledger_listener pushes; /* of ledger_serve() */
	ledger_describe_fn *on_describe;
	void *describe_userdata;
	ledger_metrics_fn *on_metrics;
	void *metrics_userdata;
	struct kedge_method methods[LEDGER_METHODS]; /* a server borrows its table */
};

struct ledger_path *ledger_find(const struct ledger *l, const char *path);
