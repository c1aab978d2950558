/*
 * A guarded path, and the listeners that belong to it.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/streak.h"
#include "guard/place.h"
#include "guard/plan.h"

struct engine;

/* Retired listeners that are kept open for whoever still waits in their queues. */
#define RETIRED_MAX 16

struct dir_id {
	uint64_t device, inode;
};

/*
 * A listener of ours. It is bound under its anchor name, and known by its
 * inode, which the handle holds: the number cannot be used again meanwhile.
 */
struct listener {
	struct list link; /* in guarded.retired */
	struct watcher watcher;
	int fd;     /* listening; ours */
	int handle; /* O_PATH of the inode: tells nlink, mode and owner without any name */
	uint64_t generation;
	struct node node;
	struct anchor_dir *home; /* where its anchor is; NULL: it has none */
	bool made;               /* bound by kedge or for it, as against adopted */
	bool draft;              /* no anchor, not published: still under a name of its own */
	struct node mount_point; /* what we made to mount on; NODE_NONE: nothing */
	unsigned mounts;         /* so many bind mounts of ours lead to it, one over the other */
	uint64_t mount_id;       /* of the last one; 0: the kernel does not tell */
	/* Of an adopted one: the directories in which its name is of our making, and which we
	 * hold, so that their numbers stay theirs. */
	struct dir_id put_in[PLACE_FORMER_MAX + 1];
	unsigned put_count;
	bool published; /* clients may know of it */
	bool announced; /* the owner knows of it */
};

/* As asked for by kedge_listen_options. */
struct listen_config {
	struct listener_spec spec;
	enum kedge_keep keep;
	bool set_owner;
	uint32_t uid, gid;
	enum kedge_at_close at_close;
	int (*create)(const char *bind_path, void *userdata);
	void *userdata;
};

struct guarded_counts {
	uint64_t losses, relinks, rebinds;
	uint64_t outage_last_ns, outage_total_ns;
};

struct guarded {
	struct engine *engine;
	struct guarded *same_hash; /* the next one in engine.by_path */
	struct list in_place;      /* place.members */
	struct list dirty;         /* engine.dirty: to be looked at in this turn */
	struct heap_node timer;
	struct place *place;
	char *path;       /* as given */
	const char *name; /* its last component */
	struct listen_config config;

	struct listener *current;
	struct list retired; /* oldest first */
	uint32_t retired_count;
	uint64_t generation; /* of the newest listener; counts up at each start, re-bind, stop */
	uint64_t noted;      /* the highest that the lock's note covers */
	/* By whoever was killed, and not to be taken away yet. known: there are such anchors. */
	struct lock_note left;
	int lock; /* -EBADF: not held */
	struct anchor_dir *lock_home;
	struct watcher stranger; /* the inode of whoever displaced us */

	struct record record;
	bool hinted; /* an event spoke of our inode, and no look has settled it since */
	/* Of this turn's first look, and good until something but a link is done. */
	bool backing_seen, listener_dead, anchored, lock_removed;
	bool closed;   /* kedge_guard_close() came, maybe from a callback in our midst */
	unsigned held; /* by functions that go on with it after a callback: freed by the last */
	bool leased;   /* the inode has one name more in the anchor directory: its lease */
	uint64_t missed_ns; /* seen lost, but not granted leave yet; 0: not so */

	/* What was said of it. */
	enum kedge_state state;
	enum kedge_cause cause;
	uint64_t lost_ns;             /* 0: reachable */
	enum kedge_event_kind repair; /* how it came back, or KEDGE_EVENT_LOST: not yet */
	struct streak streak;
	struct guarded_counts counts;
};

/* A private name is taken only by a leftover of ours: try the next one, so often. */
#define SPARE_TRIES 16

/* The directory and name of a private name of this path: ".GEN", ".GEN.out". */
struct spare {
	int dir;
	struct anchor_name name;
};

/**
 * guarded_spare() - a private name for a listener or for what is taken away
 *
 * In the anchor directory; without one, a hidden name beside the path.
 */
struct spare guarded_spare(const struct guarded *g, const struct anchor_dir *home,
			   uint64_t generation, const char *suffix);

/* The retired listener that @node is, or NULL. */
struct listener *guarded_retired(const struct guarded *g, const struct node *node);

/* Fill in what is seen of the path right now. */
void guarded_look(struct guarded *g, struct look *ret);

/**
 * guarded_act() - carry out one action
 * @look: what it was planned on
 *
 * Return: 0 or a positive outcome; -EAGAIN: the world has changed, look again;
 *         another negative errno value: it failed. Callbacks may have closed
 *         the path meanwhile: see guarded.closed.
 */
int guarded_act(struct guarded *g, enum action action, const struct look *look);

/* listener.c */

/**
 * listener_make() - bind a listener under the anchor name of its generation
 *
 * Complete, listening and watched, but published nowhere.
 *
 * Return: 0; -ESTALE: the path was closed by the owner's create callback;
 *         else as from the system. On failure nothing is left on disk.
 */
int listener_make(struct listener **ret, struct guarded *g, uint64_t generation);

/* Take over the listener @fd (duplicated) whose inode is @dir/@name. */
int listener_adopt(struct listener **ret, struct guarded *g, uint64_t generation, int fd);

/* Close it, remove its anchor if it is still ours. Return: NULL. */
struct listener *listener_close(struct listener *l, struct guarded *g);

/* Remove its private name, if it is still there and still it: its anchor, or where there is
 * none the name that it was made under. */
void listener_remove_private(struct listener *l, struct guarded *g);

/* Remove from @dir the name that it was made under, where there is no anchor directory. Return:
 * 0; -ESTALE: what stands there is not it; else as from the system. */
int listener_remove_draft(struct listener *l, struct guarded *g, int dir);

/* It has a name in @dir now that we made. */
void listener_put_in(struct listener *l, const struct node *dir);

/* Whether it has. */
bool listener_is_put_in(const struct listener *l, const struct node *dir);

void listener_forget_dir(struct listener *l, const struct node *dir);

/* Close it without touching a file. Return: NULL. */
struct listener *listener_abandon(struct listener *l, struct guarded *g);

/* Watch its inode, or, where that is refused, the entries of its directory. */
int listener_watch(struct listener *l, struct guarded *g);

/* Put @l in the place of the current listener, which is retired, or closed where
 * nobody was ever told of it. */
void guarded_replace(struct guarded *g, struct listener *l);

/* Anchor the current listener, which somebody else made: its path may be lost before the
 * first turn. A failure is met again, and told, in that turn. */
void guarded_anchor(struct guarded *g);

/* Adopt the listener @fd that stands at the path; the current one is retired. Return:
 * 0; -EAGAIN: it does not stand there any more; else as from the system. */
int guarded_follow(struct guarded *g, int fd);

/* Make the newest retired listener that lives current again; those after it and the
 * current one are dead, and closed. Return: whether there is one. */
bool guarded_fall_back(struct guarded *g);

/* Close retired listeners that are dead or too many, the oldest idle one first. */
void guarded_trim(struct guarded *g);

/* publish.c */

enum publish_outcome {
	PUBLISH_DONE = 0,
	/* The path is taken. Nothing was changed: look again. */
	PUBLISH_TAKEN = 1,
};

/**
 * publish_link() - give the current listener its path, where that is free
 *
 * Never replaces anything.
 *
 * Return: an enum publish_outcome; -EXDEV: the path is on another mount;
 *         -EAGAIN: the directory or the last name went away meanwhile;
 *         -ESTALE: a draft has lost its only name.
 */
int publish_link(struct guarded *g);

/* Whether @node is the listener of another path of this guard: two names that changed
 * places. */
bool guarded_is_of_another(const struct guarded *g, const struct node *node);

/* Put the current listener in the place of @stale, which is asked once more and removed.
 * Return: 0; -EAGAIN: something else stands there, and still does; -ESTALE: as above. */
int publish_replace(struct guarded *g, const struct node *stale);

/* Rename @found at the path to NAME.displaced.N. Return: N; -EAGAIN as above. */
int publish_aside(struct guarded *g, const struct node *found);

/* Remove @dir's entry of our name if it is @ours. Return: 0; -ESTALE: it is not. */
int publish_withdraw(struct guarded *g, int dir, const struct node *ours);

enum mount_on {
	MOUNT_ON_NEW = 0, /* the path is free: make something to mount on */
	MOUNT_OVER,       /* somebody's mount stands there: mount over it */
};

/* Mount the current listener over the path. */
int publish_mount(struct guarded *g, enum mount_on on);

/* Take our mount away again, and what it was mounted on. */
void publish_unmount(struct guarded *g, struct listener *l);

/**
 * publish_is_noted() - whether the mount at a path is the one that a killed guard made
 * @note: what its lock file said
 *
 * A number alone proves it: no other mount has had it since the machine was started, and a note
 * that is known is of this run. Where the kernel gives no such numbers no mount is ours.
 */
bool publish_is_noted(const struct guard_ports *ports, int dir, const char *name,
		      const struct lock_note *note);

/* The mount at the path, which is noted and leads to the current listener, is ours from now on. */
void publish_inherit_mount(struct guarded *g, const struct lock_note *note);

/* lifecycle.c */

/**
 * guarded_start() - make or adopt the first listener, and publish it
 * @adopted_fd: borrowed; negative: make one
 *
 * Blocks: a stranger at the path is asked for up to START_PROBE_NS.
 *
 * Return: as kedge_guard_listen() and kedge_guard_adopt(). On failure
 *         guarded_stop() takes back what was done.
 */
int guarded_start(struct guarded *g, int adopted_fd, struct kedge_error *error);

/* Remove what is ours, close everything, leave the engine. Frees @g, or leaves
 * that to the engine where it is in the midst of a turn. */
void guarded_stop(struct guarded *g);

/* Remove @l's names from where the path leads and once led, if they are to be removed.
 * Return: 0; -ESTALE: it has none, or they are left; else as from the system. */
int guarded_withdraw(struct guarded *g, struct listener *l);

/* Remove all names of our listeners, that are to be removed in the end or were made by us, from
 * @dir, where the path led before. The listeners stay. Return: 0: there is none any more; else as
 * from the system. */
int guarded_clear(struct guarded *g, int dir);

/* The directory is let go of: its number may be another's from now on. */
void guarded_forget_dir(struct guarded *g, int dir);

/* In a child of fork(): close descriptors, free, touch no file. */
void guarded_abandon(struct guarded *g);

/* lock.c */

/* Whether somebody has taken the lock's file away, or put another in its place: then another guard
 * may lock that one. */
bool guarded_lost_lock(const struct guarded *g);

/* Take the lock in the place's present anchor directory, and sweep what whoever had it before left
 * there. Return: 0 or -errno. */
int guarded_lock(struct guarded *g);

/* Let go of the lock, and remove its file, unless that tells of a mount which is still there. */
void guarded_unlock(struct guarded *g);

/* Remove names that the current listener has of guards before this one, which were killed while it
 * lived: an adopted one outlives them. Once it has an anchor of ours. */
void guarded_sweep_own(struct guarded *g);

/* Whether a mount keeps the path that one of us made who is gone. */
bool guarded_left_mount(const struct guarded *g);

/* Note in the lock file which generations may have left anchors, and what mount keeps the path. */
void guarded_note(struct guarded *g);

/* The next number for a private name, covered by the note before it is used. */
uint64_t guarded_next_generation(struct guarded *g);
