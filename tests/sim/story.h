/*
 * What main.c runs, and how it is told: one history of a world, which ends well
 * or with one line that says what is foul.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAILURE_BYTES 400

struct story {
	bool tracing;
	bool failed;
	char failure[FAILURE_BYTES];
};

extern struct story story;

/* The story so far, a line each, where it was asked for. */
#define trace(...)                                                                                 \
	do {                                                                                       \
		if (story.tracing)                                                                 \
			trace_line(__VA_ARGS__);                                                   \
	} while (0)

void trace_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* This history has shown a bug: it ends here. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What each world has of its own. */

/* One history, by the answers that choose() gives. Return: whether all of it was sound;
 * story.failure says what is not. */
bool history_run(void);

/* Leave the history at once, from wherever it is. */
_Noreturn void history_leave(void);

/* Time that has passed in it. */
uint64_t history_clock_ns(void);
