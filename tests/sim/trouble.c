/*
 * A history: a time of trouble, a time of rest, an end.
 */
#include "sim.h"
#include "story.h"

/* Trouble of one history. */
#define STEPS_MAX 48

static void make_profile(void)
{
	static const uint64_t intervals[] = { 5 * NSEC_PER_SEC, NSEC_PER_SEC, TIME_NEVER };
	struct profile *p = &sim.profile;
	unsigned kind = choose(16);

	*p = (struct profile){
		.uid = kind & 1 ? 1000 : 0,
		.mounting = !(kind & 2),
		.interval_ns = intervals[choose(3)],
		.steps_max = 2 + choose(STEPS_MAX),
		.call_gap_max = choose(4) == 3 ? 0 : 4 + choose(120),
		.callback_gap_max = choose(3) == 2 ? 3 + choose(20) : 0,
		.inotify_scarce = choose(12) == 11,
		.restless = choose(6) == 5,
	};
	if (choose(6) == 5)
		p->anchor_dir = choose(4) == 3 ? "/other/anchors" : "/run/anchors";
	kernel.no_swap = choose(8) == 7;
	if (choose(6) == 5)
		kernel.event_room = 3;
	sim.faults_left = choose(3) == 2 ? 1 + choose(5) : 0;
	sim.alloc_gap = sim.faults_left ? choose_gap(400) : 0;
	sim.call_gap = choose_gap(p->call_gap_max);
	sim.callback_gap = choose_gap(p->callback_gap_max);
}

static void trouble(void)
{
	process_start(&sim.guards[0]);
	process_do(&sim.guards[0], OP_ADD, 0, 0);
	for (unsigned i = 0; i < sim.profile.steps_max && !kernel.exhausted; i++) {
		if (!disturb_between())
			break;
		/* What lingers in the name cache lingers for a few steps at most. */
		if (i % 4 == 3)
			kernel_settle_all();
	}
}

static void tell(void)
{
	make_profile();
	history_tree();
	trouble();
	if (!kernel.exhausted)
		history_rest();
	if (!kernel.exhausted)
		history_end();
}

bool history_run(void)
{
	return history_run_as(tell);
}
