/*
 * The port table: everything the guard asks of the world.
 *
 * sys/ fills it with system calls; the simulator with a file system in memory.
 * Descriptors are small numbers that only the ports interpret. Every function
 * returns 0 (or what it says) or a negative errno value, and gets @ctx first.
 * Names are single components; paths are absolute.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guard/node.h"

enum probe_result {
	PROBE_UNKNOWN = 0, /* it cannot be told (no permission): treated as taken */
	PROBE_GONE,        /* nothing there any more */
	PROBE_LIVE,        /* somebody listens */
	PROBE_UNSETTLED,   /* somebody listens, but its queue stayed full */
	PROBE_STALE,       /* refused, and no socket is bound to that inode */
};

enum rename_how {
	RENAME_TO_FREE, /* -EEXIST where the new name is taken */
	RENAME_SWAP,    /* both names exist, and are exchanged */
};

/* What a new listener is to be like. */
struct listener_spec {
	int type; /* enum kedge_socket_type */
	int backlog;
	uint32_t mode;
};

enum watch_what {
	WATCH_INODE,     /* any name of the inode, its mode and owner */
	WATCH_DIRECTORY, /* the directory itself; Linux tells of its entries' rights too */
	WATCH_ENTRIES,   /* its entries as well: where an inode refuses a watch */
};

struct lock_note {
	uint64_t low, high; /* generations that may have left an anchor */
	bool known;         /* false: a new lock file, or one that cannot be read */
	/* What keeps the path: the mount, by a number that no other mount is ever given while
	 * the machine runs, and the inode of what was made to mount on. 0: none. */
	uint64_t mount_id, mount_point;
};

struct guard_ports {
	void *ctx;

	uint64_t (*now_ns)(void *ctx); /* CLOCK_MONOTONIC */
	uint32_t (*uid)(void *ctx);
	void (*pause)(void *ctx, uint64_t ns); /* at start only: a repair never blocks */

	/* Directories. open: follows links, as a client would; open_private: does not. */
	int (*dir_open)(void *ctx, const char *path);
	int (*dir_open_private)(void *ctx, int dir, const char *name);
	int (*dir_stat)(void *ctx, const char *path, struct node *ret);
	int (*dir_make)(void *ctx, int dir, const char *name, uint32_t mode);
	int (*dir_remove)(void *ctx, int dir, const char *name);
	int (*list)(void *ctx, int dir, void (*each)(const char *name, void *userdata),
		    void *userdata);

	/* Entries. stat: kind NODE_NONE and 0 where there is no such entry. */
	int (*stat)(void *ctx, int dir, const char *name, struct node *ret);
	int (*stat_fd)(void *ctx, int fd, struct node *ret);
	int (*link)(void *ctx, int from, const char *from_name, int dir, const char *name);
	int (*link_fd)(void *ctx, int handle, int dir, const char *name);
	int (*rename)(void *ctx, int from, const char *from_name, int dir, const char *name,
		      enum rename_how how);
	int (*unlink)(void *ctx, int dir, const char *name);
	int (*set_mode)(void *ctx, int fd, uint32_t mode);
	int (*set_owner)(void *ctx, int fd, uint32_t uid, uint32_t gid);
	int (*handle_open)(void *ctx, int dir, const char *name);
	int (*close)(void *ctx, int fd);

	/* Listeners. make: bound to the name with mode 0600 or less, not yet listening. */
	int (*listener_make)(void *ctx, int dir, const char *name,
			     const struct listener_spec *spec);
	int (*listener_listen)(void *ctx, int fd, const struct listener_spec *spec);
	int (*listener_dup)(void *ctx, int fd);
	/* The inode that a listener is bound to: -ENOTSOCK, -EINVAL: it does not listen,
	 * or has no path; -EOPNOTSUPP: it cannot be told, so only its name may be compared. */
	int (*listener_node)(void *ctx, int fd, const char *path, struct node *ret);
	/* A handle to the inode that it is bound to, whatever its name leads to now: -EPERM, and
	 * what else there may be: nobody tells us. */
	int (*listener_handle)(void *ctx, int fd);
	/* Where a listener of the caller's own making is to be bound: for its callback. */
	int (*listener_bind_path)(void *ctx, int dir, const char *name, char *ret, size_t size);
	/* 1: shut down, or no listener (any more); 0: it listens. */
	int (*listener_dead)(void *ctx, int fd);
	/* 1: clients wait in its queue; 0: none. */
	int (*listener_queued)(void *ctx, int fd);
	/* An enum probe_result: does anybody listen on this name? Does not block. */
	int (*probe)(void *ctx, int dir, const char *name, int type);

	/* The lock of a path: an fd, or -EWOULDBLOCK: another process holds it. */
	int (*lock_open)(void *ctx, int dir, const char *name);
	int (*lock_read)(void *ctx, int fd, struct lock_note *ret);
	int (*lock_write)(void *ctx, int fd, const struct lock_note *note);
	int (*unlock)(void *ctx, int fd);

	/* A watch number, or -ENOSPC, -EMFILE, -EACCES. One inode, one number. */
	int (*watch)(void *ctx, int fd, enum watch_what what);
	int (*unwatch)(void *ctx, int watch);

	/* Mount @handle's inode over dir/name, and take that mount away again. */
	int (*mount_over)(void *ctx, int handle, int dir, const char *name);
	int (*mount_point_make)(void *ctx, int dir, const char *name);
	int (*unmount)(void *ctx, int dir, const char *name);
	/* Which mount dir/name leads into, by a number as in struct lock_note. -EOPNOTSUPP: the
	 * kernel gives none. */
	int (*mount_id)(void *ctx, int dir, const char *name, uint64_t *ret);
};
