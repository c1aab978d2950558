/*
 * A peer for the client's tests: a listener in a directory of its own, and a
 * thread that serves one connection as the test wants.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "kedge/client.h"

#define S(text) kedge_span(text)

/* Where nothing is expected to take any time. */
#define SHORT_MS 30

struct peer {
	char dir[64];
	char path[512];
	int listener;
	pthread_t thread;
	void (*serve)(struct peer *peer, int fd);
	pthread_t client; /* to be sent signals */
	char got[65536];
	size_t got_size;
	int delay_ms;
};

static void *run_peer(void *arg)
{
	struct peer *peer = arg;
	int fd;

	usleep((useconds_t)peer->delay_ms * 1000);
	fd = accept(peer->listener, NULL, NULL);
	if (fd < 0)
		return NULL;
	peer->serve(peer, fd);
	close(fd);
	return NULL;
}

/* Read on until @text was seen, or the end. */
static void peer_expect(struct peer *peer, int fd, const char *text)
{
	while (!memmem(peer->got, peer->got_size, text, strlen(text))) {
		ssize_t n = recv(fd, peer->got + peer->got_size, sizeof(peer->got) - peer->got_size,
				 0);

		if (n <= 0)
			return;
		peer->got_size += (size_t)n;
	}
}

static void peer_send(int fd, const void *bytes, size_t size)
{
	(void)send(fd, bytes, size, MSG_NOSIGNAL);
}

static void peer_say(int fd, const char *text)
{
	peer_send(fd, text, strlen(text));
}

static void peer_frame(int fd, const char *text)
{
	size_t n = strlen(text);
	unsigned char header[4] = { 0, 0, (unsigned char)(n >> 8), (unsigned char)n };

	peer_send(fd, header, 4);
	peer_send(fd, text, n);
}

static int listen_at(const char *path, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void peer_dir(struct peer *peer)
{
	*peer = (struct peer){ .listener = -1, .client = pthread_self() };
	strcpy(peer->dir, "/tmp/kedge client-XXXXXX");
	assert_non_null(mkdtemp(peer->dir));
	(void)snprintf(peer->path, sizeof(peer->path), "%s/s", peer->dir);
}

static void peer_begin(struct peer *peer, void (*serve)(struct peer *, int))
{
	peer_dir(peer);
	peer->listener = listen_at(peer->path, 8);
	peer->serve = serve;
	assert_int_equal(pthread_create(&peer->thread, NULL, run_peer, peer), 0);
}

static void peer_end(struct peer *peer)
{
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
	close(peer->listener);
	unlink(peer->path);
	assert_int_equal(rmdir(peer->dir), 0);
}

static struct kedge_client *connect_to(const struct peer *peer, enum kedge_protocol protocol)
{
	struct kedge_client_options options = { .size = sizeof(options), .protocol = protocol };
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_client *client = NULL;

	if (kedge_client_connect(&client, peer->path, &options, &error) < 0)
		fail_msg("%s", error.text);
	return client;
}

static void assert_span(struct kedge_span span, const char *text)
{
	assert_int_equal(span.size, strlen(text));
	assert_memory_equal(span.data, text, span.size);
}
