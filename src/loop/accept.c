/* Letting clients in: who may, how many, and what happens when descriptors run out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/error.h"
#include "loop/server.h"
#include "sys/peer.h"

/* Clients accepted in one go, so that a storm of them leaves time for the others: each
 * costs as much as a call, 5 to 10 us. */
#define ACCEPT_BURST 2

/* Descriptors that a server has beside its clients'. */
#define DESCRIPTORS_BESIDE 64

/* While no descriptor is to be had, it is tried again after 10 ms to so long. */
#define ACCEPT_PAUSE_MAX_NS (1000 * NSEC_PER_MSEC)

/* Refusals further apart than this are told anew. */
#define REFUSE_QUIET_NS (10 * NSEC_PER_SEC)

static void on_door(uv_poll_t *poll, int status, int events);

static void doors_poll(struct kedge_server *s)
{
	list_for_each (it, &s->doors) {
		struct door *d = list_entry(it, struct door, link);

		if (s->accept_paused)
			(void)uv_poll_stop(&d->poll);
		else
			(void)uv_poll_start(&d->poll, UV_READABLE, on_door);
	}
}

void on_accept_timer(uv_timer_t *timer)
{
	struct kedge_server *s = timer->data;

	s->accept_paused = false;
	doors_poll(s);
}

void doors_resume(struct kedge_server *s)
{
	if (!s->accept_paused || s->stopping || s->client_count >= s->options.clients_max)
		return;
	/* A pause for want of descriptors ends with its timer, or with this client's. */
	uv_timer_stop(&s->accept_timer);
	on_accept_timer(&s->accept_timer);
}

static void pause_full(struct kedge_server *s)
{
	s->accept_paused = true;
	doors_poll(s);
	server_log(s, KEDGE_SERVER_FULL, "%u clients are connected, as many as may be",
		   s->options.clients_max);
}

static void pause_failed(struct kedge_server *s, int error)
{
	uint64_t wait = backoff_next_ns(&s->accept_backoff, ACCEPT_PAUSE_MAX_NS);

	s->accept_paused = true;
	doors_poll(s);
	(void)uv_timer_start(&s->accept_timer, on_accept_timer, wait / NSEC_PER_MSEC, 0);
	if (streak_fail(&s->accept_streak, loop_now_ns(), error) == STREAK_REPORT)
		server_log(s, KEDGE_SERVER_ACCEPT_FAILED, "cannot accept clients: %s",
			   error_words(error));
}

static void note_accepted(struct kedge_server *s)
{
	uint64_t length;
	uint32_t swallowed;

	s->accept_backoff = (struct backoff)BACKOFF_INIT;
	if (streak_recover(&s->accept_streak, loop_now_ns(), &length, &swallowed))
		server_log(s, KEDGE_SERVER_ACCEPT_RECOVERED,
			   "accepting clients again after %llu ms (%u failures not told)",
			   (unsigned long long)(length / NSEC_PER_MSEC), swallowed);
}

/* May this peer come in? */
static bool is_allowed(const struct kedge_server *s, int fd, const struct peer *peer)
{
	const struct kedge_allow *allow = &s->options.allow;

	if (peer->uid == 0 || peer->uid == geteuid())
		return true;
	for (size_t i = 0; i < allow->user_count; i++)
		if (allow->users[i] == peer->uid)
			return true;
	return allow->group_count &&
	       peer_in_groups(fd, peer, allow->groups, allow->group_count) == 1;
}

static void refuse(struct kedge_server *s, int fd, const struct peer *peer)
{
	uint64_t now = loop_now_ns();
	char line[128];
	int n = snprintf(line, sizeof(line),
			 "{\"id\":\"unknown\",\"error\":\"Not allowed: uid %u\","
			 "\"statusCode\":403,\"errorCode\":\"FORBIDDEN\"}\n",
			 (unsigned)peer->uid);

	(void)send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (now - s->refuse_ns > REFUSE_QUIET_NS)
		s->refuse_streak = (struct streak)STREAK_INIT;
	s->refuse_ns = now;
	s->stats.refused++;
	if (streak_fail(&s->refuse_streak, now, (int)peer->uid) == STREAK_REPORT)
		server_log(s, KEDGE_SERVER_REFUSED, "refused a client: uid %u, pid %d",
			   (unsigned)peer->uid, (int)peer->pid);
}

static void let_in(struct kedge_server *s, int fd)
{
	struct peer peer;

	if (peer_get(fd, &peer) < 0) {
		fd_close(fd);
	} else if (!is_allowed(s, fd, &peer)) {
		refuse(s, fd, &peer);
		fd_close(fd);
	} else {
		(void)client_new(s, fd, &(struct kedge_peer){ peer.pid, peer.uid, peer.gid });
	}
}

static void on_door(uv_poll_t *poll, int status, int events)
{
	struct door *d = poll->data;
	struct kedge_server *s = d->server;

	(void)events;
	for (int i = 0; status == 0 && i < ACCEPT_BURST; i++) {
		int fd;

		if (s->client_count >= s->options.clients_max) {
			pause_full(s);
			return;
		}
		fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				pause_failed(s, -errno);
			return;
		}
		note_accepted(s);
		let_in(s, fd);
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct door *d = handle->data;
	struct kedge_server *s = d->server;

	free(d);
	server_handle_closed(s);
}

/*
 * Make room for all clients' descriptors at once. The kernel doubles the table as numbers
 * grow, and in a process with threads it waits each time for all processors to have let go
 * of the old one: 5 to 10 ms in which nobody is answered.
 */
static void reserve_descriptors(const struct kedge_server *s, int fd)
{
	struct rlimit limit;
	rlim_t highest = s->options.clients_max + DESCRIPTORS_BESIDE;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (highest >= limit.rlim_cur)
		highest = limit.rlim_cur - 1;
	fd_close(fcntl(fd, F_DUPFD_CLOEXEC, (int)highest));
}

int door_open(struct kedge_server *s, int guard_fd)
{
	struct door *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	*d = (struct door){ .server = s, .guard_fd = guard_fd };
	list_init(&d->link);
	d->fd = fcntl(guard_fd, F_DUPFD_CLOEXEC, 3);
	r = d->fd < 0 ? -errno : uv_poll_init(s->loop, &d->poll, d->fd);
	if (r < 0) {
		fd_close(d->fd);
		free(d);
		return r;
	}
	reserve_descriptors(s, d->fd);
	d->poll.data = d;
	server_handle_opened(s);
	list_append(&s->doors, &d->link);
	doors_poll(s);
	return 0;
}

static void door_free(struct door *d)
{
	list_unlink(&d->link);
	uv_close((uv_handle_t *)&d->poll, on_closed);
	d->fd = fd_close(d->fd);
}

void door_close(struct kedge_server *s, int guard_fd)
{
	list_for_each_safe (it, &s->doors) {
		struct door *d = list_entry(it, struct door, link);

		if (d->guard_fd == guard_fd)
			door_free(d);
	}
}

void doors_close(struct kedge_server *s)
{
	list_for_each_safe (it, &s->doors)
		door_free(list_entry(it, struct door, link));
}
