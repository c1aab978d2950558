/*
 * What happens between two calls of a guard, and between two of its operations.
 */
#include "sim.h"

enum between {
	BETWEEN_RUN,
	BETWEEN_END,
	BETWEEN_ADVERSARY,
	BETWEEN_TIME,
	BETWEEN_OP,
	BETWEEN_EVENTS,
	BETWEEN_CRASH,
	BETWEEN_MAX_
};

enum within {
	WITHIN_TIME,
	WITHIN_YIELD,
	WITHIN_ADVERSARY,
	WITHIN_FAULT,
	WITHIN_CRASH,
	WITHIN_MAX_
};

static void pass_time(void)
{
	static const uint64_t spans_ms[] = { 1, 10, 15, 100, 1000, 6000 };

	kernel.now_ns += spans_ms[choose(6)] * NSEC_PER_MSEC;
	trace("time passes");
}

/* One of the errors that the call may have. */
static int inject(struct guard_process *g, const int *errors, bool may_be_late)
{
	unsigned count = 0;
	int error;

	if (!errors || !sim.faults_left)
		return 0;
	while (errors[count])
		count++;
	sim.faults_left--;
	error = errors[choose(count)];
	/* A network file system may say that it failed when it did not. */
	g->late = may_be_late && choose(8) == 7;
	g->tainted = sim.swept = true;
	sim.disturbances++;
	trace("  a fault%s", g->late ? ", after the deed" : "");
	return error;
}

int disturb_call(struct guard_process *g, const int *errors, bool may_be_late)
{
	static const unsigned weights[WITHIN_MAX_] = { 2, 5, 12, 7, 1 };
	int r = 0;

	switch (choose_weighted(weights, WITHIN_MAX_)) {
	case WITHIN_YIELD:
		/* Whatever others do meanwhile, g has not seen it. */
		sim.disturbances++;
		process_yield(g);
		break;
	case WITHIN_ADVERSARY:
		adversary_step();
		break;
	case WITHIN_FAULT:
		r = inject(g, errors, may_be_late);
		break;
	case WITHIN_CRASH:
		process_crash(g);
		break;
	default:
		pass_time();
	}
	sim.call_gap = choose_gap(sim.profile.call_gap_max);
	return r;
}

/* Events are lost, doubled, or come in another order than they happened. */
static void distort_events(struct guard_process *g)
{
	unsigned count = g->os.event_count, i, j;
	struct event event;

	if (!count)
		return;
	i = choose(count);
	switch (choose(3)) {
	case 0:
		if (count < kernel.event_room)
			g->os.events[g->os.event_count++] = g->os.events[i];
		break;
	case 1:
		j = choose(count);
		event = g->os.events[i];
		g->os.events[i] = g->os.events[j];
		g->os.events[j] = event;
		break;
	default:
		for (; i + 1 < count; i++)
			g->os.events[i] = g->os.events[i + 1];
		g->os.event_count--;
		sim.unseen = true;
		trace("an event to %d is lost", g->index);
	}
}

static void run_one(struct guard_process *g)
{
	if (g->progress == PROGRESS_BUSY)
		process_resume(g);
	else if (g->os.alive && g->engine_up) {
		callbacks_accept(g);
		process_do(g, OP_RUN, 0, 0);
	}
}

static void do_something(struct guard_process *g)
{
	static const unsigned weights[] = { 8, 4, 3, 1, 1 };
	static const enum op ops[] = { OP_ADD, OP_CLOSE, OP_REPAIR, OP_DEINIT, OP_ABANDON };
	enum op op;

	if (g->progress == PROGRESS_BUSY) {
		process_resume(g);
		return;
	}
	op = ops[choose_weighted(weights, 5)];
	if (!g->os.alive || !g->engine_up) {
		op = OP_ADD;
		process_start(g);
	}
	process_do(g, op, (int)choose(PATHS_MAX), choose(10));
}

/* Go on to when somebody has something to do. */
static void pass_to_wake(void)
{
	struct guard_process *next = NULL;

	for (int i = 0; i < PROCESSES_MAX; i++) {
		struct guard_process *g = &sim.guards[i];

		if (g->progress == PROGRESS_IDLE && g->os.alive && g->engine_up &&
		    (!next || process_wake(g) < process_wake(next)))
			next = g;
	}
	if (!next || process_wake(next) == TIME_NEVER)
		return;
	kernel.now_ns = process_wake(next);
	run_one(next);
}

/* The first process is the one that most happens to. */
static struct guard_process *pick_guard(void)
{
	static const unsigned weights[PROCESSES_MAX] = { 4, 2, 1 };

	return &sim.guards[choose_weighted(weights, PROCESSES_MAX)];
}

bool disturb_between(void)
{
	static const unsigned weights[BETWEEN_MAX_] = { 26, 2, 30, 16, 14, 4, 2 };
	struct guard_process *g;

	switch (choose_weighted(weights, BETWEEN_MAX_)) {
	case BETWEEN_RUN:
		run_one(pick_guard());
		return true;
	case BETWEEN_ADVERSARY:
		adversary_step();
		return true;
	case BETWEEN_TIME:
		pass_to_wake();
		return true;
	case BETWEEN_OP:
		do_something(pick_guard());
		return true;
	case BETWEEN_EVENTS:
		distort_events(pick_guard());
		return true;
	case BETWEEN_CRASH:
		g = pick_guard();
		if (g->os.alive)
			process_crash(g);
		return true;
	default:
		return false;
	}
}
