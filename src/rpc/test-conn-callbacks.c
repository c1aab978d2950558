/* Callbacks of a connection that act on it: on streams and bodies in the midst of their turns. */
#include <errno.h>

#include "rpc/test-peer.h"

#define BEGUN(id)  "{\"id\":" id ",\"headers\":{\"x\":[1],\"transfer-encoding\":\"chunked\"}}"
#define OPEN(id)   "{\"id\":" id ",\"method\":\"open\"}"
#define LATER(id)  "{\"id\":" id ",\"method\":\"later\"}"
#define ECHO(id)   "{\"id\":" id ",\"method\":\"echo\"}"
#define NULLED(id) "{\"id\":" id ",\"result\":null}"
#define CHUNKED(id)                                                                                \
	"{\"id\":" id ",\"method\":\"later\",\"headers\":{\"transfer-encoding\":\"chunked\"}}"

static struct kedge_conn_options options_for(struct peer *p, enum kedge_upload upload)
{
	p->upload = upload;
	return peer_options(p, KEDGE_PROTOCOL_FRAMES);
}

/* The stream that was on the wire has ended, and none is there yet in its place. */
static void begin_and_end(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct peer *p = userdata;

	(void)ticket;
	if (tag != (void *)1)
		return;
	assert_int_equal(kedge_conn_stream_begin(conn, p->later[3], kedge_span("{\"x\":[1]}")), 1);
	assert_int_equal(kedge_conn_stream_end(conn, p->later[1]), 0);
}

/* Whoever begins a stream there waits behind those that were begun before; one of these that
 * ends there needs no turn. */
static void test_turns_are_not_jumped(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_COLLECT);

	(void)state;
	options.handlers.on_cancel = begin_and_end;
	peer_open(&p, &options);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, OPEN("2"));
	peer_feed_frame(&p, OPEN("3"));
	peer_feed_frame(&p, LATER("4"));
	peer_feed_frame(&p, "{\"id\":5,\"method\":\"$cancel\",\"params\":{\"targetId\":1}}");
	EXPECT(&p, BEGUN("1"), "", NULLED("5"), BEGUN("2"), "", BEGUN("3"));
	peer_expect_log(&p, "writable 3\n");
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[2]), 0);
	EXPECT(&p, "", BEGUN("4"));
	assert_int_equal(kedge_conn_in_flight(p.conn), 1);
	peer_close(&p);
}

static void end_at_once(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	(void)tag, (void)userdata;
	assert_int_equal(kedge_conn_stream_end(conn, ticket), 0);
}

/* Each has nothing to say when its turn comes: all of them come to their end in one go. */
static void test_turns_of_those_that_end(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_COLLECT);

	(void)state;
	options.handlers.on_writable = end_at_once;
	peer_open(&p, &options);
	peer_feed_frame(&p, OPEN("1"));
	peer_feed_frame(&p, OPEN("2"));
	peer_feed_frame(&p, OPEN("3"));
	peer_feed_frame(&p, ECHO("4"));
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	EXPECT(&p, BEGUN("1"), "", NULLED("4"), BEGUN("2"), "", BEGUN("3"), "");
	assert_int_equal(kedge_conn_in_flight(p.conn), 0);
	peer_close(&p);
}

/* A stream that was let begin, and let write, may end with the output as full as can be. */
static void test_an_end_has_its_room(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_COLLECT);
	char chunk[81] = "";

	(void)state;
	memset(chunk, 'x', 80);
	options.limits.output_bytes_high = 200;
	options.limits.output_bytes_max = 4 + strlen(BEGUN("1")) + 4 + 80;
	peer_open(&p, &options);
	peer_feed_frame(&p, OPEN("1"));
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], kedge_span(chunk)), 0);
	assert_int_equal(kedge_conn_output_bytes(p.conn), options.limits.output_bytes_max);
	assert_int_equal(kedge_conn_stream_write(p.conn, p.later[0], kedge_span("y")), -EAGAIN);
	assert_int_equal(kedge_conn_stream_end(p.conn, p.later[0]), 0);
	EXPECT(&p, BEGUN("1"), chunk, "");
	peer_feed_frame(&p, ECHO("2"));
	EXPECT(&p, NULLED("2"));
	peer_close(&p);
}

/* Holds the body when it is over, and lets it go on while it does. */
static void hold_too_late(struct kedge_conn *conn, uint64_t ticket, void *tag,
			  struct kedge_span piece, void *userdata)
{
	struct peer *p = userdata;

	(void)tag;
	p->body_bytes += piece.size;
	if (piece.size) {
		assert_int_equal(kedge_conn_release(conn, ticket), 0);
		return;
	}
	assert_int_equal(kedge_conn_hold(conn, ticket), 0);
	assert_true(kedge_conn_wants_input(conn));
}

/* What follows a body is not held back with it. */
static void test_a_hold_at_the_end(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_STREAM);
	struct buf in = BUF_INIT;

	(void)state;
	options.handlers.on_body = hold_too_late;
	peer_open(&p, &options);
	frames_append(&in, CHUNKED("1"), "ab", "c", "", ECHO("2"), NULL);
	peer_feed(&p, buf_front(&in), buf_size(&in));
	assert_int_equal(p.body_bytes, 3);
	EXPECT(&p, NULLED("2"));
	assert_int_equal(kedge_conn_in_flight(p.conn), 1);
	buf_deinit(&in);
	peer_close(&p);
}

/* It was answered: nobody is left whom what becomes of the rest concerns. */
static void test_the_rest_is_too_long(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_STREAM);
	char large[121] = "";

	(void)state;
	memset(large, 'y', 120);
	options.limits.message_bytes_max = 100;
	peer_open(&p, &options);
	peer_feed_frame(&p, CHUNKED("1"));
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	peer_feed_frame(&p, large);
	peer_feed_frame(&p, "");
	peer_feed_frame(&p, ECHO("2"));
	EXPECT(&p, "{\"id\":1,\"result\":1}", NULLED("2"));
	peer_expect_log(&p, "output\n");
	peer_close(&p);
}

static void test_the_rest_never_comes(void **state)
{
	struct peer p;
	struct kedge_conn_options options = options_for(&p, KEDGE_UPLOAD_STREAM);

	(void)state;
	peer_open(&p, &options);
	peer_feed_frame(&p, CHUNKED("1"));
	peer_feed_frame(&p, "ab");
	assert_int_equal(kedge_conn_reply(p.conn, p.later[0], kedge_span("1")), 0);
	kedge_conn_received_eof(p.conn);
	EXPECT(&p, "{\"id\":1,\"result\":1}");
	peer_expect_log(&p, "aboutput\n");
	assert_true(kedge_conn_is_finished(p.conn));
	peer_close(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns_are_not_jumped),
		cmocka_unit_test(test_turns_of_those_that_end),
		cmocka_unit_test(test_an_end_has_its_room),
		cmocka_unit_test(test_a_hold_at_the_end),
		cmocka_unit_test(test_the_rest_is_too_long),
		cmocka_unit_test(test_the_rest_never_comes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
