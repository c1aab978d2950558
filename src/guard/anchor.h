/*
 * Anchor directories: private places for the second names of our listeners.
 *
 * `.kedge-UID` beside the socket, mode 0700, ours, opened without following
 * links. What stands there and is not ours is never used and never changed.
 * It holds, for a socket NAME, `NAME.lock` and `NAME.GENERATION`.
 */
#pragma once

#include "guard/leftovers.h"
#include "guard/ports.h"

/* The longest suffix of a name in an anchor directory: ".18446744073709551615.out". */
#define ANCHOR_SUFFIX_MAX 25
/* NAME_MAX of Linux: the longest component of a path. */
#define ANCHOR_NAME_MAX 255
/* Nobody counts that far: what claims to be beyond is no generation of ours. */
#define GENERATION_MAX (UINT64_C(1) << 53)

struct anchor_dir {
	const struct guard_ports *ports;
	unsigned refs;
	int fd;
	int parent;  /* the directory it is an entry of, to remove it in the end */
	bool made;   /* by us just now: one that was given to us is not ours to remove */
	bool shared; /* it serves several directories: names carry a hash of theirs */
	struct leftovers *leftovers; /* of its last listing; NULL: none that is kept */
	char name[ANCHOR_NAME_MAX + 1];
};

/* A name in an anchor directory. */
struct anchor_name {
	char text[ANCHOR_NAME_MAX + 1];
};

/**
 * anchor_dir_open() - the anchor directory beside the sockets of a directory
 * @dir:  the directory of the sockets; borrowed
 * @path: an anchor directory to use instead, or NULL
 *
 * Makes it where it is missing. Tries a second name where the first is taken
 * by something that is not ours.
 *
 * Return: 0 and a reference in @ret; -EPERM: neither name can be used; else as
 *         from the system.
 */
int anchor_dir_open(struct anchor_dir **ret, const struct guard_ports *ports, int dir,
		    const char *path);

struct anchor_dir *anchor_dir_ref(struct anchor_dir *a);

/* Drop a reference; with the last one the directory is closed, and removed if
 * it is empty. May be NULL. Return: NULL. */
struct anchor_dir *anchor_dir_unref(struct anchor_dir *a);

/* As anchor_dir_unref(), but touches no file: for a child of fork(). */
struct anchor_dir *anchor_dir_abandon(struct anchor_dir *a);

/**
 * anchor_name() - the name of something of a socket's in an anchor directory
 * @place:  path of the socket's directory; matters where the directory is shared
 * @socket: last component of the socket's path, at most 230 bytes
 * @suffix: "lock", "7", "7.out"
 */
struct anchor_name anchor_name(const struct anchor_dir *a, const char *place, const char *socket,
			       const char *suffix);

/* Whether both are handles of one directory on disk. */
bool anchor_dir_same(const struct anchor_dir *a, const struct anchor_dir *b);

/* The longest socket name that leaves room for every suffix, in bytes. */
size_t anchor_socket_name_max(const struct anchor_dir *a);

/**
 * anchor_lock() - take the lock of a socket's path
 *
 * Return: the lock's descriptor; -EWOULDBLOCK: another process guards that path.
 */
int anchor_lock(struct anchor_dir *a, const char *place, const char *socket,
		struct lock_note *ret_note);

/* Remove the lock file, if it is still the one we hold, and let go of the lock. */
void anchor_unlock(struct anchor_dir *a, const char *place, const char *socket, int lock);

struct sweep {
	struct lock_note note;  /* what the lock file said */
	const struct node *own; /* the listener that is guarded now; NULL: none yet */
	/* Results. */
	uint64_t highest;     /* generation that there may have been: new ones begin above it */
	uint64_t lowest_left; /* above the highest: nothing is left */
};

/**
 * anchor_sweep() - remove the anchors that a crashed predecessor left behind
 *
 * Under the lock of the path. Only sockets of ours that nobody listens on are removed, and names
 * of @sweep->own; what somebody moved in there, or still listens on, is left.
 */
void anchor_sweep(struct anchor_dir *a, const char *place, const char *socket, struct sweep *sweep);

/* Free what is kept of the last listing: the next sweep that needs one lists anew. */
void anchor_dir_forget_listing(struct anchor_dir *a);

/**
 * anchor_sweep_name() - remove a private name that a crash left, if that is what it is
 *
 * Return: 0; -ESTALE: no socket of this user's; -EADDRINUSE: somebody listens on it,
 *         is about to, or cannot be asked; else as from the system.
 */
int anchor_sweep_name(const struct guard_ports *ports, int dir, const char *name);

/* Remove dir/name if it is @node. Return: 0; -ESTALE: it is something else. */
int anchor_remove(struct anchor_dir *a, const char *name, const struct node *node);
