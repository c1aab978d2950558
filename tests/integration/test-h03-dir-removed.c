/*
 * H3: the socket's directory is removed with all in it. The directories are made
 * again as they were, a new listener is bound, the old one is served on.
 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

#define REMOVALS 30
#define PATHS    16
#define QUEUED   5

static void removed_once(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_DIR_REMOVED);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 1 && seen(f, KEDGE_EVENT_RECOVERED) == 1);
	ASSERT_STORY(f, f->record.listeners_new >= 1);
	assert_int_equal(status_of(f, f->path).generation, 2);
	assert_int_equal(status_of(f, f->path).rebinds, 1);
	assert_int_equal(status_of(f, f->path).retired, 1);
	assert_int_equal(status_of(f, f->path).anchored, 1);
	assert_int_equal(mode_of(f->dir), 0755);
	assert_int_equal(mode_of(f->path), 0600);

	/* The new listener is guarded as the first one was. */
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f) && seen(f, KEDGE_EVENT_RELINKED) == 1);
	assert_int_equal(status_of(f, f->path).generation, 2);
	stop_guard(f);
	assert_false(exists(f->path));
}

static void again_and_again(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (unsigned i = 0; i < REMOVALS; i++) {
		remove_all(f->dir);
		GUARD_UNTIL(f, reachable(f));
	}
	assert_true(status_of(f, f->path).generation >= REMOVALS + 1);
	assert_true(status_of(f, f->path).retired <= 16);
}

static void whole_tree(struct fixture *f)
{
	const char *path = in_root(f, "a/b/c/s.sock");

	start_guard(f, KEDGE_INTERVAL_NONE);
	make_dir(in_root(f, "a"), 0711);
	make_dir(in_root(f, "a/b"), 02770);
	make_dir(in_root(f, "a/b/c"), 01777);
	also_listen(f, path);
	umask(077);
	remove_all(in_root(f, "a"));
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_int_equal(mode_of(in_root(f, "a")), 0711);
	assert_int_equal(mode_of(in_root(f, "a/b")), 02770);
	assert_int_equal(mode_of(in_root(f, "a/b/c")), 01777);
	assert_int_equal(umask(022), 077);
}

static void owner_is_given_back(struct fixture *f)
{
	struct stat st;

	need_root();
	DO(chown(f->dir, 1234, 4321));
	DO(chmod(f->dir, 0750));
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	DO(stat(f->dir, &st));
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 0750);
}

/* The socket's mode never is wider than asked for, whatever the umask. */
static void wide_umask(struct fixture *f)
{
	umask(0);
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(mode_of(f->path), 0600);
	assert_int_equal(mode_of(anchor_dir_of(f)), 0700);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(mode_of(f->path), 0600);
	assert_int_equal(mode_of(f->dir), 0755);
	assert_int_equal(mode_of(anchor_dir_of(f)), 0700);
}

static void queue_is_served_on(struct fixture *f)
{
	int clients[QUEUED];

	start_listening(f, KEDGE_INTERVAL_NONE);
	for (size_t i = 0; i < QUEUED; i++)
		clients[i] = keep_fd(f, client_new(f->path));
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	serve_all(f);
	for (size_t i = 0; i < QUEUED; i++)
		assert_int_equal(answer_of(clients[i]), f->fd);
}

/* Somebody else makes the directory again, and has put a file there. */
static void remade_by_another(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	make_dir(f->dir, 0711);
	write_file(in_dir(f, "precious"), "theirs");
	GUARD_UNTIL(f, reachable(f));
	assert_file(in_dir(f, "precious"), "theirs");
	stop_guard(f);
	assert_file(in_dir(f, "precious"), "theirs");
}

static void many_paths(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < PATHS; i++)
		also_listen(f, text("%s/%d.sock", f->dir, i));
	remove_all(f->dir);
	for (int i = 0; i < PATHS; i++)
		GUARD_UNTIL(f, reachable_at(f, text("%s/%d.sock", f->dir, i)));
}

/* An anchor out of the sweeper's reach: no new listener is needed. */
static void anchor_out_of_reach(struct fixture *f)
{
	f->options.anchor_dir = in_root(f, "anchors");
	make_dir(f->options.anchor_dir, 0700);
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	GUARD_UNTIL(f, same_listener(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 0);
}

/* A file stands where the directory was: not ours to move. It goes, we are back. */
static void file_in_the_place_of_the_directory(struct fixture *f)
{
	start_listening(f, 50);
	remove_all(f->dir);
	write_file(f->dir, "in the way");
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	guard_for(f, 200);
	assert_file(f->dir, "in the way");
	assert_true(state_of(f) != KEDGE_STATE_REACHABLE);
	DO(unlink(f->dir));
	GUARD_UNTIL(f, reachable(f));
}

/* The directory is gone while we end: nothing is made again for it. */
static void closed_without_directory(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	stop_guard(f);
	assert_false(exists(f->dir));
}

static const struct test_case cases[] = {
	{ "h03 removed once", removed_once, ANYWHERE },
	{ "h03 again and again", again_and_again, ANYWHERE },
	{ "h03 the whole tree, with its modes", whole_tree, ANYWHERE },
	{ "h03 the owner is given back", owner_is_given_back, ANYWHERE },
	{ "h03 a wide umask", wide_umask, ANYWHERE },
	{ "h03 the old queue is served on", queue_is_served_on, ANYWHERE },
	{ "h03 made again by another", remade_by_another, ANYWHERE },
	{ "h03 many paths", many_paths, ANYWHERE },
	{ "h03 an anchor out of reach", anchor_out_of_reach, ANYWHERE },
	{ "h03 a file in the directory's place", file_in_the_place_of_the_directory, ANYWHERE },
	{ "h03 closed without its directory", closed_without_directory, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
