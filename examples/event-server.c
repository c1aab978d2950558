/*
 * Embedded in a loop of one's own: sd-event here, and no libuv. libkedge does no
 * I/O on its own but the guard's: the loop accepts, reads and writes, the
 * connection says what the bytes mean.
 *
 *	event-server /run/user/1000/event.sock &
 *	kedge call /run/user/1000/event.sock whoami
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <kedge/conn.h>
#include <kedge/guard.h>

struct program {
	sd_event *event;
	struct kedge_guard *guard;
	sd_event_source *deadline;
};

struct client {
	sd_event_source *source;
	struct kedge_conn *conn;
	int fd;
};

/* Clients. */

static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	const struct client *c = userdata;
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	char text[64];

	if (request->method.size != 6 || memcmp(request->method.data, "whoami", 6) != 0) {
		(void)kedge_conn_fail(conn, request->ticket,
				      &(struct kedge_rpc_error){ .text = kedge_span("Only whoami"),
								 .status = 404 });
		return;
	}
	(void)getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	(void)snprintf(text, sizeof(text), "{\"uid\":%u,\"pid\":%d}", peer.uid, peer.pid);
	(void)kedge_conn_reply(conn, request->ticket, kedge_span(text));
}

static void client_free(struct client *c)
{
	(void)sd_event_source_unref(c->source);
	(void)kedge_conn_free(c->conn);
	close(c->fd);
	free(c);
}

/* One read, and as many writes as the socket takes. Return: 0, or -1: it is over. */
static int client_turn(struct client *c, uint32_t revents)
{
	const void *data;
	size_t size;
	ssize_t n;

	if (revents & (EPOLLIN | EPOLLHUP)) {
		void *to = kedge_conn_input(c->conn, &size);

		n = to ? recv(c->fd, to, size, MSG_DONTWAIT) : 0;
		if (n > 0 && kedge_conn_received(c->conn, (size_t)n) < 0)
			return -1;
		if (n == 0)
			kedge_conn_received_eof(c->conn);
	}
	while (kedge_conn_output(c->conn, &data, &size)) {
		n = send(c->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		kedge_conn_sent(c->conn, (size_t)n);
	}
	return kedge_conn_is_finished(c->conn) ? -1 : 0;
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct client *c = userdata;

	(void)fd;
	if (client_turn(c, revents) < 0) {
		client_free(c);
		return 0;
	}
	return sd_event_source_set_io_events(
		source, (kedge_conn_wants_input(c->conn) ? EPOLLIN : 0u) |
				(kedge_conn_output_bytes(c->conn) ? EPOLLOUT : 0u));
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct program *p = userdata;
	struct client *c = calloc(1, sizeof(*c));
	struct kedge_conn_options options = { .size = sizeof(options),
					      .handlers = { .on_request = on_request },
					      .userdata = c };

	(void)source;
	(void)revents;
	if (!c)
		return -ENOMEM;
	c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c->fd < 0 || kedge_conn_new(&c->conn, &options) < 0 ||
	    sd_event_add_io(p->event, &c->source, c->fd, EPOLLIN, on_client, c) < 0)
		client_free(c);
	return 0;
}

/* The guard: one descriptor, one deadline, one function. */

static int guard_turn(struct program *p)
{
	uint64_t deadline;

	(void)kedge_guard_process(p->guard);
	(void)kedge_guard_deadline(p->guard, &deadline);
	(void)sd_event_source_set_time(p->deadline, deadline);
	return sd_event_source_set_enabled(p->deadline, SD_EVENT_ONESHOT);
}

static int on_guard(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	return guard_turn(userdata);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return guard_turn(userdata);
}

/* A re-bind has made another listener; the one before is served on. */
static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct program *p = userdata;

	(void)path;
	(void)old_fd;
	/* What is closed leaves the epoll set by itself. */
	if (new_fd >= 0)
		(void)sd_event_add_io(p->event, NULL, new_fd, EPOLLIN, on_accept, p);
}

static int start(struct program *p, const char *path, struct kedge_error *error)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .on_listener = on_listener,
					       .userdata = p };
	int fd = -1, r = kedge_guard_new(&p->guard, &options);

	if (r == 0)
		r = kedge_guard_listen(p->guard, path, NULL, &fd, error);
	if (r < 0)
		return r;
	(void)sd_event_add_io(p->event, NULL, fd, EPOLLIN, on_accept, p);
	(void)sd_event_add_io(p->event, NULL, kedge_guard_fd(p->guard), EPOLLIN, on_guard, p);
	(void)sd_event_add_time(p->event, &p->deadline, CLOCK_MONOTONIC, UINT64_MAX, 0, on_deadline,
				p);
	return guard_turn(p);
}

int main(int argc, char **argv)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct program p = { 0 };
	sigset_t signals;
	int r;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	if (argc != 2 || sd_event_default(&p.event) < 0 ||
	    sd_event_add_signal(p.event, NULL, SIGTERM, NULL, NULL) < 0 ||
	    start(&p, argv[1], &error) < 0) {
		(void)fprintf(stderr, "event-server PATH: %s\n", error.text);
		return 1;
	}
	r = sd_event_loop(p.event);
	(void)kedge_guard_free(p.guard);
	(void)sd_event_source_unref(p.deadline);
	(void)sd_event_unref(p.event);
	return r < 0;
}
