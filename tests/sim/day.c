/*
 * A day: one guard with three paths, on a kernel and a clock in memory. Each hour begins with
 * some minutes of an adversary, in two hours of three; the second half of it is quiet. What the
 * guard holds after each hour must not grow, and how often it is woken is counted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"
#include "story.h"

#define HOURS     24
#define HOUR_SECS 3600u
#define ACTS_MAX  4

/* The hours at both ends of the day that are compared; before the first of them the guard
 * warms up. */
#define FIRST 2
#define SPAN  7

/* 36 were seen in some hundred days, with eleven retired listeners among them. */
#define BLOCKS_MAX 128

enum held { HELD_BLOCKS, HELD_FDS, HELD_WATCHES, HELD_RETIRED, HELD_FORMER, HELD_MAX_ };

static const char *const held_names[HELD_MAX_] = { "blocks of memory", "descriptors", "watches",
						   "retired listeners", "former directories" };

/* Of all days. */
static struct {
	unsigned days, hours;
	unsigned most[HELD_MAX_];
	unsigned long turns;              /* in quiet half hours */
	unsigned turns_least, turns_most; /* ... of one of them */
	unsigned undisturbed;             /* half hours in which all was well */
} sum;

static unsigned retired(const struct guard_process *g)
{
	unsigned count = 0;

	for (int i = 0; i < PATHS_MAX; i++) {
		const struct guarded *guarded = callbacks_find(g, i);

		count += guarded ? guarded->retired_count : 0;
	}
	return count;
}

/* Directories that the paths have led to, and may lead to again. */
static unsigned former(const struct guard_process *g)
{
	unsigned count = 0;

	list_for_each (it, &g->engine.places)
		count += list_entry(it, struct place, link)->former_count;
	return count;
}

/* Reachable, and ready for the next loss: what cannot be anchored is tried again now and then. */
static bool all_well(const struct guard_process *g)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		const struct guarded *guarded = callbacks_find(g, i);

		if (!guarded || guarded->state != KEDGE_STATE_REACHABLE || !guarded->anchored ||
		    guarded->current->home != guarded->place->anchors ||
		    guarded->lock_home != guarded->place->anchors)
			return false;
	}
	return true;
}

static void measure(const struct guard_process *g, unsigned held[HELD_MAX_])
{
	held[HELD_BLOCKS] = (unsigned)g->memory.allocations;
	held[HELD_FDS] = files_count(&g->os);
	held[HELD_WATCHES] = notify_watches(&g->os);
	held[HELD_RETIRED] = retired(g);
	held[HELD_FORMER] = former(g);
	for (int i = 0; i < HELD_MAX_; i++)
		if (held[i] > sum.most[i])
			sum.most[i] = held[i];
	if (held[HELD_BLOCKS] > BLOCKS_MAX)
		sim_fail("%u blocks of memory are in use", held[HELD_BLOCKS]);
}

static void disturb(void)
{
	unsigned acts = choose(3) ? choose(ACTS_MAX + 1) : 0;

	for (unsigned i = 0; i < acts && !kernel.exhausted; i++) {
		adversary_step();
		(void)history_let_run((1 + choose(60)) * NSEC_PER_SEC, HOUR_SECS);
	}
	adversary_rest();
}

/* The second half of an hour, in which nobody does anything. */
static void be_quiet(const struct guard_process *g)
{
	unsigned turns = history_let_run(HOUR_SECS / 2 * NSEC_PER_SEC,
					 HOUR_SECS / 2 * IDLE_RUNS_A_SEC);

	sum.hours++;
	sum.turns += turns;
	if (turns < sum.turns_least || sum.hours == 1)
		sum.turns_least = turns;
	if (turns > sum.turns_most)
		sum.turns_most = turns;
	if (!all_well(g))
		return;
	/* One safety look each five seconds, for all paths together. */
	sum.undisturbed++;
	if (turns > HOUR_SECS / 2 / 5 + 1)
		sim_fail("%u turns in half an hour in which all is well", turns);
}

static unsigned most_of(unsigned held[HOURS][HELD_MAX_], int hour, int what)
{
	unsigned most = 0;

	for (int i = hour; i < hour + SPAN; i++)
		if (held[i][what] > most)
			most = held[i][what];
	return most;
}

/* More in the evening than in the morning may be only what goes with listeners and directories
 * that were: a socket, a handle, a home, a watch. Those two have bounds of their own. */
static void compare(unsigned held[HOURS][HELD_MAX_])
{
	unsigned more = most_of(held, HOURS - SPAN, HELD_RETIRED) +
			most_of(held, HOURS - SPAN, HELD_FORMER);
	const unsigned allowed[HELD_MAX_] = { 4 * more + 4, 4 * more + 8, more + 4,
					      PATHS_MAX * RETIRED_MAX,
					      PATHS_MAX * PLACE_FORMER_MAX };

	for (int what = 0; what < HELD_MAX_; what++) {
		unsigned was = most_of(held, FIRST, what), is = most_of(held, HOURS - SPAN, what);

		if (is > was + allowed[what])
			sim_fail("%s grew from %u to %u in a day", held_names[what], was, is);
	}
}

static void day(void)
{
	struct guard_process *g = &sim.guards[0];
	static unsigned held[HOURS][HELD_MAX_];

	sim.profile = (struct profile){ .uid = choose(2) ? 1000 : 0,
					.mounting = true,
					.interval_ns = 5 * NSEC_PER_SEC };
	history_tree();
	/* Nothing happens between two calls of one turn: that is what the histories are for. */
	sim.calm = true;
	process_start(g);
	for (int path = 0; path < PATHS_MAX; path++)
		process_do(g, OP_ADD, path, 0);
	for (int hour = 0; hour < HOURS && !kernel.exhausted; hour++) {
		uint64_t began = kernel.now_ns;

		disturb();
		(void)history_let_run(began + HOUR_SECS / 2 * NSEC_PER_SEC - kernel.now_ns,
				      HOUR_SECS * IDLE_RUNS_A_SEC);
		be_quiet(g);
		check_reachable();
		measure(g, held[hour]);
	}
	if (kernel.exhausted)
		return;
	sum.days++;
	compare(held);
	history_end();
}

/* Of all days, once the last of them is over. */
static void tell_all(void)
{
	double half_hours = sum.hours ? sum.hours : 1;

	(void)printf("# %u days: in quiet half hours %.1f turns (%u to %u), %u of %u with all well "
		     "and no more "
		     "than a safety look each 5 s\n",
		     sum.days, (double)sum.turns / half_hours, sum.turns_least, sum.turns_most,
		     sum.undisturbed, sum.hours);
	for (int i = 0; i < HELD_MAX_; i++)
		(void)printf("# most %s: %u\n", held_names[i], sum.most[i]);
}

bool history_run(void)
{
	static bool begun;

	if (!begun)
		(void)atexit(tell_all);
	begun = true;
	return history_run_as(day);
}
