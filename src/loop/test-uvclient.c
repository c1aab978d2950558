/* The client that stays connected, while its server is killed, restarted and moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/uvclient.h"
#include "sys/dial.h"

#define S(text) kedge_span(text)
#define CAP_NS  UINT64_C(20000000000)

/* What the server makes of a connection. */
enum manner {
	MANNER_ANSWERS = 0,
	MANNER_SILENT, /* reads and says nothing */
	MANNER_CLOSES, /* at once */
	MANNER_REFUSES,
};

struct world {
	char dir[64], path[128];
	pid_t server;
	uv_loop_t loop;
	struct kedge_uvclient *client;
	unsigned results, lost, timed_out, connections, failures, recoveries, events;
	char line[1024]; /* the last of the log */
};

/* {"id":"7",...} is answered by {"id":"7","result":1}, after an event. */
static void answer(int fd, const char *line)
{
	const char *end = strchr(line + 7, '"');
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"event\":\"e\"}\n{\"id\":\"%.*s\",\"result\":1}\n",
			 (int)(end - line - 7), line + 7);

	(void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static void serve_one(int fd, enum manner manner)
{
	static const char refusal[] = "{\"id\":\"unknown\",\"error\":\"Not allowed: uid 7\","
				      "\"statusCode\":403}\n";
	FILE *in = fdopen(fd, "r");
	char line[65536];

	if (manner == MANNER_REFUSES)
		(void)send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL);
	while (manner <= MANNER_SILENT && fgets(line, sizeof(line), in))
		if (manner == MANNER_ANSWERS)
			answer(fd, line);
	(void)fclose(in);
}

/* A server in a process of its own, listening when this returns. */
static void start(struct world *w, enum manner manner)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, w->path);
	(void)unlink(w->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 64), 0);
	w->server = fork();
	assert_true(w->server >= 0);
	if (w->server == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			serve_one(accept(listener, NULL, NULL), manner);
	}
	close(listener);
}

static void stop(struct world *w)
{
	if (w->server <= 0)
		return;
	(void)kill(w->server, SIGKILL);
	(void)waitpid(w->server, NULL, 0);
	w->server = 0;
}

static void on_log(enum kedge_uvclient_event event, const char *line, void *userdata)
{
	struct world *w = userdata;

	if (event == KEDGE_UVCLIENT_FAILED)
		w->failures++;
	else
		w->recoveries++;
	(void)snprintf(w->line, sizeof(w->line), "%s", line);
}

static void on_connection(int connected, void *userdata)
{
	struct world *w = userdata;

	w->connections += connected == 1;
}

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct world *w = userdata;

	(void)name;
	(void)data;
	w->events++;
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct world *w = userdata;

	w->results += reply->outcome == KEDGE_OUTCOME_RESULT;
	w->lost += reply->outcome == KEDGE_OUTCOME_LOST;
	w->timed_out += reply->outcome == KEDGE_OUTCOME_TIMED_OUT;
}

static int begin(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct kedge_uvclient_options options = { .size = sizeof(options),
						  .handlers = { .on_event = on_event },
						  .reconnect_first_ms = 4,
						  .reconnect_max_ms = 16,
						  .seed = 7,
						  .on_connection = on_connection,
						  .on_log = on_log,
						  .userdata = w };

	assert_non_null(w);
	strcpy(w->dir, "/tmp/kedge uvclient-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(kedge_uvclient_new(&w->client, &w->loop, w->path, &options, NULL), 0);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	w->client = kedge_uvclient_free(w->client);
	assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	stop(w);
	(void)unlink(w->path);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

/* Run the loop until @counter reaches @wanted. */
static void until(struct world *w, const unsigned *counter, unsigned wanted)
{
	uint64_t cap = monotonic_ns() + CAP_NS;

	while (*counter < wanted) {
		assert_true(monotonic_ns() < cap);
		(void)uv_run(&w->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

static int ask(struct world *w, enum kedge_if_lost if_lost, int timeout_ms)
{
	return kedge_uvclient_call(w->client,
				   &(struct kedge_ask){ .method = "m",
							.if_lost = if_lost,
							.timeout_ms = timeout_ms,
							.on_reply = on_reply,
							.userdata = w },
				   NULL);
}

static void test_calls_and_events(void **state)
{
	struct world *w = *state;

	start(w, MANNER_ANSWERS);
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
		start(w, round % 3 == 1 ? MANNER_SILENT : MANNER_ANSWERS);
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
	start(w, MANNER_ANSWERS);
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

	start(w, MANNER_SILENT);
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
	start(w, MANNER_ANSWERS);
	until(w, &w->connections, 2);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->results, 1);
	until(w, &w->recoveries, 1);
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

	start(w, MANNER_CLOSES);
	until(w, &w->connections, 10);
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->recoveries, 0);
	stop(w);
	start(w, MANNER_ANSWERS);
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

	start(w, MANNER_REFUSES);
	until(w, &w->connections, 3);
	assert_int_equal(w->failures, 1);
	assert_non_null(strstr(w->line, "refused by the server: Not allowed: uid 7"));
	assert_int_equal(w->recoveries, 0);
}

/* The path matters to who connects; who is connected goes on without it. */
static void test_the_path_is_lost(void **state)
{
	struct world *w = *state;

	start(w, MANNER_ANSWERS);
	until(w, &w->connections, 1);
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(ask(w, KEDGE_IF_LOST_FAIL, 0), 0);
	until(w, &w->results, 1);
	assert_int_equal(w->failures, 0);
	stop(w);
	until(w, &w->failures, 1);
	start(w, MANNER_ANSWERS);
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

	start(w, MANNER_ANSWERS);
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

	start(w, MANNER_ANSWERS);
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
