/*
 * The watchdog: a guard on its own thread, started and stopped at any moment, from any
 * thread and from inside its callbacks; and servers that make their own listeners.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kedge/watchdog.h"
#include "peer.h"
#include "world.h"

/* How often start, stop and loss are let loose on each other. */
#define CHAOS_ROUNDS 300
#define SWEEP_ROUNDS 200

static struct {
	struct kedge_watchdog *dog;
	_Atomic int current; /* the server's listener; -1: it has shut down */
	_Atomic unsigned asks, creates, rebinds, lines;
	_Atomic int stop_in_rebind, stop_in_create, fail_in_create;
	_Atomic int done;

	/* Whoever calls start() while a callback runs, and so waits for it. */
	_Atomic enum {
		NO_SECOND = 0,
		SECOND_STARTS,
		STOPPED_AND_SECOND_STARTS
	} second_in_rebind,
		second_in_create;
	pthread_t second;
	_Atomic pid_t second_tid;
	_Atomic int second_result;
} server;

static void *start_second(void *userdata)
{
	server.second_tid = gettid();
	server.second_result = kedge_watchdog_start(server.dog, NULL);
	return userdata;
}

/* Whether the second thread has asked, and waits for the lock that we hold. */
static int second_waits(void)
{
	char path[64], state = '?';
	FILE *stat;

	if (!server.second_tid)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)server.second_tid);
	stat = fopen(path, "re");
	assert_non_null(stat);
	assert_int_equal(fscanf(stat, "%*d (%*[^)]) %c", &state), 1);
	fclose(stat);
	return state == 'S';
}

/* Once, in a callback, which goes on when the other thread waits for it. */
static void let_second_start(int how)
{
	if (how == NO_SECOND)
		return;
	if (how == STOPPED_AND_SECOND_STARTS)
		(void)kedge_watchdog_stop(server.dog);
	assert_int_equal(pthread_create(&server.second, NULL, start_second, NULL), 0);
	for (uint64_t until = now_ms() + CAP_MS; !second_waits(); usleep(1000))
		assert_true(now_ms() < until);
	server.second_in_create = server.second_in_rebind = NO_SECOND;
}

static int get_server(void *userdata)
{
	(void)userdata;
	server.asks++;
	return server.current;
}

static int create_server(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	(void)userdata;
	server.creates++;
	if (fd >= 0)
		(void)!listen(fd, 16);
	if (server.stop_in_create)
		(void)kedge_watchdog_stop(server.dog);
	let_second_start(server.second_in_create);
	if (!server.fail_in_create)
		return fd;
	close(fd);
	return -EMFILE;
}

static void on_rebind(int new_fd, int old_fd, void *userdata)
{
	(void)old_fd;
	(void)userdata;
	/* Ours goes with the stop: whoever is started after it is asked for another. */
	if (server.second_in_rebind == NO_SECOND)
		server.current = new_fd;
	server.rebinds++;
	if (server.stop_in_rebind)
		(void)kedge_watchdog_stop(server.dog);
	let_second_start(server.second_in_rebind);
}

static void count_line(enum kedge_log_level level, const char *line, void *userdata)
{
	(void)level;
	(void)userdata;
	server.lines += line[0] != '\0' && !strchr(line, '\n');
}

static struct kedge_watchdog_options plain(const struct fixture *f, int64_t interval_ms)
{
	return (struct kedge_watchdog_options){
		.size = sizeof(struct kedge_watchdog_options),
		.path = f->path,
		.guard = { .size = sizeof(struct kedge_guard_options), .interval_ms = interval_ms },
		.log = count_line,
	};
}

static void make(const struct kedge_watchdog_options *options)
{
	memset(&server, 0, sizeof(server));
	server.current = -1;
	assert_int_equal(kedge_watchdog_new(&server.dog, options, NULL), 0);
}

/* The thread repairs by itself: only wait. */
#define WAIT_UNTIL(condition)                                                                      \
	for (uint64_t until_ = now_ms() + CAP_MS; !(condition); usleep(1000))                      \
	assert_true(now_ms() < until_)

/* The thread may put the path back while the sweep is at it, and then nothing is lost:
 * sweep again until it shows. */
#define SWEEP_UNTIL(f, condition)                                                                  \
	for (uint64_t until_ = now_ms() + CAP_MS; !(condition); usleep(20 * 1000)) {               \
		sweep((f)->dir);                                                                   \
		assert_true(now_ms() < until_);                                                    \
	}

static int connects(const char *path)
{
	int fd = client_new(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void guards_alone(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, KEDGE_INTERVAL_NONE);
	struct identity id;

	make(&options);
	assert_int_equal(kedge_watchdog_rebind_if_missing(server.dog), -ESHUTDOWN);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
		assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
		id = identity_of(f->path);
		DO(unlink(f->path));
		WAIT_UNTIL(exists(f->path));
		assert_true(is_identity(f->path, id));
		sweep(f->dir);
		WAIT_UNTIL(connects(f->path));
		assert_int_equal(kedge_watchdog_stop(server.dog), 0);
		assert_int_equal(kedge_watchdog_stop(server.dog), 0);
		assert_false(exists(f->path));
	}
	assert_true(server.lines > 0);
	server.dog = kedge_watchdog_free(server.dog);
}

/* The sweep may have taken the anchors only, or all but the path, or be answered by now:
 * stop() finds the path in whatever state it is and leaves nothing. */
static void stopped_after_a_sweep(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, KEDGE_INTERVAL_NONE);

	make(&options);
	for (int i = 0; i < SWEEP_ROUNDS; i++) {
		assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
		sweep(f->dir);
		if (i % 4)
			WAIT_UNTIL(connects(f->path));
		assert_int_equal(kedge_watchdog_stop(server.dog), 0);
		assert_false(exists(f->path));
		if (!exists(f->dir))
			make_dir(f->dir, 0755);
	}
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

static void repairs_when_asked(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, KEDGE_INTERVAL_NONE);

	make(&options);
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
	for (int i = 0; i < 50; i++) {
		DO(unlink(f->path));
		assert_true(kedge_watchdog_rebind_if_missing(server.dog) >= 0);
		assert_true(connects(f->path));
	}
	server.dog = kedge_watchdog_free(server.dog);
	assert_false(exists(f->path));
}

static void start_own_server_every(struct fixture *f, int64_t interval_ms)
{
	struct kedge_watchdog_options options = plain(f, interval_ms);

	options.get_server = get_server;
	options.create_server = create_server;
	options.on_rebind = on_rebind;
	make(&options);
	server.current = stranger_new(f, f->path);
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
	f->fds_before = -1; /* what the server makes is the server's to close */
}

static void start_own_server(struct fixture *f)
{
	start_own_server_every(f, 20);
}

static void own_server(struct fixture *f)
{
	struct identity id;

	start_own_server(f);
	id = identity_of(f->path);
	DO(unlink(f->path));
	WAIT_UNTIL(exists(f->path));
	assert_true(is_identity(f->path, id));
	assert_int_equal(server.creates, 0);
	SWEEP_UNTIL(f, server.rebinds >= 1);
	assert_true(server.creates >= server.rebinds);
	WAIT_UNTIL(connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
}

static int is_served(void)
{
	struct kedge_path_status status = { .size = sizeof(status) };

	return kedge_watchdog_status(server.dog, &status) == 0;
}

/* A server that has shut down gets no new listener. */
static void own_server_gone(struct fixture *f)
{
	start_own_server(f);
	server.current = -1;
	SWEEP_UNTIL(f, !exists(f->path));
	usleep(200 * 1000);
	assert_int_equal(server.creates, 0);
	assert_false(exists(f->path));
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

/* Our descriptor of its listener kept clients waiting in a queue that nobody served, and
 * the thread span, as the guard's deadline passed and was not attended to. */
static void own_server_let_go(struct fixture *f)
{
	unsigned asks;

	start_own_server(f);
	stranger_close(f, server.current);
	server.current = -1;
	WAIT_UNTIL(!connects(f->path));
	asks = server.asks;
	usleep(300 * 1000);
	assert_true(server.asks - asks < 100);
	assert_int_equal(kedge_watchdog_rebind_if_missing(server.dog), -ESHUTDOWN);
	DO(unlink(f->path));
	server.current = stranger_new(f, f->path);
	WAIT_UNTIL(kedge_watchdog_rebind_if_missing(server.dog) == 0);
	DO(unlink(f->path));
	WAIT_UNTIL(exists(f->path) && connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
}

/* Without an interval nothing comes by to ask: the server says that it is gone, and back. */
static void own_server_says_so(struct fixture *f)
{
	int r;

	start_own_server_every(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 3; i++) {
		stranger_close(f, server.current);
		server.current = -1;
		assert_int_equal(kedge_watchdog_rebind_if_missing(server.dog), -ESHUTDOWN);
		WAIT_UNTIL(!connects(f->path));
		DO(unlink(f->path));
		server.current = stranger_new(f, f->path);
		r = kedge_watchdog_rebind_if_missing(server.dog);
		/* 0: the thread is slow, and what was asked before is looked at only now. */
		assert_true(r == -ESHUTDOWN || r == 0);
		/* Taken up once, and not at the next asking. */
		WAIT_UNTIL(is_served());
		DO(unlink(f->path));
		WAIT_UNTIL(exists(f->path) && connects(f->path));
	}
	server.dog = kedge_watchdog_free(server.dog);
}

static int ask_in_child(struct fixture *f)
{
	struct kedge_path_status status = { .size = sizeof(status) };

	(void)f;
	return kedge_watchdog_status(server.dog, &status) == -ESTALE &&
			       kedge_watchdog_start(server.dog, NULL) == -ESTALE &&
			       kedge_watchdog_stop(server.dog) == -ESTALE &&
			       kedge_watchdog_rebind_if_missing(server.dog) == -ESTALE &&
			       !kedge_watchdog_free(server.dog)
		       ? 7
		       : 1;
}

static void in_a_forked_child(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, 20);

	make(&options);
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
	assert_int_equal(in_child(f, ask_in_child), 7);
	DO(unlink(f->path));
	WAIT_UNTIL(exists(f->path) && connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
	assert_false(exists(f->path));
}

static void stopped_in_rebind(struct fixture *f)
{
	start_own_server(f);
	server.stop_in_rebind = 1;
	SWEEP_UNTIL(f, server.rebinds >= 1);
	WAIT_UNTIL(kedge_watchdog_rebind_if_missing(server.dog) == -ESHUTDOWN);
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

/* Stopped while the listener is made: it is published nowhere. */
static void stopped_in_create(struct fixture *f)
{
	start_own_server(f);
	server.stop_in_create = 1;
	SWEEP_UNTIL(f, server.creates >= 1);
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(server.rebinds, 0);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

static void make_with_create(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, KEDGE_INTERVAL_NONE);

	options.create_server = create_server;
	make(&options);
	f->fds_before = -1;
}

/* The first start() is stopped while it makes its listener, the second comes after the
 * stop: the first one, in its failure, took the second one's wish back. */
static void second_start_stands(struct fixture *f)
{
	make_with_create(f);
	server.second_in_create = STOPPED_AND_SECOND_STARTS;
	assert_true(kedge_watchdog_start(server.dog, NULL) < 0);
	assert_int_equal(pthread_join(server.second, NULL), 0);
	assert_int_equal(server.second_result, 0);
	assert_true(connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

/* Two start, the first one fails: the second one was told that all was well. */
static void second_start_is_told(struct fixture *f)
{
	make_with_create(f);
	server.fail_in_create = 1;
	server.second_in_create = SECOND_STARTS;
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), -EMFILE);
	assert_int_equal(pthread_join(server.second, NULL), 0);
	assert_int_equal(server.second_result, -EMFILE);
	server.fail_in_create = 0;
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
	assert_true(connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

/* A server comes back without its path, is stopped as it hears of its new listener, and
 * started again: the listener of the earlier life was kept for the later one. */
static void listener_of_an_earlier_life(struct fixture *f)
{
	int fd;

	start_own_server(f);
	fd = server.current;
	server.current = -1;
	WAIT_UNTIL(kedge_watchdog_rebind_if_missing(server.dog) == -ESHUTDOWN);
	usleep(100 * 1000);
	DO(unlink(f->path));
	server.second_in_rebind = STOPPED_AND_SECOND_STARTS;
	server.current = fd;
	WAIT_UNTIL(server.rebinds >= 1 && server.second_in_rebind == NO_SECOND);
	assert_int_equal(pthread_join(server.second, NULL), 0);
	assert_int_equal(server.second_result, 0);
	assert_true(connects(f->path));
	assert_true(server.creates >= 2);
	server.dog = kedge_watchdog_free(server.dog);
	assert_int_equal(kedge_names(f), 0);
}

static void *start_and_stop(void *userdata)
{
	(void)userdata;
	while (!server.done) {
		(void)kedge_watchdog_start(server.dog, NULL);
		(void)kedge_watchdog_rebind_if_missing(server.dog);
		(void)kedge_watchdog_stop(server.dog);
	}
	return NULL;
}

/* Two threads start and stop it, a third removes the path and then the directory. */
static void chaos(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, 10);
	pthread_t threads[2];

	make(&options);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, start_and_stop, NULL), 0);
	for (int i = 0; i < CHAOS_ROUNDS; i++) {
		(void)unlink(f->path);
		if (i % 16 == 0)
			sweep(f->dir);
		usleep(500);
	}
	server.done = 1;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)mkdir(f->dir, 0755);
	assert_int_equal(kedge_watchdog_start(server.dog, NULL), 0);
	assert_true(connects(f->path));
	server.dog = kedge_watchdog_free(server.dog);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

/* A process that returns from main() ends, whatever the thread is at. */
static int return_from_main(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, 5000);

	make(&options);
	return kedge_watchdog_start(server.dog, NULL) == 0 ? 7 : 1;
}

static void keeps_no_process_alive(struct fixture *f)
{
	assert_int_equal(in_child(f, return_from_main), 7);
	sweep(f->dir);
	make_dir(f->dir, 0755);
}

static void bad_options(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, 0);

	server.dog = NULL;
	options.path = NULL;
	assert_int_equal(kedge_watchdog_new(&server.dog, &options, NULL), -EINVAL);
	options = plain(f, 0);
	options.size = 1;
	assert_int_equal(kedge_watchdog_new(&server.dog, &options, NULL), -EINVAL);
	assert_null(server.dog);
	assert_null(kedge_watchdog_free(NULL));
}

static void refuses(const struct kedge_watchdog_options *options, const char *word)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	assert_int_equal(kedge_watchdog_new(&server.dog, options, &error), -EINVAL);
	assert_null(server.dog);
	if (!strstr(error.text, word))
		fail_msg("'%s' does not name %s", error.text, word);
}

static void bad_options_in_words(struct fixture *f)
{
	struct kedge_watchdog_options options = plain(f, -2);

	server.dog = NULL;
	refuses(&options, "-2");
	options.guard.interval_ms = KEDGE_INTERVAL_MAX_MS + 1;
	refuses(&options, "86400001");
	options = plain(f, 0);
	options.guard.anchor_dir = "here/or/there";
	refuses(&options, "here/or/there");
	options = plain(f, 0);
	options.path = "x.sock";
	refuses(&options, "x.sock");
}

static const struct test_case cases[] = {
	{ "watchdog guards alone", guards_alone, ANYWHERE },
	{ "watchdog stopped after a sweep", stopped_after_a_sweep, ANYWHERE },
	{ "watchdog repairs when asked", repairs_when_asked, ANYWHERE },
	{ "watchdog of a server's own listener", own_server, ANYWHERE },
	{ "watchdog of a server that is gone", own_server_gone, ANYWHERE },
	{ "watchdog lets go of a server that is gone", own_server_let_go, ANYWHERE },
	{ "watchdog without an interval, told by its server", own_server_says_so, ANYWHERE },
	{ "watchdog in a forked child", in_a_forked_child, ANYWHERE },
	{ "watchdog stopped in on_rebind", stopped_in_rebind, ANYWHERE },
	{ "watchdog stopped in create_server", stopped_in_create, ANYWHERE },
	{ "watchdog: a start after the stop stands", second_start_stands, ANYWHERE },
	{ "watchdog: a start that waited is told", second_start_is_told, ANYWHERE },
	{ "watchdog: no listener of an earlier life", listener_of_an_earlier_life, ANYWHERE },
	{ "watchdog started and stopped by all", chaos, ANYWHERE },
	{ "watchdog keeps no process alive", keeps_no_process_alive, ON_TMPFS },
	{ "watchdog with bad options", bad_options, ON_TMPFS },
	{ "watchdog with bad options, in words", bad_options_in_words, ON_TMPFS },
};

int main(void)
{
	return RUN_CASES(cases);
}
