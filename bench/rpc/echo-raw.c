/*
 * The limit: an echo over epoll that looks at no byte. One read, one write, no
 * allocation, no message; what is left is the kernel.
 *
 *	echo-raw PATH
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES     (1 << 18)
#define EVENTS_AT_ONCE 256

/* What a client did not take yet. */
struct client {
	int fd;
	size_t size, offset;
	char *left;
};

static void fail(const char *what)
{
	fprintf(stderr, "echo-raw: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4096) < 0)
		fail(path);
	return fd;
}

static void poll_for(int epoll, struct client *c, int how, unsigned events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(epoll, how, c->fd, &event) < 0)
		fail("epoll_ctl");
}

static void let_in(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = calloc(1, sizeof(*c));

		if (!c)
			fail("memory");
		c->fd = fd;
		poll_for(epoll, c, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static void end(struct client *c)
{
	close(c->fd);
	free(c->left);
	free(c);
}

/* Keep what the socket did not take; reading waits meanwhile. */
static void keep(int epoll, struct client *c, const char *data, size_t size)
{
	c->left = malloc(size);
	if (!c->left)
		fail("memory");
	memcpy(c->left, data, size);
	c->size = size;
	c->offset = 0;
	poll_for(epoll, c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo(int epoll, struct client *c)
{
	static char buffer[READ_BYTES];
	ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end(c);
		return;
	}
	sent = send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		end(c);
	else if (sent < n)
		keep(epoll, c, buffer + (sent < 0 ? 0 : sent), (size_t)(n - (sent < 0 ? 0 : sent)));
}

static void go_on(int epoll, struct client *c)
{
	ssize_t n = send(c->fd, c->left + c->offset, c->size - c->offset, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		end(c);
		return;
	}
	c->offset += n < 0 ? 0 : (size_t)n;
	if (c->offset < c->size)
		return;
	free(c->left);
	c->left = NULL;
	poll_for(epoll, c, EPOLL_CTL_MOD, EPOLLIN);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_AT_ONCE], door = { .events = EPOLLIN, .data.ptr = NULL };
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener;

	if (argc != 2) {
		fputs("usage: echo-raw PATH\n", stderr);
		return 2;
	}
	listener = listen_at(argv[1]);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &door) < 0)
		fail("epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);

		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (!c)
				let_in(epoll, listener);
			else if (c->left)
				go_on(epoll, c);
			else
				echo(epoll, c);
		}
	}
}
