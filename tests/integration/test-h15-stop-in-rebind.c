/*
 * H15: the guard is stopped while a re-bind is under way, from inside any of its
 * callbacks. A listener that comes too late is closed; nothing is left at the path.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* In which callback of a re-bind it is stopped. */
static struct {
	enum kedge_event_kind at_event; /* KEDGE_EVENT_MAX_: at none */
	int at_listener;
	int at_create; /* the n-th call of create; 0: none */
	unsigned creates, stopped;
	int made[8];
	struct fixture *f;
} when;

static void stop(struct fixture *f)
{
	if (when.stopped++)
		return;
	ASSERT_STORY(f, kedge_guard_close(f->guard, f->path) == 0);
	assert_false(exists(f->path));
}

static void stop_at_event(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind == when.at_event)
		stop(f);
}

static void stop_at_listener(struct fixture *f, int new_fd, int old_fd)
{
	if (when.at_listener && new_fd >= 0 && old_fd >= 0)
		stop(f);
}

static int create_and_stop(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	(void)userdata;
	DO(listen(fd, 16));
	when.made[when.creates++] = fd;
	if ((int)when.creates == when.at_create)
		stop(when.f);
	return fd;
}

/* Cause a re-bind, and see the guard stopped in it and nothing left. */
static void lose_and_stop(struct fixture *f)
{
	struct kedge_path_status status = { .size = sizeof(status) };

	when.f = f;
	f->on_event = stop_at_event;
	f->on_listener = stop_at_listener;
	remove_all(f->dir);
	GUARD_UNTIL(f, when.stopped);
	guard_for(f, 100);
	assert_int_equal(kedge_guard_status(f->guard, f->path, &status), -ENOENT);
	assert_int_equal(kedge_guard_repair(f->guard, f->path), -ENOENT);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_STOPPED) == 1);

	/* The same guard can go on. */
	if (!exists(f->dir))
		make_dir(f->dir, 0755);
	f->listen.create = NULL;
	f->fd = also_listen(f, f->path);
	assert_true(reachable(f));
}

static void at_event(struct fixture *f, enum kedge_event_kind kind)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = kind;
	lose_and_stop(f);
}

static void at_lost(struct fixture *f)
{
	at_event(f, KEDGE_EVENT_LOST);
}

static void at_rebound(struct fixture *f)
{
	at_event(f, KEDGE_EVENT_REBOUND);
}

static void at_recovered(struct fixture *f)
{
	at_event(f, KEDGE_EVENT_RECOVERED);
}

static void at_listener(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = KEDGE_EVENT_MAX_;
	when.at_listener = 1;
	lose_and_stop(f);
}

static void close_made(void)
{
	for (unsigned i = 0; i < when.creates; i++)
		DO(close(when.made[i]));
}

/* The hazard in person: the server has the new listener in its hands already. */
static void at_create(struct fixture *f)
{
	f->listen.create = create_and_stop;
	when.at_event = KEDGE_EVENT_MAX_;
	when.at_create = 2;
	start_listening(f, KEDGE_INTERVAL_NONE);
	lose_and_stop(f);
	assert_int_equal(when.creates, 2);
	close_made();
}

/* In the first create, that is inside kedge_guard_listen() itself: there is nothing to
 * close yet, or it is closed. Either way nothing half made is left. */
static int create_and_close(const char *bind_path, void *userdata)
{
	struct fixture *f = userdata;
	int fd = bind_at(bind_path, SOCK_STREAM);

	DO(listen(fd, 16));
	keep_fd(f, fd);
	kedge_guard_close(f->guard, f->path);
	return fd;
}

static void at_first_create(struct fixture *f)
{
	int r;

	start_guard(f, KEDGE_INTERVAL_NONE);
	f->listen.create = create_and_close;
	f->listen.userdata = f;
	r = kedge_guard_listen(f->guard, f->path, &f->listen, &f->fd, NULL);
	if (r == 0) {
		f->ours[0] = f->fd;
		assert_true(reachable(f));
	} else {
		assert_false(exists(f->path));
		assert_int_equal(kedge_names(f), 0);
	}
}

/* A re-link, stopped in the midst. */
static void at_relinked(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = KEDGE_EVENT_RELINKED;
	f->on_event = stop_at_event;
	DO(unlink(f->path));
	GUARD_UNTIL(f, when.stopped);
	guard_for(f, 100);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

static void at_lost_of_a_relink(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = KEDGE_EVENT_LOST;
	f->on_event = stop_at_event;
	DO(unlink(f->path));
	GUARD_UNTIL(f, when.stopped);
	guard_for(f, 100);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

/* A callback ends another path, whose own repair may be next in line. */
static void stop_all(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind != KEDGE_EVENT_LOST || when.stopped++)
		return;
	for (int i = 0; i < 10; i++)
		kedge_guard_close(f->guard, text("%s/%d.sock", f->dir, i));
}

static void another_path_in_a_callback(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 10; i++)
		also_listen(f, text("%s/%d.sock", f->dir, i));
	f->on_event = stop_all;
	for (int i = 0; i < 10; i++)
		DO(unlink(text("%s/%d.sock", f->dir, i)));
	GUARD_UNTIL(f, when.stopped);
	guard_for(f, 100);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* The first thing that is told of a path: listen() went on with what was freed by then. */
static void at_listening(struct fixture *f)
{
	int fd = -1;

	start_guard(f, KEDGE_INTERVAL_NONE);
	when.at_event = KEDGE_EVENT_LISTENING;
	f->on_event = stop_at_event;
	assert_int_equal(kedge_guard_listen(f->guard, f->path, &f->listen, &fd, NULL), -ECANCELED);
	assert_int_equal(fd, -1);
	assert_int_equal(when.stopped, 1);
	assert_int_equal(kedge_names(f), 0);
	f->fd = also_listen(f, f->path);
	assert_true(reachable(f));
}

static void stop_again(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind != KEDGE_EVENT_STOPPED)
		return;
	when.stopped++;
	assert_int_equal(kedge_guard_close(f->guard, f->path), -ENOENT);
}

/* The last thing that is told of it: it was stopped once more, and freed twice. */
static void at_stopped(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	f->on_event = stop_again;
	assert_int_equal(kedge_guard_close(f->guard, f->path), 0);
	assert_int_equal(when.stopped, 1);
	assert_int_equal(kedge_names(f), 0);
}

static const struct test_case cases[] = {
	{ "h15 stopped at listening", at_listening, ANYWHERE },
	{ "h15 stopped at stopped", at_stopped, ANYWHERE },
	{ "h15 stopped at lost", at_lost, ANYWHERE },
	{ "h15 stopped at rebound", at_rebound, ANYWHERE },
	{ "h15 stopped at recovered", at_recovered, ANYWHERE },
	{ "h15 stopped at on_listener", at_listener, ANYWHERE },
	{ "h15 stopped at create", at_create, ANYWHERE },
	{ "h15 stopped at the first create", at_first_create, ANYWHERE },
	{ "h15 stopped at relinked", at_relinked, ANYWHERE },
	{ "h15 stopped at the loss before a re-link", at_lost_of_a_relink, ANYWHERE },
	{ "h15 another path stopped in a callback", another_path_in_a_callback, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
