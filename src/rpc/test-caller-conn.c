/*
 * A caller and a connection, talking to each other: two sides of one protocol,
 * written apart. Both do no I/O, so a seed decides who asks what, who gives
 * up, and how the bytes between them are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kedge/client.h"

#define SEEDS         150
#define STEPS         300
#define CALLS_MAX     256
#define BODY_MAX      70000
#define STREAM_CHUNKS 5

enum question {
	ASK_ECHO = 0, /* answered with its params */
	ASK_FAIL,     /* refused with 409 */
	ASK_BODY,     /* answered with its body */
	ASK_PIECES,   /* the same, taken in pieces */
	ASK_UPLOAD,   /* sent in chunks, answered with its body */
	ASK_STREAM,   /* answered with STREAM_CHUNKS times "chunk" */
	ASK_NEVER,    /* left open, until it is cancelled */
	ASK_MAX_,
};

static const char *const methods[ASK_MAX_] = { "echo",   "fail",   "body", "pieces",
					       "upload", "stream", "never" };

struct talk;

struct question_asked {
	struct talk *talk;
	enum question kind;
	uint64_t number;
	size_t size; /* of its body */
	size_t got;  /* bytes of pieces and chunks */
	bool streaming, over, cancelled;
};

struct talk {
	struct kedge_caller *caller;
	struct kedge_conn *conn;
	uint64_t random;
	struct question_asked asked[CALLS_MAX];
	size_t count, over;
	struct question_asked *uploading;
	size_t left; /* of the upload */
	unsigned events, pushed;
};

static char bytes[BODY_MAX];
static unsigned seed_of_failure; /* 0: none failed */

static uint64_t next(struct talk *t, uint64_t below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % below;
}

/* The server. */

static bool is(struct kedge_span span, const char *text)
{
	return span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *r, void *userdata)
{
	struct kedge_rpc_error error = { .text = kedge_span("no"), .status = 409 };
	struct kedge_span none = { NULL, 0 };

	(void)userdata;
	if (is(r->method, "echo")) {
		assert_int_equal(kedge_conn_reply(conn, r->ticket, r->params), 0);
	} else if (is(r->method, "fail")) {
		assert_int_equal(kedge_conn_fail(conn, r->ticket, &error), 0);
	} else if (is(r->method, "stream")) {
		assert_true(kedge_conn_stream_begin(conn, r->ticket, none) >= 0);
		for (int i = 0; i < STREAM_CHUNKS; i++)
			assert_true(kedge_conn_stream_write(conn, r->ticket, kedge_span("chunk")) >=
				    0);
		assert_int_equal(kedge_conn_stream_end(conn, r->ticket), 0);
	} else if (!is(r->method, "never")) {
		assert_int_equal(r->body_kind, KEDGE_BODY_WHOLE);
		assert_int_equal(kedge_conn_reply_body(conn, r->ticket, none, r->body), 0);
	}
}

/* The client. */

static void check_reply(struct question_asked *q, const struct kedge_reply *reply)
{
	static const enum kedge_outcome wanted[ASK_MAX_] = {
		KEDGE_OUTCOME_RESULT,    KEDGE_OUTCOME_ERROR, KEDGE_OUTCOME_BODY,
		KEDGE_OUTCOME_END,       KEDGE_OUTCOME_BODY,  KEDGE_OUTCOME_END,
		KEDGE_OUTCOME_CANCELLED,
	};

	assert_int_equal(reply->outcome, q->cancelled ? KEDGE_OUTCOME_CANCELLED : wanted[q->kind]);
	if (reply->outcome == KEDGE_OUTCOME_RESULT)
		assert_true(is(reply->result, "{\"a\":[1]}"));
	if (reply->outcome == KEDGE_OUTCOME_ERROR)
		assert_int_equal(reply->status, 409);
	if (reply->outcome == KEDGE_OUTCOME_BODY) {
		assert_int_equal(reply->body.size, q->size);
		assert_memory_equal(reply->body.data, bytes, q->size);
	}
	if (reply->outcome == KEDGE_OUTCOME_END)
		assert_int_equal(q->got, q->kind == ASK_STREAM ? 5 * STREAM_CHUNKS : q->size);
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct question_asked *q = userdata;

	assert_false(q->over);
	if (reply->outcome == KEDGE_OUTCOME_STREAM) {
		assert_false(q->streaming);
		q->streaming = true;
		return;
	}
	check_reply(q, reply);
	q->over = true;
	q->talk->over++;
	if (q->talk->uploading == q)
		q->talk->uploading = NULL;
}

static void on_chunk(struct kedge_span chunk, void *userdata)
{
	struct question_asked *q = userdata;

	if (q->kind == ASK_PIECES)
		assert_memory_equal(chunk.data, bytes + q->got, chunk.size);
	else
		assert_true(is(chunk, "chunk"));
	q->got += chunk.size;
}

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct talk *t = userdata;

	assert_true(is(name, "\"pushed\"") && data.size == 0);
	t->events++;
}

static void ask(struct talk *t)
{
	struct question_asked *q = &t->asked[t->count];
	struct kedge_ask a = { .on_reply = on_reply, .on_chunk = on_chunk, .userdata = q };

	if (t->count == CALLS_MAX)
		return;
	*q = (struct question_asked){ .talk = t,
				      .kind = (enum question)next(t, ASK_MAX_),
				      .size = next(t, 4) ? next(t, 100) : next(t, BODY_MAX) };
	if (q->kind == ASK_UPLOAD && t->uploading)
		return;
	a.method = methods[q->kind];
	if (q->kind == ASK_ECHO)
		a.params = kedge_span("{\"a\":[1]}");
	if (q->kind == ASK_BODY || q->kind == ASK_PIECES) {
		a.body_kind = KEDGE_BODY_WHOLE;
		a.body = (struct kedge_span){ bytes, q->size };
		a.take = q->kind == ASK_PIECES ? KEDGE_TAKE_PIECES : KEDGE_TAKE_WHOLE;
	}
	if (q->kind == ASK_UPLOAD) {
		a.body_kind = KEDGE_BODY_STREAMED;
		t->uploading = q;
		t->left = q->size;
	}
	assert_int_equal(kedge_caller_call(t->caller, &a, &q->number), 0);
	t->count++;
}

static void upload(struct talk *t)
{
	struct question_asked *q = t->uploading;
	size_t n;

	if (!q)
		return;
	if (!t->left) {
		t->uploading = NULL;
		assert_int_equal(kedge_caller_upload_end(t->caller, q->number), 0);
		return;
	}
	n = 1 + next(t, t->left);
	assert_int_equal(kedge_caller_upload(t->caller, q->number,
					     (struct kedge_span){ bytes + q->size - t->left, n }),
			 0);
	t->left -= n;
}

static void cancel(struct talk *t, struct question_asked *q)
{
	if (q->over)
		return;
	q->cancelled = true;
	assert_int_equal(kedge_caller_cancel(t->caller, q->number), 0);
}

/* Some of what waits goes over, one way or the other. */
static bool to_server(struct talk *t, uint64_t most)
{
	const void *data;
	size_t size, room, n;
	void *to;

	if (!kedge_conn_wants_input(t->conn) || !kedge_caller_output(t->caller, &data, &size))
		return false;
	to = kedge_conn_input(t->conn, &room);
	n = 1 + next(t, most);
	n = n < size ? n : size;
	n = n < room ? n : room;
	memcpy(to, data, n);
	kedge_caller_sent(t->caller, n);
	assert_int_equal(kedge_conn_received(t->conn, n), 0);
	return true;
}

static bool to_client(struct talk *t, uint64_t most)
{
	const void *data;
	size_t size, room, n;
	void *to;

	if (!kedge_conn_output(t->conn, &data, &size))
		return false;
	to = kedge_caller_input(t->caller, &room);
	n = 1 + next(t, most);
	n = n < size ? n : size;
	n = n < room ? n : room;
	memcpy(to, data, n);
	kedge_conn_sent(t->conn, n);
	assert_int_equal(kedge_caller_received(t->caller, n), 0);
	return true;
}

static void step(struct talk *t)
{
	uint64_t most = next(t, 2) ? 9 : 40000;

	switch (next(t, 8)) {
	case 0:
		ask(t);
		break;
	case 1:
		upload(t);
		break;
	case 2:
		if (t->count && !next(t, 4))
			cancel(t, &t->asked[next(t, t->count)]);
		break;
	case 3:
		/* The first byte decides how the server speaks. */
		if (t->over) {
			assert_int_equal(
				kedge_conn_push(t->conn, "pushed", (struct kedge_span){ NULL, 0 }),
				0);
			t->pushed++;
		}
		break;
	case 4:
	case 5:
		(void)to_server(t, most);
		break;
	default:
		(void)to_client(t, most);
	}
}

/* Everything that was asked comes to the end that it should have. */
static void finish(struct talk *t)
{
	while (t->uploading)
		upload(t);
	while (to_server(t, 100000) || to_client(t, 100000))
		;
	for (size_t i = 0; i < t->count; i++)
		if (t->asked[i].kind == ASK_NEVER)
			cancel(t, &t->asked[i]);
	while (to_server(t, 100000) || to_client(t, 100000))
		;
	assert_int_equal(t->over, t->count);
	assert_int_equal(kedge_caller_in_flight(t->caller), 0);
	assert_int_equal(kedge_conn_in_flight(t->conn), 0);
	assert_int_equal(t->events, t->pushed);
}

static void test_both_sides_agree(void **state)
{
	struct kedge_conn_options server = { .size = sizeof(server),
					     .handlers = { .on_request = on_request },
					     .protocol = KEDGE_PROTOCOL_FRAMES };
	size_t calls = 0;

	(void)state;
	for (size_t i = 0; i < BODY_MAX; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct talk *t = calloc(1, sizeof(*t));
		struct kedge_caller_options client = { .size = sizeof(client),
						       .protocol = KEDGE_PROTOCOL_FRAMES,
						       .handlers = { .on_event = on_event },
						       .userdata = t };

		assert_non_null(t);
		t->random = seed * UINT64_C(0x9E3779B97F4A7C15);
		assert_int_equal(kedge_caller_new(&t->caller, &client), 0);
		assert_int_equal(kedge_conn_new(&t->conn, &server), 0);
		seed_of_failure = (unsigned)seed;
		for (int i = 0; i < STEPS; i++)
			step(t);
		finish(t);
		calls += t->count;
		kedge_conn_free(t->conn);
		kedge_caller_free(t->caller);
		free(t);
	}
	assert_true(calls > (size_t)SEEDS * STEPS / 20);
	seed_of_failure = 0;
}

static int tell_seed(void **state)
{
	(void)state;
	if (seed_of_failure)
		print_message("# failed with seed %u\n", seed_of_failure);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_both_sides_agree, tell_seed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
