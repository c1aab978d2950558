/*
 * kedge/guard.h - keep the paths of listening Unix sockets reachable.
 *
 * A listener lives in the kernel; its path is only a directory entry that
 * anybody may remove. A guard keeps a second hard link to the socket's inode
 * (the anchor) in a private directory beside the path, and watches the inode.
 * When the path is lost it links the anchor back: the same listener, with the
 * same queue of waiting clients. Where that cannot be done (the directory is
 * gone with all in it, or another file system is mounted over it) it binds a
 * new listener and tells you.
 *
 * How to use it:
 *
 *	struct kedge_guard_options options = { .size = sizeof(options), .on_event = print };
 *	struct kedge_guard *guard = NULL;
 *	int fd;
 *
 *	kedge_guard_new(&guard, &options);
 *	kedge_guard_listen(guard, "/run/x/x.sock", NULL, &fd, NULL);
 *	for (;;) {
 *		... poll for POLLIN on fd and on kedge_guard_fd(guard), until
 *		    kedge_guard_deadline() ...
 *		kedge_guard_process(guard);
 *	}
 *	kedge_guard_free(guard);
 *
 * A program without a loop uses kedge/watchdog.h instead.
 *
 * Threads: a guard belongs to one thread at a time; two guards share nothing.
 * Callbacks run inside kedge_guard_process(), _listen(), _adopt(), _repair(),
 * _close() and _free(), on the thread that called. From a callback every
 * function may be called but kedge_guard_free().
 *
 * Blocking: kedge_guard_listen() may wait up to 2 s for a stranger's listener that
 * does not answer. Nothing else waits, but for the locks of directories.
 *
 * Forks: in a child of fork() every function but kedge_guard_free() returns
 * -ESTALE and does nothing; kedge_guard_free() closes descriptors and frees
 * memory but touches no file.
 *
 * The library never logs, exits, forks, changes the umask or the working
 * directory, installs a signal handler or keeps global state.
 */
#ifndef KEDGE_GUARD_H
#define KEDGE_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kedge/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_guard;

/* Where a guarded path stands. */
enum kedge_state {
	/* Not guarded (any more). */
	KEDGE_STATE_STOPPED = 0,
	/* A client that connects reaches our listener. */
	KEDGE_STATE_REACHABLE,
	/* Lost, and being put back; it may need another try. */
	KEDGE_STATE_REPAIRING,
	/* A live listener of somebody else holds the path. Taken back when it goes. */
	KEDGE_STATE_DISPLACED,
	/* Something that kedge must not touch is in the way, or it lacks the right. */
	KEDGE_STATE_BLOCKED,
};

/* What made a path unreachable, as far as a look can tell. */
enum kedge_cause {
	KEDGE_CAUSE_NONE = 0,
	KEDGE_CAUSE_UNLINKED,         /* the name is gone, the inode has its anchor only */
	KEDGE_CAUSE_RENAMED,          /* the name is gone, the inode has another name */
	KEDGE_CAUSE_DIR_REMOVED,      /* the directory is gone */
	KEDGE_CAUSE_DIR_REPLACED,     /* the path names another directory than before */
	KEDGE_CAUSE_MOUNTED_OVER,     /* ... and that one is on another mount */
	KEDGE_CAUSE_REPLACED_STALE,   /* a socket nobody listens on stands there */
	KEDGE_CAUSE_REPLACED_LIVE,    /* a socket somebody else listens on stands there */
	KEDGE_CAUSE_REPLACED_FILE,    /* a file, FIFO, symlink or device stands there */
	KEDGE_CAUSE_REPLACED_DIR,     /* a directory stands there */
	KEDGE_CAUSE_MODE_CHANGED,     /* mode or owner of the socket changed */
	KEDGE_CAUSE_DIR_MODE_CHANGED, /* mode or owner of its directory changed */
	KEDGE_CAUSE_LISTENER_GONE,    /* the listener itself was closed or shut down */
	KEDGE_CAUSE_ERROR,            /* it cannot be seen: a look fails */
	KEDGE_CAUSE_MAX_,
};

enum kedge_event_kind {
	KEDGE_EVENT_LISTENING = 0, /* the path is guarded and reachable for the first time */
	KEDGE_EVENT_LOST,          /* a new client cannot connect; @cause says why */
	KEDGE_EVENT_RELINKED,      /* the same listener is back at its path */
	KEDGE_EVENT_REBOUND,       /* a new listener is at the path; the old is retired */
	KEDGE_EVENT_BIND_MOUNTED,  /* the same listener, mounted over what covers its path */
	KEDGE_EVENT_MODE_RESTORED, /* mode and owner are as recorded again */
	KEDGE_EVENT_MOVED_ASIDE,   /* somebody's file was renamed; @detail is its new name */
	KEDGE_EVENT_DISPLACED,     /* a live stranger holds the path: kedge yields */
	KEDGE_EVENT_BLOCKED,       /* kedge cannot go on; @error or @detail say why */
	KEDGE_EVENT_RECOVERED,     /* reachable again; @outage_ns and @swallowed count */
	KEDGE_EVENT_ANCHORED,      /* a lost anchor was made again */
	KEDGE_EVENT_DEGRADED,      /* works with less; @detail says without what */
	KEDGE_EVENT_RETIRED,       /* a retired listener was closed */
	KEDGE_EVENT_NOTICED,       /* something changed that kedge was not told to keep */
	KEDGE_EVENT_STOPPED,       /* no longer guarded; @detail says what was left there */
	/* Of listeners that belong to another process (`kedge guard`): */
	KEDGE_EVENT_FOLLOWED,   /* another listener holds the path now: that one is guarded */
	KEDGE_EVENT_LEFT_ALONE, /* its own daemon took the path away: not put back */
	KEDGE_EVENT_WITHDRAWN,  /* a path that was put back is removed: its listener is gone */
	KEDGE_EVENT_AWAITED,    /* nobody listens there: the next listener will be guarded */
	KEDGE_EVENT_MAX_,
};

/**
 * struct kedge_event - one thing that happened to a guarded path
 * @size:       sizeof(struct kedge_event) of the library
 * @kind:       what happened
 * @cause:      why the path was lost, where one is known
 * @path:       the path as it was given; "" for what concerns the whole guard
 * @generation: of the listener that is current now, from 1
 * @error:      negative errno value, or 0
 * @outage_ns:  with RECOVERED: from the first look that found the path lost to
 *              the look that found it reachable
 * @swallowed:  with RECOVERED: reports of the same streak that were not made
 * @detail:     a short text, or ""
 *
 * An error is reported once a streak: the first time, and then by RECOVERED.
 * All pointers are valid during the callback only.
 */
struct kedge_event {
	size_t size;
	enum kedge_event_kind kind;
	enum kedge_cause cause;
	const char *path;
	uint64_t generation;
	int error;
	uint64_t outage_ns;
	uint32_t swallowed;
	const char *detail;
};

/* "lost", "relinked", "rebound", ...; never NULL. Any thread. */
KEDGE_PUBLIC const char *kedge_event_name(enum kedge_event_kind kind);
/* "unlinked", "renamed", "dir-removed", ...; never NULL. Any thread. */
KEDGE_PUBLIC const char *kedge_cause_name(enum kedge_cause cause);
/* "stopped", "reachable", "repairing", "displaced", "blocked". Any thread. */
KEDGE_PUBLIC const char *kedge_state_name(enum kedge_state state);

/* Told of each event, in the order in which they happen. */
typedef void kedge_event_fn(const struct kedge_event *event, void *userdata);

/**
 * kedge_listener_fn - the listeners of a path have changed
 * @path:    the path as it was given
 * @new_fd:  a listening descriptor to accept on as well from now on, or -1
 * @old_fd:  with @new_fd: the one it follows; it is retired, that is: still
 *           open, its queued and bind-mounted clients still want to be served.
 *           Without @new_fd: a retired descriptor that is closed as soon as the
 *           callback returns: stop accepting on it.
 *
 * Both descriptors belong to the guard, are non-blocking and close-on-exec.
 * A loop that closes what it watches (libuv) is given a dup().
 */
typedef void kedge_listener_fn(const char *path, int new_fd, int old_fd, void *userdata);

/* No safety look: rely on events alone. */
#define KEDGE_INTERVAL_NONE       INT64_C(-1)
#define KEDGE_INTERVAL_DEFAULT_MS INT64_C(5000)
/* A day: a longer safety look is a mistake in units. */
#define KEDGE_INTERVAL_MAX_MS INT64_C(86400000)

/* Whether kedge may bind-mount an anchor over a mount that covers a path. */
enum kedge_mounting {
	KEDGE_MOUNTING_AUTO = 0, /* where it has the right to */
	KEDGE_MOUNTING_NEVER,    /* re-bind instead */
};

/**
 * struct kedge_guard_options - how a guard works; zero means the default
 * @size:        sizeof(struct kedge_guard_options)
 * @interval_ms: a full look at every path each so many ms, for what no event
 *               tells; 0: 5000; KEDGE_INTERVAL_NONE: none; at most a day
 * @anchor_dir:  where the anchors are kept, on the same mount as the paths
 *               (copied); NULL: `.kedge-UID` beside each socket
 * @mounting:    see enum kedge_mounting
 * @on_event:    called for each event; may be NULL
 * @on_listener: called when listeners come and go; NULL: after a re-bind ask
 *               kedge_guard_status() for the current descriptor
 * @userdata:    passed to both
 */
struct kedge_guard_options {
	size_t size;
	int64_t interval_ms;
	const char *anchor_dir;
	enum kedge_mounting mounting;
	kedge_event_fn *on_event;
	kedge_listener_fn *on_listener;
	void *userdata;
};

/**
 * kedge_guard_new() - make a guard, which guards nothing yet
 * @ret_guard: the guard; owned by the caller, who ends it by kedge_guard_free()
 * @options:   borrowed for the call; NULL: all defaults
 *
 * Return: 0; -EINVAL: an option is out of its range; -ENOMEM; -EMFILE,
 *         -ENFILE: no descriptor for its epoll set. That inotify is not to be
 *         had is no error: the guard then works by its safety look.
 */
KEDGE_PUBLIC int kedge_guard_new(struct kedge_guard **ret_guard,
				 const struct kedge_guard_options *options);

/**
 * kedge_guard_free() - stop guarding all paths, and free the guard
 * @guard: consumed; may be NULL
 *
 * As kedge_guard_close() for each path. Not from a callback.
 *
 * Return: NULL.
 */
KEDGE_PUBLIC struct kedge_guard *kedge_guard_free(struct kedge_guard *guard);

enum kedge_socket_type {
	KEDGE_SOCKET_STREAM = 0,
	KEDGE_SOCKET_SEQPACKET,
	KEDGE_SOCKET_DATAGRAM,
};

/* Whether mode and owner of the socket and its directory are put back (H10). */
enum kedge_keep {
	/* Of what the guard made itself: yes. Of what it found: report only. */
	KEDGE_KEEP_MADE = 0,
	KEDGE_KEEP_ALWAYS,
	KEDGE_KEEP_NEVER,
};

/* What happens to the path at kedge_guard_close(). */
enum kedge_at_close {
	/* listen(): remove it. adopt(): leave it, its owner will clean up. */
	KEDGE_AT_CLOSE_DEFAULT = 0,
	KEDGE_AT_CLOSE_REMOVE,
	KEDGE_AT_CLOSE_LEAVE,
};

/* What zero stands for in struct kedge_listen_options. */
#define KEDGE_MODE_DEFAULT    0600u
#define KEDGE_BACKLOG_DEFAULT 4096

/**
 * struct kedge_listen_options - one guarded path; zero means the default
 * @size:     sizeof(struct kedge_listen_options)
 * @type:     stream by default
 * @backlog:  length of the queue of waiting clients, 1 to INT_MAX; 0: 4096
 *            (the kernel cuts it at net.core.somaxconn)
 * @mode:     permission bits of the socket, 0001 to 0777; 0: 0600
 * @set_owner: 1: give the socket to @uid and @gid before it can be seen
 * @keep:     see enum kedge_keep
 * @at_close: see enum kedge_at_close
 * @create:   NULL: kedge binds. Else called whenever a new listener is needed:
 *            bind a socket to @bind_path (at most 107 bytes), listen, and
 *            return its descriptor, or a negative errno value. The descriptor
 *            stays yours; kedge works on a duplicate.
 * @userdata: passed to @create
 */
struct kedge_listen_options {
	size_t size;
	enum kedge_socket_type type;
	int backlog;
	mode_t mode;
	int set_owner;
	uid_t uid;
	gid_t gid;
	enum kedge_keep keep;
	enum kedge_at_close at_close;
	int (*create)(const char *bind_path, void *userdata);
	void *userdata;
};

/**
 * kedge_guard_listen() - make a listener at a path, and guard it from now on
 * @guard:   the guard
 * @path:    absolute path of the socket; its directory exists (see
 *           kedge_ensure_socket_dir()); copied
 * @options: borrowed for the call; NULL: all defaults
 * @ret_fd:  the listening descriptor, non-blocking, close-on-exec; belongs to
 *           the guard, which closes it at kedge_guard_close(); may be NULL
 * @error:   filled on failure; may be NULL
 *
 * The listener is bound under its anchor name, complete before anybody can see
 * it, and published by one link(2). A stale socket that stands at the path is
 * replaced; anything else is left as it is and the call fails. Blocks for the
 * few system calls that takes, and up to 2 s where a stranger's listener does
 * not answer.
 *
 * Return: 0;
 *         -EINVAL:      the path is relative, empty, ends in '/', or an option
 *                       is out of its range;
 *         -ENAMETOOLONG: the last component leaves no room for the anchor's
 *                       suffix in the file system's 255 bytes (230 are left, 213
 *                       with an @anchor_dir), the path has more than 63
 *                       directories, or a name is too long for @create;
 *         -EEXIST:      this guard guards that path already;
 *         -ECANCELED:   a callback closed the path before the call returned;
 *         -EADDRINUSE:  somebody listens there, or holds the lock of the path;
 *         -EISDIR, -ENOTSOCK: a directory, or another file, stands there;
 *         -ENOENT, -ENOTDIR, -EACCES, -EROFS, -ENOSPC, -EMFILE, -ENFILE,
 *         -ENOMEM, -EDQUOT, -ELOOP: as from the system.
 *         On failure nothing is left on disk.
 */
KEDGE_PUBLIC int kedge_guard_listen(struct kedge_guard *guard, const char *path,
				    const struct kedge_listen_options *options, int *ret_fd,
				    struct kedge_error *error);

/**
 * kedge_guard_adopt() - guard a listener that exists
 * @guard:        the guard
 * @path:         absolute path that @listening_fd is bound to; copied
 * @listening_fd: borrowed: the guard works on a duplicate
 * @options:      @type, @backlog, @mode and owner are those of the socket;
 *                the rest as in kedge_guard_listen(); may be NULL
 * @error:        filled on failure; may be NULL
 *
 * Return: 0; -EBADF: no descriptor; -ENOTSOCK: not a socket; -EINVAL: it does
 *         not listen, or the path is not what it is bound to; -ESTALE: its path is
 *         lost already and no name of its inode can be found; else as
 *         kedge_guard_listen().
 */
KEDGE_PUBLIC int kedge_guard_adopt(struct kedge_guard *guard, const char *path, int listening_fd,
				   const struct kedge_listen_options *options,
				   struct kedge_error *error);

/**
 * kedge_guard_close() - stop guarding a path, close its listeners
 * @guard: the guard
 * @path:  as given to kedge_guard_listen() or kedge_guard_adopt()
 *
 * The path is removed where it is still our inode (see enum kedge_at_close):
 * renamed into the anchor directory, checked, then removed, or put back.
 * Anchors, lock and the anchor directory, when empty, go too. May be called
 * from a callback, in the midst of a repair: then nothing is published.
 *
 * Return: 0; -ENOENT: not guarded.
 */
KEDGE_PUBLIC int kedge_guard_close(struct kedge_guard *guard, const char *path);

/* Return: the descriptor to poll for POLLIN. Borrowed, constant over the guard's life. */
KEDGE_PUBLIC int kedge_guard_fd(const struct kedge_guard *guard);

/**
 * kedge_guard_deadline() - when to call kedge_guard_process() at the latest
 * @ret_usec: CLOCK_MONOTONIC in microseconds; UINT64_MAX: no deadline
 *
 * Return: 0.
 */
KEDGE_PUBLIC int kedge_guard_deadline(const struct kedge_guard *guard, uint64_t *ret_usec);

/**
 * kedge_guard_process() - look at what happened, and repair
 *
 * Call it when kedge_guard_fd() is readable or the deadline has come; at other
 * times it does no harm. Never blocks but on the locks of directories.
 *
 * Return: 0; -ESTALE: called in a child of fork(). What goes wrong with a path
 *         is told by on_event and never ends the watch.
 */
KEDGE_PUBLIC int kedge_guard_process(struct kedge_guard *guard);

/**
 * kedge_guard_repair() - look at one path now, and repair it if it is lost
 *
 * Back-off is set aside for this one look.
 *
 * Return: 1: it was lost and is reachable again; 0: it was reachable;
 *         -ENOENT: not guarded; -EADDRINUSE: displaced; -EBUSY: blocked or
 *         still being repaired.
 */
KEDGE_PUBLIC int kedge_guard_repair(struct kedge_guard *guard, const char *path);

/* How a guarded path is, and what it went through. All times in ns, which wrap nowhere. */
struct kedge_path_status {
	size_t size; /* set by the caller: sizeof(struct kedge_path_status) */
	enum kedge_state state;
	enum kedge_cause cause; /* of the present or else the last loss */
	int error;              /* of the present streak, or 0 */
	int fd;                 /* the current listener; belongs to the guard */
	uint64_t generation;
	uint64_t losses;
	uint64_t relinks;
	uint64_t rebinds;
	uint64_t outage_last_ns;
	uint64_t outage_total_ns;
	uint32_t retired; /* listeners that are open beside the current one */
	int anchored;     /* 1: there is an anchor; 0: only a re-bind would help */
	int watched;      /* 1: events tell; 0: the safety look alone */
};

/**
 * kedge_guard_status() - how a path is
 * @ret: its @size set by the caller; filled up to that size
 *
 * Return: 0; -ENOENT: not guarded (@ret is left alone); -EINVAL: @size is 0.
 */
KEDGE_PUBLIC int kedge_guard_status(const struct kedge_guard *guard, const char *path,
				    struct kedge_path_status *ret);

#ifdef __cplusplus
}
#endif

#endif
