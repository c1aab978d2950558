/*
 * Simulation: real code in a world in memory. Here the guard's planner and engine over a
 * kernel; in rpc/ connections and callers over sockets. Either is run by main.c.
 *
 * Nothing here has a will of its own: whatever may happen this way or that way
 * is asked of choose(). One seed is one list of answers, and one list is one
 * history: a list that was recorded replays it, and a list with parts cut out
 * is another, shorter history. That is all there is to replaying and shrinking.
 *
 * This header: the answers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Answers that one history may ask for; beyond them all is 0. */
#define CHOICES_MAX 4096

struct choices {
	uint16_t answers[CHOICES_MAX];
	size_t count; /* of answers that are recorded, or to be replayed */
};

/* Answer from @seed from now on, and record it in @record. */
void choose_by_seed(uint64_t seed, struct choices *record);

/* Answer from @list, then 0. */
void choose_by_list(const struct choices *list);

/* How many answers were asked for since. */
size_t choose_asked(void);

/* A number below @below (at most 65536). 0 must be the quiet choice: it is what
 * is left when a list ends, and what shrinking strives for. */
unsigned choose(unsigned below);

/* As choose(@most + 1), but by seed never 0: how long until something happens; 0: never. */
unsigned choose_gap(unsigned most);

/* Pick a row of a table by weights; the first row is the quiet one. */
unsigned choose_weighted(const unsigned *weights, unsigned count);
