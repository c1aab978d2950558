/*
 * A server of the bench without any protocol: epoll, one read and one write a turn, no
 * allocation. The file that includes it says what is made of a read: see echo_turn().
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ECHO_READ_BYTES (1 << 18)
#define EVENTS_AT_ONCE  256

struct client {
	int fd;
	size_t size, offset; /* of what the client did not take yet ... */
	char *left;          /* ... NULL: nothing */
	size_t rest_size;    /* of half a message: see echo_turn() */
	char *rest;
};

/**
 * echo_turn() - what is made of one read; each server has its own
 * @in:       what was left of the read before, and behind it what came now
 * @ret_out:  what to send; stays in place until the next turn
 * @ret_used: how much of @in is done with; the rest comes again
 *
 * Return: the size of what is to be sent.
 */
static size_t echo_turn(const char *in, size_t size, const char **ret_out, size_t *ret_used);

static void fail(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
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
	free(c->rest);
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

/* Keep half a message for the next turn. */
static void keep_rest(struct client *c, const char *data, size_t size)
{
	char *rest = size ? malloc(size) : NULL;

	if (size && !rest)
		fail("memory");
	if (size)
		memcpy(rest, data, size);
	free(c->rest);
	c->rest = rest;
	c->rest_size = size;
}

static void echo(int epoll, struct client *c)
{
	static char buffer[2 * ECHO_READ_BYTES];
	size_t size, used, out_size;
	const char *out;
	ssize_t n, sent;

	if (c->rest_size)
		memcpy(buffer, c->rest, c->rest_size);
	n = recv(c->fd, buffer + c->rest_size, ECHO_READ_BYTES, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	size = c->rest_size + (size_t)n;
	if (n <= 0 || size > ECHO_READ_BYTES) {
		end(c);
		return;
	}
	out_size = echo_turn(buffer, size, &out, &used);
	if (c->rest_size || used < size)
		keep_rest(c, buffer + used, size - used);
	sent = out_size ? send(c->fd, out, out_size, MSG_NOSIGNAL) : 0;
	if (sent < 0 && errno != EAGAIN)
		end(c);
	else if (sent < 0)
		keep(epoll, c, out, out_size);
	else if ((size_t)sent < out_size)
		keep(epoll, c, out + sent, out_size - (size_t)sent);
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
		fprintf(stderr, "usage: %s PATH\n", argv[0]);
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
