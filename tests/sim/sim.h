/*
 * One history: guard processes on a kernel in memory, and a world that does
 * what it likes with both.
 *
 * Each process runs on a stack of its own and may be left between any two of
 * its calls: for the world to do something, for another process, or for good.
 */
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include "arena.h"
#include "choice.h"
#include "guard/engine.h"
#include "kernel.h"
#include "story.h"

#define PATHS_MAX 3

/* What can go wrong in the middle of a process. */
enum op { OP_RUN = 0, OP_ADD, OP_CLOSE, OP_REPAIR, OP_DEINIT, OP_ABANDON, OP_MAX_ };

enum progress { PROGRESS_IDLE = 0, PROGRESS_BUSY, PROGRESS_CRASHED };

/* Something of the world's that a guard took from its name, and must put back. */
struct kidnap {
	struct entry *entry;
	struct inode *dir;
	char name[NAME_BYTES];
	unsigned disturbances; /* that there had been at that moment */
};

/* A look at a path, and the disturbances that there had been. */
struct sight {
	const struct inode *dir;
	char name;
	unsigned disturbances;
};

struct guard_process {
	struct process os;
	int index;
	struct engine engine;
	struct guard_ports ports;
	bool engine_up;
	ucontext_t context;
	enum progress progress;
	enum op op;
	int path;
	unsigned variant; /* of OP_ADD */
	bool late;        /* the failure that is injected comes after the deed */
	bool abandoning;
	unsigned stopping; /* depth of what may close listeners with clients in their queues */
	bool tainted;      /* a call failed that need not have: something may be left behind */
	uint64_t retry_ns;
	unsigned op_calls, runs;
	struct holder memory;
	struct kidnap kidnap;
	unsigned looked; /* disturbances that there had been at its last look at a name */
	struct sight path_seen;
	uint64_t first_generation;
};

/* What is the same all through one history. */
struct profile {
	uint32_t uid;
	uint64_t interval_ns;
	const char *anchor_dir;
	bool mounting;
	unsigned call_gap_max, callback_gap_max;
	unsigned steps_max;
	bool inotify_scarce;
	bool restless; /* the paths lead to one directory after the other */
};

struct sim {
	struct profile profile;
	struct guard_process guards[PROCESSES_MAX];
	struct guard_process *running;
	int instances;
	unsigned call_gap;     /* calls until something happens in between; 0: never */
	unsigned callback_gap; /* callbacks until one does something */
	unsigned alloc_gap;
	unsigned faults_left;
	unsigned disturbances; /* so far: what was seen before the last may be untrue now */
	unsigned names;        /* given out by the world */
	bool calm;             /* nobody disturbs any more */
	bool crashed;          /* some process has */
	bool swept;            /* the world was at the anchors, so maybe at the locks */
	bool unseen;           /* something happened of which no event tells */
	ucontext_t main;
	jmp_buf end; /* of the history */
};

extern struct sim sim;

extern const char *const sim_paths[PATHS_MAX];

/* process.c */

void process_start(struct guard_process *g);
/* Begin an operation, and run it until it ends or is left. */
void process_do(struct guard_process *g, enum op op, int path, unsigned variant);
void process_resume(struct guard_process *g);
/* In its own context: let others go on. */
void process_yield(struct guard_process *g);
void process_crash(struct guard_process *g);
/* Whether a descriptor of the guard (not of its server) is this socket. */
bool process_holds(const struct guard_process *g, const struct socket *s);
/* The guard whose listener it is, or NULL. */
struct guard_process *process_of(const struct socket *s);
/* When it has something to do; TIME_NEVER. */
uint64_t process_wake(const struct guard_process *g);

/* callbacks.c: what the owner of a guard does. */

void callbacks_event(const struct kedge_event *event, void *userdata);
void callbacks_listener(const char *path, int new_fd, int old_fd, void *userdata);
int callbacks_create(const char *bind_path, void *userdata);
int callbacks_add(struct guard_process *g, int path, unsigned variant);
void callbacks_close(struct guard_process *g, int path);
/* The server accepts whoever waits on the listeners that it was told of. */
void callbacks_accept(struct guard_process *g);
/* The guarded path, or NULL. */
struct guarded *callbacks_find(const struct guard_process *g, int path);

/* ports.c */

struct guard_ports ports_of(struct guard_process *g);

/* disturb.c: what happens between two calls, and between two operations. */

/* Return: the failure that the call is to have, or 0. */
int disturb_call(struct guard_process *g, const int *errors, bool may_be_late);
void disturb_step(void);
/* Return: whether the history goes on. */
bool disturb_between(void);

/* adversary.c */

/* What was inherited is closed. Return: whether anything was. */
bool adversary_end_children(void);
void adversary_step(void);
/* Take all back that limits the machine: room, read-only mounts. */
void adversary_rest(void);

/* foul.c: judges each deed of a guard before it is done. */

/* It has just looked at a name. */
void foul_seen(struct guard_process *g, struct spot dir, const char *name);
void foul_unlink(struct guard_process *g, struct spot dir, const char *name);
void foul_rmdir(struct guard_process *g, struct spot dir, const char *name);
void foul_rename(struct guard_process *g, struct spot from, const char *from_name, struct spot dir,
		 const char *name, enum rename_how how);
void foul_rights(struct guard_process *g, const struct inode *inode);
void foul_mount(struct guard_process *g, struct spot dir, const char *name);
void foul_unmount(struct guard_process *g, struct spot dir, const char *name);
void foul_close(struct guard_process *g, int fd);
/* At the end of an operation: what was taken from its name must be back. */
void foul_kidnaps(struct guard_process *g);

/* check.c */

/* After each operation. */
void check_after(struct guard_process *g);
/* Once the world rests: what can be reached is reached. */
void check_reachable(void);
/* Whether some path is not yet where check_reachable() wants it. */
bool check_waits(void);
/* No file, watch or memory is left of a guard that has ended. */
void check_ended(struct guard_process *g);
/* No name is left of an instance that has ended, wherever it was. */
void check_names(int instance);
/* Nor of any, where the paths lead now. */
void check_leftovers(void);

/* history.c: what histories are made of. */

/* Begin with nothing, and let @tell() tell one: it may end at any moment. */
bool history_run_as(void (*tell)(void));
/* Directories for the paths to be in. */
void history_tree(void);
/* Turns that are due in the next @span_ns: more than @runs_max are a busy loop. Return: how
 * many there were. */
unsigned history_let_run(uint64_t span_ns, unsigned runs_max);
/* Whoever is in the midst of something ends it, and all that can be repaired is. */
void history_rest(void);
/* Guards end or crash, others start and end: nothing is left. */
void history_end(void);

/* Turns a second of a guard that has nothing to do: the safety look, and a stranger is asked
 * whether it is still there. */
#define IDLE_RUNS_A_SEC 12
