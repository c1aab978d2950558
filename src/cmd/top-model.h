/*
 * The model of `kedge top`: guarded paths as the kedges of this machine tell of them, in which
 * order they are shown, which are left out, and which one is chosen.
 *
 * Nothing here reads or writes anything, or asks what time it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kedge/conn.h"

enum top_column {
	TOP_STATE = 0,
	TOP_LOSSES,
	TOP_OUTAGE,
	TOP_CLIENTS,
	TOP_RATE,
	TOP_OWNER,
	TOP_PATH,
	TOP_COLUMN_MAX_,
};

/* "state", "losses", ...: as --sort takes them. */
extern const char *const top_column_names[TOP_COLUMN_MAX_];

/* A figure that nobody told. */
#define TOP_UNKNOWN (-1)

/* Kedges that are asked at a time. */
#define TOP_SOURCES_MAX 64

/* A filter is no longer, its NUL included. */
#define TOP_FILTER_BYTES 64

struct top_row {
	pid_t guard;
	char *path;
	char owner[32]; /* "redis-server/812", or a server's name; "": nobody holds it */
	int state;      /* enum ledger_state, or TOP_UNKNOWN: one of a later version */
	bool silent;    /* its kedge does not answer: this is how it was */
	bool lost;
	int64_t since_ms; /* in that state; CLOCK_REALTIME */
	int64_t losses;
	int64_t outage_ns; /* the last one; while it is lost the present one; or TOP_UNKNOWN */
	int64_t outage_total_ns;
	int64_t clients;  /* or TOP_UNKNOWN */
	double rate;      /* requests per second, or TOP_UNKNOWN */
	int64_t requests; /* at @base_ns, or TOP_UNKNOWN */
	uint64_t base_ns;
};

/* What one kedge told. */
struct top_source {
	pid_t pid;
	struct top_row *rows;
	size_t count;
};

/* A row beyond the next answer. */
struct top_choice {
	pid_t guard;
	char *path; /* NULL: none is chosen */
};

struct top_model {
	struct top_source sources[TOP_SOURCES_MAX];
	size_t source_count;
	struct top_row **shown; /* by top_model_arrange(): sorted, without what is left out */
	size_t shown_count, total;
	size_t in_state[8]; /* by enum ledger_state; the last: TOP_UNKNOWN */
	int64_t losses;     /* of all paths */
	size_t at;          /* which of @shown is chosen */
	struct top_choice choice;
	enum top_column sort;
	bool reverse, only_unwell;
	char filter[TOP_FILTER_BYTES]; /* shown are paths and owners with that in them */
};

/* When an answer was taken. */
struct top_moment {
	uint64_t monotonic_ns;
	int64_t wall_ms;
};

void top_model_deinit(struct top_model *m);

/**
 * top_model_take() - take what a kedge answered to sockets_status
 * @status: its result; valid JSON
 *
 * Arranged it is only by the next top_model_arrange(), and until then nothing is to be read.
 *
 * Return: 0; -ENOMEM: what was told before stands; -ENOSPC: TOP_SOURCES_MAX are there.
 */
int top_model_take(struct top_model *m, pid_t pid, struct kedge_span status, struct top_moment now);

/* It is gone, and its paths are guarded by nobody. The same holds. */
void top_model_drop(struct top_model *m, pid_t pid);

/* It does not answer: its paths are shown as they were, and said to be so. */
void top_model_silence(struct top_model *m, pid_t pid);

/* Sort and choose anew: after rows or one of sort, reverse, only_unwell and filter changed.
 * Return: 0 or -ENOMEM (nothing is shown then). */
int top_model_arrange(struct top_model *m);

/* Choose a row of those that are shown; beyond the last: the last. */
void top_model_choose(struct top_model *m, size_t at);

/* The chosen one, or NULL. */
const struct top_row *top_model_chosen(const struct top_model *m);

/* A column's number by its name, or -EINVAL. */
int top_column_find(const char *name);
