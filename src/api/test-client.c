/* The blocking client, against a peer in a thread that says what the test wants. */
#include "api/test-client.h"

static void test_nobody_there(void **state)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_client *client = NULL;
	struct kedge_client_options options = { .size = 1 };
	struct peer peer;

	(void)state;
	peer_dir(&peer);
	assert_int_equal(kedge_client_connect(&client, peer.path, NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, peer.path));
	close(listen_at(peer.path, 1));
	assert_int_equal(kedge_client_connect(&client, peer.path, NULL, &error), -ECONNREFUSED);
	assert_int_equal(kedge_client_connect(&client, peer.path, &options, &error), -EINVAL);
	assert_int_equal(kedge_client_connect(&client, "No Name", NULL, &error), -EINVAL);
	options = (struct kedge_client_options){ .size = sizeof(options), .id_prefix = "a b" };
	assert_int_equal(kedge_client_connect(&client, peer.path, &options, &error), -EINVAL);
	assert_string_equal(error.text, "client: Invalid argument");
	assert_null(client);
	unlink(peer.path);
	rmdir(peer.dir);
}

/* A server whose queue is full is waited for, but not for ever. */
static void serve_nothing(struct peer *peer, int fd)
{
	(void)peer;
	(void)fd;
}

static void test_a_full_queue(void **state)
{
	struct kedge_client_options options = { .size = sizeof(options), .connect_timeout_ms = 50 };
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_client *clients[8] = { NULL }, *late = NULL;
	struct peer peer;
	size_t n = 0;
	int r = 0;

	(void)state;
	peer_dir(&peer);
	peer.listener = listen_at(peer.path, 1);
	while (n < 8 && r == 0)
		r = kedge_client_connect(&clients[n++], peer.path, &options, &error);
	assert_int_equal(r, -ETIMEDOUT);
	assert_non_null(strstr(error.text, "50 ms"));
	peer.serve = serve_nothing;
	peer.delay_ms = SHORT_MS;
	assert_int_equal(pthread_create(&peer.thread, NULL, run_peer, &peer), 0);
	options.connect_timeout_ms = 20000;
	assert_int_equal(kedge_client_connect(&late, peer.path, &options, &error), 0);
	kedge_client_close(late);
	for (size_t i = 0; i < n; i++)
		kedge_client_close(clients[i]);
	peer_end(&peer);
}

static void test_a_long_path(void **state)
{
	char name[201], path[1024], back[1024];
	struct kedge_client *client = NULL;
	struct peer peer;

	(void)state;
	peer_dir(&peer);
	memset(name, 'n', 200);
	name[200] = '\0';
	assert_non_null(getcwd(back, sizeof(back)));
	(void)snprintf(path, sizeof(path), "%s/%s", peer.dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chdir(path), 0);
	peer.listener = listen_at("s", 1);
	assert_int_equal(rename("s", name), 0); /* a name longer than an address */
	assert_int_equal(chdir(back), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", peer.dir, name, name);
	assert_int_equal(kedge_client_connect(&client, path, NULL, NULL), 0);
	kedge_client_close(client);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(peer.dir);
	close(peer.listener);
}

static void serve_answers(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "\"1\"");
	peer_say(fd, "{\"event\":\"e\",\"data\":1}\n{\"id\":\"1\",\"result\":{\"a\":1}}\n");
	peer_expect(peer, fd, "\"2\"");
	peer_say(fd, "{\"id\":\"2\",\"error\":\"no\",\"statusCode\":404,\"errorCode\":\"X\"}\n");
	/* The third gets none; its time-out is followed by a fourth. */
	peer_expect(peer, fd, "\"4\"");
	peer_say(fd, "{\"id\":\"3\",\"result\":3}\n{\"id\":\"4\",\"result\":4}\n");
	peer_expect(peer, fd, "\"5\"");
}

static void test_calls(void **state)
{
	struct kedge_ask ask = { .method = "m", .params = S("{}") };
	struct kedge_reply reply;
	struct kedge_client *client;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_answers);
	client = connect_to(&peer, KEDGE_PROTOCOL_LINES);
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_RESULT);
	assert_span(reply.result, "{\"a\":1}");
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_ERROR);
	assert_int_equal(reply.status, 404);
	assert_span(reply.error, "\"no\"");
	assert_span(reply.error_code, "\"X\"");
	ask.timeout_ms = SHORT_MS;
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_TIMED_OUT);
	/* The connection may be used on; the late answer is dropped. */
	ask.timeout_ms = 0;
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_span(reply.result, "4");
	/* The server goes away; writing to it raises nothing. */
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_LOST);
	assert_int_equal(kedge_client_error(client), -ECONNRESET);
	assert_int_equal(kedge_client_call(client, &ask, &reply), -ENOTCONN);
	assert_int_equal(kedge_client_wait(client, 0), -ENOTCONN);
	assert_true(kedge_client_fd(client) < 0);
	kedge_client_close(client);
	peer_end(&peer);
}

static void serve_stream(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "\"m\"");
	peer_frame(fd, "{\"id\":\"1\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	peer_frame(fd, "one");
	peer_frame(fd, "two");
	peer_frame(fd, "");
	peer_expect(peer, fd, "\"n\"");
	peer_frame(fd, "{\"id\":\"2\",\"headers\":{\"content-length\":\"4\"}}");
	peer_frame(fd, "body");
	/* A stream that begins and gives nothing. */
	peer_expect(peer, fd, "\"o\"");
	peer_frame(fd, "{\"id\":\"3\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	peer_expect(peer, fd, "$cancel");
	/* ... and one that is cut off. */
	peer_frame(fd, "");
	peer_expect(peer, fd, "\"p\"");
	peer_frame(fd, "{\"id\":\"5\",\"headers\":{\"transfer-encoding\":\"chunked\"}}");
	peer_frame(fd, "x");
}

struct seen {
	char text[256];
	struct kedge_client *client;
	int nested;
};

static void see_chunk(struct kedge_span chunk, void *userdata)
{
	struct seen *seen = userdata;

	(void)snprintf(seen->text + strlen(seen->text), 64, "%.*s,", (int)chunk.size, chunk.data);
	seen->nested = kedge_client_call(seen->client, &(struct kedge_ask){ .method = "x" }, NULL);
}

static void test_streams(void **state)
{
	struct seen seen = { .text = "" };
	struct kedge_ask ask = { .method = "m", .on_chunk = see_chunk, .userdata = &seen };
	struct kedge_reply reply;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_stream);
	seen.client = connect_to(&peer, KEDGE_PROTOCOL_FRAMES);
	assert_int_equal(kedge_client_call(seen.client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_END);
	assert_span(reply.headers, "{\"transfer-encoding\":\"chunked\"}");
	assert_string_equal(seen.text, "one,two,");
	assert_int_equal(seen.nested, -EBUSY);
	ask.method = "n";
	assert_int_equal(kedge_client_call(seen.client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_BODY);
	assert_span(reply.body, "body");
	ask.method = "o";
	ask.first_chunk_ms = SHORT_MS;
	assert_int_equal(kedge_client_call(seen.client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_TIMED_OUT);
	ask.method = "p";
	ask.first_chunk_ms = 0;
	assert_int_equal(kedge_client_call(seen.client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_LOST);
	assert_string_equal(seen.text, "one,two,x,");
	kedge_client_close(seen.client);
	peer_end(&peer);
}

static struct kedge_client *to_cancel;

static void on_signal(int number)
{
	(void)number;
	(void)kedge_client_cancel(to_cancel);
}

static void serve_cancelled(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "\"m\"");
	(void)pthread_kill(peer->client, SIGUSR1);
	peer_expect(peer, fd, "{\"targetId\":\"1\"}");
	peer_frame(fd, "{\"id\":\"1\",\"error\":\"Cancelled\",\"statusCode\":499}");
	peer_frame(fd, "{\"id\":\"2\",\"result\":null}");
	peer_expect(peer, fd, "\"n\"");
	peer_frame(fd, "{\"id\":\"3\",\"result\":3}");
}

static void test_cancel_from_a_signal_handler(void **state)
{
	struct sigaction action = { .sa_handler = on_signal }, before;
	struct kedge_ask ask = { .method = "m" };
	struct kedge_reply reply;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_cancelled);
	to_cancel = connect_to(&peer, KEDGE_PROTOCOL_FRAMES);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(kedge_client_call(to_cancel, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_CANCELLED);
	ask.method = "n";
	assert_int_equal(kedge_client_call(to_cancel, &ask, &reply), 0);
	assert_span(reply.result, "3");
	/* One that comes just before a wait or a call ends that. */
	assert_int_equal(kedge_client_cancel(to_cancel), 0);
	assert_int_equal(kedge_client_wait(to_cancel, -1), -ECANCELED);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	to_cancel = kedge_client_close(to_cancel);
	peer_end(&peer);
}

static void serve_subscription(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "\"subscribe\"");
	peer_say(fd, "{\"id\":\"1\",\"result\":{\"subscribed\":true}}\n");
	peer_say(fd, "{\"id\":\"1\",\"event\":\"delivery\",\"payload\":1}\n");
	peer_say(fd, "{\"event\":\"pushed\"}\n{\"id\":\"d:1\",\"method\":\"ask\"}\n");
	peer_expect(peer, fd, "\"d:1\"");
	peer_say(fd, "{\"id\":\"1\",\"error\":\"closed\"}\n");
	peer_expect(peer, fd, "never");
}

static void see_delivery(struct kedge_span name, struct kedge_span payload, void *userdata)
{
	struct seen *seen = userdata;

	(void)snprintf(seen->text + strlen(seen->text), 64, "%.*s %.*s,", (int)name.size, name.data,
		       (int)payload.size, payload.data);
}

static void see_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	const struct seen *seen = userdata;

	see_delivery(name, data, userdata);
	assert_int_equal(kedge_client_wait(seen->client, 0), -EBUSY);
}

static void see_reply(const struct kedge_reply *reply, void *userdata)
{
	struct seen *seen = userdata;

	strcat(strcat(seen->text, kedge_outcome_name(reply->outcome)), ",");
}

static void see_request(struct kedge_caller *caller, const struct kedge_asked *asked,
			void *userdata)
{
	struct seen *seen = userdata;

	strcat(seen->text, "asked,");
	assert_int_equal(kedge_caller_reply(caller, asked->id, S("true")), 0);
}

static void test_what_comes_between_calls(void **state)
{
	struct seen seen = { .text = "" };
	struct kedge_client_options options = { .size = sizeof(options),
						.handlers = { see_event, see_request },
						.userdata = &seen };
	struct kedge_ask ask = { .method = "subscribe",
				 .on_reply = see_reply,
				 .on_delivery = see_delivery,
				 .userdata = &seen };
	struct kedge_reply reply;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_subscription);
	assert_int_equal(kedge_client_connect(&seen.client, peer.path, &options, NULL), 0);
	assert_int_equal(kedge_client_wait(seen.client, SHORT_MS), 0);
	assert_int_equal(kedge_client_call(seen.client, &ask, &reply), 0);
	assert_span(reply.result, "{\"subscribed\":true}");
	while (!strstr(seen.text, "error"))
		assert_int_equal(kedge_client_wait(seen.client, 20000), 1);
	assert_string_equal(seen.text, "result,\"delivery\" 1,\"pushed\" ,asked,error,");
	assert_int_equal(kedge_caller_in_flight(kedge_client_caller(seen.client)), 0);
	kedge_client_close(seen.client);
	peer_end(&peer);
	assert_non_null(memmem(peer.got, peer.got_size, "{\"id\":\"d:1\",\"result\":true}\n", 27));
}

static void serve_upload(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "the end");
	peer_frame(fd, "{\"id\":\"1\",\"result\":1}");
	peer_expect(peer, fd, "$cancel");
	peer_frame(fd, "{\"id\":\"2\",\"error\":\"Cancelled\",\"statusCode\":499}");
}

static int64_t read_pieces(void *to, size_t room, void *userdata)
{
	int *left = userdata;
	const char *text = *left == 1 ? "the end" : "piece";

	assert_true(room >= 8);
	if (*left < 0)
		return -EIO;
	if (*left == 0)
		return 0;
	--*left;
	memcpy(to, text, strlen(text));
	return (int64_t)strlen(text);
}

static void test_an_upload(void **state)
{
	int left = 3;
	struct kedge_ask ask = { .method = "up",
				 .body_kind = KEDGE_BODY_STREAMED,
				 .read_body = read_pieces,
				 .userdata = &left };
	struct kedge_client *client;
	struct kedge_reply reply;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_upload);
	client = connect_to(&peer, KEDGE_PROTOCOL_FRAMES);
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_span(reply.result, "1");
	left = -1;
	assert_int_equal(kedge_client_call(client, &ask, &reply), -EIO);
	ask.read_body = NULL;
	assert_int_equal(kedge_client_call(client, &ask, &reply), -EINVAL);
	kedge_client_close(client);
	peer_end(&peer);
	assert_non_null(memmem(peer.got, peer.got_size,
			       "\0\0\0\5piece\0\0\0\5piece\0\0\0\7the end"
			       "\0\0\0\0",
			       33));
}

static void serve_nonsense(struct peer *peer, int fd)
{
	peer_expect(peer, fd, "\"m\"");
	peer_say(fd, "{\"id\":\"1\",\"result\":1}\n");
	peer_expect(peer, fd, "never");
}

static void test_a_server_that_speaks_otherwise(void **state)
{
	struct kedge_ask ask = { .method = "m" };
	struct kedge_client *client;
	struct kedge_reply reply;
	struct peer peer;

	(void)state;
	peer_begin(&peer, serve_nonsense);
	client = connect_to(&peer, KEDGE_PROTOCOL_FRAMES);
	assert_int_equal(kedge_client_call(client, &ask, &reply), 0);
	assert_int_equal(reply.outcome, KEDGE_OUTCOME_LOST);
	assert_int_equal(kedge_client_error(client), -EPROTO);
	kedge_client_close(client);
	peer_end(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_a_full_queue),
		cmocka_unit_test(test_a_long_path),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_cancel_from_a_signal_handler),
		cmocka_unit_test(test_what_comes_between_calls),
		cmocka_unit_test(test_an_upload),
		cmocka_unit_test(test_a_server_that_speaks_otherwise),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
