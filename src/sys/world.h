/*
 * The world as the guard's ports see it, and the events that come from it.
 *
 * One epoll set holds whatever can tell of a change: inotify, and the kernel's
 * notice that the mount table changed.
 */
#pragma once

#include <sys/types.h>

#include "guard/ports.h"
#include "sys/files.h"

struct world {
	int epoll;
	int inotify; /* -errno where there is none */
	/*
	 * A mount event is told once to each open file that is asked, and asking
	 * the epoll set from outside counts: so one wakes, and another is read.
	 */
	int mounts_wake, mounts_read;
	uint32_t uid;
	char boot_id[BOOT_ID_BYTES]; /* asked once: a lock note is read and written for each path */
};

/* What came in; called by world_read(). */
struct world_events {
	void (*on_watch)(void *userdata, int watch);
	/* ... of an entry of the directory that is watched, not of the directory itself. */
	void (*on_entry)(void *userdata, int watch, const char *name);
	void (*on_dropped)(void *userdata, int watch); /* the system ended that watch */
	void (*on_overflow)(void *userdata);
	void (*on_mounts)(void *userdata);
};

/* Return: 0, also where inotify is not to be had (see @inotify); -EMFILE,
 * -ENFILE, -ENOMEM: no epoll set. */
int world_open(struct world *w);

void world_close(struct world *w);

/* Try to get inotify once more. Return: 0, or why not. */
int world_retry(struct world *w);

/* A port table on this world, which must outlive it. */
struct guard_ports world_ports(struct world *w);

/* Pass on all that has happened since. Does not block. */
void world_read(struct world *w, const struct world_events *events, void *userdata);
