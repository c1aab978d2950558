/*
 * Fixture: a server on a real loop and its clients, in one thread.
 *
 * A client is a plain blocking socket that is read without blocking between the
 * loop's rounds: run_until() turns the loop until a condition holds, with a cap
 * that only a failure ever reaches. Nothing here asserts times.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "kedge/server.h"

/* How long a condition may take to come true. */
#define CAP_MS 60000

struct fixture {
	char dir[256];
	char path[300];
	uv_loop_t loop;
	struct kedge_server *server;
	struct kedge_server_options options; /* used by serve(); change it before */
	struct kedge_listen_options listen;  /* the same */
	char log[4096];                      /* what the server said, line by line */
	uint64_t last_opened, last_closed;   /* clients */
	unsigned opened, closed;
	bool stopped;
};

/* For cmocka: a directory and a loop, before and after each case. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Make the server with f->options, and listen. */
void serve(struct fixture *f, const struct kedge_method *methods, size_t count);

/* Turn the loop until @condition holds. */
void run_until(struct fixture *f, bool (*condition)(void *arg), void *arg);
#define RUN_UNTIL(f, counter, value)                                                               \
	run_until(f, counter_reached, &(struct counter_wanted){ &(counter), value })

struct counter_wanted {
	const volatile unsigned *counter;
	unsigned value;
};

bool counter_reached(void *arg);

/* Clients. */

struct peer_client {
	struct fixture *f;
	int fd;
	struct buf in; /* what came and was not consumed */
	bool over;     /* end of file, or broken */
};

void client_connect(struct peer_client *c, struct fixture *f);
void client_close_end(struct peer_client *c);
/* Write all of it, turning the loop while the socket is full. */
void client_write(struct peer_client *c, const void *data, size_t size);
void client_say(struct peer_client *c, const char *text);
/* A frame with a text. */
void client_frame(struct peer_client *c, const void *data, size_t size);
/* Take in what is there now. Return: how many bytes. */
size_t client_take(struct peer_client *c, size_t most);
/* Turn the loop until a line has come; it is to be freed. NULL: the connection is over. */
char *client_line(struct peer_client *c);
/* The same for a frame. */
char *client_take_frame(struct peer_client *c, size_t *ret_size);
void client_wait_over(struct peer_client *c);
void assert_line(struct peer_client *c, const char *wanted);

/* The most memory that this process has had, in KiB. */
size_t hwm_kib(void);
