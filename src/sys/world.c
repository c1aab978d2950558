#include "sys/world.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "sys/clock.h"
#include "sys/events.h"
#include "sys/fdpath.h"
#include "sys/files.h"
#include "sys/sockets.h"

/* Read so much at once: about 2,000 events without names. */
#define WORLD_READ_BYTES 32768

/* Reads in one go: more than fs.inotify.max_queued_events holds by default. */
#define WORLD_READS_MAX 64

static uint64_t world_now(void *ctx)
{
	(void)ctx;
	return monotonic_ns();
}

static uint32_t world_uid(void *ctx)
{
	return ((const struct world *)ctx)->uid;
}

static void world_pause(void *ctx, uint64_t ns)
{
	struct timespec wait = { .tv_sec = (time_t)(ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(ns % NSEC_PER_SEC) };

	(void)ctx;
	(void)nanosleep(&wait, NULL);
}

static int world_watch(void *ctx, int fd, enum watch_what what)
{
	static const uint32_t masks[] = {
		[WATCH_INODE] = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF,
		[WATCH_DIRECTORY] = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF,
		[WATCH_ENTRIES] = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_CREATE |
				  IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	};
	struct world *w = ctx;
	int number;

	if (w->inotify < 0)
		return w->inotify;
	number = inotify_add_watch(w->inotify, fd_path(fd).text, masks[what] | IN_MASK_ADD);
	return number < 0 ? -errno : number;
}

static int world_unwatch(void *ctx, int watch)
{
	const struct world *w = ctx;

	return inotify_rm_watch(w->inotify, watch) < 0 ? -errno : 0;
}

struct guard_ports world_ports(struct world *w)
{
	struct guard_ports ports = { .ctx = w,
				     .now_ns = world_now,
				     .uid = world_uid,
				     .pause = world_pause,
				     .watch = world_watch,
				     .unwatch = world_unwatch };

	files_ports(&ports);
	sockets_ports(&ports);
	return ports;
}

static int epoll_add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int world_retry(struct world *w)
{
	_cleanup_(fd_closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int r;

	if (w->inotify >= 0)
		return 0;
	if (fd < 0)
		return w->inotify = -errno;
	r = epoll_add(w->epoll, fd, EPOLLIN);
	if (r < 0)
		return w->inotify = r;
	w->inotify = steal_fd(&fd);
	return 0;
}

/* Without /proc, or with no descriptor left, mounts are seen by the safety look. */
static void open_mounts(struct world *w)
{
	_cleanup_(fd_closep) int wake = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_(fd_closep) int read_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	if (wake < 0 || read_fd < 0 || epoll_add(w->epoll, wake, EPOLLPRI) < 0)
		return;
	w->mounts_wake = steal_fd(&wake);
	w->mounts_read = steal_fd(&read_fd);
}

int world_open(struct world *w)
{
	*w = (struct world){
		.inotify = -EBADF, .mounts_wake = -EBADF, .mounts_read = -EBADF, .uid = geteuid()
	};
	files_boot_id(w->boot_id);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	(void)world_retry(w);
	open_mounts(w);
	return 0;
}

void world_close(struct world *w)
{
	w->mounts_read = fd_close(w->mounts_read);
	w->mounts_wake = fd_close(w->mounts_wake);
	w->inotify = fd_close(w->inotify);
	w->epoll = fd_close(w->epoll);
}

static void pass_on(const struct inotify_event *event, const struct world_events *events,
		    void *userdata)
{
	if (event->mask & IN_Q_OVERFLOW)
		events->on_overflow(userdata);
	else if (event->mask & IN_IGNORED)
		events->on_dropped(userdata, event->wd);
	else if (event->len > 0)
		events->on_entry(userdata, event->wd, event->name);
	else
		events->on_watch(userdata, event->wd);
}

static void read_inotify(struct world *w, const struct world_events *events, void *userdata)
{
	_Alignas(struct inotify_event) char buffer[WORLD_READ_BYTES];
	const struct inotify_event *event;
	struct event_cursor cursor;

	for (int i = 0; i < WORLD_READS_MAX; i++) {
		ssize_t n = read(w->inotify, buffer, sizeof(buffer));

		if (n <= 0)
			return;
		cursor = (struct event_cursor){ .data = buffer, .size = (size_t)n };
		while ((event = event_next_inotify(&cursor)))
			pass_on(event, events, userdata);
	}
}

void world_read(struct world *w, const struct world_events *events, void *userdata)
{
	struct pollfd mounts = { .fd = w->mounts_read, .events = POLLPRI };

	if (w->inotify >= 0)
		read_inotify(w, events, userdata);
	if (w->mounts_read >= 0 && poll(&mounts, 1, 0) == 1)
		events->on_mounts(userdata);
}
