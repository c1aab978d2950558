/*
 * Streams and uploads that are larger than any memory: both sides at their own
 * pace, the server's memory bounded. KEDGE_STREAM_MB says how much goes through,
 * 10240 for the long run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fixture.h"

#define STREAM_MB_DEFAULT 300
#define CHUNK_BYTES       65536

/* What a stream, or an upload, may cost: buffers of both ends, and the allocator's slack. */
#define GROWTH_KIB_MAX 16384

static uint64_t stream_bytes(void)
{
	const char *mb = getenv("KEDGE_STREAM_MB");

	return (uint64_t)(mb ? atoi(mb) : STREAM_MB_DEFAULT) << 20;
}

static struct source {
	uint64_t left;
	unsigned blocked, cancelled;
	char chunk[CHUNK_BYTES];
} source;

static void pump(struct kedge_server *server, struct kedge_later later)
{
	int r = 0;

	while (r == 0 && source.left) {
		size_t n = source.left < CHUNK_BYTES ? (size_t)source.left : CHUNK_BYTES;

		r = kedge_server_stream_write(server, later,
					      (struct kedge_span){ source.chunk, n });
		assert_true(r == 0 || r == 1);
		source.left -= n;
	}
	source.blocked += r == 1;
	if (r == 0)
		assert_int_equal(kedge_server_stream_end(server, later), 0);
}

static void start_stream(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	assert_int_equal(kedge_server_stream_begin(call->server, call->later, kedge_span("{}")), 0);
	pump(call->server, call->later);
}

static void on_writable(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	(void)userdata;
	pump(server, later);
}

static void on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	(void)userdata;
	source.cancelled++;
	assert_int_equal(kedge_server_stream_write(server, later, kedge_span("x")), -ESTALE);
}

static void ping(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	(void)kedge_call_reply(call, kedge_span("1"));
}

static const struct kedge_method stream_methods[] = {
	{ .name = "stream",
	  .handler = start_stream,
	  .on_cancel = on_cancel,
	  .on_writable = on_writable },
	{ .name = "ping", .handler = ping },
};

/* Reads in gulps, with rests in which others are served. */
struct reader {
	struct peer_client *c;
	uint64_t bytes;
	unsigned rounds;
};

static bool read_slowly(void *arg)
{
	struct reader *r = arg;

	if (++r->rounds % 4)
		return false;
	for (int i = 0; i < 8; i++) {
		size_t n = client_take(r->c, 131072);

		r->bytes += n;
		buf_consume(&r->c->in, buf_size(&r->c->in));
		if (!n)
			break;
	}
	return r->c->over;
}

static void test_a_slow_reader_costs_no_memory(void **state)
{
	static const char request[] = "{\"id\":\"1\",\"method\":\"stream\"}";
	uint64_t total = stream_bytes(), frames = (total + CHUNK_BYTES - 1) / CHUNK_BYTES;
	struct fixture *f = *state;
	struct peer_client c;
	struct reader reader = { .c = &c };
	size_t before,
		head = strlen("{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");

	source = (struct source){ .left = total };
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, stream_methods, 2);
	client_connect(&c, f);
	before = hwm_kib();
	client_frame(&c, request, sizeof(request) - 1);
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	run_until(f, read_slowly, &reader);
	/* The envelope, the chunks and the zero frame, each with its length in front. */
	assert_int_equal(reader.bytes, 4 + head + total + 4 * frames + 4);
	assert_true(source.blocked > 10);
	print_message("# %llu MiB, writer paused %u times, memory grew by %zu KiB\n",
		      (unsigned long long)(total >> 20), source.blocked, hwm_kib() - before);
	assert_true(hwm_kib() - before < GROWTH_KIB_MAX);
	client_close_end(&c);
}

/* One that never reads: the writer is told to wait, and then that it has gone. */
static void test_a_reader_that_goes_away_cancels(void **state)
{
	static const char request[] = "{\"id\":\"1\",\"method\":\"stream\"}";
	struct fixture *f = *state;
	struct peer_client c, other;
	char *answer;
	size_t size;

	source = (struct source){ .left = UINT64_C(1) << 40 };
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, stream_methods, 2);
	client_connect(&c, f);
	client_frame(&c, request, sizeof(request) - 1);
	RUN_UNTIL(f, source.blocked, 1);
	client_connect(&other, f);
	client_frame(&other, "{\"id\":\"2\",\"method\":\"ping\"}", 26);
	answer = client_take_frame(&other, &size);
	assert_string_equal(answer, "{\"id\":\"2\",\"result\":1}");
	free(answer);
	client_close_end(&c);
	RUN_UNTIL(f, source.cancelled, 1);
	client_close_end(&other);
}

/* A reader as quick as the writer does not keep the others waiting. */
static void test_a_quick_reader_starves_nobody(void **state)
{
	static const char request[] = "{\"id\":\"1\",\"method\":\"stream\"}";
	struct fixture *f = *state;
	struct peer_client quick, other;

	source = (struct source){ .left = UINT64_C(1) << 40 };
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, stream_methods, 2);
	client_connect(&quick, f);
	client_frame(&quick, request, sizeof(request) - 1);
	client_connect(&other, f);
	for (int i = 0; i < 200; i++) {
		size_t size;
		char *answer;

		client_frame(&other, "{\"id\":\"2\",\"method\":\"ping\"}", 26);
		for (int k = 0; k < 4; k++)
			(void)client_take(&quick, 262144);
		buf_consume(&quick.in, buf_size(&quick.in));
		answer = client_take_frame(&other, &size);
		assert_string_equal(answer, "{\"id\":\"2\",\"result\":1}");
		free(answer);
	}
	client_close_end(&quick);
	client_close_end(&other);
}

/* Uploads. */

static struct sink {
	uint64_t bytes, sum;
	unsigned holds, cancelled, ended;
	struct kedge_server *server;
	struct kedge_later later;
	uv_timer_t timer;
	bool held;
} sink;

static void on_release(uv_timer_t *timer)
{
	(void)timer;
	sink.held = false;
	assert_int_equal(kedge_server_release(sink.server, sink.later), 0);
}

static void on_piece(struct kedge_server *server, struct kedge_later later, struct kedge_span piece,
		     void *userdata)
{
	char text[64];

	(void)userdata;
	assert_false(sink.held);
	if (piece.size == 0) {
		sink.ended++;
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)sink.bytes);
		assert_int_equal(kedge_server_reply(server, later, kedge_span(text)), 0);
		return;
	}
	sink.bytes += piece.size;
	for (size_t i = 0; i < piece.size; i += 997)
		sink.sum += (unsigned char)piece.data[i];
	/* Each so many bytes it needs a rest. */
	if (sink.bytes / (8 << 20) > sink.holds) {
		sink.holds++;
		sink.held = true;
		assert_int_equal(kedge_server_hold(server, later), 0);
		(void)uv_timer_start(&sink.timer, on_release, 1, 0);
	}
}

static void start_upload(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	assert_int_equal(call->body_kind, KEDGE_BODY_STREAMED);
	sink.server = call->server;
	sink.later = call->later;
}

static void on_upload_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	(void)server;
	(void)later;
	(void)userdata;
	sink.cancelled++;
}

static const struct kedge_method upload_methods[] = {
	{ .name = "upload",
	  .handler = start_upload,
	  .upload = KEDGE_UPLOAD_STREAM,
	  .on_body = on_piece,
	  .on_cancel = on_upload_cancel },
};

static const char upload_request[] = "{\"id\":\"u\",\"method\":\"upload\","
				     "\"headers\":{\"transfer-encoding\":\"chunked\"}}";

static void test_an_upload_is_held_and_released(void **state)
{
	uint64_t total = stream_bytes() / 2, left = total;
	struct fixture *f = *state;
	struct peer_client c;
	char wanted[64], *answer;
	size_t before, size;

	sink = (struct sink){ 0 };
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, upload_methods, 1);
	(void)uv_timer_init(&f->loop, &sink.timer);
	client_connect(&c, f);
	before = hwm_kib();
	client_frame(&c, upload_request, sizeof(upload_request) - 1);
	while (left) {
		size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

		client_frame(&c, source.chunk, n);
		left -= n;
	}
	client_write(&c, "\0\0\0\0", 4);
	answer = client_take_frame(&c, &size);
	(void)snprintf(wanted, sizeof(wanted), "{\"id\":\"u\",\"result\":%llu}",
		       (unsigned long long)total);
	assert_string_equal(answer, wanted);
	free(answer);
	assert_true(sink.holds > 10);
	print_message("# %llu MiB, held %u times, memory grew by %zu KiB\n",
		      (unsigned long long)(total >> 20), sink.holds, hwm_kib() - before);
	assert_true(hwm_kib() - before < GROWTH_KIB_MAX);
	client_close_end(&c);
}

static void test_an_upload_that_breaks_off_is_cancelled(void **state)
{
	struct fixture *f = *state;
	struct peer_client c;

	sink = (struct sink){ 0 };
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, upload_methods, 1);
	client_connect(&c, f);
	client_frame(&c, upload_request, sizeof(upload_request) - 1);
	client_frame(&c, "abc", 3);
	client_close_end(&c);
	RUN_UNTIL(f, sink.cancelled, 1);
	assert_int_equal(sink.ended, 0);
}

/* Nobody gathers what nobody wants: the refusal does not wait for the body's end. */
static void test_an_upload_to_no_method_is_refused_at_once(void **state)
{
	static const char request[] = "{\"id\":\"u\",\"method\":\"nope\","
				      "\"headers\":{\"transfer-encoding\":\"chunked\"}}";
	struct fixture *f = *state;
	struct peer_client c;
	char *answer;
	size_t size;

	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, upload_methods, 1);
	client_connect(&c, f);
	client_frame(&c, request, sizeof(request) - 1);
	answer = client_take_frame(&c, &size);
	assert_non_null(strstr(answer, "Unknown method: nope"));
	free(answer);
	client_frame(&c, source.chunk, CHUNK_BYTES);
	client_write(&c, "\0\0\0\0", 4);
	client_frame(&c, "{\"id\":\"2\"}", 10);
	answer = client_take_frame(&c, &size);
	assert_non_null(strstr(answer, "\"id\":\"2\",\"error\":\"Missing"));
	free(answer);
	client_close_end(&c);
}

/* A worker streams: each post writes one piece. */
static struct kedge_later threaded_later;
static unsigned pieces_posted;

static void write_piece(struct kedge_server *server, void *arg)
{
	(void)arg;
	if (pieces_posted == 0)
		assert_int_equal(kedge_server_stream_begin(server, threaded_later, kedge_span("")),
				 0);
	if (pieces_posted++ < 3)
		assert_int_equal(kedge_server_stream_write(server, threaded_later, kedge_span("p")),
				 0);
	else
		assert_int_equal(kedge_server_stream_end(server, threaded_later), 0);
}

static void *stream_from_thread(void *arg)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(kedge_server_post(arg, write_piece, NULL), 0);
	return NULL;
}

static uv_thread_t streamer;

static void start_threaded(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	threaded_later = call->later;
	assert_int_equal(uv_thread_create(&streamer,
					  (void (*)(void *))(void (*)(void))stream_from_thread,
					  call->server),
			 0);
}

static void test_a_thread_streams_by_posts(void **state)
{
	static const struct kedge_method methods[] = { { .name = "t", .handler = start_threaded } };
	static const char *const wanted[] = {
		"{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}", "p", "p", "p", ""
	};
	struct fixture *f = *state;
	struct peer_client c;

	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	serve(f, methods, 1);
	client_connect(&c, f);
	client_frame(&c, "{\"id\":\"1\",\"method\":\"t\"}", 23);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		size_t size;
		char *got = client_take_frame(&c, &size);

		assert_string_equal(got, wanted[i]);
		free(got);
	}
	(void)uv_thread_join(&streamer);
	client_close_end(&c);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_a_slow_reader_costs_no_memory),
		CASE(test_a_reader_that_goes_away_cancels),
		CASE(test_a_quick_reader_starves_nobody),
		CASE(test_an_upload_is_held_and_released),
		CASE(test_an_upload_that_breaks_off_is_cancelled),
		CASE(test_an_upload_to_no_method_is_refused_at_once),
		CASE(test_a_thread_streams_by_posts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
