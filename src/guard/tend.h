/*
 * Tending: whether it is kedge's turn, where the listener is somebody else's.
 *
 * `kedge guard` runs the very planner of a daemon's own guard (guard/plan.h) on
 * listeners that other processes hold. What can be done about a lost path is
 * the same. What differs is whether and when kedge should: the daemon may have
 * taken its path away itself, may be between unlink(2) and bind(2), may have
 * handed over to a successor. A name that is put back at the wrong moment makes
 * its bind fail. That question alone is answered here, before each step of the
 * planner, by a pure function; so neither has to know of the other's.
 *
 * The rules, in this order:
 *
 *	somebody else listens at the path       it is followed, never fought
 *	our listener is gone                    back to the one before it, if that
 *	                                        still listens; else let go
 *	the path is well                        the planner does as it likes
 *	a socket that does not listen yet       a daemon is starting: wait
 *	its own process took the path away      left alone
 *	a process of the same program did       left alone for TEND_KIN_NS: a
 *	                                        successor binds at once, a second
 *	                                        instance that cleans up never does
 *	any other process did                   put back at once, unless the daemon is
 *	                                        seen at work: it may be restarting, and
 *	                                        its own unlink(2) found nothing any more
 *	nobody knows who did                    settle: wait, and then as long as the
 *	                                        program is seen at work, up to a bound
 */
#pragma once

#include <stdbool.h>

#include "base/time.h"

/* Where it is not known who took a path away: 10 ms is what a daemon that was pushed off
 * its processor between unlink and bind needs to be back, with a margin. */
#define TEND_SETTLE_DEFAULT_NS (10 * NSEC_PER_MSEC)

/* A program at work when the settle time ends may be about to bind: it gets so much more,
 * and is looked at so often. A busy server is never idle, so there is an end to it. */
#define TEND_BUSY_NS     (200 * NSEC_PER_MSEC)
#define TEND_BUSY_GAP_NS (2 * NSEC_PER_MSEC)

/* How long a successor of the same program may take from unlink to bind. */
#define TEND_KIN_NS (5 * NSEC_PER_SEC)

/* Who did it is told at the same moment as that it was done, but by another queue. */
#define TEND_ASK_NS     NSEC_PER_MSEC
#define TEND_ASK_GAP_NS (100 * NSEC_PER_USEC)

/*
 * A process that ends is told of. One that closes its listener and lives on is not, and where
 * nobody is known to hold it, neither is any end. Where kedge would have something to do then,
 * it looks again after so long, doubling up to so long.
 */
#define TEND_VIGIL_FIRST_NS NSEC_PER_MSEC
#define TEND_VIGIL_MOST_NS  NSEC_PER_SEC

/* A socket that is bound and never listens holds kedge up for so long. */
#define TEND_BOUND_NS     (2 * NSEC_PER_SEC)
#define TEND_BOUND_GAP_NS NSEC_PER_MSEC

/* What stands at the path, as far as it matters here. */
enum tend_there {
	TEND_NOTHING = 0, /* free, or not to be seen: what the planner calls lost */
	TEND_OURS,        /* the inode of the guarded listener */
	TEND_LISTENER,    /* another socket that listens */
	TEND_BOUND,       /* another socket that is bound, and does not listen */
	TEND_OBSTACLE,    /* a stale socket, a file, a directory */
};

/* Who took the path away. */
enum tend_remover {
	TEND_UNKNOWN = 0, /* the kernel does not tell, or the process is gone already */
	TEND_EXPECTED,    /* the kernel will tell, and has not yet */
	TEND_OWNER,       /* a process that holds, or held, the listener */
	TEND_KIN,         /* another one that runs the same program */
	TEND_STRANGER,
};

struct tend_facts {
	enum tend_there there;
	enum tend_remover remover;
	bool listens;     /* the guarded listener does */
	bool former;      /* one that was guarded before it does */
	bool nameless;    /* no name of its inode is left, so nothing can be linked */
	bool busy;        /* the daemon is seen running, not waiting */
	bool leased;      /* kedge may have put the path back */
	bool held;        /* a process that holds the listener will be told to have ended */
	uint64_t lost_ns; /* when it was first seen lost; the present if just now */
	uint64_t settle_ns;
};

enum tend_verdict {
	TEND_GO = 0,    /* the planner's turn */
	TEND_WAIT,      /* not before until_ns, and without a word */
	TEND_FOLLOW,    /* guard the socket at the path instead */
	TEND_FALL_BACK, /* guard the one before again */
	TEND_LET_GO,    /* the listener is gone: take back what kedge made, wait for the next */
	TEND_LEAVE,     /* its own daemon wants it so */
	TEND_GIVE_UP,   /* lost for good: say so */
};

struct tend_answer {
	enum tend_verdict verdict;
	uint64_t until_ns; /* with TEND_WAIT: later than the time of asking */
};

struct tend_answer tend_decide(const struct tend_facts *facts, uint64_t now_ns);

/* Whether the end of the listener would matter, and might be told by nobody: look again then. */
bool tend_keeps_vigil(const struct tend_facts *facts);

/* When, after a wait of @gap_ns. The longest ones end with a second, for all paths together. */
uint64_t tend_vigil_at(uint64_t gap_ns, uint64_t now_ns);

/* The wait after one of @gap_ns. */
uint64_t tend_vigil_longer(uint64_t gap_ns);
