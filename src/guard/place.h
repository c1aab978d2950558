/*
 * Places: the directories that guarded sockets live in.
 *
 * One place serves all guarded paths of a directory. It holds the directory
 * open, watches it and each one above it, and remembers mode and owner of
 * them all, so that they can be made again.
 */
#pragma once

#include "base/list.h"
#include "guard/anchor.h"
#include "guard/plan.h"
#include "guard/watch.h"

/* Deeper than PATH_MAX allows with one-letter names would be 2048; 64 is plenty. */
#define PLACE_DEPTH_MAX 64

/* So many directories that the path named before are held for the clean-up, each by a
 * descriptor. What is let go of beyond that is cleaned up first. */
#define PLACE_FORMER_MAX 4

/* One directory of the path, the root first. */
struct place_step {
	struct watcher watcher;
	struct node rights;  /* as recorded */
	uint16_t path_bytes; /* of the place's path, up to and with this component */
};

struct place {
	struct list link;    /* in the engine's places */
	struct list members; /* struct guarded.in_place */
	char *path;          /* absolute, normalised as the user gave it; "/" for the root */
	int fd;
	struct node node;           /* the directory we hold; its recorded rights */
	struct anchor_dir *anchors; /* NULL: none can be had */
	int anchors_error;          /* why not */
	bool anchors_refused;       /* the one that was asked for is on another mount */
	bool anchors_beside;        /* ... and one beside the sockets is used instead */
	bool made;                  /* kedge made this directory again */
	int made_fd; /* the one that it made last: held, so that its number stays its own */
	/* What the path was seen to name, good for one turn of the engine. */
	uint64_t seen_turn;
	int seen_error;
	struct node seen, seen_held;
	int former[PLACE_FORMER_MAX + 1]; /* the oldest first */
	unsigned former_count;
	unsigned depth;
	struct place_step steps[];
};

/**
 * place_open() - hold and record a directory
 * @path: absolute; copied
 *
 * Watches what can be watched: a directory above that we may not read stays
 * unwatched. No anchor directory yet.
 *
 * Return: 0; -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, -ENOMEM.
 */
int place_open(struct place **ret, const struct guard_ports *ports, struct watches *watches,
	       const char *path);

/* Whether an anchor directory is there, or may be had at another try: a shortage passes,
 * a directory that is not ours does not. */
bool place_wants_anchors(const struct place *place);

/* Whether events tell of the directory itself. */
bool place_is_watched(const struct place *place);

/* Let go of everything. The members must be gone. Return: NULL. */
struct place *place_free(struct place *place, const struct guard_ports *ports,
			 struct watches *watches);

/* The same in a child of fork(): watches and files are the parent's. Return: NULL. */
struct place *place_abandon(struct place *place, const struct guard_ports *ports);

/* Open the anchor directory in the present directory. Return: 0 or the error, noted. */
int place_open_anchors(struct place *place, const struct guard_ports *ports, const char *elsewhere);

/* See what the path names now; from memory where this turn has seen it already. */
void place_look(struct place *place, const struct guard_ports *ports, uint64_t turn);

/* Make the missing directories, with the recorded modes and owners. */
int place_make(struct place *place, const struct guard_ports *ports);

/* Hold the directory that the path names now; the one before becomes a former one. The caller
 * lets go of one where there are more than PLACE_FORMER_MAX then. */
int place_enter(struct place *place, const struct guard_ports *ports, struct watches *watches);

/* Hold the i-th former directory no more. */
void place_let_go(struct place *place, const struct guard_ports *ports, unsigned i);

/* Put mode and owner of the directory we hold back to what was recorded. */
int place_restore(struct place *place, const struct guard_ports *ports);

/* Watch the directory and all above it (again). Return: 0, or why the directory
 * itself is not watched. */
int place_watch(struct place *place, const struct guard_ports *ports, struct watches *watches);
