#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "call.h"
#include "steps.h"

/* Turns in one go: no story needs more. */
#define TURNS_MAX 1000

#define ME (&sim.guards[0])

struct sim sim;
struct story story;
struct told told;
struct engine engine;

static struct guard_ports ports;
static struct steps_options options;
static struct upset upsets[UPSETS_MAX];
static bool met[UPSETS_MAX];
static bool in_world; /* it is the world that acts */

void trace_line(const char *format, ...)
{
	(void)format;
}

_Noreturn void sim_fail(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	/* Version 14 loses track of va_start(). */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_error("%s\n", text);
	_fail(__FILE__, __LINE__);
	abort();
}

/* What a history judges by; here the test does. */

void foul_seen(struct guard_process *g, struct spot dir, const char *name)
{
	(void)g;
	(void)dir;
	(void)name;
}

void foul_unlink(struct guard_process *g, struct spot dir, const char *name)
{
	(void)g;
	(void)dir;
	(void)name;
}

void foul_rmdir(struct guard_process *g, struct spot dir, const char *name)
{
	(void)g;
	(void)dir;
	(void)name;
}

void foul_rename(struct guard_process *g, struct spot from, const char *from_name, struct spot dir,
		 const char *name, enum rename_how how)
{
	(void)g;
	(void)from;
	(void)from_name;
	(void)dir;
	(void)name;
	(void)how;
}

void foul_rights(struct guard_process *g, const struct inode *inode)
{
	(void)g;
	(void)inode;
}

void foul_mount(struct guard_process *g, struct spot dir, const char *name)
{
	(void)g;
	(void)dir;
	(void)name;
}

void foul_unmount(struct guard_process *g, struct spot dir, const char *name)
{
	(void)g;
	(void)dir;
	(void)name;
}

void foul_close(struct guard_process *g, int fd)
{
	(void)g;
	(void)fd;
}

/* Hashes of paths. */

bool steps_one_hash;

uint64_t __real_map_hash_text(const char *text);
uint64_t __wrap_map_hash_text(const char *text);

uint64_t __wrap_map_hash_text(const char *text)
{
	return steps_one_hash ? 7 : __real_map_hash_text(text);
}

/* Calls. */

/* Return: the failure that the call is to have, or 0. What the world does may be to upset other
 * calls. */
static int upset(struct guard_process *g, unsigned i)
{
	struct upset *u = &upsets[i], now = *u;

	if (u->skip) {
		u->skip--;
		return 0;
	}
	met[i] = true;
	if (u->times <= 1)
		u->call = "";
	else
		u->times--;
	if (now.world) {
		in_world = true;
		now.world();
		in_world = false;
	}
	g->late = now.late;
	return now.error;
}

int call_enter(struct guard_process *g, const char *call, const int *errors, bool may_be_late)
{
	(void)errors;
	(void)may_be_late;
	kernel.now_ns += NSEC_PER_USEC;
	g->late = false;
	for (unsigned i = 0; !in_world && i < UPSETS_MAX; i++) {
		int r = upsets[i].call && strcmp(upsets[i].call, call) == 0 ? upset(g, i) : 0;

		if (r)
			return r;
	}
	return 0;
}

int call_leave(struct guard_process *g, const char *call, const char *name, int r)
{
	(void)g;
	(void)call;
	(void)name;
	return r;
}

static void port_pause(void *ctx, uint64_t ns)
{
	(void)call_enter(ctx, "pause", NULL, false);
	kernel.now_ns += ns;
}

/* The guard. */

static void on_event(const struct kedge_event *event, void *userdata)
{
	(void)userdata;
	told.count[event->kind]++;
	if (event->error)
		told.error = event->error;
	(void)snprintf(told.detail, sizeof(told.detail), "%s", event->detail);
	if (options.on_event)
		options.on_event(event);
}

static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	(void)path;
	(void)userdata;
	told.listeners += new_fd >= 0;
	if (options.on_listener)
		options.on_listener(new_fd, old_fd);
}

static void begin_engine(void)
{
	engine_init(&engine, &ports,
		    &(struct engine_options){ .interval_ns = 5 * NSEC_PER_SEC,
					      .anchor_dir = options.anchor_dir,
					      .mounting = options.mounting,
					      .leave = options.leave,
					      .on_event = on_event,
					      .on_listener = on_listener });
}

void steps_begin(const struct steps_options *wanted)
{
	options = wanted ? *wanted : (struct steps_options){ 0 };
	memset(&sim, 0, sizeof(sim));
	memset(&told, 0, sizeof(told));
	steps_upset(NULL);
	steps_one_hash = false;
	kernel_reset();
	ME->os.actor = (struct actor){ options.uid, 1 };
	ME->os.alive = ME->os.inotify = true;
	kernel.processes[0] = &ME->os;
	world_mkdir("/run", 0755, options.uid);
	ports = (struct guard_ports){
		.ctx = ME, .now_ns = call_now, .uid = call_uid, .pause = port_pause
	};
	ports_of_files(&ports);
	ports_of_sockets(&ports);
	begin_engine();
}

void steps_killed(void)
{
	engine_abandon(&engine);
	assert_int_equal(files_count(&ME->os), 0);
	memset(ME->os.watches, 0, sizeof(ME->os.watches));
	ME->os.event_count = 0;
	memset(&told, 0, sizeof(told));
	begin_engine();
}

void steps_end(void)
{
	engine_deinit(&engine);
	steps_met();
	steps_upset(NULL);
	assert_int_equal(files_count(&ME->os), 0);
	assert_int_equal(notify_watches(&ME->os), 0);
	assert_null(kernel.exhausted);
}

void steps_upset(const struct upset *wanted)
{
	memset(upsets, 0, sizeof(upsets));
	memset(met, 0, sizeof(met));
	for (unsigned i = 0; wanted && wanted[i].call; i++) {
		assert_true(i < UPSETS_MAX);
		upsets[i] = wanted[i];
	}
}

void steps_met(void)
{
	for (unsigned i = 0; i < UPSETS_MAX; i++)
		if (upsets[i].call && !met[i])
			sim_fail("no %s was upset", upsets[i].call);
}

int steps_add_as(const char *path, const struct listen_config *config, int adopted_fd,
		 struct guarded **ret)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct guarded *g = NULL;
	int r = engine_add(&engine, path, config, adopted_fd, &g, &error);

	(void)snprintf(told.refusal, sizeof(told.refusal), "%s", error.text);
	if (ret)
		*ret = g;
	return r;
}

int steps_add(const char *path, struct guarded **ret)
{
	return steps_add_as(
		path, &(struct listen_config){ .spec = { .backlog = 16, .mode = 0600 } }, -1, ret);
}

void steps_refused(const char *path, int error, int names)
{
	struct guarded *g;

	assert_int_equal(steps_add(path, &g), error);
	assert_null(g);
	assert_non_null(strstr(told.refusal, path));
	assert_int_equal(names_in("/run"), names);
	steps_end();
}

static void pass_events_on(void)
{
	struct process *p = &ME->os;

	for (unsigned i = 0; i < p->event_count; i++) {
		const struct event *e = &p->events[i];

		if (e->kind == EVENT_OVERFLOW)
			engine_hint_overflow(&engine);
		else if (e->kind == EVENT_IGNORED)
			engine_hint_dropped(&engine, e->watch);
		else
			engine_hint_watch(&engine, e->watch);
	}
	p->event_count = 0;
	if (p->mounts_changed)
		engine_hint_all(&engine);
	p->mounts_changed = false;
}

void steps_turn(void)
{
	kernel_settle_all();
	pass_events_on();
	engine_run(&engine);
}

void steps_run(uint64_t ns)
{
	uint64_t end = kernel.now_ns + ns, deadline = kernel.now_ns;

	for (unsigned turns = 0; deadline <= end; turns++) {
		if (turns == TURNS_MAX)
			sim_fail("the engine does not come to rest");
		if (kernel.now_ns < deadline)
			kernel.now_ns = deadline;
		steps_turn();
		deadline = ME->os.event_count ? kernel.now_ns : engine_deadline(&engine);
	}
	kernel.now_ns = end > kernel.now_ns ? end : kernel.now_ns;
}

struct guarded *steps_guard(const struct steps_options *wanted)
{
	struct guarded *g;

	steps_begin(wanted);
	assert_int_equal(steps_add(PATH, &g), 0);
	steps_run(SOON);
	assert_true(is_reachable(g, PATH));
	return g;
}
