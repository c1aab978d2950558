/*
 * The ledger: what happened to the guarded paths of this process.
 *
 * It is fed with the guard's events and keeps the last of them in a ring,
 * counters for good, a histogram of outages, and where each path stands. What
 * `kedge status` and `kedge events` show and what Prometheus reads is told from
 * here; ledger_serve() makes it methods of a server.
 *
 * Everything belongs to one thread. Time comes from the caller.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "kedge/guard.h"

struct kedge_server;

/* Events that are kept; older ones are counted only. */
#define LEDGER_EVENTS_DEFAULT 4096

/* Texts of an event that are longer are cut: a path, a detail, a program. */
#define LEDGER_TEXT_MAX 4096

/* Where a path stands, as its events tell. */
enum ledger_state {
	LEDGER_REACHABLE = 0,
	LEDGER_REPAIRING,
	LEDGER_DISPLACED,
	LEDGER_BLOCKED,
	LEDGER_LEFT_ALONE,
	LEDGER_AWAITED,
	LEDGER_STATE_MAX_,
};

/* "reachable", "repairing", ...: as `kedge status` shows them. */
extern const char *const ledger_state_names[LEDGER_STATE_MAX_];

/* Who did it, where the kernel told. */
struct ledger_actor {
	pid_t pid; /* 0: nobody knows */
	uid_t uid; /* (uid_t)-1: it was gone before it could be asked */
	const char *comm;
	const char *exe;
};

struct ledger_event {
	uint64_t number; /* from 1, without gaps */
	int64_t time_ms; /* since the epoch */
	enum kedge_event_kind kind;
	enum kedge_cause cause;
	uint64_t generation;
	int error;
	uint64_t outage_ns;
	uint32_t swallowed;
	const char *path, *detail; /* valid UTF-8: what was not is '?' */
	struct ledger_actor by;
};

struct ledger;

/* Keep @events_max events (0: the default). Return: NULL: out of memory. */
struct ledger *ledger_new(size_t events_max);

/* May be NULL. Return: NULL. */
struct ledger *ledger_free(struct ledger *ledger);

/**
 * ledger_note() - take an event in
 * @by:      who did it; NULL: unknown
 * @time_ms: CLOCK_REALTIME, for people; nothing is computed from it
 *
 * Out of memory loses the event's text, never its count.
 */
void ledger_note(struct ledger *ledger, const struct kedge_event *event,
		 const struct ledger_actor *by, int64_t time_ms);

/* Told of each event that is noted, as long as it listens. */
struct ledger_listener {
	struct list link;
	void (*fn)(const struct ledger_event *event, void *userdata);
	void *userdata;
};

/* @listener is borrowed, and fn and userdata are set. It may leave from within a call, others
 * may not. */
void ledger_listen(struct ledger *ledger, struct ledger_listener *listener);

/* Again, or after ledger_free(), is nothing. */
void ledger_unlisten(struct ledger_listener *listener);

/* More about a path, as members of its object: `,"owner":17`. May be NULL. */
typedef void ledger_describe_fn(struct buf *b, const char *path, void *userdata);
void ledger_on_describe(struct ledger *ledger, ledger_describe_fn *fn, void *userdata);

/* More figures, in Prometheus's format. May be NULL. Return: 0 or -ENOMEM. */
typedef int ledger_metrics_fn(struct buf *b, void *userdata);
void ledger_on_metrics(struct ledger *ledger, ledger_metrics_fn *fn, void *userdata);

/* How many paths are in a state, and how often something happened. */
size_t ledger_paths(const struct ledger *ledger, enum ledger_state state);
uint64_t ledger_count(const struct ledger *ledger, enum kedge_event_kind kind);

/* The numbers of the events that are kept; @ret_last is one less than @ret_first where
 * there are none. */
void ledger_range(const struct ledger *ledger, uint64_t *ret_first, uint64_t *ret_last);

/* The event with a number, valid until the next one is noted. NULL: it is not kept. */
const struct ledger_event *ledger_event_at(const struct ledger *ledger, uint64_t number);

/* One event as a JSON object. Return: 0 or -ENOMEM. */
int ledger_append_event(struct buf *b, const struct ledger_event *event);

/* Which of the kept events. */
struct ledger_choice {
	int64_t since_ms; /* those of that time or later; INT64_MIN: all */
	const char *path; /* of one path; NULL: of all */
	size_t most;      /* the newest so many of these */
};

#define LEDGER_CHOICE_ALL                                                                          \
	(struct ledger_choice)                                                                     \
	{                                                                                          \
		.since_ms = INT64_MIN, .most = SIZE_MAX                                            \
	}

/* The kept events as a JSON array, the oldest first. Return: 0 or -ENOMEM. */
int ledger_append_events(struct buf *b, const struct ledger *ledger,
			 const struct ledger_choice *choice);

/* All paths with state and counters, and the totals, as a JSON object.
 * @only: one path; NULL: all */
int ledger_append_status(struct buf *b, const struct ledger *ledger, const char *only);

/* The same as text for Prometheus (exposition format 0.0.4). */
int ledger_append_metrics(struct buf *b, const struct ledger *ledger);

/**
 * ledger_serve() - answer for the ledger on a server
 *
 * Adds `sockets_status {path?}`, `sockets_events {since?, most?, path?}` (since:
 * ms since the epoch) and `metrics` (the text as a JSON string), and pushes each
 * event to every client as {"event":"sockets_event","data":{...}}. One server at
 * a time. The ledger outlives it. Return: 0 or -ENOMEM.
 */
int ledger_serve(struct ledger *ledger, struct kedge_server *server);

/* Push no more: before that server is stopped. */
void ledger_serve_end(struct ledger *ledger);
