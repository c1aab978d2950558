/*
 * Watches: which of ours want to hear of an inode.
 *
 * The system numbers watches by inode, so two places below one directory get
 * the same number for it. A watcher is embedded in its owner; the chain of all
 * watchers of a number hangs in a map.
 */
#pragma once

#include "base/map.h"
#include "guard/ports.h"

#define WATCH_NONE (-1)

enum watcher_kind {
	WATCHER_LISTENER, /* owner: struct guarded */
	WATCHER_STRANGER, /* owner: struct guarded */
	WATCHER_PLACE,    /* owner: struct place */
};

struct watcher {
	struct watcher *next;
	void *owner;
	int number; /* WATCH_NONE: not watching */
	enum watcher_kind kind;
};

struct watches {
	const struct guard_ports *ports;
	struct map by_number; /* -> the first struct watcher of the chain */
};

static inline void watcher_init(struct watcher *w, enum watcher_kind kind, void *owner)
{
	*w = (struct watcher){ .owner = owner, .number = WATCH_NONE, .kind = kind };
}

/* Watch what @fd has open. Return: 0, or as guard_ports.watch, or -ENOMEM. */
int watcher_start(struct watches *watches, struct watcher *w, int fd, enum watch_what what);

/* Stop, if it watches. The system's watch goes with its last watcher. */
void watcher_stop(struct watches *watches, struct watcher *w);

/* The system dropped watch @number: its watchers are no longer watching. */
void watches_dropped(struct watches *watches, int number);

/* The chain of @number, or NULL. */
struct watcher *watches_of(const struct watches *watches, int number);
