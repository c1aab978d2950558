/*
 * The engine: all guarded paths of one guard, their hints and their deadlines.
 *
 * Events of the system come in as hints; engine_run() looks at whatever was
 * hinted at or is due, and repairs it step by step. It never blocks, calls back
 * only from within the functions here, and reads the clock through its ports.
 */
#pragma once

#include "guard/guarded.h"

/*
 * Where the listeners are somebody else's (guard/tend.h), each look is shown to
 * whoever tends them before the planner sees it.
 */
enum leave_verdict {
	LEAVE_GRANTED = 0, /* go on */
	LEAVE_LATER,       /* not before until_ns, and nothing is told meanwhile */
	LEAVE_LOOK_AGAIN,  /* something was changed: what was seen is void */
	LEAVE_HOPELESS,    /* tell that it is lost, and do nothing */
};

struct leave {
	enum leave_verdict verdict;
	uint64_t until_ns; /* with LEAVE_LATER; TIME_NEVER: until something happens */
};

/* May correct @look, and may close @g. */
typedef struct leave engine_leave_fn(struct guarded *g, struct look *look, uint64_t now_ns);

struct engine_options {
	uint64_t interval_ns;   /* TIME_NEVER: no safety look */
	const char *anchor_dir; /* borrowed for the engine's life; may be NULL */
	bool mounting;
	kedge_event_fn *on_event;
	kedge_listener_fn *on_listener;
	void *userdata;
	engine_leave_fn *leave; /* NULL: the listeners are ours, no leave is needed */
};

struct engine {
	const struct guard_ports *ports;
	struct engine_options options;
	struct watches watches;
	struct heap timers;
	struct map by_path; /* hash of the path -> the first struct guarded with it */
	size_t count;
	struct list places;
	struct list dirty;     /* struct guarded.dirty */
	uint64_t turn;         /* counts looks that may share what they saw of a directory */
	uint64_t safety_ns;    /* the next safety look; TIME_NEVER: none */
	struct guarded *busy;  /* whose turn it is */
	bool short_of_watches; /* some inode could not be watched, which was told */
	bool blind;            /* events cannot be had: the safety look alone tells */
};

void engine_init(struct engine *e, const struct guard_ports *ports,
		 const struct engine_options *options);

/* Stop all paths, free everything. */
void engine_deinit(struct engine *e);

/* The same in a child of fork(): no file is touched. */
void engine_abandon(struct engine *e);

/* The path @path, or NULL. */
struct guarded *engine_find(const struct engine *e, const char *path);

/**
 * engine_add() - guard a path from now on
 * @adopted_fd: the listener to guard, borrowed; negative: make one
 *
 * Return: as kedge_guard_listen() and kedge_guard_adopt().
 */
int engine_add(struct engine *e, const char *path, const struct listen_config *config,
	       int adopted_fd, struct guarded **ret, struct kedge_error *error);

/* Hints. They only mark what is to be looked at. */
void engine_hint_watch(struct engine *e, int watch);
/* ... where the event was about the entry @name of a watched directory. */
void engine_hint_entry(struct engine *e, int watch, const char *name);
void engine_hint_dropped(struct engine *e, int watch);
void engine_hint_all(struct engine *e);
/* Events were lost: nothing that is seen may be believed without a check. */
void engine_hint_overflow(struct engine *e);
void engine_hint(struct engine *e, struct guarded *g);

/* Events can be had again, or not any more. */
void engine_set_blind(struct engine *e, bool blind, int error);

/* Look at all that was hinted at or is due. */
void engine_run(struct engine *e);

/* Look at one path now, without regard to its back-off. */
void engine_run_one(struct engine *e, struct guarded *g);

/* The earliest deadline, or TIME_NEVER. */
uint64_t engine_deadline(const struct engine *e);

/* Look at @g again then, at the latest; TIME_NEVER: when something happens. */
void engine_rest(struct guarded *g, uint64_t deadline_ns);

/* leave.c: whether the planner may go on with what was seen. False: not now; *ret_again:
 * because it must be looked at anew. */
bool leave_ask(struct guarded *g, struct look *look, uint64_t now_ns, bool *ret_again);

/* enter.c: hold the directory that the path names now, and tell all that live there. */
int engine_enter(struct engine *e, struct place *place);

/* Forget a path that is being stopped: whoever is told of its end may guard it anew. */
void engine_forget(struct engine *e, struct guarded *g);

/* Free a path that was forgotten: now, or at the end of its own turn. */
void engine_release(struct guarded *g);

/* report.c: what is told to the owner. */

/* Tell of a happening to @g, or, where @g is NULL, to the guard. */
void report(struct engine *e, const struct guarded *g, enum kedge_event_kind kind, int error,
	    const char *detail);

/* Tell the owner of the current listener, if that was not done yet. */
void report_listener(struct guarded *g);

/* Tell what a plan shows: lost, displaced, reachable again. */
void report_plan(struct guarded *g, const struct plan *plan, const struct look *look,
		 uint64_t now_ns);

/* Tell what came of an action. */
void report_acted(struct guarded *g, const struct plan *plan, int result, uint64_t now_ns);
