/* The tender from within. */
#pragma once

#include <pthread.h>

#include "api/tender.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "guard/engine.h"
#include "guard/tend.h"
#include "sys/census.h"
#include "sys/owners.h"
#include "sys/removers.h"
#include "sys/world.h"

/* Rows of the kernel's list are given to the engine as descriptors from here on: beyond
 * any real one (fs.nr_open is at most 2^30 - 8). */
#define TOKEN_FIRST (1 << 30)

/* So many holders of one listener are held by pidfd: a server may have thousands of workers. */
#define HOLDERS_HELD_MAX 8

/* A walk that found nobody who holds a listener is repeated after so long, doubling up to so
 * long: it may be in flight in a message, or in a process that we may not look into. */
#define HOLDERS_GAP_FIRST_NS (10 * NSEC_PER_MSEC)
#define HOLDERS_GAP_MOST_NS  (60 * NSEC_PER_SEC)

/* A listener of another process. */
struct foreign {
	unsigned refs; /* 0: the slot is free */
	uint32_t socket_inode;
	int type; /* SOCK_STREAM, ... */
	struct node node;
};

/* A process that holds listeners, held by pidfd and shared by all of them. */
struct holder {
	unsigned refs;
	int pidfd; /* -ESRCH: it has ended; other -errno: not to be had, then the safety look tells
		    */
	bool busy; /* its program, in busy_turn */
	bool identified; /* all of @process is known, not its number alone */
	uint64_t busy_turn;
	struct process process;
};

/* All that hold one listener. */
struct holding {
	struct holder *main;
	int main_fd;                           /* the listener's number in the main one */
	struct holder *held[HOLDERS_HELD_MAX]; /* whose end is told, main included */
	unsigned held_count;
	uint32_t socket_inode; /* the listener that they hold */
	pid_t *pids;           /* all that are known */
	size_t count;
	bool wanted;              /* to be found out in this turn */
	bool asked;               /* the walk under way looks for it */
	uint64_t gap_ns, next_ns; /* after walks in vain: not again before next_ns */
};

struct tended {
	struct tender *tender;
	struct list link;         /* tender.paths */
	struct list in_directory; /* watched.members: while its directory is watched */
	struct tended *same_hash;
	struct list woken; /* tender.woken */
	struct watched *watched;
	bool rewatch;           /* what is watched for it may be another directory by now */
	struct heap_node timer; /* of an awaited path, or of a vigil */
	struct guarded *g;      /* NULL: awaited */
	const char *name;
	struct remover_mark mark;
	struct holding holding;
	/* Of the present loss. */
	enum tend_remover remover;
	struct process *by; /* who did it; NULL: not known */
	bool left_alone;    /* ... and said so */
	bool given_up;
	bool restored;          /* kedge may have put the path back: it goes with its listener */
	bool letting_go;        /* the engine's word of the end is not passed on */
	uint64_t vigil_gap_ns;  /* how long until its listener is asked for again */
	uint64_t restored_turn; /* when a link was granted: its listener is asked alone then */
	/* While it is awaited. */
	uint64_t there_ns; /* since when a socket that does not listen is there; 0: none is */
	int await_error;   /* why its listener could not be held */
	char path[];
};

/* A directory whose entries are watched for paths that are awaited. */
struct watched {
	struct list link; /* tender.watched */
	struct list members;
	int number;     /* of the inotify watch; -1: none */
	bool is_parent; /* it is the paths' own directory, so names tell which path is meant */
	char path[];
};

/* A walk over /proc, on a thread of its own while @running: then only it touches the rest. */
struct holders_walk {
	bool running;
	int done; /* an eventfd; -1: no thread, the walk is waited for */
	pthread_t thread;
	uint32_t *inodes;
	size_t count;
	int result;
	struct owners owners;
};

struct tender {
	struct world world; /* first: the ports' context */
	struct guard_ports ports;
	struct engine engine;
	struct tender_options options;
	char *anchor_dir;
	struct removers removers;
	int entries; /* inotify for awaited paths; -errno: not to be had */
	struct list watched;
	struct list woken; /* tended.woken: to be touched in this turn */
	struct list paths;
	struct map by_path;
	struct heap timers;
	struct foreign *foreign;
	size_t foreign_count, free_from;
	struct map holders;  /* pid -> struct holder */
	struct map by_pidfd; /* pidfd -> struct holder */
	struct census census;
	uint64_t census_turn; /* 0: none yet */
	uint64_t turn;        /* counts calls of tender_process() and additions */
	unsigned asked;       /* sockets asked for alone in this turn */
	bool holders_wanted;
	struct holders_walk walk;
	uint64_t retry_ns; /* when inotify is asked for again, while there is none */
	bool told_census, told_pidfd, told_mark;
};

/* tender.c */
struct tended *tender_find(const struct tender *t, const char *path);
uint64_t tender_now(const struct tender *t);

/* Tell of something that the engine does not know of. */
void tender_tell(struct tender *t, const struct tended *d, enum kedge_event_kind kind, int error,
		 const char *detail);

/* A path of @t that is neither held nor awaited yet. NULL: out of memory. */
struct tended *tended_new(struct tender *t, const char *path);

/* Take it out; what is held is left as it is. Return: NULL. */
struct tended *tended_free(struct tended *d);

/* tenderadd.c */

/* Tell that nothing can bring the path back. */
void tender_tell_hopeless(struct tended *d);

struct inheritance;

/* Guard the listener @s that stands at the path. @left: of a guard before; NULL: nothing is
 * known of one. Return: as tender_add(). */
int tended_hold(struct tended *d, const struct diag_socket *s, const struct node *node,
		const struct inheritance *left, struct kedge_error *error);

/* Somebody changed something about the names of the inode of @owner, a struct tended. */
void tender_on_remover(void *owner, pid_t pid, void *tender);

/* The present loss is over: forget who did it. */
void tended_forget_loss(struct tended *d);

/* A census no older than this turn. NULL: none is to be had. */
const struct census *tender_census(struct tender *t);

/* tenderports.c */
struct guard_ports tender_ports(struct tender *t);
struct foreign *token_get(const struct tender *t, int fd);

/* A row for the listener. Return: its token; -ENOMEM. */
int token_new(struct tender *t, const struct diag_socket *s, const struct node *node);
void token_drop(struct tender *t, int fd);

/* Whether the listener still takes clients, asked of the kernel now. */
bool token_alive_now(struct tender *t, int fd);

/* The same of the current listener. Where many are asked for in one turn, it is enough that
 * its process still has it open: that costs 3 us, and the kernel's answer as much as there are
 * sockets. */
bool tended_listens_now(struct tended *d);

/* Who is bound to the inode at a path, in whatever network namespace we may enter. NULL: nobody
 * that we can see. Valid until the next census. */
const struct diag_socket *tender_socket_at(struct tender *t, const char *path, dev_t device,
					   ino_t inode);

/* The socket at a path: 1: in @ret and @ret_node; 0: there is a socket and nobody is bound
 * to it; -ENOENT, -ENOTSOCK, ... */
int tender_look_up(struct tender *t, const char *path, struct diag_socket *ret,
		   struct node *ret_node);

/* tenderleave.c */
engine_leave_fn tender_leave;

/* Mark the inode of the current listener. */
void tended_mark(struct tended *d);
void tended_unmark(struct tended *d);

/* The name of the lease in the listener's anchor directory; false: there is no directory. */
bool tended_lease_name(const struct tended *d, struct spare *ret);

/* Note on disk that kedge may put the path back, and so has to remove it in the end. */
void tended_begin_lease(struct tended *d);
void tended_end_lease(struct tended *d);

/* Look again at a listener whose end nobody may tell: soon, now that something spoke of it. */
void vigil_begin(struct tended *d);

/* The time has come. */
void vigil_due(struct tended *d);

/* tenderholders.c */

/* Find out who holds the listeners of which that is wanted, and wait for it. */
void holders_find(struct tender *t);

/* Begin to find out; holders_read() takes in what comes of it. */
void holders_begin(struct tender *t);
void holders_read(struct tender *t);
void holders_stop(struct tender *t);
void holding_want(struct tended *d);
void holding_drop(struct tended *d);

/* Whether the end of some process that holds the present listener will be told, as far as this
 * machine tells it at all. */
bool holding_is_held(const struct tended *d);

/* Find out anew who holds it, unless that was in vain a moment ago. */
void holding_retry(struct tended *d);
bool holding_has(const struct tended *d, pid_t pid);

/* A pidfd of @fd became readable: look at all that the process held. Return: whether it is one. */
bool holders_ended(struct tender *t, int fd);

/* tenderawait.c */

/* Watch the entries of the path's directory, or of the nearest one above that is there.
 * Return: whether that is new: what came before it is not told, so look once more. */
bool await_watch(struct tended *d);
void await_unwatch(struct tended *d);

/* See whether somebody listens at an awaited path now, and hold it then. */
void await_look(struct tended *d);

/* Read what the watched directories tell. */
void await_read(struct tender *t);

/* tendertakeover.c */

/* What a guard that was killed left for a path. */
struct inheritance {
	bool leased;           /* the path is one that it had put back */
	bool mounted;          /* ... by a mount, which leads to a listener */
	struct lock_note note; /* which mount that is */
};

/**
 * takeover() - take up what a guard that was killed left for a path
 *
 * Puts a lost path back where its listener still has an anchor; removes a path
 * that was put back and whose listener is gone; removes old anchors.
 *
 * Return: 0; -EADDRINUSE: another kedge guards it; -errno.
 */
int takeover(struct tender *t, const char *path, struct inheritance *ret);

/* The mount that is left leads to the listener @s, which is held: it is ours from now on. */
void takeover_mount(struct tended *d, const struct inheritance *left, const struct diag_socket *s);
