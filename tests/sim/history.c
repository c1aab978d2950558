/*
 * What histories are made of: directories, time that passes, a time of rest, an end.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

/* All that can be repaired is repaired in this time: a minute in which too many files
 * were moved aside, then the safety looks and the back-off. */
#define REST_LONGEST_NS (140 * NSEC_PER_SEC)
#define REST_LEAST_NS   (12 * NSEC_PER_SEC)

/* Nothing happens: the safety look, and a stranger is asked once a second. */
#define IDLE_NS       (30 * NSEC_PER_SEC)
#define REST_RUNS_MAX 6000

static void make_directory(const char *parent, const char *name, uint32_t mode, uint32_t uid)
{
	struct spot at;
	struct inode *made = NULL;

	(void)kernel_walk(&the_world, parent, &at);
	(void)names_make(&the_world, at, name, INODE_DIRECTORY, mode, &made);
	made->uid = made->gid = uid;
}

void history_tree(void)
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

unsigned history_let_run(uint64_t span_ns, unsigned runs_max)
{
	uint64_t end = kernel.now_ns + span_ns;
	unsigned runs = 0;

	while (run_next(end))
		if (++runs > runs_max)
			sim_fail("%u turns in %llu s, and nothing happens", runs,
				 (unsigned long long)(span_ns / NSEC_PER_SEC));
	if (kernel.now_ns < end)
		kernel.now_ns = end;
	return runs;
}

void history_rest(void)
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
	(void)history_let_run(REST_LEAST_NS, REST_RUNS_MAX);
	while (check_waits() && kernel.now_ns < end)
		(void)history_let_run(REST_LEAST_NS, REST_RUNS_MAX);
	check_reachable();
	(void)history_let_run(IDLE_NS, (unsigned)(IDLE_NS / NSEC_PER_SEC) * IDLE_RUNS_A_SEC);
	check_reachable();
}

/* Return: whether all paths could be guarded. */
static bool begin_and_end(void)
{
	bool all = true;

	process_start(&sim.guards[0]);
	for (int path = 0; path < PATHS_MAX; path++) {
		process_do(&sim.guards[0], OP_ADD, path, 0);
		all &= callbacks_find(&sim.guards[0], path) != NULL;
	}
	process_do(&sim.guards[0], OP_RUN, 0, 0);
	process_do(&sim.guards[0], OP_DEINIT, 0, 0);
	return all;
}

/* All guards end, some of them at once; then others begin where they were, and end. */
void history_end(void)
{
	bool crash = choose(4) == 3, all;

	trace("the end");
	for (int i = 0; i < PROCESSES_MAX; i++) {
		struct guard_process *g = &sim.guards[i];

		if (is_up(g) && crash)
			process_crash(g);
		else if (is_up(g))
			process_do(g, OP_DEINIT, 0, 0);
	}
	all = begin_and_end();
	/* Refused maybe, or beside what is listened on; what they left goes with the next. */
	if (adversary_end_children())
		all = begin_and_end();
	if (all)
		check_leftovers();
}

bool history_run_as(void (*tell)(void))
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
	if (setjmp(sim.end) == 0)
		tell();
	if (!story.failed && kernel.exhausted) {
		(void)snprintf(story.failure, sizeof(story.failure), "the kernel has no %s left",
			       kernel.exhausted);
		story.failed = true;
	}
	return !story.failed;
}
