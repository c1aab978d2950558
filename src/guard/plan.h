/*
 * The planner: what was seen of a path -> what to do next.
 *
 *	look  ->  plan  ->  act  ->  look again
 *
 * guard_plan() is a pure function. It does one step at a time, and an action
 * counts as done when the next look shows it, never because its call returned
 * 0. What it must remember between looks is in struct record, which only
 * record_acted() and record_settled() change.
 */
#pragma once

#include "base/time.h"
#include "guard/node.h"
#include "guard/ports.h"
#include "kedge/guard.h"

/* A socket that refuses may be a daemon's between bind and listen: ask twice. */
#define PLAN_STALE_SETTLE_NS (10 * NSEC_PER_MSEC)

/* So many files are moved aside in a minute before kedge takes a rest. */
#define PLAN_ASIDE_MAX       8
#define PLAN_ASIDE_WINDOW_NS (60 * NSEC_PER_SEC)

/* So often are mode and owner put back in a minute: another may be as stubborn. */
#define PLAN_RESTORE_MAX       8
#define PLAN_RESTORE_WINDOW_NS (60 * NSEC_PER_SEC)

/* Back-off: the first wait, doubling up to the guard's interval. */
#define PLAN_BACKOFF_FIRST_NS (10 * NSEC_PER_MSEC)

/* A live stranger is asked again at least so often: each time is a connection to it. */
#define PLAN_DISPLACED_MAX_NS NSEC_PER_SEC

/* The directory that the path names. */
enum look_dir {
	LOOK_DIR_SAME = 0, /* the one we hold open */
	LOOK_DIR_OTHER,    /* another one: moved away, or mounted over */
	LOOK_DIR_MISSING,  /* none, or not a directory any more */
	LOOK_DIR_UNSEEN,   /* it, or what it holds, cannot be told: dir_error says why */
};

/* What stands at the path. */
enum look_path {
	LOOK_PATH_FREE = 0,
	LOOK_PATH_OURS,    /* the current listener's inode */
	LOOK_PATH_RETIRED, /* the inode of a listener that we retired */
	LOOK_PATH_SOCKET,  /* somebody else's socket */
	LOOK_PATH_OTHER,   /* a file, FIFO, symlink, device */
	LOOK_PATH_DIRECTORY,
};

/* One look at the world. Plain values; nothing in it is owned. */
struct look {
	enum look_dir dir;
	int dir_error;
	bool other_mount;     /* LOOK_DIR_OTHER is on another device */
	struct node dir_node; /* of the directory we hold open */
	enum look_path path;
	struct node path_node;
	struct node ours; /* by the handle: right even while names are stale */
	bool hinted;      /* an event said that something about the inode changed */
	bool listener_dead;
	bool mounted;       /* what stands at the path is a bind mount that we made */
	bool leased;        /* our inode has a lease's name beside its anchor */
	bool anchored;      /* our inode stands under its anchor name */
	bool anchor_home;   /* ... in the anchor directory of the present place */
	bool anchor_wanted; /* there is an anchor directory to have one in */
	bool locked_home;   /* the lock is held in the present anchor directory */
	bool lock_removed;  /* ... but its file does not stand there any more */
};

enum action {
	ACTION_NONE = 0,
	ACTION_WAIT,  /* until plan.deadline_ns */
	ACTION_BLOCK, /* nothing can be done: note it, and wait */
	ACTION_MAKE_DIRS,
	ACTION_ENTER_DIR,   /* hold the directory that the path names now */
	ACTION_RESTORE_DIR, /* mode and owner of the directory */
	ACTION_LINK,        /* publish our inode, or verify that it is published */
	ACTION_BIND_MOUNT,
	ACTION_REBIND,  /* make a new listener, unpublished */
	ACTION_PROMOTE, /* the retired listener at the path is current again */
	ACTION_PROBE,
	ACTION_REPLACE_STALE,
	ACTION_MOVE_ASIDE,
	ACTION_RESTORE_MODE,
	ACTION_LOCK,   /* take the lock in the present anchor directory */
	ACTION_ANCHOR, /* make, or verify, the anchor */
	ACTION_MAX_,
};

struct plan {
	enum action action;
	enum kedge_state state;
	enum kedge_cause cause; /* of a path that is not reachable */
	uint64_t deadline_ns;   /* when to look again at the latest; TIME_NEVER */
	int error;              /* what blocks: negative errno, or 0 */
	bool noticed;           /* rights changed that we were not told to keep */
};

/* What the planner knows from before. Zeroed, then set up by the engine. */
struct record {
	/* As it should be. */
	struct node want;     /* mode, uid, gid of the socket */
	struct node want_dir; /* ... of its directory */
	bool keep, keep_dir;  /* put them back? */
	bool mounting;        /* may a bind mount be tried? */
	bool borrowed;        /* another process listens: no listener is made in its place */
	uint64_t interval_ns; /* bound of the back-off */

	/* What was learned. */
	uint32_t nlink;       /* of our inode when it was last known to be well */
	bool verified;        /* link() has said that the path is taken */
	bool anchor_verified; /* ... and that the anchor is */
	bool cross_mount;     /* link() has said that it cannot reach the path */
	bool link_refused;    /* ... that it may not: given away, or its private name is lost */
	bool path_busy;       /* rename() has said that the path is mounted on */
	bool mount_failed;
	struct node probed; /* the stranger that was asked */
	enum probe_result probe;
	uint64_t probe_ns;       /* when it was last asked */
	uint64_t probe_until_ns; /* when to ask it again */
	uint64_t stale_ns;       /* when it was first found stale; 0: was not */
	uint32_t probes;         /* how often it was found alive */
	uint32_t aside_count;
	uint64_t aside_ns; /* when the present minute began */
	uint32_t restore_count;
	uint64_t restore_ns;

	/* The present streak of failures, and the situation it was met in. */
	uint32_t failures;
	int error;
	uint64_t retry_ns; /* nothing is tried before, in that situation */
	enum look_dir failed_dir;
	enum look_path failed_path;
	/* The same for the anchor, whose failures must not hold up a repair. */
	uint32_t anchor_failures;
	uint64_t anchor_retry_ns;
};

/**
 * guard_plan() - the next step for one path
 * @record: what is known; borrowed, not changed
 * @look:   what was just seen; borrowed
 * @now_ns: the time of the look
 *
 * Return: one action, and the state to show. ACTION_NONE: all is well.
 *         deadline_ns is later than @now_ns, or TIME_NEVER.
 */
struct plan guard_plan(const struct record *record, const struct look *look, uint64_t now_ns);

/**
 * record_acted() - note what came of an action
 * @result: 0, a positive outcome, or a negative errno value, as act() returned
 *
 * -EAGAIN means that the world changed meanwhile: look again, no failure.
 */
void record_acted(struct record *record, enum action action, int result, const struct look *look,
		  uint64_t now_ns);

/* Note that a look found the path well: the streak and its knowledge are over. */
void record_settled(struct record *record, const struct look *look);

/* Forget the back-off, for somebody who asks for a try now. */
void record_hurry(struct record *record);
