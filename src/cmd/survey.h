/*
 * A survey: every listening Unix socket of the machine, and whether clients
 * can still come to it.
 *
 * Taken from what the kernel and /proc tell, never from a daemon's name. The
 * truth of a path is its inode: a path leads to a socket when what stands there
 * is the inode that the socket is bound to, seen from the mount namespace and
 * the root directory of the process that holds it.
 */
#pragma once

#include "base/map.h"
#include "sys/diag.h"
#include "sys/owners.h"

enum survey_state {
	SURVEY_REACHABLE = 0,
	SURVEY_LOST,     /* nothing stands at the path */
	SURVEY_REPLACED, /* something else does */
	SURVEY_ABSTRACT, /* a name that is no path, and cannot be lost */
	SURVEY_UNKNOWN,  /* we may not look there, or the path was relative */
	SURVEY_STATE_MAX_,
};

extern const char *const survey_state_names[SURVEY_STATE_MAX_];

/* A socket that clients can send to: a listener, or a bound datagram socket. */
struct surveyed {
	struct diag_socket socket;
	enum survey_state state;
	int error; /* with UNKNOWN: why, or 0 */
	/* The path (of a relative one: made absolute where its holder's directory tells),
	 * or the abstract name with '@' for each NUL. */
	char *path;
	const struct owner *owner; /* NULL: not to be had */
	size_t owner_count;
	bool foreign_root; /* @path is as the owner sees it, and not as we do */
	bool foreign_net;  /* the socket is of another network namespace */
	/* Who holds the path's lock in the anchor directory beside it; 0: nobody seen. */
	pid_t guard_pid;
	char guard_comm[OWNER_COMM_MAX];
};

struct survey {
	struct surveyed *items; /* by path */
	size_t count;
	struct owners owners;
	unsigned closed_namespaces; /* network namespaces that we may not enter */
	bool interrupted;           /* sockets changed all the while: some may be missing */
};

#define SURVEY_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

/* Which network namespaces. */
enum survey_scope {
	SURVEY_OWN_NAMESPACE = 0,
	SURVEY_MACHINE, /* as far as we may enter them */
};

/**
 * survey_take() - look at all of them
 * @ret: freed with survey_deinit()
 *
 * Changes nothing and connects to nothing.
 *
 * Return: 0; -EOPNOTSUPP, -EPROTONOSUPPORT, -EPERM: the kernel has no sock_diag
 *         for us; -ENOENT: no /proc; -ENOMEM, -EMFILE, -ENFILE.
 */
int survey_take(enum survey_scope scope, struct survey *ret);

void survey_deinit(struct survey *survey);
