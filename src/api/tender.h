/*
 * The tender: a guard of sockets that other processes listen on.
 *
 * The engine of guard/ works here on another port table, in which a listener is
 * no descriptor but a row of the kernel's list of sockets; guard/tend.h decides
 * whose turn it is. A path is either *held* (its listener is known and anchored)
 * or *awaited* (nobody listens there: the directory is watched for who comes).
 *
 * It works with less where it must, and says so once: without fanotify by
 * the settle time, without inotify by the safety look, without pidfd or
 * sock_diag by /proc.
 *
 * Everything belongs to one thread. One descriptor, one deadline, one process.
 */
#pragma once

#include "kedge/guard.h"
#include "sys/process.h"

struct tender;

/* Whether the kernel is asked who took a path away. */
enum tender_attribution {
	TENDER_ATTRIBUTION_AUTO = 0, /* where it tells us */
	TENDER_ATTRIBUTION_OFF,      /* settle always */
};

/* @by: who did it, or NULL where nobody knows; exe "" and uid -1: it was gone already. */
typedef void tender_event_fn(const struct kedge_event *event, const struct process *by,
			     void *userdata);

struct tender_options {
	uint64_t settle_ns;
	uint64_t interval_ns;   /* TIME_NEVER: no safety look */
	const char *anchor_dir; /* absolute; NULL: beside each socket */
	enum tender_attribution attribution;
	tender_event_fn *on_event;
	void *userdata;
};

/* Return: 0; -ENOMEM; -EMFILE. What is missing on this machine is told by events. */
int tender_new(struct tender **ret, const struct tender_options *options);

/* Anchors are removed; daemons and their paths are left as they are. Return: NULL. */
struct tender *tender_free(struct tender *tender);

/* What is asked of a path that is added. */
enum tender_need {
	TENDER_MUST_LISTEN = 0, /* refused unless somebody listens there */
	TENDER_MAY_COME,        /* awaited, if nobody does */
};

/**
 * tender_add() - guard a path from now on
 * @path: absolute; copied
 *
 * Takes up what a guard that was killed left: a lease, or a lost path whose
 * listener still has its anchor.
 *
 * Return: 0; -EEXIST: it is guarded by this tender already; -EADDRINUSE: by
 *         another kedge; -ENOENT, -ENOTSOCK, -ECONNREFUSED (nobody listens),
 *         -EACCES, -EPERM (not permitted to link it), or as from the system.
 *         @error says what would help. On failure nothing is left behind.
 */
int tender_add(struct tender *tender, const char *path, enum tender_need need,
	       struct kedge_error *error);

/* Before it is said that all is guarded: wait until it is known who holds the listeners. */
void tender_ready(struct tender *tender);

/* How a path is. */
struct tender_status {
	bool held;
	bool leased;
	bool attributed; /* who removes it will be told */
	pid_t pid;       /* of a process that holds the listener; 0: none is known */
	uid_t uid;
	const char *comm; /* borrowed until the next call of the tender */
	unsigned holders;
};

/* Return: 0; -ENOENT. */
int tender_status(const struct tender *tender, const char *path, struct tender_status *ret);

/* Poll it for POLLIN; until tender_deadline() (CLOCK_MONOTONIC; TIME_NEVER: none); then: */
int tender_fd(const struct tender *tender);
uint64_t tender_deadline(const struct tender *tender);
void tender_process(struct tender *tender);
