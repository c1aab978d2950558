#include "cmd/proxy.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "cmd/stream.h"
#include "kedge/guard.h"
#include "sys/clock.h"
#include "sys/fdpath.h"
#include "sys/peer.h"

/* A server whose queue is full is asked again after so long. */
#define CONNECT_AGAIN_MS 10

#define EVENTS_MAX 64

/* A client and the connection that it is forwarded on. */
struct session {
	struct list link;   /* in proxy.sessions */
	int client, server; /* server: -EBADF: its queue is full, to be tried again */
	struct stream there, back;
};

struct proxy {
	struct proxy_options options;
	struct kedge_guard *guard;
	int epoll;
	struct list sessions;
	unsigned session_count, waiting; /* those without a server yet */
	int listeners[2];                /* the current one, and one that was retired */
	bool accepting;
	struct session datagrams; /* of a datagram proxy: the only one, one way */
};

/* What an event concerns: a session, or, by these addresses, something of the proxy's. */
static char guard_mark, listener_mark;

static void watch(struct proxy *p, int fd, uint32_t events, void *data)
{
	struct epoll_event event = { .events = events, .data.ptr = data };

	if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		(void)epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int connect_to(const struct proxy *p)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX,
					     p->options.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, fd_path(p->options.handle).text);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Become the client for one connect(): the kernel notes our effective ids for the server's
 * SO_PEERCRED then. Only root can; another one forwards as itself, for itself. */
static int connect_as_client(const struct proxy *p, int client)
{
	_cleanup_(freep) gid_t *groups = NULL;
	socklen_t size = 0;
	struct peer peer;
	int r = peer_get(client, &peer);

	if (r < 0 || geteuid() != 0)
		return r < 0 ? r : connect_to(p);
	(void)getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, NULL, &size);
	groups = malloc(size + 1);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return -errno;
	if (setgroups(size / sizeof(*groups), groups) < 0 || setegid(peer.gid) < 0 ||
	    seteuid(peer.uid) < 0)
		r = -errno;
	if (r == 0)
		r = connect_to(p);
	/* The saved ids are root's: this cannot fail, and going on as another would be worse. */
	if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(0, NULL) < 0)
		abort();
	return r;
}

/* Sessions. */

static void end_session(struct proxy *p, struct session *s)
{
	list_unlink(&s->link);
	p->session_count--;
	p->waiting -= s->server < 0;
	stream_deinit(&s->there);
	stream_deinit(&s->back);
	fd_close(s->client);
	fd_close(s->server);
	free(s);
}

static uint32_t interest(const struct stream *in, const struct stream *out)
{
	return (in->ended || in->holds ? 0 : EPOLLIN) | (out->write_wet ? EPOLLOUT : 0);
}

/* One direction. When it fails, the other one may still bring an answer to its end. */
static void run_stream(struct stream *s)
{
	if (stream_pump(s) < 0) {
		s->ended = true;
		s->holds = s->write_wet = false;
	}
}

/*
 * Edge-triggered, and armed anew after each run: a level that nobody waits for
 * (a peer that hung up while its last bytes still wait for room) would wake us
 * for ever.
 */
static void arm(struct proxy *p, int fd, uint32_t events, struct session *s)
{
	if (events)
		watch(p, fd, events | EPOLLET, s);
}

static void run_session(struct proxy *p, struct session *s)
{
	run_stream(&s->there);
	run_stream(&s->back);
	if (s->there.ended && s->back.ended) {
		end_session(p, s);
		return;
	}
	arm(p, s->client, interest(&s->there, &s->back), s);
	arm(p, s->server, interest(&s->back, &s->there), s);
}

/* Connect a session's other half; where the server is not to be had it ends. */
static void connect_session(struct proxy *p, struct session *s)
{
	int fd = connect_as_client(p, s->client);
	enum stream_kind kind = p->options.type == SOCK_STREAM ? STREAM_BYTES : STREAM_MESSAGES;

	if (fd == -EAGAIN)
		return;
	if (fd < 0) {
		end_session(p, s);
		return;
	}
	s->server = fd;
	p->waiting--;
	s->there = (struct stream){ .from = s->client, .to = fd, .kind = kind };
	s->back = (struct stream){ .from = fd, .to = s->client, .kind = kind };
	run_session(p, s);
}

static void connect_waiting(struct proxy *p)
{
	if (p->waiting == 0)
		return;
	list_for_each_safe (it, &p->sessions) {
		struct session *s = list_entry(it, struct session, link);

		if (s->server < 0)
			connect_session(p, s);
	}
}

/* Listening. */

static void set_accepting(struct proxy *p)
{
	bool accepting = p->session_count < PROXY_SESSIONS_MAX;

	if (accepting == p->accepting)
		return;
	p->accepting = accepting;
	for (size_t i = 0; i < ARRAY_SIZE(p->listeners); i++)
		if (p->listeners[i] >= 0)
			watch(p, p->listeners[i], accepting ? EPOLLIN : 0, &listener_mark);
}

static void accept_from(struct proxy *p, int listener)
{
	for (int i = 0; i < EVENTS_MAX && p->session_count < PROXY_SESSIONS_MAX; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct session *s = fd < 0 ? NULL : calloc(1, sizeof(*s));

		if (!s) {
			fd_close(fd);
			return;
		}
		s->client = fd;
		s->server = -EBADF;
		list_append(&p->sessions, &s->link);
		p->session_count++;
		p->waiting++;
		connect_session(p, s);
	}
}

static void accept_all(struct proxy *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->listeners); i++)
		if (p->listeners[i] >= 0)
			accept_from(p, p->listeners[i]);
	set_accepting(p);
}

static void run_datagrams(struct proxy *p)
{
	struct session *s = &p->datagrams;

	/* What one message meets does not concern the next. */
	if (stream_pump(&s->there) < 0)
		s->there.holds = false;
	if (s->there.holds)
		watch(p, s->server, EPOLLOUT | EPOLLET, &listener_mark);
	else
		watch(p, s->client, EPOLLIN | EPOLLET, &listener_mark);
}

static int open_datagrams(struct proxy *p, int listener)
{
	struct session *s = &p->datagrams;
	int on = 1;

	s->server = connect_to(p);
	if (s->server < 0)
		return s->server;
	if (setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	s->client = listener;
	s->there = (struct stream){ .from = listener, .to = s->server, .kind = STREAM_DATAGRAMS };
	watch(p, listener, EPOLLIN | EPOLLET, &listener_mark);
	return 0;
}

/* The guard had to bind anew, or has closed a listener that was retired. */
static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct proxy *p = userdata;

	(void)path;
	if (p->options.type == SOCK_DGRAM && new_fd >= 0) {
		p->datagrams.client = p->datagrams.there.from = new_fd;
		watch(p, new_fd, EPOLLIN | EPOLLET, &listener_mark);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(p->listeners); i++)
		if (new_fd < 0 && p->listeners[i] == old_fd)
			p->listeners[i] = -EBADF;
	if (new_fd < 0)
		return;
	p->listeners[1] = old_fd;
	p->listeners[0] = new_fd;
	watch(p, new_fd, p->accepting ? EPOLLIN : 0, &listener_mark);
}

/* The public part. */

static int guard_path(struct proxy *p, struct kedge_error *error)
{
	const struct proxy_options *o = &p->options;
	struct kedge_guard_options guard = { .size = sizeof(guard),
					     .on_listener = on_listener,
					     .userdata = p };
	struct kedge_listen_options listen = { .size = sizeof(listen),
					       .type = o->type == SOCK_STREAM ? KEDGE_SOCKET_STREAM
						       : o->type == SOCK_DGRAM
							       ? KEDGE_SOCKET_DATAGRAM
							       : KEDGE_SOCKET_SEQPACKET,
					       .mode = o->mode,
					       .set_owner = 1,
					       .uid = o->uid,
					       .gid = o->gid,
					       .at_close = KEDGE_AT_CLOSE_REMOVE };
	int fd, r = kedge_guard_new(&p->guard, &guard);

	if (r < 0)
		return r;
	r = kedge_guard_listen(p->guard, o->path, &listen, &fd, error);
	if (r < 0)
		return r;
	watch(p, kedge_guard_fd(p->guard), EPOLLIN, &guard_mark);
	if (o->type == SOCK_DGRAM)
		return open_datagrams(p, fd);
	p->listeners[0] = fd;
	p->accepting = true;
	watch(p, fd, EPOLLIN, &listener_mark);
	return 0;
}

int proxy_open(struct proxy **ret, const struct proxy_options *options, struct kedge_error *error)
{
	struct proxy *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	*p = (struct proxy){ .options = *options,
			     .epoll = epoll_create1(EPOLL_CLOEXEC),
			     .listeners = { -EBADF, -EBADF },
			     .datagrams = { .server = -EBADF } };
	list_init(&p->sessions);
	r = p->epoll < 0 ? -errno : guard_path(p, error);
	if (r < 0) {
		proxy_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct proxy *proxy_free(struct proxy *p)
{
	if (!p)
		return NULL;
	list_for_each_safe (it, &p->sessions)
		end_session(p, list_entry(it, struct session, link));
	stream_deinit(&p->datagrams.there);
	fd_close(p->datagrams.server);
	kedge_guard_free(p->guard);
	fd_close(p->epoll);
	free(p);
	return NULL;
}

int proxy_fd(const struct proxy *p)
{
	return p->epoll;
}

int proxy_timeout_ms(const struct proxy *p)
{
	uint64_t deadline_us;

	if (p->waiting)
		return CONNECT_AGAIN_MS;
	(void)kedge_guard_deadline(p->guard, &deadline_us);
	return time_until_ms(time_from_usec(deadline_us), monotonic_ns());
}

void proxy_process(struct proxy *p)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(p->epoll, events, EVENTS_MAX, 0);
	bool listened = false;

	for (int i = 0; i < n; i++) {
		void *data = events[i].data.ptr;
		bool done = false;

		listened |= data == &listener_mark;
		/* Both halves of a session may be told of; the first may have ended it. */
		for (int before = 0; before < i; before++)
			done |= events[before].data.ptr == data;
		if (data != &guard_mark && data != &listener_mark && !done)
			run_session(p, data);
	}
	if (p->options.type == SOCK_DGRAM)
		run_datagrams(p);
	else if (listened)
		accept_all(p);
	connect_waiting(p);
	set_accepting(p);
	(void)kedge_guard_process(p->guard);
}
