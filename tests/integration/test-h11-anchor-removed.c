/*
 * H11: the anchor is removed. It is made again from the path; what somebody put in
 * its place is not ours and stays.
 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

static void anchor_alone(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (unsigned i = 1; i <= 5; i++) {
		assert_true(is_identity(anchor_of(f, 1), f->id));
		DO(unlink(anchor_of(f, 1)));
		GUARD_UNTIL(f, is_identity(anchor_of(f, 1), f->id));
		ASSERT_STORY(f, seen(f, KEDGE_EVENT_ANCHORED) == i);
	}
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_LOST) == 0);
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

static void whole_directory(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(anchor_dir_of(f));
	GUARD_UNTIL(f, is_identity(anchor_of(f, 1), f->id));
	assert_int_equal(mode_of(anchor_dir_of(f)), 0700);
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* The anchor's directory moved: its links go with it, and are not lost to us. */
static void directory_renamed(struct fixture *f)
{
	start_listening(f, 100);
	DO(rename(anchor_dir_of(f), in_dir(f, "moved")));
	guard_for(f, 300);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_false(exists(f->path));
}

static void file_in_its_place(struct fixture *f)
{
	struct identity id;

	f->kedge_names = 1;
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(anchor_of(f, 1)));
	write_file(anchor_of(f, 1), "theirs");
	id = identity_of(anchor_of(f, 1));
	guard_for(f, 200);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(is_somewhere(f, id));
}

static void foreign_file_beside_it(struct fixture *f)
{
	f->kedge_names = 1;
	start_listening(f, KEDGE_INTERVAL_NONE);
	write_file(text("%s/precious", anchor_dir_of(f)), "theirs");
	write_file(text("%s/x.sock.99", anchor_dir_of(f)), "theirs");
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_file(text("%s/precious", anchor_dir_of(f)), "theirs");
	assert_file(text("%s/x.sock.99", anchor_dir_of(f)), "theirs");
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock"), 1);
}

/* The lock file is swept: the path stays ours, by the probe, and soon by a new lock. */
static void lock_removed(struct fixture *f)
{
	struct kedge_guard *second = NULL;

	start_listening(f, 50);
	DO(unlink(text("%s/x.sock.lock", anchor_dir_of(f))));
	GUARD_UNTIL(f, exists(text("%s/x.sock.lock", anchor_dir_of(f))));
	assert_true(is_identity(anchor_of(f, 1), f->id));
	assert_int_equal(kedge_guard_new(&second, NULL), 0);
	assert_int_equal(kedge_guard_listen(second, f->path, NULL, NULL, NULL), -EADDRINUSE);
	kedge_guard_free(second);
	assert_true(same_listener(f));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* The same where it is moved: whoever comes next would lock a new one. */
static void lock_moved(struct fixture *f)
{
	start_listening(f, 50);
	DO(rename(text("%s/x.sock.lock", anchor_dir_of(f)), text("%s/moved", f->dir)));
	GUARD_UNTIL(f, exists(text("%s/x.sock.lock", anchor_dir_of(f))));
	stop_guard(f);
	assert_true(exists(text("%s/moved", f->dir)));
	assert_false(exists(anchor_dir_of(f)));
}

/* The anchor is made again just when the path goes: whichever comes first, a client gets in. */
static void anchor_then_path(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 20; i++) {
		struct kedge_path_status status = status_of(f, f->path);

		DO(unlink(text("%s/x.sock.%u", anchor_dir_of(f), (unsigned)status.generation)));
		guard_turn(f, 0);
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f) && status_of(f, f->path).anchored);
	}
}

static const struct test_case cases[] = {
	{ "h11 the anchor alone", anchor_alone, ANYWHERE },
	{ "h11 the whole anchor directory", whole_directory, ANYWHERE },
	{ "h11 the anchor directory renamed", directory_renamed, ANYWHERE },
	{ "h11 a file in its place", file_in_its_place, ANYWHERE },
	{ "h11 foreign files beside it", foreign_file_beside_it, ANYWHERE },
	{ "h11 the lock removed", lock_removed, ANYWHERE },
	{ "h11 the lock moved away", lock_moved, ANYWHERE },
	{ "h11 the anchor, then the path", anchor_then_path, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
