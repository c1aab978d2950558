/* Stops, disconnects, time limits, and what a request costs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"

/* The linker sends every allocation of this program through these. */
static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	allocations++;
	return __real_realloc(p, size);
}

static void echo(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	(void)kedge_call_reply(call, call->params);
}

static void on_stopped(void *userdata)
{
	((struct fixture *)userdata)->stopped = true;
}

static void stop_now(const struct kedge_call *call, void *userdata)
{
	(void)kedge_call_reply(call, kedge_span("\"bye\""));
	kedge_server_stop(call->server, 0, on_stopped, *(struct fixture **)userdata);
}

static void drop(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	(void)kedge_call_reply(call, kedge_span("\"dropped\""));
	kedge_server_disconnect(call->server, call->later.client);
}

static struct kedge_later kept;
static unsigned kept_count, cancelled;

static void keep(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	kept = call->later;
	kept_count++;
}

static void on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	(void)userdata;
	assert_int_equal(later.ticket, kept.ticket);
	assert_int_equal(kedge_server_reply(server, later, kedge_span("1")), -ESTALE);
	cancelled++;
}

static struct fixture *current;

static const struct kedge_method methods[] = {
	{ .name = "echo", .handler = echo },
	{ .name = "stop", .handler = stop_now, .userdata = &current },
	{ .name = "drop", .handler = drop },
	{ .name = "keep", .handler = keep, .on_cancel = on_cancel },
};

static void start(struct fixture *f)
{
	current = f;
	kept_count = cancelled = 0;
	serve(f, methods, ARRAY_SIZE(methods));
}

static bool is_stopped(void *arg)
{
	return ((struct fixture *)arg)->stopped;
}

static void test_a_handler_stops_the_server(void **state)
{
	struct fixture *f = *state;
	struct peer_client c, idle;

	start(f);
	client_connect(&idle, f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"stop\"}\n{\"id\":\"2\",\"method\":\"echo\"}\n");
	run_until(f, is_stopped, f);
	assert_line(&c, "{\"id\":\"1\",\"result\":\"bye\"}");
	client_wait_over(&c);
	client_wait_over(&idle);
	assert_int_equal(access(f->path, F_OK), -1);
	client_close_end(&c);
	client_close_end(&idle);
}

static void test_a_handler_disconnects_its_client(void **state)
{
	struct fixture *f = *state;
	struct peer_client c;

	start(f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"drop\"}\n");
	assert_line(&c, "{\"id\":\"1\",\"result\":\"dropped\"}");
	client_wait_over(&c);
	RUN_UNTIL(f, f->closed, 1);
	assert_int_equal(f->last_closed, f->last_opened);
	client_close_end(&c);
}

/*
 * An answer outside of a turn lets requests go on that had waited for it: one of
 * them may disconnect, or stop the server, with the connection beneath at work.
 */
static void test_an_answer_sets_off_a_disconnect(void **state)
{
	static const char *const ends[] = { "drop", "stop" };
	struct fixture *f = *state;
	struct peer_client c;
	char text[128];

	f->options.limits.in_flight_max = 1;
	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		client_connect(&c, f);
		kept_count = 0;
		(void)snprintf(
			text, sizeof(text),
			"{\"id\":\"1\",\"method\":\"keep\"}\n{\"id\":\"2\",\"method\":\"%s\"}\n",
			ends[i]);
		client_say(&c, text);
		RUN_UNTIL(f, kept_count, 1);
		assert_int_equal(kedge_server_reply(f->server, kept, kedge_span("7")), 0);
		assert_line(&c, "{\"id\":\"1\",\"result\":7}");
		free(client_line(&c));
		client_wait_over(&c);
		client_close_end(&c);
	}
	run_until(f, is_stopped, f);
}

static void test_stop_waits_for_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	struct peer_client c, idle;

	start(f);
	client_connect(&idle, f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"keep\"}\n");
	RUN_UNTIL(f, kept_count, 1);
	kedge_server_stop(f->server, 1000000, on_stopped, f);
	client_wait_over(&idle);
	assert_false(f->stopped);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(kedge_server_reply(f->server, kept, kedge_span("7")), 0);
	run_until(f, is_stopped, f);
	assert_line(&c, "{\"id\":\"1\",\"result\":7}");
	client_wait_over(&c);
	client_close_end(&c);
	client_close_end(&idle);
}

static void test_stop_ends_with_its_grace(void **state)
{
	struct fixture *f = *state;
	struct peer_client c;

	start(f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"keep\"}\n");
	RUN_UNTIL(f, kept_count, 1);
	kedge_server_stop(f->server, 20, on_stopped, f);
	run_until(f, is_stopped, f);
	assert_int_equal(cancelled, 1);
	client_wait_over(&c);
	client_close_end(&c);
}

static void test_a_client_that_goes_away_is_told_of(void **state)
{
	struct fixture *f = *state;
	struct peer_client c;

	start(f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"keep\"}\n");
	RUN_UNTIL(f, kept_count, 1);
	client_close_end(&c);
	RUN_UNTIL(f, cancelled, 1);
	RUN_UNTIL(f, f->closed, 1);
}

/* Each of the three limits closes the one it is about, and no other. */
static void test_time_limits(void **state)
{
	struct fixture *f = *state;
	struct peer_client silent, idle, busy;

	f->options.first_byte_ms = 30;
	f->options.idle_ms = 150;
	start(f);
	client_connect(&silent, f);
	client_wait_over(&silent);
	client_connect(&busy, f);
	client_say(&busy, "{\"id\":\"1\",\"method\":\"keep\"}\n");
	RUN_UNTIL(f, kept_count, 1);
	client_connect(&idle, f);
	client_say(&idle, "{\"id\":\"1\",\"method\":\"echo\"}\n");
	assert_line(&idle, "{\"id\":\"1\"}");
	client_wait_over(&idle);
	assert_false(busy.over);
	/* Half a line is a sign of life, but no more than one. */
	assert_int_equal(kedge_server_reply(f->server, kept, kedge_span("7")), 0);
	assert_line(&busy, "{\"id\":\"1\",\"result\":7}");
	client_say(&busy, "{\"id\":");
	client_wait_over(&busy);
	client_close_end(&silent);
	client_close_end(&idle);
	client_close_end(&busy);
}

static void test_one_that_takes_nothing_is_closed(void **state)
{
	_cleanup_(freep) char *text = malloc(4000002);
	struct fixture *f = *state;
	struct peer_client c;

	assert_non_null(text);
	memset(text, 'x', 4000002);
	text[0] = text[4000000] = '"';
	text[4000001] = '\0';
	f->options.stalled_ms = 100;
	start(f);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"keep\"}\n");
	RUN_UNTIL(f, kept_count, 1);
	assert_int_equal(kedge_server_reply(f->server, kept, kedge_span(text)), 0);
	RUN_UNTIL(f, f->closed, 1);
	client_close_end(&c);
}

/* A hundred requests a read, all of them answered. */
static void ask_hundred(struct peer_client *c, const void *request, size_t size)
{
	static const char answer[] = "{\"id\":\"12345\",\"result\":{\"a\":[1,2]}}";
	size_t wanted = 100 * (sizeof(answer) - 1 + (*(const char *)request ? 1 : 4));
	char text[100 * 128];

	assert_in_range(size, 1, 128);
	for (size_t i = 0; i < 100; i++)
		memcpy(text + i * size, request, size);
	client_write(c, text, 100 * size);
	while (buf_size(&c->in) < wanted) {
		(void)uv_run(&c->f->loop, UV_RUN_NOWAIT);
		(void)client_take(c, 16384);
	}
	assert_int_equal(buf_size(&c->in), wanted);
	assert_memory_equal(buf_front(&c->in) + (*(const char *)request ? 0 : 4), answer,
			    sizeof(answer) - 1);
	buf_consume(&c->in, wanted);
}

#define REQUEST "{\"id\":\"12345\",\"method\":\"echo\",\"params\":{\"a\":[1,2]}}"

/* For some rounds, until all buffers have their size; then not one more. Clients take turns. */
static void no_allocation(struct fixture *f, const void *request, size_t size)
{
	struct peer_client clients[3];
	unsigned before = 0;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		client_connect(&clients[i], f);
	for (int round = 0; round < 120; round++) {
		if (round == 20)
			before = allocations;
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
			ask_hundred(&clients[i], request, size);
	}
	assert_int_equal(allocations - before, 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		client_close_end(&clients[i]);
}

static void test_no_allocation_for_a_line(void **state)
{
	no_allocation(*state, REQUEST "\n", sizeof(REQUEST));
}

static void test_no_allocation_for_a_frame(void **state)
{
	struct fixture *f = *state;
	char frame[4 + sizeof(REQUEST)] = { 0, 0, 0, sizeof(REQUEST) - 1 };

	memcpy(frame + 4, REQUEST, sizeof(REQUEST));
	f->options.protocol = KEDGE_PROTOCOL_FRAMES;
	no_allocation(f, frame, sizeof(frame) - 1);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_a_handler_stops_the_server),
		CASE(test_a_handler_disconnects_its_client),
		CASE(test_an_answer_sets_off_a_disconnect),
		CASE(test_stop_waits_for_what_is_in_flight),
		CASE(test_stop_ends_with_its_grace),
		CASE(test_a_client_that_goes_away_is_told_of),
		CASE(test_time_limits),
		CASE(test_one_that_takes_nothing_is_closed),
		CASE(test_no_allocation_for_a_line),
		CASE(test_no_allocation_for_a_frame),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
