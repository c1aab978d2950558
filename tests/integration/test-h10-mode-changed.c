/*
 * H10: mode or owner of the path, or search permission of its directory, changed.
 * What the guard made, or was told to keep, is put back; the rest is reported.
 */
#include "fixture.h"

#include <sys/socket.h>
#include <unistd.h>

static void mode_is_put_back(struct fixture *f)
{
	const mode_t wrong[] = { 0, 0777, 0666, 0400, 04755 };

	f->listen.mode = 0660;
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(mode_of(f->path), 0660);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		DO(chmod(f->path, wrong[i]));
		GUARD_UNTIL(f, mode_of(f->path) == 0660);
		assert_true(same_listener(f));
	}
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MODE_RESTORED) == ARRAY_SIZE(wrong));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 0);
}

/* A client who may not connect is a loss, until the mode is back. */
static void as_an_ordinary_user(struct fixture *f)
{
	become_user(f);
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(chmod(f->path, 0));
	GUARD_UNTIL(f, mode_of(f->path) == 0600 && same_listener(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MODE_RESTORED) == 1);
}

static void owner_is_put_back(struct fixture *f)
{
	struct stat st;

	need_root();
	f->listen.set_owner = 1;
	f->listen.uid = 1234;
	f->listen.gid = 4321;
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(stat(f->path, &st));
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	DO(chown(f->path, 0, 0));
	GUARD_UNTIL(f, stat(f->path, &st) == 0 && st.st_uid == 1234 && st.st_gid == 4321);
	GUARD_UNTIL(f, same_listener(f));

	/* A new listener belongs to the same. */
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	DO(stat(f->path, &st));
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* The guard did not make the directory: it says what happened, no more. */
static void found_directory_is_reported(struct fixture *f)
{
	become_user(f);
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(chmod(f->dir, 0));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST) || seen(f, KEDGE_EVENT_NOTICED));
	guard_for(f, 200);
	assert_int_equal(mode_of(f->dir), 0);
	assert_true(state_of(f) != KEDGE_STATE_REACHABLE);
	DO(chmod(f->dir, 0755));
	GUARD_UNTIL(f, same_listener(f));
}

static void found_directory_is_kept_if_asked(struct fixture *f)
{
	become_user(f);
	f->listen.keep = KEDGE_KEEP_ALWAYS;
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 5; i++) {
		DO(chmod(f->dir, 0));
		GUARD_UNTIL(f, mode_of(f->dir) == 0755 && same_listener(f));
	}
	DO(chmod(f->dir, 0777));
	GUARD_UNTIL(f, mode_of(f->dir) == 0755);
}

/* What the guard has made (again) itself, it keeps. */
static void made_directory_is_kept(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(mode_of(f->dir), 0755);
	DO(chmod(f->dir, 0));
	GUARD_UNTIL(f, mode_of(f->dir) == 0755);
	GUARD_UNTIL(f, reachable(f));
}

static void never_kept(struct fixture *f)
{
	f->listen.keep = KEDGE_KEEP_NEVER;
	start_listening(f, 50);
	DO(chmod(f->path, 0666));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_NOTICED));
	guard_for(f, 200);
	assert_int_equal(mode_of(f->path), 0666);
	assert_true(same_listener(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_NOTICED) == 1);
	ASSERT_STORY(f, !seen(f, KEDGE_EVENT_MODE_RESTORED));
}

static void adopt(struct fixture *f, enum kedge_keep keep)
{
	start_guard(f, 50);
	f->fd = bind_at(f->path, SOCK_STREAM);
	DO(listen(keep_fd(f, f->fd), 16));
	DO(chmod(f->path, 0640));
	f->listen.keep = keep;
	assert_int_equal(kedge_guard_adopt(f->guard, f->path, f->fd, &f->listen, NULL), 0);
	f->ours[0] = f->fd;
}

static void adopted_is_reported(struct fixture *f)
{
	adopt(f, KEDGE_KEEP_MADE);
	DO(chmod(f->path, 0666));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_NOTICED));
	guard_for(f, 150);
	assert_int_equal(mode_of(f->path), 0666);
}

static void adopted_is_kept_if_asked(struct fixture *f)
{
	adopt(f, KEDGE_KEEP_ALWAYS);
	DO(chmod(f->path, 0666));
	GUARD_UNTIL(f, mode_of(f->path) == 0640);
}

/* Again and again by an adversary who does not tire: no event storm of our own. */
static void own_restoring_is_no_event(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(chmod(f->path, 0));
	GUARD_UNTIL(f, mode_of(f->path) == 0600);
	guard_for(f, 200);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MODE_RESTORED) == 1);
}

static const struct test_case cases[] = {
	{ "h10 the mode is put back", mode_is_put_back, ANYWHERE },
	{ "h10 as an ordinary user", as_an_ordinary_user, ANYWHERE },
	{ "h10 the owner is put back", owner_is_put_back, ANYWHERE },
	{ "h10 a found directory is reported", found_directory_is_reported, ANYWHERE },
	{ "h10 a found directory is kept if asked", found_directory_is_kept_if_asked, ANYWHERE },
	{ "h10 a made directory is kept", made_directory_is_kept, ANYWHERE },
	{ "h10 never kept", never_kept, ANYWHERE },
	{ "h10 adopted is reported", adopted_is_reported, ANYWHERE },
	{ "h10 adopted is kept if asked", adopted_is_kept_if_asked, ANYWHERE },
	{ "h10 our own restoring is no event", own_restoring_is_no_event, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
