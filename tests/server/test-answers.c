/* Answers: now, later, from other threads; to whom, and to whom not. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static void echo(const struct kedge_call *call, void *userdata)
{
	(void)userdata;
	assert_int_equal(kedge_call_reply(call, call->params), 0);
	assert_int_equal(kedge_call_reply(call, call->params), -ESTALE);
}

/* From threads. */

#define WORKERS  4
#define REQUESTS 2000

static struct workers {
	struct kedge_server *server;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct kedge_later queue[REQUESTS];
	size_t taken, given;
	bool over;
} workers = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static void work_later(const struct kedge_call *call, void *userdata)
{
	struct workers *w = userdata;

	pthread_mutex_lock(&w->lock);
	w->server = call->server;
	w->queue[w->given++ % REQUESTS] = call->later;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

static void *worker(void *arg)
{
	struct workers *w = arg;

	for (;;) {
		struct kedge_server *server;
		struct kedge_later later;
		char text[32];
		size_t n;

		pthread_mutex_lock(&w->lock);
		while (w->taken == w->given && !w->over)
			pthread_cond_wait(&w->more, &w->lock);
		if (w->taken == w->given) {
			pthread_mutex_unlock(&w->lock);
			return NULL;
		}
		n = w->taken++;
		later = w->queue[n % REQUESTS];
		server = w->server;
		pthread_mutex_unlock(&w->lock);
		(void)snprintf(text, sizeof(text), "%zu", n);
		if (n % 10 == 9)
			(void)kedge_server_post_error(server, later, 409, text);
		else
			(void)kedge_server_post_reply(server, later, kedge_span(text));
	}
}

static void test_threads_answer_each_request_once(void **state)
{
	static const struct kedge_method methods[] = {
		{ .name = "work", .handler = work_later, .userdata = &workers },
	};
	struct fixture *f = *state;
	struct peer_client c;
	pthread_t threads[WORKERS];
	bool seen[REQUESTS] = { false };
	unsigned errors = 0;

	serve(f, methods, 1);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, &workers), 0);
	client_connect(&c, f);
	for (int i = 0; i < REQUESTS; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "{\"id\":%d,\"method\":\"work\"}\n", i + 1);
		client_say(&c, text);
	}
	for (int i = 0; i < REQUESTS; i++) {
		_cleanup_(freep) char *line = client_line(&c);
		int id;

		assert_non_null(line);
		assert_int_equal(sscanf(line, "{\"id\":%d,", &id), 1);
		assert_in_range(id, 1, REQUESTS);
		assert_false(seen[id - 1]);
		seen[id - 1] = true;
		errors += strstr(line, "\"statusCode\":409,\"errorCode\":\"CONFLICT\"") != NULL;
	}
	assert_int_equal(errors, REQUESTS / 10);
	pthread_mutex_lock(&workers.lock);
	workers.over = true;
	pthread_cond_broadcast(&workers.more);
	pthread_mutex_unlock(&workers.lock);
	for (int i = 0; i < WORKERS; i++)
		(void)pthread_join(threads[i], NULL);
	client_close_end(&c);
}

/* The queue of posts has an end, and what was taken runs in order. */
static unsigned posts_run;

static void count_post(struct kedge_server *server, void *arg)
{
	assert_non_null(server);
	assert_int_equal((uintptr_t)arg, posts_run);
	posts_run++;
}

static void test_posts_are_bounded_and_in_order(void **state)
{
	static const struct kedge_method methods[] = { { .name = "echo", .handler = echo } };
	struct fixture *f = *state;
	uintptr_t n = 0;

	serve(f, methods, 1);
	posts_run = 0;
	while (kedge_server_post(f->server, count_post, (void *)n) == 0)
		n++;
	assert_int_equal(n, 65536);
	assert_int_equal(kedge_server_post(f->server, count_post, NULL), -ENOBUFS);
	assert_int_equal(
		kedge_server_post_reply(f->server, (struct kedge_later){ 1, 1 }, kedge_span("1")),
		-ENOBUFS);
	RUN_UNTIL(f, posts_run, 65536);
	/* What waits at the stop is run before it is told; then no more is taken. */
	assert_int_equal(kedge_server_post(f->server, count_post, (void *)n), 0);
	kedge_server_stop(f->server, 0, NULL, NULL);
	assert_int_equal(posts_run, 65537);
	assert_int_equal(kedge_server_post(f->server, count_post, NULL), -ESHUTDOWN);
}

/* Methods, groups, fallback. */

static const char *a_group_that_is_not_ours(void)
{
	static const char *const names[] = { "nogroup", "daemon", "root", "adm" };
	gid_t mine[256];
	int count = getgroups(256, mine);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct group *g = getgrnam(names[i]);
		bool ours = !g || g->gr_gid == getegid();

		for (int k = 0; !ours && k < count; k++)
			ours = mine[k] == g->gr_gid;
		if (!ours)
			return names[i];
	}
	return NULL;
}

/* As nobody: call @method and print the answer into the pipe. No asserts: this is a child. */
static void ask_as_nobody(const struct fixture *f, const char *method, gid_t gid, int to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[1024];
	ssize_t n;

	memcpy(address.sun_path, f->path, sizeof(address.sun_path) - 1);
	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(65534) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		_exit(1);
	n = snprintf(text, sizeof(text), "{\"id\":\"1\",\"method\":\"%s\"}\n", method);
	(void)!write(fd, text, (size_t)n);
	n = read(fd, text, sizeof(text));
	(void)!write(to, text, n > 0 ? (size_t)n : 0);
	_exit(0);
}

struct piped {
	int fd;
	char text[1024];
	size_t size;
	bool over;
};

static bool take_piped(void *arg)
{
	struct piped *p = arg;
	ssize_t n = read(p->fd, p->text + p->size, sizeof(p->text) - 1 - p->size);

	p->over = n == 0;
	p->size += n > 0 ? (size_t)n : 0;
	p->text[p->size] = '\0';
	return p->over;
}

static void assert_nobody_gets(struct fixture *f, const char *method, gid_t gid, const char *wanted)
{
	struct piped p = { 0 };
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		ask_as_nobody(f, method, gid, ends[1]);
	close(ends[1]);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	p.fd = ends[0];
	run_until(f, take_piped, &p);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(p.text, wanted);
}

static void test_method_needs_group(void **state)
{
	struct fixture *f = *state;
	const char *group = a_group_that_is_not_ours();
	struct kedge_method methods[] = {
		{ .name = "open", .handler = echo },
		{ .name = "closed", .handler = echo, .group = group },
		{ .name = "none", .handler = echo, .group = "no such group at all" },
	};
	struct peer_client c;
	char wanted[256];

	if (!group) {
		print_message(
			"# SKIP all of it: as root only, and where there is a group to name\n");
		return;
	}
	f->options.on_open = NULL;
	f->listen.mode = 0666;
	f->options.allow = (struct kedge_allow){ .users = (uid_t[]){ 65534 }, .user_count = 1 };
	serve(f, methods, 2);
	assert_int_equal(kedge_server_add_methods(f->server, &methods[2], 1), -EINVAL);
	(void)snprintf(wanted, sizeof(wanted),
		       "{\"id\":\"1\",\"error\":\"Not allowed: closed needs group %s\","
		       "\"statusCode\":403,\"errorCode\":\"FORBIDDEN\"}%s",
		       group, geteuid() == 0 ? "\n" : "");
	if (geteuid() != 0) {
		client_connect(&c, f);
		client_say(&c, "{\"id\":\"1\",\"method\":\"closed\"}\n");
		assert_line(&c, wanted);
		client_close_end(&c);
		return;
	}
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_nobody_gets(f, "open", 65534, "{\"id\":\"1\"}\n");
	assert_nobody_gets(f, "closed", 65533, wanted);
	assert_nobody_gets(f, "closed", getgrnam(group)->gr_gid, "{\"id\":\"1\"}\n");
	/* root may, whatever its groups are. */
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"closed\"}\n");
	assert_line(&c, "{\"id\":\"1\"}");
	client_close_end(&c);
}

static void test_bad_rows_are_refused(void **state)
{
	static const struct kedge_method good[] = { { .name = "echo", .handler = echo } };
	static const struct kedge_method bad[] = { { .name = "", .handler = echo },
						   { .handler = echo },
						   { .name = "x" } };
	struct fixture *f = *state;

	serve(f, good, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(kedge_server_add_methods(f->server, &bad[i], 1), -EINVAL);
}

static unsigned fallback_cancelled;

static void on_fallback_cancel(struct kedge_server *server, struct kedge_later later,
			       void *userdata)
{
	(void)server;
	(void)later;
	(void)userdata;
	fallback_cancelled++;
}

static struct kedge_later fallback_later;

static const struct kedge_method *fallback(const struct kedge_call *call, void *userdata)
{
	static const struct kedge_method row = { .on_cancel = on_fallback_cancel };

	(void)userdata;
	if (call->method.size < 3 || memcmp(call->method.data, "up.", 3) != 0)
		return NULL;
	fallback_later = call->later;
	return &row;
}

static void test_fallback_takes_what_no_row_names(void **state)
{
	static const struct kedge_method methods[] = { { .name = "up.mine", .handler = echo } };
	struct fixture *f = *state;
	struct peer_client c;

	f->options.fallback = fallback;
	serve(f, methods, 1);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"up.mine\",\"params\":7}\n");
	assert_line(&c, "{\"id\":\"1\",\"result\":7}");
	client_say(&c, "{\"id\":\"2\",\"method\":\"down\"}\n");
	assert_line(&c, "{\"id\":\"2\",\"error\":\"Unknown method: down\",\"statusCode\":404,"
			"\"errorCode\":\"UNKNOWN_METHOD\"}");
	fallback_later.client = 0;
	client_say(
		&c,
		"{\"id\":\"3\",\"method\":\"up.there\"}\n{\"id\":\"4\",\"method\":\"up.mine\"}\n");
	assert_line(&c, "{\"id\":\"4\"}");
	assert_int_equal(kedge_server_reply(f->server, fallback_later, kedge_span("8")), 0);
	assert_line(&c, "{\"id\":\"3\",\"result\":8}");
	client_say(
		&c,
		"{\"id\":\"5\",\"method\":\"up.there\"}\n{\"id\":\"6\",\"method\":\"up.mine\"}\n");
	assert_line(&c, "{\"id\":\"6\"}");
	client_close_end(&c);
	RUN_UNTIL(f, fallback_cancelled, 1);
	assert_int_equal(kedge_server_reply(f->server, fallback_later, kedge_span("8")), -ESTALE);
}

/* The other way round. */

static struct {
	unsigned count;
	uint64_t client, number;
	bool failed;
	char text[64];
} answered;

static void on_answer(uint64_t client, const struct kedge_conn_answer *answer, void *userdata)
{
	struct kedge_span text = answer->failed ? answer->error : answer->result;

	(void)userdata;
	answered.count++;
	answered.client = client;
	answered.number = answer->number;
	answered.failed = answer->failed;
	(void)snprintf(answered.text, sizeof(answered.text), "%.*s", (int)text.size, text.data);
}

static void test_server_asks_a_client(void **state)
{
	static const struct kedge_method methods[] = { { .name = "echo", .handler = echo } };
	struct fixture *f = *state;
	struct kedge_peer peer;
	struct peer_client c;
	uint64_t first, second;

	f->options.call_prefix = "d:";
	f->options.on_answer = on_answer;
	serve(f, methods, 1);
	client_connect(&c, f);
	RUN_UNTIL(f, f->opened, 1);
	assert_int_equal(kedge_server_peer(f->server, f->last_opened, &peer), 0);
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(
		kedge_server_call(f->server, f->last_opened, "m", kedge_span("[1]"), &first), 0);
	assert_int_equal(kedge_server_call(f->server, f->last_opened, "n",
					   (struct kedge_span){ NULL, 0 }, &second),
			 0);
	assert_line(&c, "{\"id\":\"d:1\",\"method\":\"m\",\"params\":[1]}");
	assert_line(&c, "{\"id\":\"d:2\",\"method\":\"n\"}");
	kedge_server_forget(f->server, f->last_opened, first);
	client_say(&c, "{\"id\":\"d:1\",\"result\":1}\n{\"id\":\"d:2\",\"error\":\"no\"}\n");
	RUN_UNTIL(f, answered.count, 1);
	assert_int_equal(answered.client, f->last_opened);
	assert_int_equal(answered.number, second);
	assert_true(answered.failed);
	assert_string_equal(answered.text, "\"no\"");
	assert_int_equal(kedge_server_send(f->server, f->last_opened, kedge_span("{\"a\":1}")), 0);
	assert_line(&c, "{\"a\":1}");
	client_close_end(&c);
	RUN_UNTIL(f, f->closed, 1);
	assert_int_equal(kedge_server_send(f->server, f->last_opened, kedge_span("{}")), -ESTALE);
	assert_int_equal(kedge_server_peer(f->server, f->last_opened, &peer), -ESTALE);
	assert_int_equal(kedge_server_call(f->server, f->last_opened, "m", kedge_span("1"), &first),
			 -ESTALE);
	assert_int_equal(kedge_server_output_bytes(f->server, f->last_opened), 0);
}

static void test_stats_count(void **state)
{
	static const struct kedge_method methods[] = { { .name = "echo", .handler = echo } };
	struct kedge_server_stats stats = { .size = sizeof(stats) };
	struct fixture *f = *state;
	struct peer_client c;

	serve(f, methods, 1);
	client_connect(&c, f);
	client_say(&c, "{\"id\":\"1\",\"method\":\"echo\"}\n{\"id\":\"2\",\"method\":\"no\"}\n");
	assert_line(&c, "{\"id\":\"1\"}");
	free(client_line(&c));
	kedge_server_stats(f->server, &stats);
	assert_int_equal(stats.clients, 1);
	assert_int_equal(stats.accepted, 1);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.answered, 1);
	assert_int_equal(stats.failed, 1);
	assert_int_equal(stats.bytes_in, 52);
	assert_true(stats.bytes_out > 20);
	client_close_end(&c);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_threads_answer_each_request_once),
		CASE(test_posts_are_bounded_and_in_order),
		CASE(test_method_needs_group),
		CASE(test_bad_rows_are_refused),
		CASE(test_fallback_takes_what_no_row_names),
		CASE(test_server_asks_a_client),
		CASE(test_stats_count),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
