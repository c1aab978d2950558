/*
 * H7: a live socket of somebody else stands at the path. The guard yields, never
 * steals, says so once, and takes the path back as soon as the other is gone.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOKS      20
#define QUEUED_MAX 16

/* The stranger at the path keeps it, however often we look. */
static void assert_yields(struct fixture *f, struct identity id)
{
	for (int i = 0; i < LOOKS; i++) {
		ASSERT_STORY(f, kedge_guard_repair(f->guard, f->path) == -EADDRINUSE);
		ASSERT_STORY(f, is_identity(f->path, id));
	}
	guard_for(f, 150);
	ASSERT_STORY(f, is_identity(f->path, id));
	ASSERT_STORY(f, state_of(f) == KEDGE_STATE_DISPLACED);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DISPLACED) == 1);
}

static void live(struct fixture *f)
{
	int other;

	start_listening(f, 50);
	DO(unlink(f->path));
	other = stranger_new(f, f->path);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_REPLACED_LIVE);
	assert_yields(f, identity_of(f->path));
	assert_int_equal(who_answers(f, f->path), other);

	/* A clean end of the other: unlink, close. */
	DO(unlink(f->path));
	stranger_close(f, other);
	GUARD_UNTIL(f, same_listener(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RECOVERED) == 1);
}

static void renamed_over_and_dies(struct fixture *f)
{
	int other;

	start_listening(f, 50);
	other = stranger_new(f, in_dir(f, "other"));
	DO(rename(in_dir(f, "other"), f->path));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	assert_yields(f, identity_of(f->path));
	stranger_close(f, other);
	GUARD_UNTIL(f, same_listener(f));
}

/* The default interval, events alone: it must not take for ever either. */
static void taken_back_by_events_alone(struct fixture *f)
{
	int other;

	start_listening(f, KEDGE_INTERVAL_NONE);
	other = stranger_new(f, in_dir(f, "other"));
	DO(rename(in_dir(f, "other"), f->path));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	guard_for(f, 100);
	DO(unlink(f->path));
	stranger_close(f, other);
	GUARD_UNTIL(f, same_listener(f));
}

/* Its queue is full and it does not accept: alive all the same. */
static void busy(struct fixture *f)
{
	int queued[QUEUED_MAX], n = 0, other;

	start_listening(f, 50);
	DO(unlink(f->path));
	other = bind_at(f->path, SOCK_STREAM);
	DO(listen(keep_fd(f, other), 0));
	while (n < QUEUED_MAX && (queued[n] = client_new(f->path)) >= 0)
		keep_fd(f, queued[n++]);
	assert_true(n < QUEUED_MAX);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_DISPLACED));
	assert_yields(f, identity_of(f->path));
}

static void of_type(struct fixture *f, int type)
{
	int other;

	start_listening(f, 50);
	DO(unlink(f->path));
	other = stranger_of_type(f, f->path, type);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	assert_yields(f, identity_of(f->path));
	stranger_close(f, other);
	GUARD_UNTIL(f, same_listener(f));
}

static void datagram(struct fixture *f)
{
	of_type(f, SOCK_DGRAM);
}

static void seqpacket(struct fixture *f)
{
	of_type(f, SOCK_SEQPACKET);
}

/* We may not connect to it, so we cannot know: it stays, whatever we report. */
static void not_permitted(struct fixture *f)
{
	struct identity id;
	int other;

	need_root();
	become_user(f);
	start_listening(f, 50);
	become_root();
	DO(unlink(f->path));
	other = stranger_new(f, f->path);
	DO(chmod(f->path, 0600));
	id = identity_of(f->path);
	be_user();
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	for (int i = 0; i < LOOKS; i++)
		assert_true(kedge_guard_repair(f->guard, f->path) < 0);
	guard_for(f, 150);
	ASSERT_STORY(f, is_identity(f->path, id));
	become_root();
	assert_int_equal(who_answers(f, f->path), other);
	be_user();
}

static void closed_while_displaced(struct fixture *f)
{
	struct identity id;
	int other;

	start_listening(f, 50);
	DO(unlink(f->path));
	other = stranger_new(f, f->path);
	id = identity_of(f->path);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	stop_guard(f);
	assert_true(is_identity(f->path, id));
	assert_int_equal(who_answers(f, f->path), other);
	assert_int_equal(kedge_names(f), 0);
}

static void one_after_the_other(struct fixture *f)
{
	int first, second;

	start_listening(f, 50);
	DO(unlink(f->path));
	first = stranger_new(f, f->path);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	second = stranger_new(f, in_dir(f, "second"));
	DO(rename(in_dir(f, "second"), f->path));
	stranger_close(f, first);
	guard_for(f, 200);
	assert_int_equal(who_answers(f, f->path), second);
	assert_int_equal(state_of(f), KEDGE_STATE_DISPLACED);
	stranger_close(f, second);
	GUARD_UNTIL(f, same_listener(f));
}

/* Our clients who were in the queue before the stranger came are served on. */
static void queue_is_served_on(struct fixture *f)
{
	int client;

	start_listening(f, 50);
	client = keep_fd(f, client_new(f->path));
	DO(unlink(f->path));
	stranger_new(f, f->path);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	assert_int_equal(serve(f->fd), 1);
	assert_int_equal(answer_of(client), f->fd);
}

/* The stranger's listener is lent to a child: it lives as long as one descriptor does. */
static void in_a_process_that_is_killed(struct fixture *f)
{
	struct fixture other = *f;
	pid_t pid;

	start_listening(f, 50);
	DO(unlink(f->path));
	snprintf(other.path, sizeof(other.path), "%s/other.sock", f->root);
	other.kept_pid_n = 0;
	pid = fork_guard(&other);
	DO(rename(other.path, f->path));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	kill_child(&other, pid);
	GUARD_UNTIL(f, same_listener(f));
	remove_all(in_root(f, "other.sock"));
	remove_all(text("%s/.kedge-%u", f->root, (unsigned)geteuid()));
}

/* Bound, then listening, then shut down: it keeps the path for as long as it may still be
 * somebody, and not longer. */
static void by_and_by(struct fixture *f)
{
	struct identity id;
	int other;

	start_listening(f, 50);
	DO(unlink(f->path));
	other = keep_fd(f, bind_at(f->path, SOCK_STREAM));
	id = identity_of(f->path);
	guard_for(f, 100);
	ASSERT_STORY(f, is_identity(f->path, id));
	DO(listen(other, 4));
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	guard_for(f, 100);
	ASSERT_STORY(f, is_identity(f->path, id));
	DO(shutdown(other, SHUT_RDWR));
	GUARD_UNTIL(f, same_listener(f));
}

#define LOSSES 20

/* Two guards that know nothing of each other: who comes first has the path, the other
 * yields. Neither re-binds, and the path is never without both for longer than a turn. */
static void another_guard(struct fixture *f)
{
	struct kedge_guard_options options = { .size = sizeof(options), .interval_ms = 50 };
	struct kedge_path_status status = { .size = sizeof(status) };
	struct kedge_guard *other = NULL;

	options.anchor_dir = in_root(f, "theirs");
	f->options.anchor_dir = in_root(f, "ours");
	start_listening(f, 50);
	assert_int_equal(kedge_guard_new(&other, &options), 0);
	assert_int_equal(kedge_guard_listen(other, f->path, NULL, NULL, NULL), -EADDRINUSE);
	DO(unlink(f->path));
	assert_int_equal(kedge_guard_listen(other, f->path, NULL, NULL, NULL), 0);
	GUARD_UNTIL(f, state_of(f) == KEDGE_STATE_DISPLACED);
	for (int i = 0; i < LOSSES; i++) {
		DO(unlink(f->path));
		if (i % 2)
			assert_int_equal(kedge_guard_process(other), 0);
		GUARD_UNTIL(f, exists(f->path));
		assert_int_equal(kedge_guard_process(other), 0);
	}
	assert_int_equal(kedge_guard_status(other, f->path, &status), 0);
	assert_int_equal(status.generation, 1);
	assert_int_equal(status_of(f, f->path).generation, 1);
	kedge_guard_free(other);
	GUARD_UNTIL(f, same_listener(f));
}

static const struct test_case cases[] = {
	{ "h07 a live stranger", live, ANYWHERE },
	{ "h07 renamed over, and dies", renamed_over_and_dies, ANYWHERE },
	{ "h07 taken back by events alone", taken_back_by_events_alone, ANYWHERE },
	{ "h07 a busy stranger", busy, ANYWHERE },
	{ "h07 a datagram socket", datagram, ANYWHERE },
	{ "h07 a seqpacket socket", seqpacket, ANYWHERE },
	{ "h07 a stranger who lets us not in", not_permitted, ANYWHERE },
	{ "h07 closed while displaced", closed_while_displaced, ANYWHERE },
	{ "h07 one stranger after the other", one_after_the_other, ANYWHERE },
	{ "h07 our queue is served on", queue_is_served_on, ANYWHERE },
	{ "h07 a stranger who is killed", in_a_process_that_is_killed, ANYWHERE },
	{ "h07 a stranger by and by", by_and_by, ANYWHERE },
	{ "h07 another guard", another_guard, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
