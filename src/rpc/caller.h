/*
 * The client's side of a connection, without any I/O: calls go in, bytes come
 * out; bytes go in, answers and events come out as callbacks. Time is handed
 * in by whoever has a clock.
 */
#pragma once

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "kedge/conn.h"

/* Calls that may wait for an answer at a time. */
#define CALLER_CALLS_MAX 65536

/* Bytes that may wait to be sent. */
#define CALLER_OUTPUT_MAX ((size_t)64 << 20)

/* The longest answer. */
#define CALLER_MESSAGE_MAX ((size_t)64 << 20)

enum caller_outcome {
	CALLER_RESULT = 0, /* @result holds it; absent where the method returns nothing */
	CALLER_ERROR,      /* the server refused: @error, @status, @code, @details */
	CALLER_TIMED_OUT,  /* no answer before its deadline */
	CALLER_LOST,       /* the connection went away before the answer came */
};

/* What became of a call. Spans of JSON text, valid during the callback. */
struct caller_answer {
	enum caller_outcome outcome;
	struct kedge_span result;
	struct kedge_span error; /* a string, usually */
	struct kedge_span code;  /* a string; absent where none was sent */
	struct kedge_span details;
	int status; /* 0: none was sent */
};

typedef void caller_answer_fn(const struct caller_answer *answer, void *userdata);

/* A push: @name is JSON text of a string, @data absent or any value. */
typedef void caller_event_fn(struct kedge_span name, struct kedge_span data, void *userdata);

struct caller {
	struct buf in, out;
	size_t searched;
	uint64_t losses;  /* counts connections: a callback may have given one up */
	struct map by_id; /* number -> struct call */
	struct heap deadlines;
	struct list calls; /* oldest first */
	size_t count;
	uint64_t serial;
	uint64_t dropped; /* messages that belonged to no call */
	bool fatal;       /* the server broke the protocol: close */
	caller_event_fn *on_event;
	void *userdata;
};

void caller_init(struct caller *c, caller_event_fn *on_event, void *userdata);

/* As caller_lost(), and free all memory. */
void caller_deinit(struct caller *c);

/**
 * caller_call() - ask something
 * @params:      JSON text, or absent
 * @deadline_ns: TIME_NEVER: wait for ever
 * @callback:    called once, from caller_received(), _expire(), _lost() or _deinit()
 *
 * Return: 0; -EBUSY: CALLER_CALLS_MAX wait already; -ENOBUFS; -ENOMEM. On
 *         failure @callback is not called.
 */
int caller_call(struct caller *c, const char *method, struct kedge_span params,
		uint64_t deadline_ns, caller_answer_fn *callback, void *userdata);

/* Bytes in and out, as with struct kedge_conn. */
void *caller_input(struct caller *c, size_t *ret_room);
void caller_received(struct caller *c, size_t n);
bool caller_output(struct caller *c, const void **ret_data, size_t *ret_size);
void caller_sent(struct caller *c, size_t n);

/* The earliest deadline of a call, or TIME_NEVER. */
uint64_t caller_deadline(const struct caller *c);

/* Time out the calls whose deadline has come. */
void caller_expire(struct caller *c, uint64_t now_ns);

/* The connection is gone: every call that waits is told CALLER_LOST, oldest first;
 * half a message and what was not sent are forgotten. A new connection may follow. */
void caller_lost(struct caller *c);
