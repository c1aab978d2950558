/*
 * H12: path and anchor are both gone, so nothing can be linked any more. A new
 * listener is published; the old is kept open and served, sixteen at most.
 */
#include "fixture.h"

#include <sys/socket.h>
#include <unistd.h>

#define RETIRED_MAX 16
#define REBINDS     24

static void lose_both(struct fixture *f)
{
	unsigned generation = (unsigned)status_of(f, f->path).generation;

	DO(unlink(text("%s/x.sock.%u", anchor_dir_of(f), generation)));
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f) && status_of(f, f->path).generation > generation);
}

static void rebound(struct fixture *f)
{
	struct kedge_path_status status;

	start_listening(f, KEDGE_INTERVAL_NONE);
	lose_both(f);
	status = status_of(f, f->path);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 1 && seen(f, KEDGE_EVENT_RECOVERED) == 1);
	assert_int_equal(status.generation, 2);
	assert_int_equal(status.retired, 1);
	assert_int_equal(status.anchored, 1);
	assert_int_not_equal(status.fd, f->fd);
	assert_int_equal(mode_of(f->path), 0600);
}

static void queue_is_served_on(struct fixture *f)
{
	int client;

	start_listening(f, KEDGE_INTERVAL_NONE);
	client = keep_fd(f, client_new(f->path));
	assert_true(client >= 0);
	lose_both(f);
	serve(f->fd);
	assert_int_equal(answer_of(client), f->fd);
}

static void sixteen_at_most(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (unsigned i = 1; i <= REBINDS; i++) {
		lose_both(f);
		assert_int_equal(status_of(f, f->path).retired, i < RETIRED_MAX ? i : RETIRED_MAX);
	}
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RETIRED) == REBINDS - RETIRED_MAX);
	ASSERT_STORY(f, f->record.listeners_old == REBINDS - RETIRED_MAX);
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
}

/* Lose both without serving anybody meanwhile. */
static void lose_both_unserved(struct fixture *f)
{
	unsigned generation = (unsigned)status_of(f, f->path).generation;

	DO(unlink(text("%s/x.sock.%u", anchor_dir_of(f), generation)));
	DO(unlink(f->path));
	GUARD_UNTIL(f, exists(f->path) && status_of(f, f->path).generation > generation);
}

/* The oldest has somebody in its queue: idle ones go before it. */
static void busy_ones_stay(struct fixture *f)
{
	int client;

	start_listening(f, KEDGE_INTERVAL_NONE);
	client = keep_fd(f, client_new(f->path));
	assert_true(client >= 0);
	for (unsigned i = 1; i <= REBINDS; i++)
		lose_both_unserved(f);
	assert_int_equal(status_of(f, f->path).retired, RETIRED_MAX);
	serve_all(f);
	assert_int_equal(answer_of(client), f->fd);
}

static int made[64], made_n;
static size_t bind_path_size_max;

static int create(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	(void)userdata;
	if (strlen(bind_path) > bind_path_size_max)
		bind_path_size_max = strlen(bind_path);
	if (fd >= 0)
		listen(fd, 16);
	made[made_n++] = fd;
	return fd;
}

/* The server makes its own: each is published, none of its descriptors is closed. */
static void created_by_the_server(struct fixture *f)
{
	f->listen.create = create;
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 5; i++)
		lose_both(f);
	assert_int_equal(made_n, 6);
	assert_true(bind_path_size_max <= KEDGE_SOCKET_PATH_MAX);
	assert_int_equal(mode_of(f->path), 0600);
	stop_guard(f);
	for (int i = 0; i < made_n; i++)
		DO(close(made[i]));
}

static const struct test_case cases[] = {
	{ "h12 re-bound", rebound, ANYWHERE },
	{ "h12 the old queue is served on", queue_is_served_on, ANYWHERE },
	{ "h12 sixteen retired at most", sixteen_at_most, ANYWHERE },
	{ "h12 busy ones stay", busy_ones_stay, ANYWHERE },
	{ "h12 created by the server", created_by_the_server, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
