/*
 * Who guards a path: the holder of its lock in an anchor directory, beside it or
 * elsewhere (--anchor-dir). Where one is elsewhere only its holder knows: that
 * is found among the descriptors of the processes we may look into.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/map.h"

/* A file that somebody has an exclusive flock(2) on. */
struct lock {
	uint64_t inode;
	pid_t pid;
};

struct locks {
	struct lock *items; /* by inode */
	size_t count;
	struct map elsewhere; /* hash of a lock's name in a shared directory -> pid */
};

#define LOCKS_INIT                                                                                 \
	{                                                                                          \
		NULL, 0, MAP_INIT                                                                  \
	}

/* Read /proc/locks. Where that is not to be had there are none. Return: 0 or -ENOMEM. */
int locks_read(struct locks *ret);

void locks_deinit(struct locks *locks);

/**
 * locks_guard_of() - who guards the socket at @path?
 * @path:  absolute, as we see it
 * @owner: user of the process that listens, whose anchor directory there may be
 *
 * Return: a pid; 0: nobody, or nobody that we may see.
 */
pid_t locks_guard_of(const struct locks *locks, const char *path, uid_t owner);
