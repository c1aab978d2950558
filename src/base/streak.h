/*
 * Streaks of failures, and the pauses between tries.
 *
 * Something that fails a thousand times a second must not say so a thousand
 * times. A streak is reported when it begins, once more each time the error
 * becomes another, and when it ends: with its length and how many failures
 * were swallowed. Only the last error is remembered, so a streak takes the
 * same few bytes however long it lasts; two errors that take turns are each
 * reported up to STREAK_REPORTS_MAX in all, then swallowed too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

/* Reports of one streak, its end not counted. */
#define STREAK_REPORTS_MAX 8

/* The first pause of a back-off. */
#define BACKOFF_FIRST_NS (10 * NSEC_PER_MSEC)

enum streak_verdict {
	STREAK_REPORT = 0, /* news: tell it */
	STREAK_SWALLOW,    /* known already: keep quiet */
};

/* All zero: no streak. */
struct streak {
	uint64_t since_ns;
	uint32_t failures;
	uint32_t swallowed;
	uint32_t reports;
	int error; /* of the last failure */
};

#define STREAK_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

/**
 * streak_fail() - it failed once (more)
 * @now_ns: monotonic time, never less than in the call before
 * @error:  what went wrong; a negative errno value, or any number of the
 *          caller's that tells one trouble from another
 */
enum streak_verdict streak_fail(struct streak *s, uint64_t now_ns, int error);

/**
 * streak_recover() - it works (again)
 * @ret_length_ns: from the first failure to now; may be NULL
 * @ret_swallowed: failures that were not reported; may be NULL
 *
 * Return: whether there was a streak; without one nothing is written.
 */
bool streak_recover(struct streak *s, uint64_t now_ns, uint64_t *ret_length_ns,
		    uint32_t *ret_swallowed);

/* Pauses between tries: BACKOFF_FIRST_NS, then twice as long each time. All
 * zero: no try has failed yet; also how to begin anew after a success. */
struct backoff {
	uint64_t last_ns;
};

#define BACKOFF_INIT                                                                               \
	{                                                                                          \
		0                                                                                  \
	}

/* How long to wait before the next try, never more than @max_ns. */
uint64_t backoff_next_ns(struct backoff *b, uint64_t max_ns);
