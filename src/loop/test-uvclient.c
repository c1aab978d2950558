/* The client that stays connected, while its server is killed, restarted and moved. */
#include "loop/test-uvclient.h"

/* {"id":"7",...} is answered by {"id":"7","result":1}, after an event. */
static void answer(int fd, const char *line)
{
	const char *end = strchr(line + 7, '"');
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"event\":\"e\"}\n{\"id\":\"%.*s\",\"result\":1}\n",
			 (int)(end - line - 7), line + 7);

	(void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static void answers(int fd)
{
	FILE *in = fdopen(fd, "r");
	char line[65536];

	while (fgets(line, sizeof(line), in))
		answer(fd, line);
	(void)fclose(in);
}

/* Reads, and says nothing. */
static void is_silent(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
}

static void closes(int fd)
{
	close(fd);
}

static void refuses(int fd)
{
	static const char text[] = "{\"id\":\"unknown\",\"error\":\"Not allowed: uid 7\","
				   "\"statusCode\":403}\n";

	(void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
	close(fd);
}

static void test_calls_and_events(void **state)
{
	struct world *w = *state;

	start(w, answers);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->results, 100);
	assert_int_equal(w->events, 100);
	assert_int_equal(w->connections, 1);
	assert_int_equal(kedge_uvclient_is_connected(w->client), 1);
	/* Nothing failed, nothing is told. */
	assert_int_equal(w->failures + w->recoveries, 0);
}

/* What is kept is answered in the end, whatever happens to the server. */
static void test_kept_calls_survive_restarts(void **state)
{
	struct world *w = *state;
	unsigned asked = 0;

	for (int round = 0; round < 20; round++) {
		start(w, round % 3 == 1 ? is_silent : answers);
		for (int i = 0; i < 10; i++, asked++)
			assert_int_equal(ask(w, KEDGE_IF_LOST_RESEND, 0), 0);
		if (round % 3 == 0)
			until(w, &w->results, asked);
		else
			until(w, &w->connections, w->connections + 1);
		stop(w);
		if (round % 2)
			(void)unlink(w->path);
	}
	start(w, answers);
	until(w, &w->results, asked);
	assert_int_equal(w->lost, 0);
	/* One warning and one recovery line for each streak. */
	assert_int_equal(w->failures, w->recoveries);
	assert_true(w->failures >= 1 && w->failures <= 21);
	assert_non_null(strstr(w->line, "reconnected after "));
}

static void test_calls_that_are_not_kept_fail(void **state)
{
	struct world *w = *state;

	start(w, is_silent);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->connections, 1);
	stop(w);
	until(w, &w->lost, 1);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), -ENOTCONN);
	assert_int_equal(w->failures, 1);
	assert_non_null(strstr(w->line, "closed by the server"));
	/* Kept, but not for ever. */
	assert_int_equal(ask(w, KEDGE_IF_LOST_RESEND, 20), 0);
	until(w, &w->timed_out, 1);
	start(w, answers);
	until(w, &w->connections, 2);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->results, 1);
	until(w, &w->recoveries, 1);
	/* What had timed out before was not sent any more. */
	assert_int_equal(w->events, 1);
}

/* A call that waits for the first try fails with it, at once. */
static void test_nobody_there(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->lost, 1);
	assert_int_equal(w->failures, 1);
	assert_non_null(strstr(w->line, "cannot connect: No such file or directory"));
	assert_non_null(strstr(w->line, w->path));
}

/* Connected and cut off again and again: one warning, and no recovery in between. */
static void test_a_server_that_does_not_serve(void **state)
{
	struct world *w = *state;

	start(w, closes);
	until(w, &w->connections, 10);
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->recoveries, 0);
	stop(w);
	start(w, answers);
	assert_int_equal(ask(w, KEDGE_IF_LOST_RESEND, 0), 0);
	until(w, &w->results, 1);
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->recoveries, 1);
	assert_non_null(strstr(w->line, "failures not told)"));
	assert_null(strstr(w->line, "(0 failures"));
}

static void test_a_server_that_refuses_us(void **state)
{
	struct world *w = *state;

	start(w, refuses);
	until(w, &w->connections, 3);
	assert_int_equal(w->failures, 1);
	assert_non_null(strstr(w->line, "refused by the server: Not allowed: uid 7"));
	assert_int_equal(w->recoveries, 0);
}

/* The path matters to who connects; who is connected goes on without it. */
static void test_the_path_is_lost(void **state)
{
	struct world *w = *state;

	start(w, answers);
	until(w, &w->connections, 1);
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->results, 1);
	assert_int_equal(w->failures, 0);
	stop(w);
	until(w, &w->failures, 1);
	start(w, answers);
	until(w, &w->recoveries, 1);
}

static void free_in_reply(const struct kedge_reply *reply, void *userdata)
{
	struct world *w = userdata;

	on_reply(reply, userdata);
	w->client = kedge_uvclient_free(w->client);
}

static void test_freed_in_a_callback(void **state)
{
	struct world *w = *state;
	struct kedge_ask question = { .method = "m", .on_reply = free_in_reply, .userdata = w };

	start(w, answers);
	assert_int_equal(kedge_uvclient_call(w->client, &question, NULL), 0);
	question.on_reply = on_reply;
	assert_int_equal(kedge_uvclient_call(w->client, &question, NULL), 0);
	until(w, &w->results, 1);
	assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(w->results + w->lost, 2);
}

static void test_pause_and_cancel(void **state)
{
	struct world *w = *state;
	struct kedge_ask question = { .method = "m", .on_reply = on_reply, .userdata = w };
	uint64_t number = 0;

	start(w, answers);
	until(w, &w->connections, 1);
	kedge_uvclient_pause(w->client);
	assert_int_equal(kedge_uvclient_call(w->client, &question, &number), 0);
	for (int i = 0; i < 100; i++) {
		(void)uv_run(&w->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
	assert_int_equal(w->results + w->events, 0);
	kedge_uvclient_resume(w->client);
	until(w, &w->results, 1);
	assert_int_equal(kedge_uvclient_cancel(w->client, number), -ESTALE);
}

static void test_pauses_double_and_are_jittered(void **state)
{
	unsigned wanted[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };
	struct kedge_uvclient a = {
		.options = { .reconnect_first_ms = 100, .reconnect_max_ms = 5000 }, .random = 1
	};
	struct kedge_uvclient same = a, other = a;
	unsigned different = 0;

	(void)state;
	other.random = 2;
	for (size_t i = 0; i < 9; i++) {
		unsigned pause = uvclient_next_pause_ms(&a);

		assert_true(pause >= wanted[i] / 2 && pause <= wanted[i]);
		assert_int_equal(pause, uvclient_next_pause_ms(&same));
		different += pause != uvclient_next_pause_ms(&other);
	}
	assert_true(different > 0);
}

static void test_options_out_of_range(void **state)
{
	struct world *w = *state;
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_uvclient *client = NULL;
	struct kedge_uvclient_options bad[] = {
		{ .size = 3 },
		{ .size = sizeof(bad[0]), .reconnect_first_ms = 6000 },
		{ .size = sizeof(bad[0]), .reconnect_max_ms = 86400001 },
		{ .size = sizeof(bad[0]), .id_prefix = "\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		error.text[0] = '\0';
		assert_int_equal(kedge_uvclient_new(&client, &w->loop, "/x", &bad[i], &error),
				 -EINVAL);
		assert_true(*error.text);
	}
	assert_int_equal(kedge_uvclient_new(&client, &w->loop, "No Name", NULL, &error), -EINVAL);
	assert_null(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_calls_and_events),
		TEST(test_kept_calls_survive_restarts),
		TEST(test_calls_that_are_not_kept_fail),
		TEST(test_nobody_there),
		TEST(test_a_server_that_does_not_serve),
		TEST(test_a_server_that_refuses_us),
		TEST(test_the_path_is_lost),
		TEST(test_freed_in_a_callback),
		TEST(test_pause_and_cancel),
		TEST(test_options_out_of_range),
		cmocka_unit_test(test_pauses_double_and_are_jittered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
