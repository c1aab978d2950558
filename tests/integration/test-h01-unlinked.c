/*
 * H1: the path is unlinked. The very same listener is linked back, by events
 * alone, and no client who was in its queue is lost.
 */
#include "fixture.h"

#include <sys/socket.h>
#include <unistd.h>

#define PATHS  64
#define LOSSES 300
#define QUEUED 20

static void unlinked_once(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f) && seen(f, KEDGE_EVENT_RECOVERED));

	ASSERT_STORY(f, seen(f, KEDGE_EVENT_LOST) == 1 && seen(f, KEDGE_EVENT_RELINKED) == 1);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RECOVERED) == 1 && seen(f, KEDGE_EVENT_REBOUND) == 0);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_UNLINKED);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_RECOVERED].outage_ns > 0);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_RECOVERED].outage_ns < 10000000000u);
	struct kedge_path_status status = status_of(f, f->path);

	assert_int_equal(status.losses, 1);
	assert_int_equal(status.relinks, 1);
	assert_int_equal(status.rebinds, 0);
	assert_int_equal(status.retired, 0);
	assert_int_equal(status.anchored, 1);
	assert_int_equal(status.watched, 1);
	assert_true(status.outage_total_ns >= status.outage_last_ns);
	assert_int_equal(mode_of(f->path), 0600);
}

static void unlinked_again_and_again(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (unsigned i = 0; i < LOSSES; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	assert_int_equal(status_of(f, f->path).losses, LOSSES);
	assert_int_equal(status_of(f, f->path).rebinds, 0);
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
}

static void queue_survives(struct fixture *f)
{
	int clients[QUEUED];

	start_listening(f, KEDGE_INTERVAL_NONE);
	for (size_t i = 0; i < QUEUED; i++)
		clients[i] = keep_fd(f, client_new(f->path));
	DO(unlink(f->path));
	GUARD_UNTIL(f, exists(f->path));
	assert_int_equal(serve(f->fd), QUEUED);
	for (size_t i = 0; i < QUEUED; i++)
		assert_int_equal(answer_of(clients[i]), f->fd);
}

static void many_paths(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < PATHS; i++)
		also_listen(f, text("%s/%d.sock", f->dir, i));
	for (int i = 0; i < PATHS; i++)
		DO(unlink(text("%s/%d.sock", f->dir, i)));
	for (int i = 0; i < PATHS; i++)
		GUARD_UNTIL(f, reachable_at(f, text("%s/%d.sock", f->dir, i)));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RELINKED) == PATHS);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 0);
	assert_true(same_listener(f));
}

static void repair_says_what_it_did(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(kedge_guard_repair(f->guard, f->path), 0);
	DO(unlink(f->path));
	assert_int_equal(kedge_guard_repair(f->guard, f->path), 1);
	assert_true(same_listener(f));
	assert_int_equal(kedge_guard_repair(f->guard, f->path), 0);
	guard_for(f, 50);
	assert_int_equal(status_of(f, f->path).losses, 1);
}

/* The watch is set before the mode is narrowed: nobody else may read such an inode. */
static void narrow_mode_is_watched(struct fixture *f)
{
	become_user(f);
	f->listen.mode = 0200;
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(mode_of(f->path), 0200);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	assert_int_equal(mode_of(f->path), 0200);
}

static void by_type(struct fixture *f, enum kedge_socket_type type)
{
	f->listen.type = type;
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_int_equal(seen(f, KEDGE_EVENT_REBOUND), 0);
}

static void seqpacket(struct fixture *f)
{
	by_type(f, KEDGE_SOCKET_SEQPACKET);
}

static void datagram(struct fixture *f)
{
	by_type(f, KEDGE_SOCKET_DATAGRAM);
}

static void anchors_elsewhere(struct fixture *f)
{
	f->options.anchor_dir = in_root(f, "anchors");
	make_dir(f->options.anchor_dir, 0700);
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_false(exists(anchor_dir_of(f)));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(count_names(in_root(f, "anchors"), "x.sock") <= 0);
}

/* `rm -rf run/` followed by `*`: the directory stays, the anchor is gone as well. */
static void swept_with_its_anchor(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(anchor_dir_of(f));
	remove_all(f->path);
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, status_of(f, f->path).anchored);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f) && seen(f, KEDGE_EVENT_RELINKED));
}

/* Other people's files beside the socket: no event of theirs is ours to answer. */
static void neighbours_cost_nothing(struct fixture *f)
{
	uint64_t deadline;

	start_listening(f, KEDGE_INTERVAL_NONE);
	guard_for(f, 50);
	for (int i = 0; i < 100; i++) {
		write_file(in_dir(f, "neighbour"), "n");
		DO(unlink(in_dir(f, "neighbour")));
	}
	assert_int_equal(kedge_guard_deadline(f->guard, &deadline), 0);
	assert_true(deadline == UINT64_MAX);
	assert_true(same_listener(f));
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
}

static const struct test_case cases[] = {
	{ "h01 unlinked once", unlinked_once, ANYWHERE },
	{ "h01 unlinked again and again", unlinked_again_and_again, ANYWHERE },
	{ "h01 the queue survives", queue_survives, ANYWHERE },
	{ "h01 many paths", many_paths, ANYWHERE },
	{ "h01 repair says what it did", repair_says_what_it_did, ANYWHERE },
	{ "h01 a narrow mode is watched", narrow_mode_is_watched, ANYWHERE },
	{ "h01 seqpacket", seqpacket, ANYWHERE },
	{ "h01 datagram", datagram, ANYWHERE },
	{ "h01 anchors elsewhere", anchors_elsewhere, ANYWHERE },
	{ "h01 swept with its anchor", swept_with_its_anchor, ANYWHERE },
	{ "h01 neighbours cost nothing", neighbours_cost_nothing, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
