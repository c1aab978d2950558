/*
 * What the caller's tests share: a caller whose callbacks write a line each
 * into a log, so that a test compares one text.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/time.h"
#include "kedge/client.h"

#define S(text) kedge_span(text)

struct rig {
	struct kedge_caller *caller;
	struct buf log;
	struct buf sent; /* all that was taken out */
};

static struct rig *the_rig;

static void rig_log(const char *what, struct kedge_span a, struct kedge_span b)
{
	assert_int_equal(buf_appendf(&the_rig->log, "%s", what), 0);
	if (a.data)
		assert_int_equal(buf_appendf(&the_rig->log, " %.*s", (int)a.size, a.data), 0);
	if (b.data)
		assert_int_equal(buf_appendf(&the_rig->log, " %.*s", (int)b.size, b.data), 0);
	assert_int_equal(buf_append(&the_rig->log, "\n", 1), 0);
}

/* userdata is the call's name. */
static void rig_reply(const struct kedge_reply *reply, void *userdata)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%s %s", (const char *)userdata,
		       kedge_outcome_name(reply->outcome));
	switch (reply->outcome) {
	case KEDGE_OUTCOME_RESULT:
		rig_log(what, reply->result, (struct kedge_span){ 0 });
		break;
	case KEDGE_OUTCOME_ERROR:
		(void)snprintf(what + strlen(what), 16, " %d", reply->status);
		rig_log(what, reply->error, reply->error_code);
		break;
	case KEDGE_OUTCOME_BODY:
		rig_log(what, reply->headers, reply->body);
		break;
	default:
		rig_log(what, reply->headers, (struct kedge_span){ 0 });
	}
}

static void rig_chunk(struct kedge_span chunk, void *userdata)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%s chunk", (const char *)userdata);
	rig_log(what, chunk, (struct kedge_span){ 0 });
}

static void rig_delivery(struct kedge_span name, struct kedge_span payload, void *userdata)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%s delivery", (const char *)userdata);
	rig_log(what, name, payload);
}

static void rig_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	(void)userdata;
	rig_log("event", name, data);
}

static void rig_request(struct kedge_caller *caller, const struct kedge_asked *asked,
			void *userdata)
{
	(void)caller;
	(void)userdata;
	rig_log("request", asked->id, asked->method);
}

static void rig_stray(const struct kedge_reply *reply, void *userdata)
{
	(void)userdata;
	rig_log("stray", reply->error, (struct kedge_span){ 0 });
}

static struct kedge_caller_options rig_options(enum kedge_protocol protocol)
{
	return (struct kedge_caller_options){ .size = sizeof(struct kedge_caller_options),
					      .protocol = protocol,
					      .handlers = { rig_event, rig_request, rig_stray } };
}

static void rig_open(struct rig *rig, const struct kedge_caller_options *options)
{
	*rig = (struct rig){ 0 };
	the_rig = rig;
	assert_int_equal(kedge_caller_new(&rig->caller, options), 0);
}

static void rig_begin(struct rig *rig, enum kedge_protocol protocol)
{
	struct kedge_caller_options options = rig_options(protocol);

	rig_open(rig, &options);
}

static void rig_end(struct rig *rig)
{
	rig->caller = kedge_caller_free(rig->caller);
	buf_deinit(&rig->log);
	buf_deinit(&rig->sent);
}

/* An ask whose callbacks write "NAME ..." into the log. */
static struct kedge_ask rig_ask(const char *name)
{
	return (struct kedge_ask){ .method = name,
				   .on_reply = rig_reply,
				   .on_chunk = rig_chunk,
				   .userdata = (void *)(uintptr_t)name };
}

static uint64_t rig_call(struct rig *rig, const char *name)
{
	struct kedge_ask ask = rig_ask(name);
	uint64_t number = 0;

	assert_int_equal(kedge_caller_call(rig->caller, &ask, &number), 0);
	return number;
}

static int rig_feed(struct rig *rig, const void *bytes, size_t size)
{
	const char *from = bytes;
	int r = 0;

	while (size && r == 0) {
		size_t room, n;
		void *to = kedge_caller_input(rig->caller, &room);

		assert_non_null(to);
		n = size < room ? size : room;
		memcpy(to, from, n);
		from += n;
		size -= n;
		r = kedge_caller_received(rig->caller, n);
	}
	return r;
}

static int rig_line(struct rig *rig, const char *line)
{
	return rig_feed(rig, line, strlen(line));
}

/* The log since it was asked for last. */
static void rig_says(struct rig *rig, const char *wanted)
{
	assert_int_equal(buf_append(&rig->log, "", 1), 0);
	assert_string_equal(buf_front(&rig->log), wanted);
	buf_consume(&rig->log, buf_size(&rig->log));
}

/* Take out all that waits to be sent. */
static void rig_take(struct rig *rig)
{
	const void *data;
	size_t size;

	buf_consume(&rig->sent, buf_size(&rig->sent));
	while (kedge_caller_output(rig->caller, &data, &size)) {
		assert_int_equal(buf_append(&rig->sent, data, size), 0);
		kedge_caller_sent(rig->caller, size);
	}
}

static void rig_sends(struct rig *rig, const char *wanted)
{
	rig_take(rig);
	assert_int_equal(buf_append(&rig->sent, "", 1), 0);
	assert_string_equal(buf_front(&rig->sent), wanted);
}
