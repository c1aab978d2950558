/*
 * ZeroMQ: a ROUTER that sends back what it gets, and a DEALER for each connection.
 * Payloads travel as they are, in ZeroMQ's own frames: nobody parses.
 *
 *	peer-zmq serve PATH
 *	peer-zmq drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]
 */
#include <errno.h>
#include <sys/epoll.h>
#include <zmq.h>

#include "tally.h"

struct connection {
	void *socket;
	uint64_t *sent_ns; /* a ring of the requests in flight, which are answered in order */
	unsigned first;
};

struct drive {
	struct load load;
	struct tally tally;
	void *payload, *answer;
};

static void fail(const char *what)
{
	fprintf(stderr, "peer-zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(1);
}

static char *address_of(const char *path)
{
	static char address[512];

	snprintf(address, sizeof(address), "ipc://%s", path);
	return address;
}

/* As many may wait as a driver has in flight: beyond that a ROUTER drops. */
static void set_limits(void *socket)
{
	int none = 0;

	if (zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none)) < 0 ||
	    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none)) < 0 ||
	    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none)) < 0)
		fail("an option");
}

static _Noreturn void serve(const char *path)
{
	void *context = zmq_ctx_new(), *router;
	int backlog = 4096;

	(void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 4096);
	router = zmq_socket(context, ZMQ_ROUTER);
	if (!router)
		fail("a socket");
	set_limits(router);
	(void)zmq_setsockopt(router, ZMQ_BACKLOG, &backlog, sizeof(backlog));
	if (zmq_bind(router, address_of(path)) < 0)
		fail(path);
	for (;;) {
		zmq_msg_t part;

		zmq_msg_init(&part);
		if (zmq_msg_recv(&part, router, 0) < 0)
			fail("recv");
		if (zmq_msg_send(&part, router, zmq_msg_more(&part) ? ZMQ_SNDMORE : 0) < 0)
			fail("send");
	}
}

static void ask(struct drive *d, struct connection *c, unsigned at)
{
	c->sent_ns[at] = tally_now_ns();
	if (zmq_send(c->socket, d->payload, d->load.payload, 0) < 0)
		fail("send");
}

static int answered(struct drive *d, struct connection *c)
{
	int n = zmq_recv(c->socket, d->answer, d->load.payload, ZMQ_DONTWAIT);

	if (n < 0 && zmq_errno() == EAGAIN)
		return 0;
	if (n < 0)
		fail("recv");
	if ((size_t)n != d->load.payload || memcmp(d->payload, d->answer, d->load.payload) != 0) {
		fputs("peer-zmq: a wrong answer\n", stderr);
		exit(1);
	}
	tally_add(&d->tally, tally_now_ns() - c->sent_ns[c->first], 1);
	return 1;
}

/* The descriptor only says that something happened: all of it must be taken each time. */
static void take_all(struct drive *d, struct connection *c)
{
	int events = ZMQ_POLLIN;
	size_t size = sizeof(events);

	while (events & ZMQ_POLLIN) {
		while (answered(d, c)) {
			ask(d, c, c->first);
			c->first = (c->first + 1) % d->load.depth;
		}
		if (zmq_getsockopt(c->socket, ZMQ_EVENTS, &events, &size) < 0)
			fail("events");
	}
}

static void open_one(struct drive *d, void *context, int epoll, struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	size_t size = sizeof(int);
	int fd;

	c->socket = zmq_socket(context, ZMQ_DEALER);
	c->sent_ns = calloc(d->load.depth, sizeof(*c->sent_ns));
	if (!c->socket || !c->sent_ns)
		fail("a socket");
	set_limits(c->socket);
	if (zmq_connect(c->socket, address_of(d->load.path)) < 0 ||
	    zmq_getsockopt(c->socket, ZMQ_FD, &fd, &size) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("connect");
}

static _Noreturn void drive(int argc, char **argv)
{
	static struct drive d;
	struct epoll_event events[256];
	struct connection *connections;
	void *context = zmq_ctx_new();
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	load_read(&d.load, argc, argv);
	(void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 4096);
	connections = calloc(d.load.connections, sizeof(*connections));
	d.payload = malloc(d.load.payload);
	d.answer = malloc(d.load.payload);
	memset(d.payload, 'x', d.load.payload);
	for (unsigned i = 0; i < d.load.connections; i++)
		open_one(&d, context, epoll, &connections[i]);
	load_begin(&d.load);
	for (unsigned i = 0; i < d.load.connections; i++) {
		for (unsigned k = 0; k < d.load.depth; k++)
			ask(&d, &connections[i], k);
		take_all(&d, &connections[i]);
	}
	while (!load_is_over(&d.load, &d.tally)) {
		int n = epoll_wait(epoll, events, 256, 100);

		for (int i = 0; i < n; i++)
			take_all(&d, events[i].data.ptr);
	}
	tally_print(&d.tally);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	if (argc > 3 && strcmp(argv[1], "drive") == 0)
		drive(argc - 2, argv + 2);
	fputs("usage: peer-zmq serve PATH | drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]\n",
	      stderr);
	return 2;
}
