/*
 * Memory: none is asked for on the fast path, and none that is refused does harm.
 * The allocator is wrapped by the linker: see meson.build.
 */
#include <errno.h>
#include <stdlib.h>

#include "rpc/test-allocator.h"
#include "rpc/test-peer.h"

static size_t asked;   /* how often memory was asked for */
static size_t fail_at; /* the how-manieth time it is refused; 0: never */

static bool refusing; /* every time from now on */

static bool is_refused(void)
{
	return ++asked == fail_at || refusing;
}

/* A server that keeps some requests open and answers them afterwards, without a log. */
struct server {
	uint64_t open[16];
	size_t count;
	size_t streams, bodies; /* requests that were answered by one, or came with one */
};

static void on_request(struct kedge_conn *conn, const struct kedge_request *r, void *userdata)
{
	struct server *s = userdata;
	struct kedge_rpc_error error = { .text = kedge_span("no"), .status = 400 };

	s->streams += r->method.size == 6;
	s->bodies += r->body_kind != KEDGE_BODY_NONE;
	if (r->method.size == 5)
		s->open[s->count++] = r->ticket;
	else if (r->method.size == 4)
		(void)kedge_conn_reply(conn, r->ticket, r->params);
	else if (r->method.size == 6)
		(void)kedge_conn_stream_begin(conn, r->ticket, r->headers);
	else if (r->method.size == 3)
		(void)kedge_conn_reply_body(conn, r->ticket, r->headers, r->body);
	else
		(void)kedge_conn_fail(conn, r->ticket, &error);
}

static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *r,
				   void *userdata)
{
	(void)conn, (void)userdata;
	return r->method.size == 3 ? KEDGE_UPLOAD_COLLECT : KEDGE_UPLOAD_STREAM;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	(void)tag, (void)userdata;
	if (piece.size)
		(void)kedge_conn_stream_write(conn, ticket, piece);
	else
		(void)kedge_conn_stream_end(conn, ticket);
}

static struct kedge_conn_options options_for(struct server *s, enum kedge_protocol protocol)
{
	return (struct kedge_conn_options){
		.size = sizeof(struct kedge_conn_options),
		.protocol = protocol,
		.userdata = s,
		.handlers = { .on_request = on_request, .on_upload = on_upload, .on_body = on_body }
	};
}

/* Return: false: the connection had no memory. */
static bool feed(struct kedge_conn *conn, const struct buf *in)
{
	size_t room;
	void *to = kedge_conn_input(conn, &room);

	if (!to)
		return false;
	assert_true(room >= buf_size(in));
	memcpy(to, buf_front(in), buf_size(in));
	return kedge_conn_received(conn, buf_size(in)) == 0;
}

static void answer_all(struct kedge_conn *conn, struct server *s)
{
	const void *data;
	size_t size;

	while (s->count)
		(void)kedge_conn_reply(conn, s->open[--s->count], kedge_span("{}"));
	while (kedge_conn_output(conn, &data, &size))
		kedge_conn_sent(conn, size);
}

#define REQUESTS                                                                                   \
	"{\"id\":\"1\",\"method\":\"echo\",\"params\":{\"a\":[1,2,3]}}",                           \
		"{\"id\":\"an id of at most 48 bytes, as a UUID or so\",\"method\":\"later\"}",    \
		"{\"id\":\"s:17\",\"method\":\"l\\u0061ter\",\"params\":null}", "nonsense",        \
		"{\"id\":true}", "{\"id\":\"3\",\"method\":\"fails with words\"}"

static void batch(struct buf *b, enum kedge_protocol protocol)
{
	static const char *const texts[] = { REQUESTS };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (protocol == KEDGE_PROTOCOL_FRAMES)
			frames_append(b, texts[i], NULL);
		else
			assert_int_equal(buf_appendf(b, "%s\n", texts[i]), 0);
}

/* With warm buffers: answers at once and later, refusals, in lines and frames. */
static void fast_path(enum kedge_protocol protocol)
{
	struct server s = { .count = 0 };
	struct kedge_conn_options options = options_for(&s, protocol);
	struct kedge_conn *conn;
	struct buf in = BUF_INIT;
	size_t before;

	batch(&in, protocol);
	assert_int_equal(kedge_conn_new(&conn, &options), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(feed(conn, &in));
		answer_all(conn, &s);
	}
	before = asked;
	for (int i = 0; i < 1000; i++) {
		assert_true(feed(conn, &in));
		answer_all(conn, &s);
	}
	assert_int_equal(asked, before);
	kedge_conn_free(conn);
	buf_deinit(&in);
}

static void test_no_allocation(void **state)
{
	(void)state;
	fast_path(KEDGE_PROTOCOL_LINES);
	fast_path(KEDGE_PROTOCOL_FRAMES);
}

/* Everything that takes memory. With a prefix for calls of its own a connection refuses ids
 * that are no strings: it once got no further than that. */
static void script(struct buf *in)
{
	static const char *const texts[] = {
		REQUESTS,
		"{\"id\":\"4\",\"method\":\"raw\",\"headers\":{\"content-length\":1,\"a\":1}}",
		"bytes",
		"{\"id\":\"5\",\"method\":\"raw\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
		"by",
		"tes",
		"",
		("{\"id\":\"an id that is too long for its ticket, and kept in memory of its own\","
		 "\"method\":\"stream\",\"headers\":{\"transfer-encoding\":\"chunked\",\"a\":1}}"),
		"by",
		"{\"id\":\"6\",\"method\":\"no\"}",
		"",
		"{\"id\":\"7\",\"method\":\"stream\"}",
		"{\"id\":\"8\",\"method\":\"stream\"}",
		"{\"id\":\"9\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"8\"}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		frames_append(in, texts[i], NULL);
}

static bool everything(struct kedge_conn *conn, struct server *s, const struct buf *in)
{
	uint64_t number;
	bool fine = feed(conn, in) && kedge_conn_push(conn, "\xFF", kedge_span("1")) == 0 &&
		    kedge_conn_call(conn, "m", kedge_span("[]"), &number) == 0;

	answer_all(conn, s);
	return fine && !kedge_conn_is_finished(conn);
}

/* The n-th time memory is asked for there is none, for every n there is: the connection
 * says so or is finished, and leaves nothing behind. */
static void test_refused(void **state)
{
	struct server s = { .count = 0 };
	struct kedge_conn_options options = options_for(&s, KEDGE_PROTOCOL_FRAMES);
	struct buf in = BUF_INIT;
	bool fine = false;
	size_t n = 0;

	(void)state;
	options.call_prefix = "d:";
	script(&in);
	while (!fine) {
		struct kedge_conn *conn = NULL;

		s = (struct server){ .count = 0 };
		fail_at = asked + ++n;
		if (kedge_conn_new(&conn, &options) == 0)
			fine = everything(conn, &s, &in);
		assert_true(!fine || asked < fail_at);
		fail_at = 0;
		kedge_conn_free(conn);
	}
	/* The last one came to all of it. */
	assert_int_equal(s.streams, 3);
	assert_int_equal(s.bodies, 3);
	/* The connection, its four buffers, the map, a stream ... */
	assert_in_range(n, 15, 100);
	buf_deinit(&in);
}

static int act_reply(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_reply(conn, s->open[0], kedge_span("{\"a\":[1,2,3]}"));
}

static int act_fail(struct kedge_conn *conn, struct server *s)
{
	const struct kedge_rpc_error error = { .text = kedge_span("no"), .status = 400 };

	return kedge_conn_fail(conn, s->open[0], &error);
}

static int act_body(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_reply_body(conn, s->open[0], (struct kedge_span){ NULL, 0 },
				     kedge_span("some bytes"));
}

static int act_body_with_headers(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_reply_body(conn, s->open[0], kedge_span("{\"a\":1}"),
				     kedge_span("some bytes"));
}

static int act_push(struct kedge_conn *conn, struct server *s)
{
	(void)s;
	return kedge_conn_push(conn, "e", kedge_span("[1]"));
}

static int act_send(struct kedge_conn *conn, struct server *s)
{
	(void)s;
	return kedge_conn_send(conn, kedge_span("{\"a\":1}"));
}

static int act_begin(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_stream_begin(conn, s->open[0], (struct kedge_span){ NULL, 0 });
}

static int act_write(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_stream_write(conn, s->open[0], kedge_span("a chunk"));
}

static int act_end(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_stream_end(conn, s->open[0]);
}

/* The one that waits behind it. */
static int act_end_waiting(struct kedge_conn *conn, struct server *s)
{
	return kedge_conn_stream_end(conn, s->open[1]);
}

static int fill_by_message(struct kedge_conn *conn, struct server *s, struct kedge_span digits)
{
	(void)s;
	return kedge_conn_send(conn, digits);
}

/* Messages would go behind the chunks of the stream that is open. */
static int fill_by_chunk(struct kedge_conn *conn, struct server *s, struct kedge_span digits)
{
	return kedge_conn_stream_write(conn, s->open[0], digits);
}

/* With so many streams begun before. */
static const struct {
	int (*act)(struct kedge_conn *conn, struct server *s);
	size_t streams;
	int (*fill)(struct kedge_conn *conn, struct server *s, struct kedge_span digits);
} acts[] = {
	{ act_reply, 0, fill_by_message },       { act_fail, 0, fill_by_message },
	{ act_body, 0, fill_by_message },        { act_body_with_headers, 0, fill_by_message },
	{ act_push, 0, fill_by_message },        { act_send, 0, fill_by_message },
	{ act_begin, 0, fill_by_message },       { act_push, 1, fill_by_message },
	{ act_write, 1, fill_by_chunk },         { act_end, 1, fill_by_message },
	{ act_end, 1, fill_by_chunk },           { act_end, 2, fill_by_message },
	{ act_end_waiting, 2, fill_by_message },
};

/* More than the output's first memory. */
#define FILLED_MAX 600

/* @filled: bytes that wait to be sent, in front of what is done. Return: whether there was no room.
 */
static bool act_without_room(size_t row, enum kedge_protocol protocol, size_t filled)
{
	static const char later[] = "{\"id\":1,\"method\":\"later\"}";
	char digits[FILLED_MAX];
	struct server s = { .count = 0 };
	struct kedge_conn_options options = options_for(&s, protocol);
	struct buf in = BUF_INIT;
	struct kedge_conn *conn;
	bool dead;
	int r;

	memset(digits, '1', sizeof(digits));
	for (int i = 0; i < 2; i++)
		if (protocol == KEDGE_PROTOCOL_FRAMES)
			frames_append(&in, later, NULL);
		else
			assert_int_equal(buf_appendf(&in, "%s\n", later), 0);
	assert_int_equal(kedge_conn_new(&conn, &options), 0);
	assert_true(feed(conn, &in));
	assert_int_equal(s.count, 2);
	for (size_t i = 0; i < acts[row].streams; i++)
		assert_true(kedge_conn_stream_begin(conn, s.open[i],
						    (struct kedge_span){ NULL, 0 }) >= 0);
	kedge_conn_sent(conn, kedge_conn_output_bytes(conn));
	assert_int_equal(acts[row].fill(conn, &s, (struct kedge_span){ digits, filled }), 0);
	refusing = true;
	r = acts[row].act(conn, &s);
	refusing = false;
	assert_true(r == 0 || r == -ENOMEM);
	dead = kedge_conn_is_finished(conn);
	/* A stream that ended well may be followed by one that does not open. */
	assert_true(dead == (r < 0) || (dead && acts[row].streams == 2));
	assert_int_equal(kedge_conn_push(conn, "e", (struct kedge_span){ NULL, 0 }),
			 dead ? -ENOBUFS : 0);
	kedge_conn_free(conn);
	buf_deinit(&in);
	return dead;
}

/* Whatever is sent, wherever the output's room ends: it is there, or the connection is at its
 * end, and says so. */
static void test_room_ends_anywhere(void **state)
{
	static const enum kedge_protocol protocols[] = { KEDGE_PROTOCOL_LINES,
							 KEDGE_PROTOCOL_FRAMES };

	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(acts); row++)
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
			size_t refused = 0;

			for (size_t filled = 1; filled < FILLED_MAX; filled++)
				refused += act_without_room(row, protocols[i], filled);
			/* On lines a stream's chunks are counted only, and fill nothing. */
			assert_true(refused > 0 || (acts[row].fill == fill_by_chunk && i == 0));
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_allocation),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_room_ends_anywhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
