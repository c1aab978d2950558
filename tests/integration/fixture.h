/*
 * Fixture: a directory, a guard in it, and a book of all that the guard said.
 *
 * A test takes a path away as an adversary would, lets the guard work, and
 * asks a real client who answers. The guard is only called when its contract
 * says so (its descriptor is readable, or its deadline has come), so a wake-up
 * that is missing makes a test fail and is not covered up by luck.
 *
 * Nothing here is timed: a test waits for a condition, with a cap that only a
 * failure ever reaches.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <kedge/endpoint.h>
#include <kedge/guard.h>

#include "base/cleanup.h"
#include "runner.h"

/* How long a condition may take to come true. */
#define CAP_MS 10000

/* Listeners, ours and strangers', that one test may know at a time. */
#define LISTENERS_MAX 96

/* Descriptors and processes of the test's own that are ended with it. */
#define KEPT_MAX 4096

/* The kernel's bound, with its NUL, and room for what tests append. */
#define TEST_PATH_MAX 4400

/* What one event said, kept for the last of each kind. */
struct seen {
	enum kedge_cause cause;
	int error;
	uint32_t swallowed;
	uint64_t outage_ns;
	uint64_t generation;
	char detail[300];
};

/* All that the guard said. */
struct record {
	unsigned count[KEDGE_EVENT_MAX_];
	struct seen last[KEDGE_EVENT_MAX_];
	unsigned listeners_new; /* calls of on_listener that brought one */
	unsigned listeners_old; /* calls that told of one to be closed */
	char story[60000];      /* the events in words, for whoever reads a failure */
	size_t story_size;
};

struct identity {
	dev_t dev;
	ino_t ino;
};

struct fixture {
	char root[600]; /* made for this case, removed after it */
	char dir[700];  /* root/run: where the socket is; mode 0755 */
	char path[800]; /* root/run/x.sock */

	struct kedge_guard_options options; /* what start_guard() uses; change it before */
	struct kedge_listen_options listen;
	struct kedge_guard *guard;
	int fd;             /* the guard's listener, as kedge_guard_listen() gave it */
	struct identity id; /* of the inode at the path, when it was published first */
	struct record record;

	/* Called in each callback of the guard, if set. */
	void (*on_event)(struct fixture *f, const struct kedge_event *event);
	void (*on_listener)(struct fixture *f, int new_fd, int old_fd);
	unsigned hooked; /* for the hooks' own use */

	int ours[LISTENERS_MAX]; /* listeners of the guard that are to be served; -1: free */
	int strangers[LISTENERS_MAX];
	int kept_fd[KEPT_MAX];
	pid_t kept_pid[KEPT_MAX];
	size_t strangers_n, kept_fd_n, kept_pid_n;

	int fds_before;  /* open descriptors when the case began; -1: do not count */
	int kedge_names; /* 1: the test itself left names that begin with .kedge */
};

/* --- life ------------------------------------------------------------------------------- */

void fixture_init(struct fixture *f, const char *root);

/* End guard, strangers and children; assert that no descriptor and no name of the
 * guard's is left. */
void fixture_finish(struct fixture *f);

/* A guard with f->options. The interval is set by the test: most rely on events alone. */
void start_guard(struct fixture *f, int64_t interval_ms);

/* start_guard(), and listen at f->path with f->listen. */
void start_listening(struct fixture *f, int64_t interval_ms);

/* Listen at another path with f->guard. Return: the listener. */
int also_listen(struct fixture *f, const char *path);

/* Close f->path, end the guard; after that nothing of it may be left on disk. */
void stop_guard(struct fixture *f);

/* --- letting it work -------------------------------------------------------------------- */

uint64_t now_ms(void);

/* Wait (at most @ms_max) until the guard wants to be called, and call it then. */
void guard_turn(struct fixture *f, int ms_max);

/* Let the guard work until @condition holds; fail after CAP_MS. */
#define GUARD_UNTIL(f, condition)                                                                  \
	for (uint64_t until_ = now_ms() + CAP_MS; !(condition);)                                   \
	guard_wait((f), until_, #condition, __FILE__, __LINE__)

void guard_wait(struct fixture *f, uint64_t until_ms, const char *what, const char *file, int line);

/* Let it work for @ms, to give it the time for what it must not do. */
void guard_for(struct fixture *f, int ms);

/* Fail with the guard's story. */
_Noreturn void fail_with_story(struct fixture *f, const char *what, const char *file, int line);

#define ASSERT_STORY(f, condition)                                                                 \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_with_story((f), #condition, __FILE__, __LINE__);                      \
	} while (0)

/* --- questions -------------------------------------------------------------------------- */

struct kedge_path_status status_of(const struct fixture *f, const char *path);
enum kedge_state state_of(const struct fixture *f);

/* The guard says reachable, and a client at f->path is answered by its current listener. */
int reachable(struct fixture *f);
int reachable_at(struct fixture *f, const char *path);

/* reachable(), by the very inode that was published first. */
int same_listener(struct fixture *f);

/* Count of an event's kind so far. */
unsigned seen(const struct fixture *f, enum kedge_event_kind kind);

/* Forget the events so far. */
void forget(struct fixture *f);

/* --- names ------------------------------------------------------------------------------ */

/* (device, inode) of the name itself; fails the test if there is none. */
struct identity identity_of(const char *path);
int is_identity(const char *path, struct identity id); /* 0 also: no such name */
int exists(const char *path);                          /* links are not followed */
mode_t mode_of(const char *path);                      /* permission bits, with the upper three */

/* Text in a buffer of a rotating set of 64: for paths in arguments. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *in_dir(const struct fixture *f, const char *name);
char *in_root(const struct fixture *f, const char *name);

/* The anchor of f->path in the default anchor directory (the directory's own name where
 * @generation is 0). */
char *anchor_of(const struct fixture *f, unsigned generation);
char *anchor_dir_of(const struct fixture *f);

void write_file(const char *path, const char *content);
void assert_file(const char *path, const char *content);
void remove_all(const char *path); /* rm -rf */
void sweep(const char *path);      /* the same, while a guard at work may put things back */
void make_dir(const char *path, mode_t mode);

/* Entries of a directory whose names begin with @prefix; -1: no such directory. */
int count_names(const char *dir, const char *prefix);

/* Names under f->root, at any depth, that begin with ".kedge". */
int kedge_names(const struct fixture *f);

/* Somewhere under f->root there is a file with that identity. */
int is_somewhere(const struct fixture *f, struct identity id);

int count_fds(void);

/* assert_int_equal(call, 0) that also shows errno. */
#define DO(call)                                                                                   \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((call) < 0) {                                                                  \
			print_error("%s: %s\n", #call, strerror(errno));                           \
			_fail(__FILE__, __LINE__);                                                 \
		}                                                                                  \
	} while (0)

#include <errno.h>
#include <string.h>

#include "peer.h"
#include "world.h"
