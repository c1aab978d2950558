/*
 * H9: a directory stands at the path. It is never removed, empty or not; the guard
 * says that it is blocked, and takes the path as soon as the directory is gone.
 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

#define LOOKS 20

static void assert_blocked(struct fixture *f, struct identity id)
{
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_REPLACED_DIR);
	for (int i = 0; i < LOOKS; i++) {
		ASSERT_STORY(f, kedge_guard_repair(f->guard, f->path) == -EBUSY);
		ASSERT_STORY(f, is_identity(f->path, id));
	}
	guard_for(f, 200);
	ASSERT_STORY(f, is_identity(f->path, id));
	ASSERT_STORY(f, state_of(f) == KEDGE_STATE_BLOCKED);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_BLOCKED) == 1);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MOVED_ASIDE) == 0);
}

static void empty(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	make_dir(f->path, 0711);
	assert_blocked(f, identity_of(f->path));
	assert_int_equal(mode_of(f->path), 0711);
	DO(rmdir(f->path));
	GUARD_UNTIL(f, same_listener(f) && seen(f, KEDGE_EVENT_RECOVERED));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_RECOVERED].swallowed > 0);
}

static void with_content(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	make_dir(f->path, 0755);
	write_file(text("%s/precious", f->path), "theirs");
	assert_blocked(f, identity_of(f->path));
	assert_file(text("%s/precious", f->path), "theirs");
	/* Moved by its owner, content and all. */
	DO(rename(f->path, in_dir(f, "taken")));
	GUARD_UNTIL(f, same_listener(f));
	assert_file(in_dir(f, "taken/precious"), "theirs");
}

static void closed_while_blocked(struct fixture *f)
{
	struct identity id;

	start_listening(f, 50);
	DO(unlink(f->path));
	make_dir(f->path, 0755);
	id = identity_of(f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	stop_guard(f);
	assert_true(is_identity(f->path, id));
	assert_int_equal(kedge_names(f), 0);
}

/* No interval and no event of ours when it goes: the back-off goes on looking. */
static void taken_back_without_interval(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	make_dir(f->path, 0755);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	guard_for(f, 200);
	DO(rmdir(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* It comes and goes while we look. */
static void comes_and_goes(struct fixture *f)
{
	start_listening(f, 50);
	for (int i = 0; i < 20; i++) {
		DO(unlink(f->path));
		make_dir(f->path, 0755);
		guard_turn(f, 5);
		DO(rmdir(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
}

static const struct test_case cases[] = {
	{ "h09 an empty directory", empty, ANYWHERE },
	{ "h09 a directory with content", with_content, ANYWHERE },
	{ "h09 closed while blocked", closed_while_blocked, ANYWHERE },
	{ "h09 taken back without interval", taken_back_without_interval, ANYWHERE },
	{ "h09 comes and goes", comes_and_goes, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
