/*
 * kedge/watchdog.h - a guard on a thread of its own, for programs without a
 * loop, and for servers that make their own listeners.
 *
 * With no callbacks at all it makes a listener at the path and guards it.
 * A server that has its listener already gives @get_server (which one is it?)
 * and, if it wants to make new ones itself, @create_server.
 *
 *	static int current(void *userdata) { return my_listening_fd; }
 *	static void rebound(int new_fd, int old_fd, void *userdata) { accept_on(new_fd); }
 *
 *	struct kedge_watchdog_options options = {
 *		.size = sizeof(options), .path = "/run/x/x.sock",
 *		.get_server = current, .on_rebind = rebound,
 *	};
 *	kedge_watchdog_new(&watchdog, &options, &error);
 *	kedge_watchdog_start(watchdog, &error);
 *
 * Threads: every function but _new() and _free() may be called from any
 * thread, at any time, any number of times, also from inside a callback.
 * Callbacks run on the watchdog's thread, or on the one that called
 * kedge_watchdog_start() or _rebind_if_missing(); never two at once, and with
 * no lock of the watchdog's held but the one that keeps them single file.
 * _start(), _stop(), _rebind_if_missing() and _free() block while a callback runs on another
 * thread. The thread blocks all signals, and never keeps a process alive that returns
 * from main().
 */
#ifndef KEDGE_WATCHDOG_H
#define KEDGE_WATCHDOG_H

#include "kedge/guard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_watchdog;

enum kedge_log_level {
	KEDGE_LOG_DEBUG = 0,
	KEDGE_LOG_INFO,
	KEDGE_LOG_WARNING,
	KEDGE_LOG_ERROR,
};

/**
 * struct kedge_watchdog_options - one guarded path with callbacks
 * @size:          sizeof(struct kedge_watchdog_options)
 * @path:          absolute path of the socket; copied
 * @guard:         options of the guard beneath (interval_ms, anchor_dir,
 *                 mounting; its callbacks and userdata work as well); may be
 *                 all zero
 * @listen:        options of the path; may be all zero
 * @get_server:    the server's present listening descriptor, or -1: it has
 *                 shut down: the path is let go of, nothing is re-bound, and
 *                 it is asked again every interval_ms. No event tells of a
 *                 server that shuts down or comes back: with
 *                 KEDGE_INTERVAL_NONE it says so itself, by
 *                 kedge_watchdog_rebind_if_missing(). The descriptor stays
 *                 the server's. NULL: kedge makes the first listener.
 * @create_server: bind a new listener to @bind_path (at most 107 bytes: a
 *                 private name that kedge publishes afterwards), listen, and
 *                 return its descriptor (the server's) or a negative errno
 *                 value. NULL: kedge does it.
 * @on_rebind:     a new listener is at the path. @old_fd is the one before; go
 *                 on serving it: clients may wait in its queue. NULL: none.
 * @log:           one line a happening; NULL: none
 * @userdata:      passed to the four
 */
struct kedge_watchdog_options {
	size_t size;
	const char *path;
	struct kedge_guard_options guard;
	struct kedge_listen_options listen;
	int (*get_server)(void *userdata);
	int (*create_server)(const char *bind_path, void *userdata);
	void (*on_rebind)(int new_fd, int old_fd, void *userdata);
	void (*log)(enum kedge_log_level level, const char *line, void *userdata);
	void *userdata;
};

/* Make a watchdog, stopped; the caller ends it by kedge_watchdog_free(). @options:
 * borrowed for the call. Return: 0; -EINVAL: an option is out of its range; -ENOMEM. */
KEDGE_PUBLIC int kedge_watchdog_new(struct kedge_watchdog **ret_watchdog,
				    const struct kedge_watchdog_options *options,
				    struct kedge_error *error);

/**
 * kedge_watchdog_start() - guard the path from now on
 *
 * When it returns 0 the path is reachable, or will be as soon as it can be.
 *
 * Return: 0, also when it was started already; else as kedge_guard_listen() or
 *         kedge_guard_adopt(), or -EAGAIN: no thread to be had.
 */
KEDGE_PUBLIC int kedge_watchdog_start(struct kedge_watchdog *watchdog, struct kedge_error *error);

/**
 * kedge_watchdog_stop() - guard the path no longer
 *
 * A re-bind that is under way is given up: its listener is closed and nothing
 * is published. When it returns from any thread but inside a callback, no
 * callback runs any more; inside one, none will after it.
 *
 * Return: 0, also when it was stopped already.
 */
KEDGE_PUBLIC int kedge_watchdog_stop(struct kedge_watchdog *watchdog);

/**
 * kedge_watchdog_rebind_if_missing() - look now, and repair if it is lost
 *
 * The server is asked for anew: one that has shut down is let go of, and one
 * that is back is taken up, by the watchdog's thread.
 *
 * Return: as kedge_guard_repair(); -ESHUTDOWN: stopped, or the server has shut
 *         down, or it is back and about to be taken up.
 */
KEDGE_PUBLIC int kedge_watchdog_rebind_if_missing(struct kedge_watchdog *watchdog);

/* As kedge_guard_status(); -ESHUTDOWN: stopped, or the server has shut down. */
KEDGE_PUBLIC int kedge_watchdog_status(struct kedge_watchdog *watchdog,
				       struct kedge_path_status *ret);

/* Stop, and free. Not from a callback. May be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_watchdog *kedge_watchdog_free(struct kedge_watchdog *watchdog);

#ifdef __cplusplus
}
#endif

#endif
