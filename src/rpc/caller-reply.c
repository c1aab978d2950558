#include "rpc/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "wire/envelope.h"
#include "wire/json.h"

const char *kedge_outcome_name(enum kedge_outcome outcome)
{
	static const char *const names[KEDGE_OUTCOME_MAX_] = {
		[KEDGE_OUTCOME_RESULT] = "result",
		[KEDGE_OUTCOME_ERROR] = "error",
		[KEDGE_OUTCOME_BODY] = "body",
		[KEDGE_OUTCOME_STREAM] = "stream",
		[KEDGE_OUTCOME_END] = "end",
		[KEDGE_OUTCOME_TIMED_OUT] = "timed-out",
		[KEDGE_OUTCOME_LOST] = "lost",
		[KEDGE_OUTCOME_CANCELLED] = "cancelled",
		[KEDGE_OUTCOME_TOO_LARGE] = "too-large",
	};

	return (unsigned)outcome < KEDGE_OUTCOME_MAX_ ? names[outcome] : "unknown";
}

/* The number in an id of ours, "s:17"; 0: it is not one. */
static uint64_t id_number(const struct kedge_caller *c, struct kedge_span id)
{
	size_t skip = 1 + strlen(c->prefix);
	uint64_t number = 0;

	if (json_kind(id) != JSON_STRING || id.size < skip + 2 || id.size > skip + 20 ||
	    memcmp(id.data + 1, c->prefix, skip - 1) != 0 || id.data[skip] == '0')
		return 0;
	for (size_t i = skip; i < id.size - 1; i++) {
		if (id.data[i] < '0' || id.data[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(id.data[i] - '0');
	}
	return number;
}

/* Two of three existing clients ask whether the error is true as JavaScript has it,
 * the third whether it is there: no server sends one that only the third would see. */
static bool is_truthy(struct kedge_span value)
{
	return envelope_id_counts(value);
}

/* What follows an answer with these headers. Only frames have room for bodies. */
static enum caller_expect body_after(const struct kedge_caller *c, const struct envelope *e)
{
	struct kedge_span headers = e->members[MEMBER_HEADERS];
	struct kedge_span encoding;

	if (c->protocol != KEDGE_PROTOCOL_FRAMES || e->members[MEMBER_RESULT].size ||
	    is_truthy(e->members[MEMBER_ERROR]) || json_kind(headers) != JSON_OBJECT)
		return CALLER_EXPECT_MESSAGE;
	if (json_member(headers, "content-length").size)
		return CALLER_EXPECT_BODY;
	encoding = json_member(headers, "transfer-encoding");
	if (json_kind(encoding) == JSON_STRING && json_string_is(encoding, "chunked"))
		return CALLER_EXPECT_CHUNK;
	return CALLER_EXPECT_MESSAGE;
}

static struct kedge_reply reply_of(const struct envelope *e)
{
	return (struct kedge_reply){
		.outcome = is_truthy(e->members[MEMBER_ERROR]) ? KEDGE_OUTCOME_ERROR
							       : KEDGE_OUTCOME_RESULT,
		.result = e->members[MEMBER_RESULT],
		.error = e->members[MEMBER_ERROR],
		.error_code = e->members[MEMBER_ERROR_CODE],
		.error_details = e->members[MEMBER_ERROR_DETAILS],
		.headers = e->members[MEMBER_HEADERS],
		.status = envelope_status(e),
	};
}

/* The call goes on: tell it of a stream's beginning, or that it is subscribed. */
static void tell(struct kedge_caller *c, struct caller_call *call, const struct kedge_reply *reply)
{
	caller_answered(c, call);
	if (call->ask.on_reply)
		call->ask.on_reply(reply, call->ask.userdata);
}

static void begin_stream(struct kedge_caller *c, struct caller_call *call,
			 struct kedge_reply *reply)
{
	int ms = call->ask.first_chunk_ms ? call->ask.first_chunk_ms : KEDGE_FIRST_CHUNK_TIMEOUT_MS;
	uint64_t number = call->number;

	reply->outcome = KEDGE_OUTCOME_STREAM;
	call->streaming = true;
	tell(c, call, reply);
	if (c->clock_ns && ms > 0 && caller_find(c, number) &&
	    kedge_caller_set_deadline(c, number, c->clock_ns + (uint64_t)ms * NSEC_PER_MSEC) < 0)
		c->failed = -ENOMEM;
}

/* Bytes follow. Return: 0; -ENOMEM. */
static int begin_body(struct kedge_caller *c, struct caller_call *call, enum caller_expect expect,
		      struct kedge_reply *reply)
{
	c->expect = expect;
	c->incoming = call ? call->number : 0;
	if (!call) {
		c->dropped++;
		return 0;
	}
	if (expect == CALLER_EXPECT_CHUNK || call->ask.take == KEDGE_TAKE_PIECES) {
		begin_stream(c, call, reply);
		return 0;
	}
	/* Of one that was given up before its body came something may be left. */
	buf_consume(&c->headers, buf_size(&c->headers));
	return buf_append(&c->headers, reply->headers.data, reply->headers.size);
}

static int take_answer(struct kedge_caller *c, const struct envelope *e)
{
	struct caller_call *call = caller_find(c, id_number(c, e->members[MEMBER_ID]));
	enum caller_expect expect = body_after(c, e);
	struct kedge_reply reply = reply_of(e);

	if (expect != CALLER_EXPECT_MESSAGE)
		return begin_body(c, call, expect, &reply);
	if (!call || (call->subscribed && reply.outcome == KEDGE_OUTCOME_RESULT)) {
		c->dropped++;
		if (!call && reply.outcome == KEDGE_OUTCOME_ERROR && c->handlers.on_stray &&
		    json_string_is(e->members[MEMBER_ID], "unknown"))
			c->handlers.on_stray(&reply, c->userdata);
	} else if (call->ask.on_delivery && reply.outcome == KEDGE_OUTCOME_RESULT) {
		call->subscribed = true;
		tell(c, call, &reply);
	} else {
		caller_end(c, call, &reply);
	}
	return 0;
}

/* {"id":ID,"event":NAME,"payload":P} */
static void take_delivery(struct kedge_caller *c, const struct envelope *e)
{
	struct caller_call *call = caller_find(c, id_number(c, e->members[MEMBER_ID]));

	if (call && call->ask.on_delivery)
		call->ask.on_delivery(e->members[MEMBER_EVENT], e->members[MEMBER_PAYLOAD],
				      call->ask.userdata);
	else
		c->dropped++;
}

static int take_request(struct kedge_caller *c, const struct envelope *e)
{
	struct kedge_span name = e->members[MEMBER_METHOD];
	char *method;

	if (json_kind(name) != JSON_STRING || !envelope_id_counts(e->members[MEMBER_ID]) ||
	    !c->handlers.on_request) {
		c->dropped++;
		return 0;
	}
	method = malloc(name.size);
	if (!method)
		return -ENOMEM;
	c->handlers.on_request(
		c,
		&(struct kedge_asked){ .id = e->members[MEMBER_ID],
				       .method = { method, json_string_decode(name, method) },
				       .params = e->members[MEMBER_PARAMS] },
		c->userdata);
	free(method);
	return 0;
}

static bool is_blank(struct kedge_span text)
{
	const char *end = text.data + text.size;

	return json_skip_space(text.data, end) == end;
}

int caller_take_message(struct kedge_caller *c, struct kedge_span text)
{
	struct envelope e;

	if (c->protocol == KEDGE_PROTOCOL_LINES && is_blank(text))
		return 0;
	if (envelope_scan(text, c->limits.depth_max, &e) != ENVELOPE_OK) {
		/* The next line begins anew; in frames bytes and messages are mixed up. */
		c->dropped++;
		return c->protocol == KEDGE_PROTOCOL_FRAMES ? -EPROTO : 0;
	}
	if (e.members[MEMBER_METHOD].size)
		return take_request(c, &e);
	if (e.members[MEMBER_ID].size && json_kind(e.members[MEMBER_EVENT]) != JSON_STRING)
		return take_answer(c, &e);
	if (e.members[MEMBER_ID].size)
		take_delivery(c, &e);
	else if (json_kind(e.members[MEMBER_EVENT]) == JSON_STRING && c->handlers.on_event)
		c->handlers.on_event(e.members[MEMBER_EVENT], e.members[MEMBER_DATA], c->userdata);
	else
		c->dropped++;
	return 0;
}

/* The call that is being answered in bytes; NULL: it was given up. */
static struct caller_call *incoming_call(const struct kedge_caller *c)
{
	return c->incoming ? caller_find(c, c->incoming) : NULL;
}

bool caller_wants_whole(const struct kedge_caller *c)
{
	const struct caller_call *call = incoming_call(c);

	return call && !call->streaming;
}

void caller_take_chunk(struct kedge_caller *c, struct kedge_span chunk)
{
	struct caller_call *call = incoming_call(c);

	if (!call)
		return;
	/* After the first piece the stream may take its time. */
	caller_answered(c, call);
	if (call->ask.on_chunk)
		call->ask.on_chunk(chunk, call->ask.userdata);
}

void caller_take_end(struct kedge_caller *c)
{
	struct caller_call *call = incoming_call(c);

	c->expect = CALLER_EXPECT_MESSAGE;
	c->incoming = 0;
	if (call)
		caller_end(c, call, &(struct kedge_reply){ .outcome = KEDGE_OUTCOME_END });
}

/* Tell the call of its binary answer. The headers are taken out of the caller meanwhile: a
 * callback may give the connection up, and what belongs to it. */
static void end_with_headers(struct kedge_caller *c, enum kedge_outcome outcome,
			     struct kedge_span body)
{
	struct caller_call *call = incoming_call(c);
	struct buf headers = c->headers;

	c->headers = (struct buf)BUF_INIT;
	c->incoming = 0;
	caller_end(c, call,
		   &(struct kedge_reply){
			   .outcome = outcome,
			   .headers = { buf_front(&headers), buf_size(&headers) },
			   .body = body,
		   });
	buf_deinit(&headers);
}

void caller_take_body(struct kedge_caller *c, struct kedge_span body)
{
	c->expect = CALLER_EXPECT_MESSAGE;
	end_with_headers(c, KEDGE_OUTCOME_BODY, body);
}

void caller_refuse_body(struct kedge_caller *c)
{
	/* Still expected, by nobody: it is skipped piece by piece. */
	end_with_headers(c, KEDGE_OUTCOME_TOO_LARGE, (struct kedge_span){ NULL, 0 });
}
