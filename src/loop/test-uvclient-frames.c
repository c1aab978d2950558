/* The client on libuv with streams and bodies: nothing piles up on either side. */
#include "loop/test-uvclient.h"
#include "sys/clock.h"

#include <poll.h>

#define CHUNK_BYTES   65536
#define STREAM_CHUNKS 256
#define UPLOAD_BYTES  ((size_t)12 << 20)

/* Pause the stream each time that so much has come. */
#define SIP_BYTES ((size_t)2 << 20)

/* The server: a connection without I/O on a socket that may block. */

static char chunk[CHUNK_BYTES];

static void write_on(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	unsigned *left = userdata;

	(void)tag;
	while (*left) {
		int r = kedge_conn_stream_write(conn, ticket,
						(struct kedge_span){ chunk, sizeof(chunk) });

		if (r < 0)
			return;
		--*left;
		if (r == 1)
			return;
	}
	(void)kedge_conn_stream_end(conn, ticket);
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	char text[32];

	if (request->body_kind == KEDGE_BODY_WHOLE) {
		(void)snprintf(text, sizeof(text), "%zu", request->body.size);
		(void)kedge_conn_reply(conn, request->ticket, kedge_span(text));
	} else if (kedge_conn_stream_begin(conn, request->ticket, kedge_span("{}")) == 0) {
		write_on(conn, request->ticket, NULL, userdata);
	}
}

/* Return: whether the connection goes on. */
static bool move(struct kedge_conn *conn, int fd)
{
	struct pollfd p = { .fd = fd };
	const void *data;
	size_t size;
	ssize_t n;

	p.events = (short)((kedge_conn_wants_input(conn) ? POLLIN : 0) |
			   (kedge_conn_output_bytes(conn) ? POLLOUT : 0));
	if (poll(&p, 1, -1) < 0 || kedge_conn_is_finished(conn))
		return false;
	if (p.revents & (POLLIN | POLLHUP)) {
		void *to = kedge_conn_input(conn, &size);

		n = recv(fd, to, size, MSG_DONTWAIT);
		if (n <= 0 || kedge_conn_received(conn, (size_t)n) < 0)
			return false;
	}
	if ((p.revents & POLLOUT) && kedge_conn_output(conn, &data, &size)) {
		n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			kedge_conn_sent(conn, (size_t)n);
	}
	return true;
}

static void streams(int fd)
{
	unsigned left = STREAM_CHUNKS;
	struct kedge_conn_options options = { .size = sizeof(options),
					      .handlers = { .on_request = on_request,
							    .on_writable = write_on },
					      .protocol = KEDGE_PROTOCOL_FRAMES,
					      .userdata = &left };
	struct kedge_conn *conn = NULL;

	if (kedge_conn_new(&conn, &options) == 0)
		while (move(conn, fd))
			;
	kedge_conn_free(conn);
	close(fd);
}

/* The client. */

static size_t came, sips;
static unsigned ended;

static void on_sip(struct kedge_span piece, void *userdata)
{
	struct world *w = userdata;

	came += piece.size;
	if (came >= (sips + 1) * SIP_BYTES)
		kedge_uvclient_pause(w->client);
}

static void on_end(const struct kedge_reply *reply, void *userdata)
{
	(void)userdata;
	ended += reply->outcome == KEDGE_OUTCOME_END;
}

/* While the client does not read, no more comes than one read has room for. */
static void test_a_stream_waits_for_its_reader(void **state)
{
	struct world *w = *state;
	struct kedge_ask question = {
		.method = "stream", .on_reply = on_end, .on_chunk = on_sip, .userdata = w
	};

	came = sips = ended = 0;
	start(w, streams);
	assert_int_equal(kedge_uvclient_call(w->client, &question, NULL), 0);
	while (!ended) {
		uint64_t cap = monotonic_ns() + CAP_NS;

		while (!ended && came < (sips + 1) * SIP_BYTES) {
			assert_true(monotonic_ns() < cap);
			(void)uv_run(&w->loop, UV_RUN_NOWAIT);
		}
		for (int i = 0; i < 20; i++) {
			(void)uv_run(&w->loop, UV_RUN_NOWAIT);
			usleep(200);
		}
		assert_true(came < (sips + 2) * SIP_BYTES);
		sips++;
		kedge_uvclient_resume(w->client);
	}
	assert_int_equal(came, (size_t)STREAM_CHUNKS * CHUNK_BYTES);
}

static char told[32];

static void on_size(const struct kedge_reply *reply, void *userdata)
{
	assert_int_equal(reply->outcome, KEDGE_OUTCOME_RESULT);
	(void)snprintf(told, sizeof(told), "%.*s", (int)reply->result.size, reply->result.data);
	on_reply(reply, userdata);
}

/* Write until a MiB waits, go on when told: every such pause is followed by on_writable. */
static void test_an_upload_waits_for_its_server(void **state)
{
	struct world *w = *state;
	struct kedge_ask question = {
		.method = "up", .body_kind = KEDGE_BODY_STREAMED, .on_reply = on_size, .userdata = w
	};
	struct kedge_caller *caller = kedge_uvclient_caller(w->client);
	size_t left = UPLOAD_BYTES;
	uint64_t number = 0;

	start(w, streams);
	until(w, &w->connections, 1);
	assert_int_equal(kedge_uvclient_call(w->client, &question, &number), 0);
	while (left) {
		unsigned before = w->writable;

		while (left && kedge_caller_output_bytes(caller) < (size_t)1 << 20) {
			assert_int_equal(
				kedge_caller_upload(caller, number,
						    (struct kedge_span){ chunk, sizeof(chunk) }),
				0);
			left -= sizeof(chunk);
		}
		kedge_uvclient_flush(w->client);
		if (left)
			until(w, &w->writable, before + 1);
	}
	assert_int_equal(kedge_caller_upload_end(caller, number), 0);
	kedge_uvclient_flush(w->client);
	until(w, &w->results, 1);
	assert_string_equal(told, "12582912");
}

/* A body that is begun and does not come to its end. */
static void upload_half(struct world *w)
{
	struct kedge_ask question = { .method = "up",
				      .body_kind = KEDGE_BODY_STREAMED,
				      .on_reply = on_reply,
				      .userdata = w };
	uint64_t number = 0;

	assert_int_equal(kedge_uvclient_call(w->client, &question, &number), 0);
	assert_int_equal(kedge_caller_upload(kedge_uvclient_caller(w->client), number,
					     (struct kedge_span){ chunk, sizeof(chunk) }),
			 0);
	kedge_uvclient_flush(w->client);
}

static void reset_when_told(const struct kedge_reply *reply, void *userdata)
{
	struct world *w = userdata;

	kedge_uvclient_reset(w->client);
	/* It takes effect after this. */
	assert_true(kedge_uvclient_is_connected(w->client));
	on_reply(reply, w);
}

/* An upload that is broken off: the server has half of it, and must not answer as if that
 * were all. */
static void test_a_reset_breaks_an_upload_off(void **state)
{
	struct world *w = *state;
	struct kedge_ask last = { .method = "up",
				  .body_kind = KEDGE_BODY_WHOLE,
				  .body = S("abc"),
				  .on_reply = reset_when_told,
				  .userdata = w };

	start(w, streams);
	until(w, &w->connections, 1);
	upload_half(w);
	kedge_uvclient_reset(w->client);
	assert_int_equal(w->lost, 1);
	until(w, &w->connections, 2);
	assert_int_equal(kedge_uvclient_call(w->client, &last, NULL), 0);
	upload_half(w);
	until(w, &w->connections, 3);
	assert_int_equal(w->results, 1);
	assert_int_equal(w->lost, 2);
	/* Asked for and not suffered: nobody needs to be told. */
	assert_int_equal(w->failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_stream_waits_for_its_reader, begin_frames,
						end),
		cmocka_unit_test_setup_teardown(test_an_upload_waits_for_its_server, begin_frames,
						end),
		cmocka_unit_test_setup_teardown(test_a_reset_breaks_an_upload_off, begin_frames,
						end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
