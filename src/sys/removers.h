/*
 * Removers: who took a name of an inode away.
 *
 * fanotify(7) tells the process with each event; inotify does not. A mark on
 * the socket's inode itself (FAN_ATTRIB, FAN_MOVE_SELF) speaks whenever a name
 * of it is removed, renamed or replaced, in whatever directory, and never of
 * another file; a mark on the directory would wake us for each file in /tmp.
 * Events name the inode by its file handle, under which the marks are kept.
 * Needs CAP_SYS_ADMIN, and a file system with file handles.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/map.h"

/* The kernel's MAX_HANDLE_SZ. */
#define REMOVERS_HANDLE_MAX 128

struct remover_mark {
	struct remover_mark *same_hash;
	void *owner; /* NULL: not marked */
	unsigned char key[REMOVERS_HANDLE_MAX + 16];
	size_t key_size;
};

struct removers {
	int fd; /* -errno: not to be had */
	struct map by_key;
};

/* Return: 0; -EPERM: needs root; -EINVAL, -ENOSYS: too old a kernel; -EMFILE. */
int removers_open(struct removers *r);
void removers_close(struct removers *r);

/**
 * removers_mark() - hear of the inode that @handle has open
 * @mark:  filled in; stays where it is until removers_unmark()
 * @owner: told with each event
 *
 * Return: 0; -EOPNOTSUPP: no file handles here; -ENOSPC: too many marks; -ENOMEM; or @r->fd.
 */
int removers_mark(struct removers *r, struct remover_mark *mark, int handle, void *owner);

/* Hear of it no longer; @handle as above, or -1 where the inode is gone anyway. */
void removers_unmark(struct removers *r, struct remover_mark *mark, int handle);

/**
 * removers_read() - pass on what came in; does not block
 * @on_event: @owner of the mark and who did it; our own doings are left out.
 *            @owner NULL: events were lost
 */
void removers_read(struct removers *r, void (*on_event)(void *owner, pid_t pid, void *userdata),
		   void *userdata);
