/*
 * H16: stopped and started again while a re-bind is under way. What was made for
 * the earlier life is never published; the later one is reachable and alone.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CREATES_MAX 32

static struct {
	enum kedge_event_kind at_event;
	int at_listener, at_create;
	unsigned restarts, creates;
	int made[CREATES_MAX];
	struct fixture *f;
} when;

static void restart(struct fixture *f)
{
	if (when.restarts++)
		return;
	ASSERT_STORY(f, kedge_guard_close(f->guard, f->path) == 0);
	if (!exists(f->dir))
		make_dir(f->dir, 0755);
	f->fd = also_listen(f, f->path);
	f->id = identity_of(f->path);
}

static void restart_at_event(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind == when.at_event)
		restart(f);
}

static void restart_at_listener(struct fixture *f, int new_fd, int old_fd)
{
	if (when.at_listener && new_fd >= 0 && old_fd >= 0)
		restart(f);
}

static int create_and_restart(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	(void)userdata;
	assert_true(fd >= 0);
	DO(listen(fd, 16));
	assert_true(when.creates < CREATES_MAX);
	when.made[when.creates++] = fd;
	if ((int)when.creates == when.at_create)
		restart(when.f);
	return fd;
}

/* Who is there is the listener of the second life, and it is guarded. */
static void assert_second_life(struct fixture *f)
{
	GUARD_UNTIL(f, when.restarts);
	guard_for(f, 100);
	assert_true(reachable(f));
	ASSERT_STORY(f, status_of(f, f->path).fd == f->fd);
	ASSERT_STORY(f, is_identity(f->path, f->id));
	assert_int_equal(count_names(f->dir, "x.sock"), 1);
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	assert_true(is_identity(f->path, f->id));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

static void lose_and_restart(struct fixture *f)
{
	when.f = f;
	f->on_event = restart_at_event;
	f->on_listener = restart_at_listener;
	remove_all(f->dir);
	assert_second_life(f);
}

static void at_event(struct fixture *f, enum kedge_event_kind kind)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = kind;
	lose_and_restart(f);
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
	lose_and_restart(f);
}

static void at_create(struct fixture *f)
{
	f->listen.create = create_and_restart;
	when.at_event = KEDGE_EVENT_MAX_;
	when.at_create = 2;
	start_listening(f, KEDGE_INTERVAL_NONE);
	lose_and_restart(f);
	assert_int_equal(when.creates, 3);
	for (unsigned i = 0; i < when.creates; i++)
		DO(close(when.made[i]));
}

static void at_relinked(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	when.at_event = KEDGE_EVENT_RELINKED;
	f->on_event = restart_at_event;
	DO(unlink(f->path));
	assert_second_life(f);
}

/* The callback calls all that may be called from one. */
static void call_everything(struct fixture *f, const struct kedge_event *event)
{
	struct kedge_path_status status = { .size = sizeof(status) };
	uint64_t deadline;

	if (event->kind == KEDGE_EVENT_STOPPED || f->hooked++ > 20)
		return;
	assert_int_equal(kedge_guard_process(f->guard), 0);
	assert_int_equal(kedge_guard_deadline(f->guard, &deadline), 0);
	assert_true(kedge_guard_fd(f->guard) >= 0);
	kedge_guard_repair(f->guard, f->path);
	kedge_guard_status(f->guard, f->path, &status);
	assert_int_equal(kedge_guard_close(f->guard, in_dir(f, "none.sock")), -ENOENT);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, NULL), -EEXIST);
}

static void everything_from_a_callback(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	f->on_event = call_everything;
	for (int i = 0; i < 3; i++) {
		remove_all(f->dir);
		GUARD_UNTIL(f, reachable(f));
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
	assert_true(f->hooked > 0);
}

/* A callback starts to guard many more: the guard's own tables grow under its feet. */
static void listen_to_more(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind != KEDGE_EVENT_LOST || f->hooked++)
		return;
	for (int i = 0; i < 40; i++)
		also_listen(f, text("%s/%d.sock", f->root, i));
}

static void more_paths_from_a_callback(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	f->on_event = listen_to_more;
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	for (int i = 0; i < 40; i++)
		assert_true(reachable_at(f, text("%s/%d.sock", f->root, i)));
}

static const struct test_case cases[] = {
	{ "h16 restarted at lost", at_lost, ANYWHERE },
	{ "h16 restarted at rebound", at_rebound, ANYWHERE },
	{ "h16 restarted at recovered", at_recovered, ANYWHERE },
	{ "h16 restarted at on_listener", at_listener, ANYWHERE },
	{ "h16 restarted at create", at_create, ANYWHERE },
	{ "h16 restarted at relinked", at_relinked, ANYWHERE },
	{ "h16 everything from a callback", everything_from_a_callback, ANYWHERE },
	{ "h16 more paths from a callback", more_paths_from_a_callback, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
