/*
 * The guard step by step: the real engine on the simulator's kernel, while a test says which
 * call fails, how, and what the world does right before it.
 *
 * For what a history out of a seed meets too seldom, or what has to be met for certain: each
 * test is one story.
 */
#pragma once

#include "guard/engine.h"
#include "kernel.h"

/* What is done to one kind of call. */
struct upset {
	const char *call;    /* "link", "stat", ...: the names that ports-*.c give */
	unsigned skip;       /* so many go well before */
	unsigned times;      /* then so many are upset; 0: one */
	int error;           /* negative errno; 0: the call is made, after the world's deed */
	bool late;           /* the deed is done all the same */
	void (*world)(void); /* right before the call; NULL: nothing */
};

/* More than one at a time. */
#define UPSETS_MAX 4

/* The path of most stories, and where its anchors are where the guard is root's. */
#define PATH    "/run/s"
#define ANCHORS "/run/.kedge-0"

/* Long enough for a repair without failures, and for one that backs off. */
#define SOON (300 * NSEC_PER_MSEC)
#define LONG (60 * NSEC_PER_SEC)

/* As .times: more than any bound on tries. */
#define ALWAYS 5000

/* What was told since steps_begin(). */
struct told {
	unsigned count[32]; /* by enum kedge_event_kind */
	int error;          /* the last one's that had one */
	unsigned listeners; /* how many the owner was told of */
	char detail[128];
	char refusal[KEDGE_ERROR_TEXT_MAX]; /* of the last start that failed */
};

extern struct told told;

extern struct engine engine;

/* Zero is the default. */
struct steps_options {
	uint32_t uid;
	const char *anchor_dir;
	bool mounting;
	engine_leave_fn *leave;
	void (*on_event)(const struct kedge_event *event);
	void (*on_listener)(int new_fd, int old_fd);
};

/* A kernel with /run, which is the guard's, and an engine without paths. */
void steps_begin(const struct steps_options *options);

/* The same, with PATH guarded and at rest. */
struct guarded *steps_guard(const struct steps_options *options);

/* The guard is killed, and another one begins, without paths. What the server itself has open
 * stays so. */
void steps_killed(void);

/* All paths have one hash. */
extern bool steps_one_hash;

/* Stop all, and see that no descriptor and no watch is left. */
void steps_end(void);

/* Forget the upsets before; these are to come. At most UPSETS_MAX, .call NULL last. */
void steps_upset(const struct upset *upsets);
/* Fail the test where one of them was not met. */
void steps_met(void);

/* Guard @path, with the defaults, or with @config and maybe an adopted listener (or -1).
 * Return: as engine_add(). */
int steps_add(const char *path, struct guarded **ret);
int steps_add_as(const char *path, const struct listen_config *config, int adopted_fd,
		 struct guarded **ret);

/* Guarding @path is refused with @error, in words that name it, and nothing is left below /run
 * but @names. Then the end of it. */
void steps_refused(const char *path, int error, int names);

/* Pass the events on and run the engine, at this moment. */
void steps_turn(void);
/* The same, and whatever is due within @ns. */
void steps_run(uint64_t ns);

/* The world. A path's directory must be there. */

struct inode *world_at(const char *path); /* NULL: free */
void world_unlink(const char *path);
void world_rename(const char *from, const char *to);
void world_mkdir(const char *path, uint32_t mode, uint32_t uid);
void world_file(const char *path);
/* @target: lives as long as the test */
void world_symlink(const char *path, const char *target);
/* One that somebody listens on, until world_close(). */
struct socket *world_socket(const char *path);
void world_close(struct socket *s);
/* One that nobody listens on. */
void world_stale(const char *path);
/* The directory, with what is in it. */
void world_remove(const char *path);
/* The sockets in it alone, under whatever names. */
void world_sweep(const char *directory);
/* A new, empty file system on the directory. */
void world_mount(const char *path);
void world_unmount(const char *path);
/* What stands at @from is mounted over @to as well. */
void world_bind(const char *from, const char *to);
void world_chmod(const char *path, uint32_t mode);
void world_chown(const char *path, uint32_t uid, uint32_t gid);

/* A listener that the guard's own process makes at @path, as a server does. Return: its
 * descriptor. */
int own_socket(const char *path);
void own_close(int fd);
/* What a descriptor of the guard has open. */
struct socket *world_at_fd(int fd);

/* Whether @path leads to @g's current listener. */
bool is_reachable(const struct guarded *g, const char *path);
/* How many names stand in the directory @path; -1: there is none. */
int names_in(const char *path);
