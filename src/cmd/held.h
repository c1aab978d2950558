/*
 * Listeners that are held for somebody else: guarded here, served there.
 *
 * Whoever serves may come and go; the listener stays, and clients wait in its
 * queue meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "kedge/guard.h"

/* --listen, and so many descriptors that are passed, those of retired listeners included. */
#define HELD_PATHS_MAX 64
#define HELD_FDS_MAX   (2 * HELD_PATHS_MAX)

/* The longest name of a descriptor, as sd_listen_fds_with_names(3) has it. */
#define HELD_NAME_MAX 255

struct held_path {
	const char *path; /* as given */
	char name[HELD_NAME_MAX + 1];
	int fd; /* the current listener; the guard's */
};

struct held {
	struct held_path paths[HELD_PATHS_MAX];
	size_t count;
	struct {
		int fd;
		size_t path;       /* index of */
	} retired[HELD_PATHS_MAX]; /* followed by others, and with clients of their own */
	size_t retired_count;
	bool changed; /* there is a listener that nobody was given yet */
	struct kedge_guard *guard;
	kedge_event_fn *on_event; /* what the guard tells is passed on */
	void *userdata;
};

/* Return: 0; -E2BIG: too many paths; -EINVAL: no name for a descriptor. */
int held_add(struct held *held, const char *path, const char *name);

/* Make all listeners, or none. Return: 0 or -errno, and @error filled. */
int held_listen(struct held *held, const char *anchor_dir,
		const struct kedge_listen_options *listen, struct kedge_error *error);

/**
 * held_descriptors() - what is to be passed on now
 * @ret_fds:   the current listeners in the order of the paths, then the retired ones
 * @ret_names: LISTEN_FDNAMES, allocated
 *
 * They are set to block, as those of systemd are.
 *
 * Return: how many, or -ENOMEM.
 */
int held_descriptors(struct held *held, int ret_fds[HELD_FDS_MAX], char **ret_names);

/* Stop listening; the paths are removed where they are still ours. */
void held_release(struct held *held);
