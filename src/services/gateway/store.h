/*
 * The gateway's store: thresholds in SQLite, WORKSPACE/gateway.db.
 *
 * Two connections. The loop's reads only, by prepared statements; in WAL mode
 * no writer holds it up. The worker thread's writes, and what is queued for it
 * while one transaction is on its way to the disk is the next transaction: the
 * slower the disk, the more writes share one sync.
 *
 * A write is answered after its commit, with synchronous=FULL: it survives a
 * kill -9 and a power cut. It goes to the file that is at the path: where somebody
 * removed the workspace, or put another in its place, a new one is opened there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "kedge/error.h"

#define THRESHOLD_COUNT 4
#define GLOBAL_COUNT    3

/* "none", "low", "medium", "high". */
extern const char *const threshold_names[THRESHOLD_COUNT];
/* "interactive", "autonomous", "headless": columns and members, in their order. */
extern const char *const global_names[GLOBAL_COUNT];

/* Indexes into threshold_names. */
struct globals {
	int values[GLOBAL_COUNT];
};

enum write_kind {
	WRITE_GLOBALS = 0, /* @globals; -1: leave that one */
	WRITE_SET,         /* @conversation gets @threshold */
	WRITE_CLEAR,       /* @conversation gets none */
	READ_GLOBALS,      /* what the writes before leave, and no later one */
	READ_CONVERSATION, /* the same of @conversation */
};

struct write {
	enum write_kind kind;
	struct globals globals;
	char *conversation; /* consumed by store_write() */
	size_t conversation_size;
	int threshold;
};

/* What became of a write, or of a read that had to wait for one. */
struct outcome {
	int error;              /* 0, or negative errno */
	char words[160];        /* with @error: why */
	int changed;            /* rows */
	struct globals globals; /* WRITE_GLOBALS, READ_GLOBALS: as they are after it */
	int threshold;          /* READ_CONVERSATION: an index, or -ENOENT */
};

/* On the loop's thread. */
typedef void store_done_fn(const struct outcome *outcome, void *userdata);

struct store;

/* Open, and migrate. What is no database, or of a newer kedge, is left untouched.
 * Return: 0; -EINVAL, -EIO, -EROFS, ...: @error has words. */
int store_open(struct store **ret, uv_loop_t *loop, const char *path, struct kedge_error *error);

/* Write what is queued, then close. The callbacks of the last writes do not come. */
struct store *store_close(struct store *store);

/* Return: 0, or -EIO with words that are good until the next call. */
int store_globals(struct store *store, struct globals *ret, const char **ret_words);

/* Return: an index into threshold_names; -ENOENT: none is set; -EIO, see above. */
int store_conversation(struct store *store, const char *id, size_t size, const char **ret_words);

/*
 * Whether a write of the same thing is on its way, or the file is no longer at its
 * path. Whoever reads then would see what was before, although it was asked later:
 * such a read takes its turn among the writes, by store_write().
 */
bool store_globals_waiting(struct store *store);
bool store_conversation_waiting(struct store *store, const char *id, size_t size);

/* Call @fn when the file had been removed or moved, and another one took its place. */
void store_on_moved(struct store *store, void (*fn)(void *userdata), void *userdata);

/* Queue a write, or a read behind writes. Return: 0; -ENOBUFS: too many wait; -ENOMEM. @write is
 * consumed. */
int store_write(struct store *store, const struct write *write, store_done_fn *done,
		void *userdata);
