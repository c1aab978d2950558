/*
 * Loop: libuv, which nobody below has heard of.
 *
 * This header: what the parts of a server share. server.c holds it together,
 * methods.c knows the methods, accept.c lets clients in, client.c moves their
 * bytes, timing.c closes those that wait for nothing, answers.c is what is said
 * to them outside of their own turn, guarding.c gives the guard its turns, post.c
 * takes what comes from other threads.
 *
 * A connection is closed in its own turn, in flush_dirty() or by a timer, never
 * deeper: whatever runs beneath a callback only marks it.
 */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "base/bytes.h"
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

/* What a client is waited for; each has a limit of its own. */
enum timing {
	TIMING_FIRST_BYTE = 0, /* it has sent nothing yet */
	TIMING_IDLE,           /* nothing is in flight */
	TIMING_STALLED,        /* output waits for it */
	TIMING_MAX_,
	TIMING_NONE = TIMING_MAX_,
};

struct client {
	struct list link;
	struct list dirty;  /* server.dirty: to be flushed at the end of the round */
	struct list timing; /* server.timing[] of what it is waited for */
	uv_poll_t poll;
	struct kedge_server *server;
	struct kedge_conn *conn;
	uint64_t id;
	struct kedge_peer peer;
	uint64_t groups_asked, groups_in; /* a bit for each of server.method_groups */
	uint64_t since_ms;                /* that it is waited for, uv_now() */
	enum timing waited_for;
	int fd;
	int events;          /* what is polled for */
	unsigned busy;       /* calls into the connection that are under way: closing waits */
	bool heard;          /* a byte has come, ever */
	bool received, sent; /* something moved since timing_note() */
	bool doomed;         /* to be closed with its next flush */
	bool closing;
};

/* A method by its name. */
struct method_entry {
	struct method_entry *next; /* with the same hash */
	const struct kedge_method *method;
	size_t name_size;
	int group; /* index in server.method_groups; -1: for all */
};

struct kedge_server {
	uv_loop_t *loop;
	struct kedge_server_options options;
	uid_t *users;
	gid_t *groups;
	struct map methods;                      /* hash of the name -> struct method_entry */
	const struct method_entry *method_found; /* last; NULL: none yet */
	gid_t method_groups[KEDGE_METHOD_GROUPS_MAX];
	unsigned method_group_count;
	struct list clients, doors, dirty;
	struct map by_id; /* client id -> struct client */
	size_t client_count;
	/* Since the last flush: */
	unsigned heard;      /* clients that were read from */
	unsigned answered;   /* ... that have answers to send */
	unsigned looked_for; /* ... when it was last looked whether there are more */
	uint64_t client_serial;
	struct kedge_conn_spares *spares; /* of all the clients */
	struct kedge_server_stats stats;
	uv_prepare_t prepare; /* runs before the loop sleeps, while somebody is dirty */
	uv_idle_t idle;       /* the loop is not to sleep: it is looked for more clients */

	struct kedge_guard *guard;
	uv_poll_t guard_poll;
	uv_timer_t guard_timer;

	uv_timer_t accept_timer; /* accepting pauses until it fires */
	bool accept_paused;
	struct streak accept_streak, refuse_streak;
	uint64_t refuse_ns; /* the last time that somebody was refused */
	struct backoff accept_backoff;

	uv_timer_t timing_timer;
	struct list timing[TIMING_MAX_]; /* struct client, who waits longest first */

	uv_timer_t stop_timer;
	char **paths; /* that are listened on */
	size_t path_count;
	bool stopping, closed, freed;
	void (*on_done)(void *userdata);
	void *done_userdata;

	uv_async_t async;
	pthread_mutex_t post_lock;
	struct list posts;       /* struct post, oldest first */
	struct list posts_taken; /* of these: being run, no lock needed */
	size_t post_count;
	bool posts_closed;
	unsigned handles; /* of libuv's that are open: the memory goes with the last */
};

/* server.c */
void server_log(struct kedge_server *s, enum kedge_server_event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A handle was opened, or has been closed. */
void server_handle_opened(struct kedge_server *s);
void server_handle_closed(struct kedge_server *s);
/* A client or a door has gone: is the stop complete? */
void server_check_stopped(struct kedge_server *s);
uint64_t loop_now_ns(void);

/* methods.c */
const struct method_entry *method_look_up(struct kedge_server *s, struct kedge_span name);

static inline bool method_entry_is(const struct method_entry *e, struct kedge_span name)
{
	return e->name_size == name.size && bytes_are_equal(e->method->name, name.data, name.size);
}

/* What is asked once is, as a rule, asked again: the entry that was found last is looked at
 * first. Entries stay as long as the server. */
static inline const struct method_entry *method_find(struct kedge_server *s, struct kedge_span name)
{
	const struct method_entry *last = s->method_found;

	return last && method_entry_is(last, name) ? last : method_look_up(s, name);
}

/* Is the client in the group that the method asks for? */
bool method_group_has(const struct method_entry *entry, struct client *c);

static inline bool method_is_allowed(const struct method_entry *entry, struct client *c)
{
	return entry->group < 0 || method_group_has(entry, c);
}

/* Answer with 404, or 403. */
int method_refuse_unknown(const struct kedge_call *call);
int method_refuse_forbidden(const struct kedge_call *call, const struct method_entry *entry);
void methods_deinit(struct kedge_server *s);

/* accept.c */
int door_open(struct kedge_server *s, int guard_fd);
void door_close(struct kedge_server *s, int guard_fd);
void doors_close(struct kedge_server *s);
/* There is room again: accept, where that was paused. */
void doors_resume(struct kedge_server *s);
void on_accept_timer(uv_timer_t *timer);

/* client.c */
int client_new(struct kedge_server *s, int fd, const struct kedge_peer *peer);
/* Not while it is busy. */
void client_close(struct client *c);
struct client *client_find(const struct kedge_server *s, uint64_t id);
/* Have it flushed at the end of the round. */
void client_mark(struct client *c);
void on_prepare(uv_prepare_t *prepare);

/* timing.c */
/* Something may have moved: what is the client waited for now? */
void timing_note(struct client *c);
void on_timing_timer(uv_timer_t *timer);

/* guarding.c */
int guarding_open(struct kedge_server *s);
void guarding_close(struct kedge_server *s);
/* Set the timer to the guard's present deadline. */
void guarding_plan(struct kedge_server *s);

/* post.c */
void on_posted(uv_async_t *async);
/* Take no more; what was taken is run (once more with on_done in sight). */
void posts_close(struct kedge_server *s);
void posts_deinit(struct kedge_server *s);
