/* Handlers that are not there: nothing is called, and all else goes on. */
#include "rpc/test-caller.h"
#include "rpc/test-peer.h"

/* A caller that wants to hear of nothing but a subscription's events. */
static void test_a_caller_without_handlers(void **state)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_LINES };
	struct kedge_ask ask = { .method = "sub",
				 .on_delivery = rig_delivery,
				 .userdata = (void *)(uintptr_t) "sub" };
	struct rig rig;

	(void)state;
	rig_open(&rig, &options);
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig_line(&rig, "{\"id\":\"1\",\"result\":{\"subscribed\":true}}\n"
		       "{\"id\":\"1\",\"event\":\"delivery\",\"payload\":1}\n");
	rig_says(&rig, "sub delivery \"delivery\" 1\n");
	assert_int_equal(kedge_caller_dropped(rig.caller), 0);
	rig_line(&rig, "{\"id\":\"x\",\"method\":\"ask\"}\n");
	assert_int_equal(kedge_caller_dropped(rig.caller), 1);
	rig_says(&rig, "");
	rig_end(&rig);
}

/* What asks without a name or without an id that counts is no request. */
static void test_requests_that_are_none(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, KEDGE_PROTOCOL_LINES);
	rig_line(&rig, "{\"id\":\"x\",\"method\":5}\n{\"id\":null,\"method\":\"ask\"}\n"
		       "{\"id\":false,\"method\":\"ask\"}\n");
	rig_says(&rig, "");
	assert_int_equal(kedge_caller_dropped(rig.caller), 3);
	rig_line(&rig, "{\"id\":\"x\",\"method\":\"ask\"}\n");
	rig_says(&rig, "request \"x\" ask\n");
	rig_end(&rig);
}

/* A number behind a digit could not be told from it. */
static void test_prefixes(void **state)
{
	static const struct {
		const char *prefix;
		int result;
	} rows[] = { { "", 0 },         { "a", 0 },         { "a-", 0 }, { "d:", 0 },
		     { "a1", -EINVAL }, { "a b", -EINVAL }, { "1a", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kedge_caller_options options = rig_options(KEDGE_PROTOCOL_LINES);
		struct kedge_caller *caller = NULL;

		options.id_prefix = rows[i].prefix;
		assert_int_equal(kedge_caller_new(&caller, &options), rows[i].result);
		assert_int_equal(caller != NULL, rows[i].result == 0);
		kedge_caller_free(caller);
	}
}

/* A connection whose owner does not want to hear of answers. */
static void test_answers(void **state)
{
	struct peer p = { 0 };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_LINES);
	uint64_t number;

	(void)state;
	options.call_prefix = "d:";
	options.handlers.on_answer = NULL;
	peer_open(&p, &options);
	assert_int_equal(kedge_conn_call(p.conn, "ask", (struct kedge_span){ NULL, 0 }, &number),
			 0);
	peer_expect_text(&p, "{\"id\":\"d:1\",\"method\":\"ask\"}\n");
	peer_feed_text(&p, "{\"id\":\"d:1\",\"result\":1}\n{\"id\":\"s:1\",\"method\":\"echo\"}\n");
	peer_expect_text(&p, "{\"id\":\"s:1\",\"result\":null}\n");
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

/* ... or that a request is over before its answer. */
static void test_cancels(void **state)
{
	struct peer p = { 0 };
	struct kedge_conn_options options = peer_options(&p, KEDGE_PROTOCOL_FRAMES);
	struct buf wanted = BUF_INIT;

	(void)state;
	options.handlers.on_cancel = NULL;
	peer_open(&p, &options);
	peer_feed_frame(&p, "{\"id\":1,\"method\":\"later\"}");
	peer_feed_frame(&p, "{\"id\":2,\"method\":\"$cancel\",\"params\":{\"targetId\":1}}");
	frames_append(&wanted,
		      "{\"id\":1,\"error\":\"Cancelled\",\"statusCode\":499,"
		      "\"errorCode\":\"CANCELLED\"}",
		      "{\"id\":2,\"result\":null}", NULL);
	peer_expect(&p, buf_front(&wanted), buf_size(&wanted));
	peer_expect_log(&p, "");
	buf_deinit(&wanted);
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_caller_without_handlers),
		cmocka_unit_test(test_requests_that_are_none),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_cancels),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
