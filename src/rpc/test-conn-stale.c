/* What is said of tickets that are answered, of streams that are none, and to a connection
 * that is at its end: by each function, and nothing is sent. */
#include <errno.h>
#include <string.h>

#include "rpc/frame.h"
#include "rpc/test-peer.h"

static const struct kedge_span absent = { NULL, 0 };

static void open_with_limit(struct peer *p, enum kedge_protocol protocol, size_t output_bytes_max)
{
	struct kedge_conn_options options = peer_options(p, protocol);

	options.limits.output_bytes_max = output_bytes_max;
	options.call_prefix = "d:";
	peer_open(p, &options);
}

static void expect_all(struct kedge_conn *conn, uint64_t ticket, int r)
{
	const struct kedge_rpc_error error = { .text = kedge_span("no"), .status = 400 };

	assert_int_equal(kedge_conn_reply(conn, ticket, absent), r);
	assert_int_equal(kedge_conn_fail(conn, ticket, &error), r);
	assert_int_equal(kedge_conn_reply_body(conn, ticket, absent, absent), r);
	assert_int_equal(kedge_conn_stream_begin(conn, ticket, absent), r);
	assert_int_equal(kedge_conn_stream_write(conn, ticket, kedge_span("x")), r);
	assert_int_equal(kedge_conn_stream_end(conn, ticket), r);
	assert_int_equal(kedge_conn_set_tag(conn, ticket, conn), r);
	assert_int_equal(kedge_conn_hold(conn, ticket), r);
	assert_int_equal(kedge_conn_release(conn, ticket), r);
	assert_null(kedge_conn_tag(conn, ticket));
	assert_int_equal(kedge_conn_request_id(conn, ticket).size, 0);
}

static void test_answered(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with_limit(&p, KEDGE_PROTOCOL_LINES, 0);
	peer_feed_text(&p, "{\"id\":\"a\",\"method\":\"later\"}\n");
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	peer_expect_text(&p, "{\"id\":\"a\",\"result\":1}\n");
	expect_all(p.conn, p.later[0], -ESTALE);
	peer_expect_text(&p, "");
	peer_close(&p);
}

/* An answer and a stream exclude each other. */
static void test_mixed(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with_limit(&p, KEDGE_PROTOCOL_LINES, 0);
	peer_feed_text(&p,
		       "{\"id\":\"a\",\"method\":\"open\"}\n{\"id\":\"b\",\"method\":\"later\"}\n");
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), -EINVAL);
	assert_int_equal(kedge_conn_reply_body(p.conn, p.later[0], absent, absent), -EINVAL);
	assert_int_equal(kedge_conn_stream_begin(p.conn, p.later[0], absent), -EINVAL);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[1], kedge_span("x")), -EINVAL);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[1]), -EINVAL);
	peer_expect_text(&p, "");
	assert_int_equal(kedge_conn_in_flight(p.conn), 2);
	peer_close(&p);
}

/* Its output went over the limit: what comes after is refused, and there is nothing to take. */
static void test_dead(void **state)
{
	struct peer p = { 0 };
	const void *data;
	uint64_t number;
	size_t n;

	(void)state;
	open_with_limit(&p, KEDGE_PROTOCOL_LINES, 64);
	peer_feed_text(&p, "{\"id\":\"a\",\"method\":\"later\"}\n");
	assert_int_equal(p.later_count, 1);
	assert_int_equal(kedge_conn_push(p.conn, "an event of some length, and then some more",
					 kedge_span("[1,2,3,4,5,6,7,8,9]")),
			 -ENOBUFS);
	assert_true(kedge_conn_is_finished(p.conn));
	expect_all(p.conn, p.later[0], -ESTALE);
	assert_int_equal(kedge_conn_push(p.conn, "e", absent), -ENOBUFS);
	assert_int_equal(kedge_conn_send(p.conn, kedge_span("{}")), -ENOBUFS);
	assert_int_equal(kedge_conn_call(p.conn, "m", absent, &number), -ENOBUFS);
	assert_null(kedge_conn_input(p.conn, &n));
	assert_false(kedge_conn_output(p.conn, &data, &n));
	assert_false(kedge_conn_wants_input(p.conn));
	/* What was on its way when it died may still be told of. */
	kedge_conn_sent(p.conn, 1);
	peer_close(&p);
}

/* A body that no frame can carry: nothing of it is sent, nor read. */
static void test_too_long_for_a_frame(void **state)
{
	const struct kedge_span body = { "", (size_t)FRAME_BYTES_MAX + 1 };
	struct peer p = { 0 };
	const void *data;
	size_t n;

	(void)state;
	open_with_limit(&p, KEDGE_PROTOCOL_FRAMES, 0);
	peer_feed_frame(&p, "{\"id\":\"a\",\"method\":\"later\"}");
	assert_int_equal(kedge_conn_reply_body(p.conn, p.later[0], absent, body), -ENOBUFS);
	assert_true(kedge_conn_is_finished(p.conn));
	assert_false(kedge_conn_output(p.conn, &data, &n));
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_too_long_for_a_frame),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
