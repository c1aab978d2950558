/* Callbacks of a caller that act on it while an answer is under way, and those that are not there.
 */
#include "rpc/caller.h"
#include "rpc/test-caller.h"

#define FRAMES KEDGE_PROTOCOL_FRAMES

static int feed_frame(struct rig *rig, const char *text)
{
	size_t n = strlen(text);
	const char header[4] = { 0, 0, (char)(n >> 8), (char)n };
	int r = rig_feed(rig, header, 4);

	return r < 0 ? r : rig_feed(rig, text, n);
}

/* As if the connection had ended just then. What the reply says holds all the same. */
static void lose_then_look(const struct kedge_reply *reply, void *userdata)
{
	if (reply->outcome == KEDGE_OUTCOME_BODY || reply->outcome == KEDGE_OUTCOME_TOO_LARGE)
		kedge_caller_lost(the_rig->caller);
	rig_reply(reply, userdata);
}

/* ... and the next one is there, and has begun to answer. */
static void lose_in_chunk(struct kedge_span chunk, void *userdata)
{
	kedge_caller_lost(the_rig->caller);
	rig_chunk(chunk, userdata);
	rig_call(the_rig, "n");
	assert_int_equal(feed_frame(the_rig, "{\"id\":\"2\",\"headers\":{\"content-length\":2}}"),
			 0);
}

/* A binary answer's headers were freed under the one who was told of them. */
static void test_headers_outlive_a_loss(void **state)
{
	struct kedge_caller_options options = rig_options(FRAMES);
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	options.limits.message_bytes_max = 60;
	ask.on_reply = lose_then_look;
	rig_open(&rig, &options);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	assert_int_equal(feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"content-length\":1}}"), 0);
	assert_int_equal(feed_frame(&rig, "x"), 0);
	rig_says(&rig, "m body {\"content-length\":1} x\n");
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	assert_int_equal(feed_frame(&rig, "{\"id\":\"2\",\"headers\":{\"content-length\":61}}"), 0);
	assert_int_equal(rig_feed(&rig, "\0\0\0\x3D", 4), 0);
	rig_says(&rig, "m too-large {\"content-length\":61}\n");
	rig_end(&rig);
}

/* Headers of an answer that was given up before its body came are not those of the next. */
static void test_headers_of_one_answer(void **state)
{
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, FRAMES);
	number = rig_call(&rig, "a");
	rig_call(&rig, "b");
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"content-length\":1}}");
	assert_int_equal(kedge_caller_forget(rig.caller, number), 0);
	feed_frame(&rig, "x");
	feed_frame(&rig, "{\"id\":\"2\",\"headers\":{\"content-length\":\"1\"}}");
	feed_frame(&rig, "y");
	rig_says(&rig, "b body {\"content-length\":\"1\"} y\n");
	rig_end(&rig);
}

/* The last piece of a body: its end is not that of what comes next. */
static void test_loss_in_a_piece(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.take = KEDGE_TAKE_PIECES;
	ask.on_chunk = lose_in_chunk;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"content-length\":2}}");
	feed_frame(&rig, "ab");
	rig_says(&rig, "m stream {\"content-length\":2}\nm lost\nm chunk ab\n");
	feed_frame(&rig, "xy");
	rig_says(&rig, "n body {\"content-length\":2} xy\n");
	rig_end(&rig);
}

static void lose_when_cancelled(const struct kedge_reply *reply, void *userdata)
{
	rig_reply(reply, userdata);
	if (reply->outcome == KEDGE_OUTCOME_CANCELLED)
		kedge_caller_lost(the_rig->caller);
}

/* The next connection's server has nothing to cancel. */
static void test_loss_in_a_cancel(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;
	uint64_t number;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.on_reply = lose_when_cancelled;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	assert_int_equal(kedge_caller_cancel(rig.caller, number), 0);
	rig_says(&rig, "m cancelled\n");
	assert_int_equal(kedge_caller_output_bytes(rig.caller), 0);
	rig_end(&rig);
}

static uint64_t other;

static void cancel_other(const struct kedge_reply *reply, void *userdata)
{
	rig_reply(reply, userdata);
	if (other)
		assert_int_equal(kedge_caller_cancel(the_rig->caller, other), 0);
	other = 0;
}

/* At the end of the caller nothing is sent any more, and each call is told once. */
static void test_cancel_at_the_end(void **state)
{
	struct kedge_ask ask = rig_ask("a");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.on_reply = cancel_other;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	other = rig_call(&rig, "b");
	rig.caller = kedge_caller_free(rig.caller);
	rig_says(&rig, "a lost\nb cancelled\n");
	rig_end(&rig);
}

/* Where the output has no room for it the server is not told, and the caller is. */
static void test_no_room_for_a_cancel(void **state)
{
	struct kedge_caller_options options = rig_options(FRAMES);
	struct rig rig;
	uint64_t number;
	size_t before;

	(void)state;
	options.limits.output_bytes_max = 300;
	rig_open(&rig, &options);
	number = rig_call(&rig, "a");
	rig_call(&rig, "b");
	before = kedge_caller_output_bytes(rig.caller);
	assert_true(before > 300 - 256);
	assert_int_equal(kedge_caller_cancel(rig.caller, number), 0);
	rig_says(&rig, "a cancelled\n");
	assert_int_equal(kedge_caller_output_bytes(rig.caller), before);
	feed_frame(&rig, "{\"id\":\"2\",\"result\":1}");
	rig_says(&rig, "b result 1\n");
	rig_end(&rig);
}

/* A piece that no frame can carry: nothing of it is sent, nor read. */
static void test_too_long_for_a_frame(void **state)
{
	struct kedge_caller_options options = rig_options(FRAMES);
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;
	uint64_t number;
	size_t before;

	(void)state;
	options.limits.output_bytes_max = SIZE_MAX / 4;
	rig_open(&rig, &options);
	ask.body_kind = KEDGE_BODY_STREAMED;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	before = kedge_caller_output_bytes(rig.caller);
	assert_int_equal(kedge_caller_upload(rig.caller, number,
					     (struct kedge_span){ "", CALLER_FRAME_MAX + 1 }),
			 -ENOBUFS);
	assert_int_equal(kedge_caller_output_bytes(rig.caller), before);
	assert_int_equal(kedge_caller_upload(rig.caller, number, S("x")), 0);
	rig_end(&rig);
}

/* The time limit of a stream's first piece: none was wanted; or the stream was given up when it
 * began. */
static void give_up(const struct kedge_reply *reply, void *userdata)
{
	rig_reply(reply, userdata);
	if (reply->outcome == KEDGE_OUTCOME_STREAM)
		assert_int_equal(kedge_caller_forget(the_rig->caller, 2), 0);
}

static void test_no_limit_for_the_first_piece(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	rig.caller->clock_ns = 1000;
	ask.first_chunk_ms = -1;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	assert_true(kedge_caller_deadline(rig.caller) == TIME_NEVER);
	feed_frame(&rig, "");
	ask.first_chunk_ms = 5;
	ask.on_reply = give_up;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	feed_frame(&rig, "{\"id\":\"2\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	assert_true(kedge_caller_deadline(rig.caller) == TIME_NEVER);
	rig_says(&rig, "m stream {\"transfer-encoding\":\"chunked\"}\nm end\n"
		       "m stream {\"transfer-encoding\":\"chunked\"}\n");
	rig_end(&rig);
}

/* What says of itself that it is no stream is a message, and complete. */
static void test_other_encodings(void **state)
{
	static const char *const frames[] = {
		"{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"identity\"}}",
		"{\"id\":\"2\",\"headers\":{\"transfer-encoding\":5}}",
		"{\"id\":\"3\",\"headers\":{}}",
		"{\"id\":\"4\",\"headers\":\"chunked\"}",
		"{\"id\":\"5\",\"error\":\"e\",\"headers\":{\"content-length\":1}}",
	};
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		rig_call(&rig, "m");
		assert_int_equal(feed_frame(&rig, frames[i]), 0);
		rig_says(&rig, i < 4 ? "m result\n" : "m error 0 \"e\"\n");
	}
	rig_end(&rig);
}

/* Nobody to hear of it: it is counted, and the next message is taken. */
static void test_unheard(void **state)
{
	struct kedge_caller_options options = rig_options(KEDGE_PROTOCOL_LINES);
	struct rig rig;

	(void)state;
	options.handlers.on_stray = NULL;
	options.handlers.on_event = NULL;
	rig_open(&rig, &options);
	rig_call(&rig, "m");
	assert_int_equal(rig_line(&rig, "{\"id\":\"unknown\",\"error\":\"e\"}\n"), 0);
	assert_int_equal(rig_line(&rig, "{\"event\":\"e\"}\n{\"id\":\"1.5\"}\n{\"id\":\"1 \"}\n"),
			 0);
	assert_int_equal(kedge_caller_dropped(rig.caller), 4);
	assert_int_equal(rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n"), 0);
	rig_says(&rig, "m result 1\n");
	rig_end(&rig);
	/* An error that is nobody's, and does not say so. */
	rig_begin(&rig, KEDGE_PROTOCOL_LINES);
	assert_int_equal(rig_line(&rig, "{\"id\":\"7\",\"error\":\"e\"}\n"), 0);
	rig_says(&rig, "");
	assert_int_equal(kedge_caller_dropped(rig.caller), 1);
	rig_end(&rig);
}

/* Whoever wants the pieces alone is not told that they begin, and end. */
static void test_pieces_alone(void **state)
{
	struct kedge_ask ask = rig_ask("m");
	struct rig rig;

	(void)state;
	rig_begin(&rig, FRAMES);
	ask.on_reply = NULL;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	feed_frame(&rig, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	feed_frame(&rig, "ab");
	feed_frame(&rig, "");
	rig_says(&rig, "m chunk ab\n");
	assert_int_equal(kedge_caller_in_flight(rig.caller), 0);
	rig_end(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_outlive_a_loss),
		cmocka_unit_test(test_headers_of_one_answer),
		cmocka_unit_test(test_loss_in_a_piece),
		cmocka_unit_test(test_loss_in_a_cancel),
		cmocka_unit_test(test_cancel_at_the_end),
		cmocka_unit_test(test_no_room_for_a_cancel),
		cmocka_unit_test(test_too_long_for_a_frame),
		cmocka_unit_test(test_no_limit_for_the_first_piece),
		cmocka_unit_test(test_other_encodings),
		cmocka_unit_test(test_unheard),
		cmocka_unit_test(test_pieces_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
