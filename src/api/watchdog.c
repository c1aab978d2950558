/*
 * A guard on a thread of its own.
 *
 * One lock, held while the guard works and while callbacks run, makes them
 * single file; it is recursive, so that a callback may call back in. What must
 * not wait for it is the wish to stop: that is a number that goes up with every
 * start and stop, and is read again before a new listener is published.
 */
#include "kedge/watchdog.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/time.h"
#include "sys/clock.h"

struct kedge_watchdog {
	struct kedge_watchdog_options options;
	char *path;
	char *anchor_dir;
	pid_t pid;
	pthread_mutex_t lock;      /* recursive */
	atomic_uint_fast64_t wish; /* odd: to run; even: to stop */
	uint_fast64_t served;      /* the wish that the path is guarded by; 0: it is not */
	uint_fast64_t failed;      /* the wish that was given up last, and why */
	int failure;
	struct kedge_guard *guard;
	pthread_t thread;
	int wake;      /* eventfd: the thread is to look around */
	bool threaded; /* there is a thread to be joined */
	bool running;  /* ... which will come round again */
};

static bool wants_to_run(struct kedge_watchdog *w)
{
	return atomic_load(&w->wish) & 1;
}

static void say(struct kedge_watchdog *w, enum kedge_log_level level, const char *line)
{
	if (w->options.log)
		w->options.log(level, line, w->options.userdata);
}

/* What happens is a line in words as well, for those who only want a log. */
static void log_event(struct kedge_watchdog *w, const struct kedge_event *event)
{
	static const enum kedge_log_level levels[KEDGE_EVENT_MAX_] = {
		[KEDGE_EVENT_LISTENING] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_LOST] = KEDGE_LOG_WARNING,
		[KEDGE_EVENT_RELINKED] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_REBOUND] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_BIND_MOUNTED] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_MODE_RESTORED] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_MOVED_ASIDE] = KEDGE_LOG_WARNING,
		[KEDGE_EVENT_DISPLACED] = KEDGE_LOG_WARNING,
		[KEDGE_EVENT_BLOCKED] = KEDGE_LOG_ERROR,
		[KEDGE_EVENT_RECOVERED] = KEDGE_LOG_INFO,
		[KEDGE_EVENT_DEGRADED] = KEDGE_LOG_WARNING,
		[KEDGE_EVENT_NOTICED] = KEDGE_LOG_WARNING,
	};
	char line[1024];

	if (!w->options.log)
		return;
	if (event->kind == KEDGE_EVENT_RECOVERED)
		(void)snprintf(line, sizeof(line),
			       "%s recovered after %.3f ms (%u reports swallowed)", w->path,
			       (double)event->outage_ns / 1e6, event->swallowed);
	else
		(void)snprintf(line, sizeof(line), "%s %s%s%s%s%s%s%s", w->path,
			       kedge_event_name(event->kind), event->cause ? ": " : "",
			       event->cause ? kedge_cause_name(event->cause) : "",
			       event->error ? ": " : "",
			       event->error ? error_words(event->error) : "",
			       *event->detail ? ": " : "", event->detail);
	say(w, levels[event->kind], line);
}

static void on_event(const struct kedge_event *event, void *userdata)
{
	struct kedge_watchdog *w = userdata;

	log_event(w, event);
	if (w->options.guard.on_event)
		w->options.guard.on_event(event, w->options.guard.userdata);
}

static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct kedge_watchdog *w = userdata;

	if (w->options.guard.on_listener)
		w->options.guard.on_listener(path, new_fd, old_fd, w->options.guard.userdata);
	if (new_fd >= 0 && w->options.on_rebind && wants_to_run(w))
		w->options.on_rebind(new_fd, old_fd, w->options.userdata);
}

static bool shut_down_deliberately(struct kedge_watchdog *w)
{
	return w->options.get_server && w->options.get_server(w->options.userdata) < 0;
}

/* A new listener by the server's own hand. */
static int on_create(const char *bind_path, void *userdata)
{
	struct kedge_watchdog *w = userdata;
	const struct kedge_watchdog_options *o = &w->options;
	uint_fast64_t wish = atomic_load(&w->wish);
	int fd = o->create_server ? o->create_server(bind_path, o->userdata)
				  : o->listen.create(bind_path, o->listen.userdata);

	/* Read again, now that time has passed: for an old wish nothing is published. */
	if (atomic_load(&w->wish) == wish)
		return fd;
	(void)kedge_guard_close(w->guard, w->path);
	return -ECANCELED;
}

static int poll_timeout_ms(struct kedge_watchdog *w)
{
	uint64_t deadline_us;

	(void)kedge_guard_deadline(w->guard, &deadline_us);
	return time_until_ms(time_from_usec(deadline_us), monotonic_ns());
}

/* Guard what the server listens on, or, where that is lost or there is none, a new listener. */
static int guard_path(struct kedge_watchdog *w, struct kedge_error *error)
{
	struct kedge_listen_options listen = w->options.listen;
	int old_fd = -1, new_fd = -1, r = -ESTALE;

	listen.size = sizeof(listen);
	if (w->options.create_server || listen.create) {
		listen.create = on_create;
		listen.userdata = w;
	}
	if (w->options.get_server) {
		old_fd = w->options.get_server(w->options.userdata);
		if (old_fd < 0)
			return error_set(error, -ESHUTDOWN, "the server of %s has shut down",
					 w->path);
		r = kedge_guard_adopt(w->guard, w->path, old_fd, &listen, error);
	}
	if (r != -ESTALE)
		return r;
	r = kedge_guard_listen(w->guard, w->path, &listen, &new_fd, error);
	if (r == 0 && w->options.on_rebind && w->options.get_server)
		w->options.on_rebind(new_fd, old_fd, w->options.userdata);
	return r;
}

static void unguard_path(struct kedge_watchdog *w)
{
	(void)kedge_guard_close(w->guard, w->path);
	w->served = 0;
}

/*
 * With the lock held. A server that has shut down is let go of: our descriptor of its
 * listener would keep clients waiting in a queue that nobody serves. It may come back.
 */
static void attend(struct kedge_watchdog *w)
{
	/* Read first: what is made from here on is for this wish, and for no later one. */
	uint_fast64_t wish = atomic_load(&w->wish);

	if (shut_down_deliberately(w)) {
		if (w->served)
			unguard_path(w);
	} else if (w->served) {
		(void)kedge_guard_process(w->guard);
	} else if (guard_path(w, NULL) == 0) {
		w->served = wish;
		if (!wants_to_run(w))
			unguard_path(w);
	}
}

/* How long to sleep: with nothing guarded, as long as between two safety looks. */
static int sleep_ms(struct kedge_watchdog *w)
{
	int64_t interval_ms = w->options.guard.interval_ms;

	if (w->served)
		return poll_timeout_ms(w);
	return interval_ms ? (int)interval_ms : (int)KEDGE_INTERVAL_DEFAULT_MS;
}

/* One round. Return: whether to go on. */
static bool watch_once(struct kedge_watchdog *w)
{
	struct pollfd fds[2] = { { .fd = w->wake, .events = POLLIN },
				 { .fd = kedge_guard_fd(w->guard), .events = POLLIN } };
	uint64_t count;
	int timeout;

	(void)poll(fds, 1, 0);
	if (fds[0].revents)
		(void)!read(w->wake, &count, sizeof(count));
	(void)pthread_mutex_lock(&w->lock);
	if (wants_to_run(w))
		attend(w);
	w->running = wants_to_run(w);
	timeout = sleep_ms(w);
	/* What the guard would still tell is about nothing: it would only keep us awake. */
	if (!w->served)
		fds[1].fd = -1;
	if (!w->running) {
		(void)pthread_mutex_unlock(&w->lock);
		return false;
	}
	(void)pthread_mutex_unlock(&w->lock);
	(void)poll(fds, 2, timeout);
	return true;
}

static void *watch(void *userdata)
{
	struct kedge_watchdog *w = userdata;

	while (watch_once(w))
		;
	return NULL;
}

/* With the lock held: make sure that a thread comes round. */
static int start_thread(struct kedge_watchdog *w, struct kedge_error *error)
{
	sigset_t all, before;
	int r;

	if (w->running)
		return 0;
	/* The one before has let go of the lock for good, so this does not wait long. */
	if (w->threaded)
		(void)pthread_join(w->thread, NULL);
	w->threaded = false;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, watch, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return error_set(error, -EAGAIN, "no thread to watch %s with: %s", w->path,
				 error_words(-r));
	w->threaded = w->running = true;
	return 0;
}

static void wake(struct kedge_watchdog *w)
{
	uint64_t one = 1;

	(void)!write(w->wake, &one, sizeof(one));
}

/* Take the wish up or down by one, if it is not as wanted. Return: the wish as wanted. */
static uint_fast64_t set_wish(struct kedge_watchdog *w, unsigned odd)
{
	uint_fast64_t wish = atomic_load(&w->wish);

	while ((wish & 1) != odd)
		if (atomic_compare_exchange_weak(&w->wish, &wish, wish + 1))
			return wish + 1;
	return wish;
}

/* With the lock held: @wish cannot be served. One that came after it stands. */
static int give_up(struct kedge_watchdog *w, uint_fast64_t wish, int failure)
{
	unguard_path(w);
	if (atomic_compare_exchange_strong(&w->wish, &wish, wish + 1)) {
		w->failed = wish;
		w->failure = failure;
	}
	wake(w);
	return failure;
}

/* With the lock held; @asked: the wish as its caller left it. */
static int serve_wish(struct kedge_watchdog *w, uint_fast64_t asked, struct kedge_error *error)
{
	uint_fast64_t wish = atomic_load(&w->wish);
	int r;

	/* Somebody with the same wish was quicker, and failed. */
	if (!(wish & 1) && asked == w->failed)
		return error_set(error, w->failure, "%s: %s", w->path, error_words(w->failure));
	/* A stop() that came after us has the last word. */
	if (!(wish & 1) || w->served == wish)
		return 0;
	if (w->served)
		unguard_path(w);
	r = guard_path(w, error);
	if (r == 0)
		r = start_thread(w, error);
	if (r < 0)
		return give_up(w, wish, r);
	w->served = wish;
	/* Stopped meanwhile, from a callback or by somebody who waits for the lock. */
	if (!wants_to_run(w))
		unguard_path(w);
	wake(w);
	return 0;
}

int kedge_watchdog_start(struct kedge_watchdog *w, struct kedge_error *error)
{
	uint_fast64_t asked;
	int r;

	if (w->pid != getpid())
		return error_set(error, -ESTALE, "the watchdog belongs to the parent process");
	asked = set_wish(w, 1);
	(void)pthread_mutex_lock(&w->lock);
	r = serve_wish(w, asked, error);
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

int kedge_watchdog_stop(struct kedge_watchdog *w)
{
	if (w->pid != getpid())
		return -ESTALE;
	(void)set_wish(w, 0);
	wake(w);
	(void)pthread_mutex_lock(&w->lock);
	if (!wants_to_run(w) && w->served)
		unguard_path(w);
	(void)pthread_mutex_unlock(&w->lock);
	return 0;
}

int kedge_watchdog_rebind_if_missing(struct kedge_watchdog *w)
{
	int r = -ESHUTDOWN;

	if (w->pid != getpid())
		return -ESTALE;
	(void)pthread_mutex_lock(&w->lock);
	if (wants_to_run(w) && w->served && !shut_down_deliberately(w))
		r = kedge_guard_repair(w->guard, w->path);
	(void)pthread_mutex_unlock(&w->lock);
	wake(w);
	return r;
}

int kedge_watchdog_status(struct kedge_watchdog *w, struct kedge_path_status *ret)
{
	int r = -ESHUTDOWN;

	if (w->pid != getpid())
		return -ESTALE;
	(void)pthread_mutex_lock(&w->lock);
	if (w->served)
		r = kedge_guard_status(w->guard, w->path, ret);
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

struct kedge_watchdog *kedge_watchdog_free(struct kedge_watchdog *w)
{
	if (!w)
		return NULL;
	(void)kedge_watchdog_stop(w);
	/* In a child of fork() the thread is not there. */
	if (w->threaded && w->pid == getpid())
		(void)pthread_join(w->thread, NULL);
	kedge_guard_free(w->guard);
	(void)pthread_mutex_destroy(&w->lock);
	fd_close(w->wake);
	free(w->path);
	free(w->anchor_dir);
	free(w);
	return NULL;
}

static int init_guard(struct kedge_watchdog *w)
{
	struct kedge_guard_options guard = w->options.guard;

	guard.size = sizeof(guard);
	guard.anchor_dir = w->anchor_dir;
	guard.on_event = on_event;
	guard.on_listener = on_listener;
	guard.userdata = w;
	return kedge_guard_new(&w->guard, &guard);
}

static int init(struct kedge_watchdog *w, const struct kedge_watchdog_options *options)
{
	pthread_mutexattr_t recursive;

	memcpy(&w->options, options,
	       options->size < sizeof(w->options) ? options->size : sizeof(w->options));
	w->pid = getpid();
	(void)pthread_mutexattr_init(&recursive);
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&w->lock, &recursive);
	(void)pthread_mutexattr_destroy(&recursive);
	w->path = strdup(options->path);
	if (w->options.guard.anchor_dir)
		w->anchor_dir = strdup(w->options.guard.anchor_dir);
	if (!w->path || (w->options.guard.anchor_dir && !w->anchor_dir))
		return -ENOMEM;
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return w->wake < 0 ? -errno : init_guard(w);
}

/* kedge_guard_new() has no words for what it refuses. */
static int check_guard(const struct kedge_guard_options *o, size_t size, struct kedge_error *error)
{
	if (size < offsetof(struct kedge_watchdog_options, listen))
		return 0;
	if (o->interval_ms < KEDGE_INTERVAL_NONE || o->interval_ms > KEDGE_INTERVAL_MAX_MS)
		return error_set(error, -EINVAL,
				 "interval %lld ms is outside 1 to %lld (0: %lld, -1: none)",
				 (long long)o->interval_ms, (long long)KEDGE_INTERVAL_MAX_MS,
				 (long long)KEDGE_INTERVAL_DEFAULT_MS);
	if (o->anchor_dir && o->anchor_dir[0] != '/')
		return error_set(error, -EINVAL,
				 "the anchor directory '%s' is relative: give it from /",
				 o->anchor_dir);
	return 0;
}

int kedge_watchdog_new(struct kedge_watchdog **ret_watchdog,
		       const struct kedge_watchdog_options *options, struct kedge_error *error)
{
	struct kedge_watchdog *w;
	int r;

	if (!options || options->size < sizeof(size_t) + sizeof(char *) || !options->path)
		return error_set(error, -EINVAL, "the options have no size or no path");
	if (options->path[0] != '/')
		return error_set(error, -EINVAL, "the path %s is relative: give it from /",
				 options->path);
	r = check_guard(&options->guard, options->size, error);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(error, -ENOMEM, "out of memory");
	w->wake = -EBADF;
	r = init(w, options);
	if (r < 0) {
		kedge_watchdog_free(w);
		return error_set(error, r, "no watchdog for %s: %s", options->path, error_words(r));
	}
	*ret_watchdog = w;
	return 0;
}
