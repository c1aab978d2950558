/*
 * The load of the RPC bench: the same for every server that speaks over a Unix
 * stream socket, whatever its messages look like.
 *
 *	drive SHAPE PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]
 *
 * Each connection keeps DEPTH requests in flight for so many SECONDS: for each
 * answer that comes the next request goes out, all that one read allows in one
 * write. Every answer is compared, byte for byte, with what it must be. What is
 * printed is one line of JSON: requests a second, the latency's percentiles in
 * microseconds, and, where PID names the server, its CPU seconds and memory.
 *
 * SHAPE says how a request and its answer look:
 *	lines   {"id":"1","method":"echo","params":{"value":"xx"}}\n
 *	frames  the same in a frame, as the assistant speaks
 *	raw     the line again, for a server that sends back what it gets
 *
 * A latency is the time from the write that carried a request to the read that
 * brought its answer: what a client sees.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tally.h"

/* Bytes read at once; answers that lie across its end are compared in two parts. */
#define READ_BYTES (1 << 18)

#define EVENTS_AT_ONCE 256

/* Requests that left in one write, and have not all been answered. */
struct batch {
	uint64_t sent_ns;
	unsigned left;
};

struct connection {
	int fd;
	unsigned to_send;      /* requests that may go out now */
	size_t out_offset;     /* bytes of the first of them that went out already */
	size_t in_offset;      /* bytes of the present answer that have come */
	struct batch *batches; /* a ring of DEPTH + 1 */
	unsigned first, count;
	int writing; /* EPOLLOUT is asked for */
};

struct drive {
	char *requests; /* DEPTH of them, one behind the other */
	size_t request_bytes;
	char *answers; /* as many answers, and READ_BYTES beyond */
	size_t answer_bytes;
	unsigned depth;
	int epoll;
	struct connection *connections;
	struct tally tally;
};

static void fail(const char *what)
{
	fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(path);
	return fd;
}

/* A message of this shape around @text. Return: allocated; its size in @ret_size. */
static char *compose(const char *shape, const char *text, size_t *ret_size)
{
	size_t n = strlen(text);
	char *message = malloc(n + 5);

	if (!message)
		fail("memory");
	if (strcmp(shape, "frames") == 0) {
		message[0] = (char)(n >> 24);
		message[1] = (char)(n >> 16);
		message[2] = (char)(n >> 8);
		message[3] = (char)n;
		memcpy(message + 4, text, n);
		*ret_size = n + 4;
	} else {
		memcpy(message, text, n);
		message[n] = '\n';
		*ret_size = n + 1;
	}
	return message;
}

static char *repeat(const char *message, size_t size, size_t total)
{
	char *to = malloc(total);

	if (!to)
		fail("memory");
	for (size_t i = 0; i < total; i++)
		to[i] = message[i % size];
	return to;
}

static void prepare(struct drive *d, const char *shape, size_t payload)
{
	char *value = malloc(payload + 1), *text = malloc(payload + 96);
	char *request, *answer;

	if (!value || !text)
		fail("memory");
	memset(value, 'x', payload);
	value[payload] = '\0';
	sprintf(text, "{\"id\":\"1\",\"method\":\"echo\",\"params\":{\"value\":\"%s\"}}", value);
	request = compose(shape, text, &d->request_bytes);
	if (strcmp(shape, "raw") != 0)
		sprintf(text, "{\"id\":\"1\",\"result\":{\"echoed\":\"%s\"}}", value);
	answer = compose(shape, text, &d->answer_bytes);
	d->requests = repeat(request, d->request_bytes, d->request_bytes * d->depth);
	/* From any place in an answer a whole read can be compared with it. */
	d->answers = repeat(answer, d->answer_bytes, d->answer_bytes + READ_BYTES);
	free(request);
	free(answer);
	free(text);
	free(value);
}

static void poll_for(struct drive *d, struct connection *c, int writing)
{
	struct epoll_event event = { .events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN,
				     .data.ptr = c };

	if (c->writing == writing)
		return;
	c->writing = writing;
	if (epoll_ctl(d->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		fail("epoll_ctl");
}

/* Send what may go out. */
static void push(struct drive *d, struct connection *c)
{
	while (c->to_send) {
		size_t size = c->to_send * d->request_bytes - c->out_offset;
		uint64_t now = tally_now_ns();
		ssize_t n = send(c->fd, d->requests + c->out_offset, size,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		unsigned whole;

		if (n < 0 && errno == EAGAIN) {
			poll_for(d, c, 1);
			return;
		}
		if (n <= 0)
			fail("send");
		whole = (unsigned)((c->out_offset + (size_t)n) / d->request_bytes);
		c->out_offset = (c->out_offset + (size_t)n) % d->request_bytes;
		c->to_send -= whole;
		if (whole) {
			unsigned at = (c->first + c->count) % (d->depth + 1);

			c->batches[at] = (struct batch){ now, whole };
			c->count++;
		}
	}
	poll_for(d, c, 0);
}

/* @count answers have come. */
static void take(struct drive *d, struct connection *c, unsigned count, uint64_t now)
{
	c->to_send += count;
	while (count) {
		struct batch *b = &c->batches[c->first];
		unsigned n = count < b->left ? count : b->left;

		tally_add(&d->tally, now - b->sent_ns, n);
		b->left -= n;
		count -= n;
		if (b->left == 0) {
			c->first = (c->first + 1) % (d->depth + 1);
			c->count--;
		}
	}
}

static void pull(struct drive *d, struct connection *c)
{
	static char buffer[READ_BYTES];
	ssize_t n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	size_t total;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		fail("the server closed the connection");
	if (memcmp(buffer, d->answers + c->in_offset, (size_t)n) != 0) {
		fprintf(stderr, "drive: a wrong answer: %.*s\n", n < 200 ? (int)n : 200, buffer);
		exit(1);
	}
	total = c->in_offset + (size_t)n;
	c->in_offset = total % d->answer_bytes;
	take(d, c, (unsigned)(total / d->answer_bytes), tally_now_ns());
}

static void run(struct drive *d, struct load *load)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	while (!load_is_over(load, &d->tally)) {
		int n = epoll_wait(d->epoll, events, EVENTS_AT_ONCE, 100);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				pull(d, c);
			push(d, c);
		}
	}
}

static void open_all(struct drive *d, const char *path, unsigned count)
{
	d->connections = calloc(count, sizeof(*d->connections));
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!d->connections || d->epoll < 0)
		fail("start");
	for (unsigned i = 0; i < count; i++) {
		struct connection *c = &d->connections[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

		c->fd = connect_to(path);
		c->to_send = d->depth;
		c->batches = calloc(d->depth + 1, sizeof(*c->batches));
		if (!c->batches || epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
			fail("start");
	}
}

int main(int argc, char **argv)
{
	struct drive d = { 0 };
	struct load load;

	if (argc < 7) {
		fputs("usage: drive lines|frames|raw PATH CONNECTIONS DEPTH PAYLOAD SECONDS "
		      "[PID]\n",
		      stderr);
		return 2;
	}
	load_read(&load, argc - 2, argv + 2);
	d.depth = load.depth;
	prepare(&d, argv[1], load.payload);
	open_all(&d, load.path, load.connections);
	load_begin(&load);
	for (unsigned i = 0; i < load.connections; i++)
		push(&d, &d.connections[i]);
	run(&d, &load);
	tally_print(&d.tally);
	return 0;
}
