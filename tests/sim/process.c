/*
 * A guard process: its operations, each on a stack of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* Three paths of PATH_MAX lie on the stack at once, and callbacks call back in. */
#define STACK_BYTES (256u << 10)

static _Alignas(64) char stacks[PROCESSES_MAX][STACK_BYTES];

struct sim sim;

uint64_t history_clock_ns(void)
{
	return kernel.now_ns - 1000 * NSEC_PER_SEC;
}

_Noreturn void history_leave(void)
{
	if (sim.running)
		(void)setcontext(&sim.main);
	longjmp(sim.end, 1);
}

struct holder *arena_user(void)
{
	return sim.running ? &sim.running->memory : NULL;
}

bool arena_refuses(void)
{
	if (sim.calm || !sim.running || !sim.alloc_gap || --sim.alloc_gap > 0)
		return false;
	if (sim.faults_left) {
		sim.faults_left--;
		sim.alloc_gap = choose_gap(200);
	}
	sim.running->tainted = true;
	sim.disturbances++;
	trace("  no memory");
	return true;
}

void arena_is_exhausted(void)
{
	kernel.exhausted = "memory";
}

static void read_events(struct guard_process *g)
{
	struct event events[EVENTS_MAX];
	unsigned count = g->os.event_count;

	memcpy(events, g->os.events, count * sizeof(events[0]));
	g->os.event_count = 0;
	for (unsigned i = 0; i < count; i++) {
		if (events[i].kind == EVENT_OVERFLOW)
			engine_hint_overflow(&g->engine);
		else if (events[i].kind == EVENT_IGNORED)
			engine_hint_dropped(&g->engine, events[i].watch);
		else
			engine_hint_watch(&g->engine, events[i].watch);
	}
	if (g->os.mounts_changed)
		engine_hint_all(&g->engine);
	g->os.mounts_changed = false;
}

/* As api/guard.c does it. */
static void retry_events(struct guard_process *g)
{
	if (g->os.inotify || kernel.now_ns < g->retry_ns)
		return;
	g->retry_ns = kernel.now_ns + KEDGE_INTERVAL_DEFAULT_MS * NSEC_PER_MSEC;
	if (sim.profile.inotify_scarce && !sim.calm)
		return;
	g->os.inotify = true;
	engine_set_blind(&g->engine, false, 0);
}

static void op_run(struct guard_process *g)
{
	uint64_t began, deadline;

	g->runs++;
	retry_events(g);
	read_events(g);
	began = kernel.now_ns;
	engine_run(&g->engine);
	deadline = engine_deadline(&g->engine);
	if (deadline <= began && list_empty(&g->engine.dirty))
		sim_fail("a deadline lies in the past");
}

static void bring_up(struct guard_process *g)
{
	const struct engine_options options = { .interval_ns = sim.profile.interval_ns,
						.anchor_dir = sim.profile.anchor_dir,
						.mounting = sim.profile.mounting,
						.on_event = callbacks_event,
						.on_listener = callbacks_listener,
						.userdata = g };

	g->ports = ports_of(g);
	engine_init(&g->engine, &g->ports, &options);
	g->engine_up = true;
	g->os.inotify = !sim.profile.inotify_scarce;
	if (!g->os.inotify)
		engine_set_blind(&g->engine, true, -EMFILE);
}

static void op_repair(struct guard_process *g, int path)
{
	struct guarded *guarded = callbacks_find(g, path);

	if (guarded)
		engine_run_one(&g->engine, guarded);
}

static void op_end(struct guard_process *g)
{
	g->stopping++;
	if (g->op == OP_ABANDON) {
		g->abandoning = true;
		/* As after a crash: what it had on disk is left there. */
		sim.crashed = true;
		engine_abandon(&g->engine);
	} else {
		engine_deinit(&g->engine);
	}
	g->stopping--;
	g->engine_up = false;
}

static void do_op(struct guard_process *g)
{
	if (!g->engine_up)
		bring_up(g);
	switch (g->op) {
	case OP_ADD:
		(void)callbacks_add(g, g->path, g->variant);
		break;
	case OP_CLOSE:
		callbacks_close(g, g->path);
		break;
	case OP_REPAIR:
		op_repair(g, g->path);
		break;
	case OP_DEINIT:
	case OP_ABANDON:
		op_end(g);
		break;
	default:
		op_run(g);
	}
}

static void process_main(void)
{
	for (;;) {
		do_op(sim.running);
		sim.running->progress = PROGRESS_IDLE;
		process_yield(sim.running);
	}
}

void process_start(struct guard_process *g)
{
	int index = (int)(g - sim.guards);

	memset(g, 0, sizeof(*g));
	g->index = index;
	g->os.actor = (struct actor){ sim.profile.uid, ++sim.instances };
	g->os.alive = true;
	kernel.processes[index] = &g->os;
	(void)getcontext(&g->context);
	g->context.uc_stack.ss_sp = stacks[index];
	g->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&g->context, process_main, 0);
	trace("process %d begins, instance %d", index, g->os.actor.instance);
}

/* The server's own copies of descriptors are of no more use to it. */
static void close_own(struct guard_process *g)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (g->os.files[fd].kind != FILE_NONE && g->os.files[fd].own)
			(void)files_close(&g->os, fd);
}

void process_yield(struct guard_process *g)
{
	(void)swapcontext(&g->context, &sim.main);
}

void process_resume(struct guard_process *g)
{
	sim.running = g;
	(void)swapcontext(&sim.main, &g->context);
	sim.running = NULL;
	if (story.failed)
		longjmp(sim.end, 1);
	if (g->progress != PROGRESS_IDLE)
		return;
	close_own(g);
	if (g->op == OP_DEINIT || g->op == OP_ABANDON)
		check_ended(g);
	else
		check_after(g);
}

void process_do(struct guard_process *g, enum op op, int path, unsigned variant)
{
	static const char *const names[OP_MAX_] = { "run",    "add",  "close",
						    "repair", "free", "free in a child" };

	if (op == OP_RUN)
		trace("%d: run", g->index);
	else
		trace("%d: %s %s, variant %u", g->index, names[op], sim_paths[path], variant);
	g->op = op;
	g->path = path;
	g->variant = variant;
	g->op_calls = 0;
	g->progress = PROGRESS_BUSY;
	process_resume(g);
}

/* The server has a child, which has its listeners as well and lives on. */
static void leave_to_child(struct guard_process *g)
{
	trace("... and has a child");
	for (int fd = 0; fd < FDS_MAX; fd++) {
		struct socket *s = g->os.files[fd].kind == FILE_SOCKET ? g->os.files[fd].socket
								       : NULL;

		if (s && !s->inherited) {
			s->inherited = true;
			s->refs++;
		}
	}
}

void process_crash(struct guard_process *g)
{
	trace("process %d is killed", g->index);
	if (choose(4) == 3)
		leave_to_child(g);
	g->os.alive = false;
	g->engine_up = false;
	files_close_all(&g->os);
	arena_forget(&g->memory);
	sim.crashed = true;
	g->progress = PROGRESS_CRASHED;
	sim.disturbances++;
	if (sim.running == g)
		process_yield(g);
}

bool process_holds(const struct guard_process *g, const struct socket *s)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (g->os.files[fd].kind == FILE_SOCKET && !g->os.files[fd].own &&
		    g->os.files[fd].socket == s)
			return true;
	return false;
}

struct guard_process *process_of(const struct socket *s)
{
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (sim.guards[i].os.alive && process_holds(&sim.guards[i], s))
			return &sim.guards[i];
	return NULL;
}

uint64_t process_wake(const struct guard_process *g)
{
	uint64_t wake = engine_deadline(&g->engine);

	if (g->os.event_count || g->os.mounts_changed)
		return kernel.now_ns;
	if (!g->os.inotify && g->retry_ns < wake)
		wake = g->retry_ns;
	return wake < kernel.now_ns ? kernel.now_ns : wake;
}
