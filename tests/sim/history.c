/*
 * A history: a time of trouble, a time of rest, an end.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

/* Trouble of one history. */
#define STEPS_MAX 48

/* All that can be repaired is repaired in this time: a minute in which too many files
 * were moved aside, then the safety looks and the back-off. */
#define REST_LONGEST_NS (140 * NSEC_PER_SEC)
#define REST_LEAST_NS   (12 * NSEC_PER_SEC)

/* Nothing happens: the safety look, and a stranger is asked once a second. */
#define IDLE_NS         (30 * NSEC_PER_SEC)
#define IDLE_RUNS_A_SEC 12
#define REST_RUNS_MAX   6000

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

static void make_directory(const char *parent, const char *name, uint32_t mode, uint32_t uid)
{
	struct spot at;
	struct inode *made = NULL;

	(void)kernel_walk(&the_world, parent, &at);
	(void)names_make(&the_world, at, name, INODE_DIRECTORY, mode, &made);
	made->uid = made->gid = uid;
}

static void make_tree(void)
{
	uint32_t uid = sim.profile.uid;
	struct spot bound, other, root = { 0 };

	/* A user's directories may lie below one that is shared, as /tmp is. */
	make_directory("/", "run", choose(3) == 2 ? 01777 : 0755, uid);
	make_directory("/run", "a", choose(4) == 3 ? 01777 : 0755, uid);
	make_directory("/run", "b", 0755, uid);
	make_directory("/run/b", "c", 0700, uid);
	make_directory("/", "elsewhere", 0755, uid);
	make_directory("/elsewhere", "a", 0755, uid);
	make_directory("/elsewhere", "c", 0755, uid);
	make_directory("/", "bound", 0755, uid);
	make_directory("/bound", "a", 0755, uid);
	make_directory("/bound", "c", 0755, uid);
	make_directory("/", "other", 0755, uid);
	(void)kernel_walk(&the_world, "/bound", &bound);
	(void)names_make(&the_world, bound, "file", INODE_FILE, 0644, NULL);
	root.inode = kernel_inode(kernel_filesystem(), INODE_DIRECTORY, &the_world, 0777);
	root.inode->nlink = 1;
	(void)kernel_walk(&the_world, "/", &other);
	(void)names_mount(&the_world, root, other, "other");
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

static bool is_up(const struct guard_process *g)
{
	return g->os.alive && g->engine_up;
}

static void finish_operations(void)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		while (sim.guards[i].progress == PROGRESS_BUSY)
			process_resume(&sim.guards[i]);
}

/* Without a safety look somebody has to ask for what no event has told. */
static void poke(void)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		for (int path = 0; path < PATHS_MAX; path++)
			if (is_up(&sim.guards[i]) && callbacks_find(&sim.guards[i], path))
				process_do(&sim.guards[i], OP_REPAIR, path, 0);
}

/* Run whoever wakes first. Return: whether somebody did before @end_ns. */
static bool run_next(uint64_t end_ns)
{
	struct guard_process *next = NULL;
	uint64_t wake = TIME_NEVER;

	for (int i = 0; i < PROCESSES_MAX; i++) {
		struct guard_process *g = &sim.guards[i];

		if (is_up(g) && process_wake(g) < wake) {
			next = g;
			wake = process_wake(g);
		}
	}
	if (!next || wake >= end_ns)
		return false;
	kernel.now_ns = wake;
	callbacks_accept(next);
	process_do(next, OP_RUN, 0, 0);
	return true;
}

static void let_run(uint64_t span_ns, unsigned runs_max)
{
	uint64_t end = kernel.now_ns + span_ns;
	unsigned runs = 0;

	while (run_next(end))
		if (++runs > runs_max)
			sim_fail("%u turns in %llu s, and nothing happens", runs,
				 (unsigned long long)(span_ns / NSEC_PER_SEC));
	if (kernel.now_ns < end)
		kernel.now_ns = end;
}

static void rest(void)
{
	uint64_t end = kernel.now_ns + REST_LONGEST_NS;

	trace("the world rests");
	sim.calm = true;
	adversary_rest();
	finish_operations();
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (is_up(&sim.guards[i]))
			callbacks_accept(&sim.guards[i]);
	if (sim.profile.interval_ns == TIME_NEVER && sim.unseen)
		poke();
	let_run(REST_LEAST_NS, REST_RUNS_MAX);
	while (check_waits() && kernel.now_ns < end)
		let_run(REST_LEAST_NS, REST_RUNS_MAX);
	check_reachable();
	let_run(IDLE_NS, (unsigned)(IDLE_NS / NSEC_PER_SEC) * IDLE_RUNS_A_SEC);
	check_reachable();
}

/* All guards end, some of them at once; then others begin where they were, and end. */
static void end(void)
{
	bool crash = choose(4) == 3, all = true;

	trace("the end");
	for (int i = 0; i < PROCESSES_MAX; i++) {
		struct guard_process *g = &sim.guards[i];

		if (is_up(g) && crash)
			process_crash(g);
		else if (is_up(g))
			process_do(g, OP_DEINIT, 0, 0);
	}
	process_start(&sim.guards[0]);
	for (int path = 0; path < PATHS_MAX; path++) {
		process_do(&sim.guards[0], OP_ADD, path, 0);
		all &= callbacks_find(&sim.guards[0], path) != NULL;
	}
	process_do(&sim.guards[0], OP_RUN, 0, 0);
	process_do(&sim.guards[0], OP_DEINIT, 0, 0);
	if (all)
		check_leftovers();
}

bool history_run(void)
{
	memset(&sim.profile, 0, sizeof(sim.profile));
	for (int i = 0; i < PROCESSES_MAX; i++) {
		sim.guards[i].os.alive = sim.guards[i].engine_up = false;
		sim.guards[i].progress = PROGRESS_IDLE;
	}
	sim.running = NULL;
	sim.instances = 0;
	sim.disturbances = sim.names = 0;
	sim.calm = sim.crashed = sim.swept = sim.unseen = story.failed = false;
	story.failure[0] = '\0';
	arena_reset();
	kernel_reset();
	if (setjmp(sim.end) == 0) {
		make_profile();
		make_tree();
		trouble();
		if (!kernel.exhausted)
			rest();
		if (!kernel.exhausted)
			end();
	}
	if (!story.failed && kernel.exhausted) {
		(void)snprintf(story.failure, sizeof(story.failure), "the kernel has no %s left",
			       kernel.exhausted);
		story.failed = true;
	}
	return !story.failed;
}
