/*
 * Giving a lost socket its path back, and taking that back again.
 *
 * Three ways, the best that can be had:
 *
 *  link     While the inode has a name somewhere on the same mount, a hard link
 *           to it is all that was ever there. Serves everybody.
 *  symlink  No name is left: nothing can link the inode again, nor mount it
 *           (measured: ENOENT from both). But connect(2) through a symbolic
 *           link to /proc/PID/fd/N of an open handle reaches it, as long as PID
 *           holds the handle. The kernel lets only those follow the link who
 *           could trace PID: so a keeper process with the user and group of the
 *           socket's owner and no capabilities holds it, and it serves that
 *           user, and root.
 *  proxy    For a socket whose mode lets others connect. See proxy.h.
 */
#pragma once

#include <sys/stat.h>

#include "cmd/proxy.h"
#include "cmd/survey.h"

enum rescue_way {
	RESCUE_LINK = 0,
	RESCUE_SYMLINK,
	RESCUE_PROXY,
	RESCUE_WAYS_,
};

extern const char *const rescue_way_names[RESCUE_WAYS_];

/* What a way means, for whoever runs kedge. */
extern const char *const rescue_way_meanings[RESCUE_WAYS_];

/* Paths of one process that are rescued at a time. */
#define RESCUES_MAX 256

/**
 * rescue_choose_path() - which socket has lost this path?
 * @chosen: room for RESCUES_MAX; borrowed from @survey
 *
 * Return: EXIT_OK and one of @chosen, or none and a line on standard output: nothing
 *         is lost; EXIT_FAILED, and a line on stderr says why.
 */
int rescue_choose_path(const struct survey *survey, const char *path,
		       const struct surveyed **chosen, size_t *count);

/* The same for all that a process has lost. */
int rescue_choose_pid(const struct survey *survey, pid_t pid, const struct surveyed **chosen,
		      size_t *count);

/* One lost path. */
struct rescue {
	const struct surveyed *item; /* borrowed */
	enum rescue_way way;
	int pidfd;         /* of its owner */
	int handle;        /* O_PATH, of its inode */
	struct stat inode; /* seen through the handle */
	/* What stands at the path by our doing; st_ino 0: nothing. */
	struct stat made;
	char target[64]; /* of the symlink */
	pid_t keeper;    /* holds the handle; 0: none */
	int keeper_pipe; /* closed: it ends */
	struct proxy *proxy;
};

/**
 * rescue_prepare() - get hold of the inode, and choose the way
 * @wanted: the way that was asked for; RESCUE_WAYS_: the best
 *
 * Changes nothing. To be ended with rescue_release().
 *
 * Return: 0 or -errno, with @error filled.
 */
int rescue_prepare(struct rescue *rescue, const struct surveyed *item, enum rescue_way wanted,
		   struct kedge_error *error);

/* Put the socket back at its path, which must be free. Return: 0 or -errno, @error filled. */
int rescue_make(struct rescue *rescue, struct kedge_error *error);

/* Whether what we made still stands there. */
bool rescue_stands(const struct rescue *rescue);

/* Remove from the path what we made, if it still stands there. */
void rescue_undo(struct rescue *rescue);

/* Let go of everything; leaves the path as it is, but a symlink or proxy ends with us. */
void rescue_release(struct rescue *rescue);
