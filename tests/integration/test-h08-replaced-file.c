/*
 * H8: a regular file, FIFO, symlink or device stands at the path. It is renamed to
 * NAME.displaced.N beside it, as it is, and never deleted. Whoever does that again
 * and again is met with back-off.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Files that are moved aside within a minute. */
#define ASIDE_MAX 8
#define ROUNDS    12

/* Put @make's file at the path, and see it moved aside as it is. */
static void assert_moved(struct fixture *f, void (*make)(const char *path))
{
	struct identity id;
	mode_t mode;

	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	make(f->path);
	id = identity_of(f->path);
	mode = mode_of(f->path);
	GUARD_UNTIL(f, same_listener(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MOVED_ASIDE) == 1);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_REPLACED_FILE);
	ASSERT_STORY(f,
		     strstr(f->record.last[KEDGE_EVENT_MOVED_ASIDE].detail, "x.sock.displaced."));
	assert_int_equal(count_names(f->dir, "x.sock.displaced."), 1);
	assert_true(is_somewhere(f, id));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(is_identity(in_dir(f, "x.sock.displaced.1"), id) ||
		    is_identity(in_dir(f, "x.sock.displaced.0"), id));
	assert_int_equal(mode_of(exists(in_dir(f, "x.sock.displaced.1"))
					 ? in_dir(f, "x.sock.displaced.1")
					 : in_dir(f, "x.sock.displaced.0")),
			 mode);
}

static void make_regular(const char *path)
{
	write_file(path, "theirs");
}

static void make_empty(const char *path)
{
	write_file(path, "");
	DO(chmod(path, 0));
}

static void make_fifo(const char *path)
{
	DO(mkfifo(path, 0640));
}

static void make_device(const char *path)
{
	DO(mknod(path, S_IFCHR | 0600, makedev(1, 3)));
}

static void make_dangling(const char *path)
{
	DO(symlink("/nowhere/at/all", path));
}

static void regular(struct fixture *f)
{
	assert_moved(f, make_regular);
	assert_true(kedge_names(f) == 0);
}

static void unreadable(struct fixture *f)
{
	become_user(f);
	assert_moved(f, make_empty);
}

static void fifo(struct fixture *f)
{
	assert_moved(f, make_fifo);
}

static void device(struct fixture *f)
{
	need_root();
	assert_moved(f, make_device);
}

static void dangling_symlink(struct fixture *f)
{
	assert_moved(f, make_dangling);
}

static void renamed_over(struct fixture *f)
{
	struct identity id;
	int fd;

	start_listening(f, KEDGE_INTERVAL_NONE);
	write_file(in_dir(f, "new"), "one ");
	id = identity_of(in_dir(f, "new"));
	fd = keep_fd(f, open(in_dir(f, "new"), O_WRONLY | O_APPEND | O_CLOEXEC));
	DO(rename(in_dir(f, "new"), f->path));
	GUARD_UNTIL(f, same_listener(f));
	/* Its writer does not notice. */
	assert_int_equal(write(fd, "two", 3), 3);
	assert_true(is_somewhere(f, id));
	assert_int_equal(count_names(f->dir, "x.sock.displaced."), 1);
}

static void symlink_to_a_file(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	write_file(in_root(f, "precious"), "theirs");
	DO(unlink(f->path));
	DO(symlink(in_root(f, "precious"), f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_file(in_root(f, "precious"), "theirs");
	assert_int_equal(count_names(f->dir, "x.sock.displaced."), 1);
}

/* A symlink to somebody's live socket: that one is neither stolen nor touched. */
static void symlink_to_a_live_socket(struct fixture *f)
{
	struct identity id;
	int other;

	start_listening(f, 50);
	other = stranger_new(f, in_root(f, "other.sock"));
	id = identity_of(in_root(f, "other.sock"));
	DO(unlink(f->path));
	DO(symlink(in_root(f, "other.sock"), f->path));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	guard_for(f, 150);
	assert_int_equal(who_answers(f, in_root(f, "other.sock")), other);
	assert_true(is_identity(in_root(f, "other.sock"), id));
	stop_guard(f);
	assert_true(is_identity(in_root(f, "other.sock"), id));
	assert_int_equal(who_answers(f, in_root(f, "other.sock")), other);
}

/* A name that is taken is not written over. */
static void names_are_taken(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 4; i++)
		write_file(text("%s.displaced.%d", f->path, i), text("old %d", i));
	DO(unlink(f->path));
	write_file(f->path, "new");
	GUARD_UNTIL(f, same_listener(f));
	for (int i = 0; i < 4; i++)
		assert_file(text("%s.displaced.%d", f->path, i), text("old %d", i));
	assert_int_equal(count_names(f->dir, "x.sock.displaced."), 5);
}

/* Twelve in a row: eight are moved, then the guard says so and waits. All are kept. */
static void again_and_again(struct fixture *f)
{
	struct identity ids[ROUNDS];
	int n;

	start_listening(f, 50);
	for (n = 0; n < ROUNDS && !seen(f, KEDGE_EVENT_BLOCKED); n++) {
		write_file(in_dir(f, "new"), text("file %d", n));
		ids[n] = identity_of(in_dir(f, "new"));
		DO(rename(in_dir(f, "new"), f->path));
		GUARD_UNTIL(f, same_listener(f) || seen(f, KEDGE_EVENT_BLOCKED));
	}
	ASSERT_STORY(f, n == ASIDE_MAX + 1);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_MOVED_ASIDE) == ASIDE_MAX);
	ASSERT_STORY(f, strstr(f->record.last[KEDGE_EVENT_BLOCKED].detail, "within a minute"));
	guard_for(f, 300);
	assert_int_equal(count_names(f->dir, "x.sock.displaced."), ASIDE_MAX);
	assert_true(is_identity(f->path, ids[n - 1]));
	for (int i = 0; i < n; i++)
		assert_true(is_somewhere(f, ids[i]));
	assert_int_equal(seen(f, KEDGE_EVENT_BLOCKED), 1);

	/* It is taken away: then there is nothing to wait for. */
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	for (int i = 0; i < n - 1; i++)
		assert_true(is_somewhere(f, ids[i]));
}

/* The longest name that is accepted, less than a suffix from the end of the room. */
static void no_room_in_the_name(struct fixture *f)
{
	struct identity id;
	int r = -1;

	start_guard(f, 50);
	for (int size = 255; size > 200 && r < 0; size--) {
		strcpy(f->path, text("%s/%0*d", f->dir, size, 0));
		r = kedge_guard_listen(f->guard, f->path, &f->listen, &f->fd, NULL);
		assert_true(r == 0 || r == -ENAMETOOLONG);
		assert_int_equal(count_names(f->dir, "."), r == 0 ? 3 : 2);
	}
	assert_int_equal(r, 0);
	f->ours[0] = f->fd;
	f->id = identity_of(f->path);
	DO(unlink(f->path));
	write_file(f->path, "theirs");
	id = identity_of(f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	guard_for(f, 200);
	assert_true(is_somewhere(f, id));
	if (is_identity(f->path, id))
		DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* A sticky directory, a file of another owner: we may not rename it, and say so. */
static void not_ours_to_rename(struct fixture *f)
{
	struct identity id;

	need_root();
	DO(chmod(f->root, 0711));
	DO(chmod(f->dir, 01777));
	be_user();
	start_listening(f, 50);
	become_root();
	DO(unlink(f->path));
	write_file(f->path, "root's");
	id = identity_of(f->path);
	be_user();
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	guard_for(f, 200);
	assert_true(is_identity(f->path, id));
	assert_int_equal(seen(f, KEDGE_EVENT_BLOCKED), 1);
	become_root();
	DO(unlink(f->path));
	be_user();
	GUARD_UNTIL(f, same_listener(f));
}

static const struct test_case cases[] = {
	{ "h08 a regular file", regular, ANYWHERE },
	{ "h08 an unreadable file", unreadable, ANYWHERE },
	{ "h08 a FIFO", fifo, ANYWHERE },
	{ "h08 a device", device, ANYWHERE },
	{ "h08 a dangling symlink", dangling_symlink, ANYWHERE },
	{ "h08 a file renamed over", renamed_over, ANYWHERE },
	{ "h08 a symlink to a file", symlink_to_a_file, ANYWHERE },
	{ "h08 a symlink to a live socket", symlink_to_a_live_socket, ANYWHERE },
	{ "h08 names that are taken", names_are_taken, ANYWHERE },
	{ "h08 again and again", again_and_again, ANYWHERE },
	{ "h08 no room in the name", no_room_in_the_name, ANYWHERE },
	{ "h08 not ours to rename", not_ours_to_rename, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
