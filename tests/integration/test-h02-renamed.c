/*
 * H2: the path is renamed away. It is linked back; the other name is left alone,
 * also when the guard ends.
 */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

#define NAMES 40

static void renamed_beside(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->path, in_dir(f, "taken")));
	GUARD_UNTIL(f, same_listener(f));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_RENAMED);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RELINKED) == 1 && seen(f, KEDGE_EVENT_REBOUND) == 0);
	assert_true(is_identity(in_dir(f, "taken"), f->id));

	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(is_identity(in_dir(f, "taken"), f->id));
}

static void renamed_into_another_directory(struct fixture *f)
{
	make_dir(in_root(f, "other"), 0755);
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->path, in_root(f, "other/y.sock")));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_true(is_identity(in_root(f, "other/y.sock"), f->id));
}

/* Before the guard looks the name is back: nothing was lost, nothing is done. */
static void renamed_and_back(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->path, in_dir(f, "taken")));
	DO(rename(in_dir(f, "taken"), f->path));
	guard_for(f, 100);
	assert_true(same_listener(f));
	assert_false(exists(in_dir(f, "taken")));
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
}

static void many_names(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < NAMES; i++) {
		DO(rename(f->path, text("%s/taken.%d", f->dir, i)));
		GUARD_UNTIL(f, same_listener(f));
	}
	stop_guard(f);
	for (int i = 0; i < NAMES; i++)
		assert_true(is_identity(text("%s/taken.%d", f->dir, i), f->id));
}

/* The taken name comes back over ours: one inode, so rename(2) does nothing. */
static void renamed_onto_itself(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->path, in_dir(f, "taken")));
	GUARD_UNTIL(f, same_listener(f));
	DO(rename(in_dir(f, "taken"), f->path));
	guard_for(f, 100);
	assert_true(same_listener(f));
	assert_true(is_identity(in_dir(f, "taken"), f->id));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(is_identity(in_dir(f, "taken"), f->id));
}

/* Another name of ours alone is no loss. */
static void linked_elsewhere(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(link(f->path, in_dir(f, "second")));
	guard_for(f, 100);
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
	DO(unlink(in_dir(f, "second")));
	guard_for(f, 100);
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
	assert_true(same_listener(f));
}

/* The path and the anchor change their names at once: the inode has one left that
 * nobody told us, and the listener must be reachable all the same. */
static void renamed_with_its_anchor(struct fixture *f)
{
	make_dir(in_root(f, "other"), 0755);
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->path, in_root(f, "other/y.sock")));
	DO(unlink(anchor_of(f, 1)));
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_true(is_identity(in_root(f, "other/y.sock"), f->id));
}

static const struct test_case cases[] = {
	{ "h02 renamed beside", renamed_beside, ANYWHERE },
	{ "h02 renamed into another directory", renamed_into_another_directory, ANYWHERE },
	{ "h02 renamed and back", renamed_and_back, ANYWHERE },
	{ "h02 many names", many_names, ANYWHERE },
	{ "h02 renamed onto itself", renamed_onto_itself, ANYWHERE },
	{ "h02 linked elsewhere", linked_elsewhere, ANYWHERE },
	{ "h02 renamed, and the anchor removed", renamed_with_its_anchor, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
