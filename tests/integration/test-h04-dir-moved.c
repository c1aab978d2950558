/*
 * H4: the socket's directory is moved elsewhere, maybe another is put in its
 * place. The path is what it says: it is made again where it now leads.
 */
#include "fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void moved_away(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->dir, in_root(f, "old")));
	GUARD_UNTIL(f, reachable(f));
	/* The anchor is found by its directory's handle: the same listener. */
	ASSERT_STORY(f, same_listener(f));
	assert_int_equal(mode_of(f->dir), 0755);
	assert_true(is_identity(in_root(f, "old/x.sock"), f->id));

	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(exists(in_root(f, "old")));
}

static void another_in_its_place(struct fixture *f)
{
	make_dir(in_root(f, "new"), 0711);
	write_file(in_root(f, "new/precious"), "theirs");
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->dir, in_root(f, "old")));
	DO(rename(in_root(f, "new"), f->dir));
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_DIR_REPLACED);
	assert_file(in_dir(f, "precious"), "theirs");
	assert_int_equal(mode_of(f->dir), 0711);
	stop_guard(f);
	assert_file(in_dir(f, "precious"), "theirs");
	assert_false(exists(f->path));
}

static void exchanged(struct fixture *f)
{
	make_dir(in_root(f, "new"), 0755);
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 10; i++) {
		DO(renameat2(-1, f->dir, -1, in_root(f, "new"), RENAME_EXCHANGE));
		GUARD_UNTIL(f, reachable(f));
	}
	stop_guard(f);
	assert_false(exists(f->path));
}

static void parent_moved(struct fixture *f)
{
	const char *path = in_root(f, "a/b/c/s.sock");

	start_guard(f, KEDGE_INTERVAL_NONE);
	make_dir(in_root(f, "a"), 0711);
	make_dir(in_root(f, "a/b"), 0750);
	make_dir(in_root(f, "a/b/c"), 0700);
	also_listen(f, path);
	DO(rename(in_root(f, "a"), in_root(f, "gone")));
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_int_equal(mode_of(in_root(f, "a")), 0711);
	assert_int_equal(mode_of(in_root(f, "a/b")), 0750);
}

/* `current -> one` becomes `current -> two`. No inode of ours says so. */
static void symlink_switched(struct fixture *f)
{
	const char *path = in_root(f, "current/s.sock");

	start_guard(f, 50);
	make_dir(in_root(f, "one"), 0755);
	make_dir(in_root(f, "two"), 0755);
	DO(symlink("one", in_root(f, "current")));
	also_listen(f, path);
	assert_true(reachable_at(f, path));
	DO(symlink("two", in_root(f, "next")));
	DO(rename(in_root(f, "next"), in_root(f, "current")));
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_true(exists(in_root(f, "two/s.sock")));
}

/* What was moved away is put back over what we made meanwhile. */
static void moved_back(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->dir, in_root(f, "old")));
	GUARD_UNTIL(f, reachable(f));
	remove_all(f->dir);
	DO(rename(in_root(f, "old"), f->dir));
	GUARD_UNTIL(f, reachable(f));
	guard_for(f, 100);
	assert_true(reachable(f));
	stop_guard(f);
	assert_false(exists(f->path));
}

/* Moved, and then removed where it went. */
static void moved_and_removed(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->dir, in_root(f, "old")));
	remove_all(in_root(f, "old"));
	GUARD_UNTIL(f, reachable(f));
}

static void move_when_lost(struct fixture *f, const struct kedge_event *event)
{
	if (event->kind == KEDGE_EVENT_LOST && f->hooked++ == 0)
		DO(rename(f->dir, in_root(f, "old")));
}

/* Moved between the look that finds the listener dead and the re-bind, and no anchor directory is
 * to be had: the new listener is made where the path led before, and its name there does not stay.
 */
static void moved_in_rebind(struct fixture *f)
{
	write_file(anchor_dir_of(f), "theirs");
	write_file(text("%s-1", anchor_dir_of(f)), "theirs");
	f->kedge_names = 2;
	start_listening(f, 50);
	f->on_event = move_when_lost;
	DO(shutdown(f->fd, SHUT_RDWR));
	GUARD_UNTIL(f, f->hooked && reachable(f));
	assert_int_equal(count_names(in_root(f, "old"), ".x.sock"), 0);
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(count_names(in_root(f, "old"), ""), 4);
}

static void moved_again_and_again(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 20; i++) {
		DO(rename(f->dir, text("%s/old.%d", f->root, i)));
		GUARD_UNTIL(f, reachable(f));
	}
	assert_true(status_of(f, f->path).retired <= 16);
	/* Not all of them are held: what is let go of is cleaned up before. */
	assert_true(exists(in_root(f, "old.19/x.sock")));
	assert_false(exists(in_root(f, "old.0/x.sock")));
	stop_guard(f);
	for (int i = 0; i < 20; i++)
		assert_false(exists(text("%s/old.%d/x.sock", f->root, i)));
}

/* A link in the path leads elsewhere: no event tells, the safety look does. The link is the
 * user's, also where it is taken away altogether. */
static void symlink_retargeted(struct fixture *f)
{
	const char *link = in_root(f, "link"), *path = in_root(f, "link/x.sock");
	const char *socket[] = { in_root(f, "a/x.sock"), in_root(f, "b/x.sock") };

	make_dir(in_root(f, "a"), 0755);
	make_dir(in_root(f, "b"), 0755);
	DO(symlink("a", link));
	start_guard(f, 50);
	also_listen(f, path);
	for (int i = 1; i < 6; i++) {
		DO(symlink(i % 2 ? "b" : "a", in_root(f, "next")));
		DO(rename(in_root(f, "next"), link));
		GUARD_UNTIL(f, reachable_at(f, path) && exists(socket[i % 2]));
	}
	DO(unlink(link));
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_int_equal(kedge_guard_close(f->guard, path), 0);
	assert_false(exists(path) || exists(socket[0]) || exists(socket[1]));
	assert_int_equal(kedge_names(f), 0);
}

static const struct test_case cases[] = {
	{ "h04 moved away", moved_away, ANYWHERE },
	{ "h04 another in its place", another_in_its_place, ANYWHERE },
	{ "h04 exchanged", exchanged, ANYWHERE },
	{ "h04 its parent moved", parent_moved, ANYWHERE },
	{ "h04 a symlink on the way switched", symlink_switched, ANYWHERE },
	{ "h04 moved back", moved_back, ANYWHERE },
	{ "h04 moved, then removed", moved_and_removed, ANYWHERE },
	{ "h04 moved in a re-bind", moved_in_rebind, ANYWHERE },
	{ "h04 again and again", moved_again_and_again, ANYWHERE },
	{ "h04 a symlink retargeted", symlink_retargeted, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
