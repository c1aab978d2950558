/*
 * Without memory: the n-th allocation fails, for n = 1, 2, 3, ... until none does
 * any more. Whatever fails is told by -ENOMEM, every call that was taken ends
 * exactly once, and nothing leaks (the address sanitizer looks on).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "kedge/client.h"
#include "rpc/caller.h"
#include "rpc/test-allocator.h"

#define RUNS_MAX 500

static unsigned until_failure; /* 0: none fails */
static bool failed, none_left;

static bool is_refused(void)
{
	if (none_left)
		return true;
	if (!until_failure || --until_failure)
		return false;
	failed = true;
	return true;
}

static unsigned taken, ended;

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	(void)userdata;
	ended += reply->outcome != KEDGE_OUTCOME_STREAM;
}

static void on_request(struct kedge_caller *caller, const struct kedge_asked *asked, void *userdata)
{
	int r = kedge_caller_reply(caller, asked->id, kedge_span("{}"));

	(void)userdata;
	assert_true(r == 0 || r == -ENOMEM);
}

/* Return: the call's number, or 0: no memory. */
static uint64_t ask(struct kedge_caller *caller, struct kedge_ask a)
{
	uint64_t number = 0;
	int r;

	a.method = "m";
	a.on_reply = on_reply;
	a.deadline_ns = 1000;
	r = kedge_caller_call(caller, &a, &number);
	assert_true(r == 0 || r == -ENOMEM);
	assert_true((r == 0) == (number != 0));
	taken += r == 0;
	return number;
}

static int feed(struct kedge_caller *caller, const char *text)
{
	size_t room, n = strlen(text);
	unsigned char *to = kedge_caller_input(caller, &room);

	if (!to)
		return -ENOMEM;
	memcpy(to, (unsigned char[]){ 0, 0, 0, (unsigned char)n }, 4);
	memcpy(to + 4, text, n);
	return kedge_caller_received(caller, n + 4);
}

static void feed_all(struct kedge_caller *caller)
{
	static const char *const frames[] = {
		"{\"id\":\"d:1\",\"method\":\"m\"}",
		"{\"id\":\"1\",\"headers\":{\"content-length\":\"1\"}}",
		"x",
		"{\"id\":\"2\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
		"x",
		"",
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]) && r == 0; i++)
		r = feed(caller, frames[i]);
	/* Where a call failed the frames belong to nobody: that is no trouble. */
	assert_true(r == 0 || r == -ENOMEM);
}

static void live(struct kedge_caller *caller)
{
	struct kedge_span headers = kedge_span("{\"a\":1}"), body = kedge_span("body");
	uint64_t upload;

	(void)ask(caller, (struct kedge_ask){ .params = kedge_span("[1]") });
	(void)ask(caller, (struct kedge_ask){ .headers = headers,
					      .body_kind = KEDGE_BODY_WHOLE,
					      .body = body });
	upload = ask(caller, (struct kedge_ask){ .body_kind = KEDGE_BODY_STREAMED });
	(void)ask(caller, (struct kedge_ask){ .if_lost = KEDGE_IF_LOST_RESEND });
	if (upload) {
		int r = kedge_caller_upload(caller, upload, body);

		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(kedge_caller_upload_end(caller, upload), 0);
	}
	feed_all(caller);
	kedge_caller_lost(caller);
	kedge_caller_expire(caller, 1000);
}

static void test_each_allocation_may_fail(void **state)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_FRAMES,
						.handlers = { .on_request = on_request } };
	unsigned n = 0;

	(void)state;
	do {
		struct kedge_caller *caller = NULL;
		int r;

		assert_true(++n < RUNS_MAX);
		taken = ended = 0;
		failed = false;
		until_failure = n;
		r = kedge_caller_new(&caller, &options);
		if (r == 0)
			live(caller);
		else
			assert_int_equal(r, -ENOMEM);
		kedge_caller_free(caller);
		until_failure = 0;
		assert_int_equal(taken, ended);
	} while (failed);
	/* A test of the test: there was something to fail. */
	assert_true(n > 10);
}

/* What fails has left nothing of itself in the output, which had @before bytes. */
static bool is_written(const struct kedge_caller *caller, size_t before, int r)
{
	assert_true(r == 0 || (r == -ENOMEM && failed));
	if (r < 0)
		assert_int_equal(kedge_caller_output_bytes(caller), before);
	return r == 0;
}

static uint64_t act_call(struct kedge_caller *caller, struct kedge_ask ask)
{
	size_t before = kedge_caller_output_bytes(caller);
	uint64_t number = 0;
	int r;

	ask.method = "m";
	ask.params = kedge_span("[1,\n2]");
	r = kedge_caller_call(caller, &ask, &number);
	return is_written(caller, before, r) ? number : 0;
}

static void act_ask(struct kedge_caller *caller)
{
	(void)act_call(caller, (struct kedge_ask){ .if_lost = KEDGE_IF_LOST_RESEND });
}

static void act_ask_with_body(struct kedge_caller *caller)
{
	if (caller->protocol == KEDGE_PROTOCOL_FRAMES)
		(void)act_call(caller, (struct kedge_ask){ .headers = kedge_span("{\"a\":1}"),
							   .body_kind = KEDGE_BODY_WHOLE,
							   .body = kedge_span("some bytes") });
}

static void act_upload(struct kedge_caller *caller)
{
	uint64_t number = 0;
	size_t before;

	if (caller->protocol == KEDGE_PROTOCOL_FRAMES)
		number = act_call(caller, (struct kedge_ask){ .body_kind = KEDGE_BODY_STREAMED });
	if (!number)
		return;
	before = kedge_caller_output_bytes(caller);
	(void)is_written(caller, before, kedge_caller_upload(caller, number, kedge_span("piece")));
	act_ask(caller);
	/* Has its room, come what may. */
	assert_int_equal(kedge_caller_upload_end(caller, number), 0);
}

static void act_cancel(struct kedge_caller *caller)
{
	uint64_t number = act_call(caller, (struct kedge_ask){ .deadline_ns = 5 });

	if (number)
		assert_int_equal(kedge_caller_cancel(caller, number), 0);
}

static void act_answer(struct kedge_caller *caller)
{
	const struct kedge_rpc_error error = { .text = kedge_span("no"), .status = 400 };
	size_t before = kedge_caller_output_bytes(caller);

	(void)is_written(caller, before, kedge_caller_fail(caller, kedge_span("\"d:1\""), &error));
}

/* The server's request takes memory, and so does the answer. */
static void act_be_asked(struct kedge_caller *caller)
{
	static const char text[] = "{\"id\":\"d:1\",\"method\":\"m\"}\n";
	size_t before = kedge_caller_output_bytes(caller), room;
	char *to = kedge_caller_input(caller, &room);
	size_t header = caller->protocol == KEDGE_PROTOCOL_FRAMES ? FRAME_HEADER_BYTES : 0;

	if (!to)
		return;
	frame_put_length(to, sizeof(text) - 1);
	memcpy(to + header, text, sizeof(text) - 1);
	(void)is_written(caller, before, kedge_caller_received(caller, header + sizeof(text) - 1));
}

static void act_name(struct kedge_caller *caller)
{
	struct kedge_span id = kedge_caller_id(caller, 17);

	assert_true(failed ? !id.data && !id.size : id.size == 4);
}

/* More than the output's first memory. */
#define FILLED_MAX 600

/* @filled: bytes that wait to be sent. The @n-th allocation fails. Return: whether there was
 * one. */
static bool act_without_memory(void (*act)(struct kedge_caller *caller),
			       enum kedge_protocol protocol, size_t filled, unsigned n)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = protocol,
						.handlers = { .on_request = on_request } };
	char digits[FILLED_MAX];
	struct kedge_caller *caller;

	memset(digits, '1', sizeof(digits));
	assert_int_equal(kedge_caller_new(&caller, &options), 0);
	assert_int_equal(kedge_caller_reply(caller, kedge_span("\"d:0\""),
					    (struct kedge_span){ digits, filled }),
			 0);
	failed = false;
	until_failure = n;
	act(caller);
	until_failure = 0;
	/* Whatever it was: the next one is taken. */
	assert_int_equal(kedge_caller_call(caller, &(struct kedge_ask){ .method = "m" }, NULL), 0);
	kedge_caller_free(caller);
	return failed;
}

/* Wherever the output's room ends. */
static void test_room_ends_anywhere(void **state)
{
	static void (*const acts[])(
		struct kedge_caller *) = { act_ask,    act_ask_with_body, act_upload, act_cancel,
					   act_answer, act_be_asked,      act_name };
	static const enum kedge_protocol protocols[] = { KEDGE_PROTOCOL_LINES,
							 KEDGE_PROTOCOL_FRAMES };

	(void)state;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		for (size_t filled = 1; filled < FILLED_MAX; filled++)
			for (size_t j = 0; j < 2; j++) {
				unsigned n = 1;

				while (act_without_memory(acts[i], protocols[j], filled, n))
					assert_true(++n < RUNS_MAX);
			}
}

/* A stream has begun, and its time limit has no memory: the connection cannot go on, and says
 * so until it is given up; the next one can. */
static void test_no_memory_for_a_deadline(void **state)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_FRAMES };
	const struct kedge_ask whole = { .method = "m", .on_reply = on_reply };
	struct kedge_caller *caller;

	(void)state;
	taken = ended = 0;
	assert_int_equal(kedge_caller_new(&caller, &options), 0);
	assert_int_equal(kedge_caller_call(caller, &whole, NULL), 0);
	assert_int_equal(feed(caller, "{}"), 0);
	caller->clock_ns = 1000;
	none_left = true;
	assert_int_equal(
		feed(caller, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}"),
		-ENOMEM);
	none_left = false;
	assert_int_equal(ended, 0);
	assert_int_equal(kedge_caller_received(caller, 0), -ENOMEM);
	kedge_caller_lost(caller);
	assert_int_equal(ended, 1);
	assert_int_equal(kedge_caller_call(caller, &whole, NULL), 0);
	assert_int_equal(feed(caller, "{\"id\":\"2\",\"result\":1}"), 0);
	assert_int_equal(ended, 2);
	kedge_caller_free(caller);
}

/* The next frame of the output, which must be there. */
static size_t next_frame(struct kedge_caller *caller)
{
	const void *data;
	const unsigned char *b;
	size_t size, n;

	assert_true(kedge_caller_output(caller, &data, &size));
	b = data;
	n = (size_t)b[2] << 8 | b[3];
	assert_true(size >= 4 + n && !b[0] && !b[1]);
	kedge_caller_sent(caller, 4 + n);
	return n;
}

/* What was said after an upload that could not be ended was once taken for a piece of it. */
static void test_an_upload_ends_without_memory(void **state)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_FRAMES };
	struct kedge_caller *caller;
	char piece[508]; /* as a frame it fills the buffer: no room for the end is left over */
	uint64_t upload;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	assert_int_equal(kedge_caller_new(&caller, &options), 0);
	upload = ask(caller, (struct kedge_ask){ .body_kind = KEDGE_BODY_STREAMED });
	(void)next_frame(caller);
	assert_int_equal(kedge_caller_upload(caller, upload, (struct kedge_span){ piece, 508 }), 0);
	(void)ask(caller, (struct kedge_ask){ .params = { "[\"behind it\"]", 13 } });
	none_left = true;
	assert_int_equal(kedge_caller_cancel(caller, upload), 0);
	none_left = false;
	assert_int_equal(next_frame(caller), 508);
	assert_int_equal(next_frame(caller), 0);
	assert_true(next_frame(caller) > 13);
	kedge_caller_free(caller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_may_fail),
		cmocka_unit_test(test_room_ends_anywhere),
		cmocka_unit_test(test_no_memory_for_a_deadline),
		cmocka_unit_test(test_an_upload_ends_without_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
