/*
 * What the tests of the client on libuv share: a server in a process of its
 * own, that may be killed at any moment, and a client that counts what it is told.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/uvclient.h"
#include "sys/clock.h"
#include "sys/dial.h"

#define S(text) kedge_span(text)
#define CAP_NS  UINT64_C(20000000000)

struct world {
	char dir[64], path[128];
	pid_t server;
	uv_loop_t loop;
	struct kedge_uvclient *client;
	unsigned results, lost, timed_out, connections, failures, recoveries, events, writable;
	char line[1024]; /* the last of the log */
};

/* A server in a process of its own, listening when this returns. */
static void start(struct world *w, void (*serve)(int fd))
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, w->path);
	(void)unlink(w->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 64), 0);
	w->server = fork();
	assert_true(w->server >= 0);
	if (w->server == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			serve(accept(listener, NULL, NULL));
	}
	close(listener);
}

static void stop(struct world *w)
{
	if (w->server <= 0)
		return;
	(void)kill(w->server, SIGKILL);
	(void)waitpid(w->server, NULL, 0);
	w->server = 0;
}

static void on_log(enum kedge_uvclient_event event, const char *line, void *userdata)
{
	struct world *w = userdata;

	if (event == KEDGE_UVCLIENT_FAILED)
		w->failures++;
	else
		w->recoveries++;
	(void)snprintf(w->line, sizeof(w->line), "%s", line);
}

static void on_connection(int connected, void *userdata)
{
	struct world *w = userdata;

	w->connections += connected == 1;
}

static void on_writable(void *userdata)
{
	struct world *w = userdata;

	w->writable++;
}

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct world *w = userdata;

	(void)name;
	(void)data;
	w->events++;
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct world *w = userdata;

	w->results += reply->outcome == KEDGE_OUTCOME_RESULT;
	w->lost += reply->outcome == KEDGE_OUTCOME_LOST;
	w->timed_out += reply->outcome == KEDGE_OUTCOME_TIMED_OUT;
}

static int begin_with(void **state, enum kedge_protocol protocol)
{
	struct world *w = calloc(1, sizeof(*w));
	struct kedge_uvclient_options options = { .size = sizeof(options),
						  .protocol = protocol,
						  .handlers = { .on_event = on_event },
						  .reconnect_first_ms = 4,
						  .reconnect_max_ms = 16,
						  .seed = 7,
						  .on_connection = on_connection,
						  .on_writable = on_writable,
						  .on_log = on_log,
						  .userdata = w };

	assert_non_null(w);
	strcpy(w->dir, "/tmp/kedge uvclient-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(kedge_uvclient_new(&w->client, &w->loop, w->path, &options, NULL), 0);
	*state = w;
	return 0;
}

static int begin(void **state)
{
	return begin_with(state, KEDGE_PROTOCOL_LINES);
}

static int begin_frames(void **state)
{
	return begin_with(state, KEDGE_PROTOCOL_FRAMES);
}

static int end(void **state)
{
	struct world *w = *state;

	w->client = kedge_uvclient_free(w->client);
	assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	stop(w);
	(void)unlink(w->path);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

/* Run the loop until @counter reaches @wanted. */
static void until(struct world *w, const unsigned *counter, unsigned wanted)
{
	uint64_t cap = monotonic_ns() + CAP_NS;

	while (*counter < wanted) {
		assert_true(monotonic_ns() < cap);
		(void)uv_run(&w->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

static int ask(struct world *w, enum kedge_if_lost if_lost, int timeout_ms)
{
	return kedge_uvclient_call(w->client,
				   &(struct kedge_ask){ .method = "m",
							.if_lost = if_lost,
							.timeout_ms = timeout_ms,
							.on_reply = on_reply,
							.userdata = w },
				   NULL);
}
