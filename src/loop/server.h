/*
 * Loop: libuv, which nobody below has heard of.
 *
 * This header: what the parts of a server share. server.c holds it together,
 * accept.c lets clients in, client.c moves their bytes, guarding.c gives the
 * guard its turns, post.c takes answers from other threads.
 */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/streak.h"
#include "kedge/server.h"

/* A listening descriptor that the loop watches: ours, a duplicate of the guard's. */
struct door {
	struct list link;
	uv_poll_t poll;
	struct kedge_server *server;
	int fd;
	int guard_fd; /* which of the guard's it is a duplicate of */
};

struct client {
	struct list link;
	struct list dirty; /* server.dirty: has output to be sent at the end of a batch */
	uv_poll_t poll;
	struct kedge_server *server;
	struct kedge_conn *conn;
	uint64_t id;
	struct kedge_peer peer;
	int fd;
	int events; /* what is polled for */
	bool busy;  /* in client_read(): closing waits for its end */
	bool closing;
};

struct post;

struct kedge_server {
	uv_loop_t *loop;
	struct kedge_server_options options;
	uid_t *users;
	gid_t *groups;
	struct map methods; /* hash of the name -> struct method_entry */
	struct list clients, doors, dirty;
	struct map by_id; /* client id -> struct client */
	size_t client_count;
	uint64_t client_serial;

	struct kedge_guard *guard;
	uv_poll_t guard_poll;
	uv_timer_t guard_timer;

	uv_timer_t accept_timer; /* accepting pauses until it fires */
	bool accept_paused;
	struct streak accept_streak, refuse_streak;
	uint64_t refuse_ns; /* the last time that somebody was refused */
	struct backoff accept_backoff;

	uv_timer_t stop_timer;
	char **paths; /* that are listened on */
	size_t path_count;
	bool stopping, closed, freed;
	void (*on_done)(void *userdata);
	void *done_userdata;

	uv_async_t async;
	pthread_mutex_t post_lock;
	struct list posts; /* struct post, oldest first */
	size_t post_count;
	unsigned handles; /* of libuv's that are open: the memory goes with the last */
};

/* server.c */
const struct kedge_method *server_find_method(const struct kedge_server *s, struct kedge_span name);
void server_log(struct kedge_server *s, enum kedge_server_event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A handle was opened, or has been closed. */
void server_handle_opened(struct kedge_server *s);
void server_handle_closed(struct kedge_server *s);
/* A client or a door has gone: is the stop complete? */
void server_check_stopped(struct kedge_server *s);
uint64_t loop_now_ns(void);

/* accept.c */
int door_open(struct kedge_server *s, int guard_fd);
void door_close(struct kedge_server *s, int guard_fd);
void doors_close(struct kedge_server *s);
/* There is room again: accept, where that was paused. */
void doors_resume(struct kedge_server *s);
void on_accept_timer(uv_timer_t *timer);

/* client.c */
int client_new(struct kedge_server *s, int fd, const struct kedge_peer *peer);
void client_close(struct client *c);
/* Send what waits, and poll for what is wanted now. */
void client_flush(struct client *c);
struct client *client_find(const struct kedge_server *s, uint64_t id);
/* Have it flushed with the batch, see clients_flush(). */
void client_mark(struct client *c);
void clients_flush(struct kedge_server *s);

/* guarding.c */
int guarding_open(struct kedge_server *s);
void guarding_close(struct kedge_server *s);
/* Set the timer to the guard's present deadline. */
void guarding_plan(struct kedge_server *s);

/* post.c */
void on_posted(uv_async_t *async);
void posts_deinit(struct kedge_server *s);
