/*
 * H24: the anchor directory cannot be made, or what stands there is not ours. It is
 * never used and never changed; the path is guarded all the same, and the guard
 * says with what less.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct hostile {
	struct identity id;
	mode_t mode;
	uid_t uid;
	char path[TEST_PATH_MAX];
};

static struct hostile remember(const char *path)
{
	struct hostile h;
	struct stat st;

	DO(lstat(path, &st));
	h = (struct hostile){ .id = { st.st_dev, st.st_ino },
			      .mode = st.st_mode,
			      .uid = st.st_uid };
	snprintf(h.path, sizeof(h.path), "%s", path);
	return h;
}

static void assert_unchanged(const struct hostile *h)
{
	struct stat st;

	assert_true(is_identity(h->path, h->id));
	DO(lstat(h->path, &st));
	assert_int_equal(st.st_mode, h->mode);
	assert_int_equal(st.st_uid, h->uid);
	if (S_ISDIR(st.st_mode))
		assert_int_equal(count_names(h->path, ""), 2);
}

/* Live through all that happens with something hostile in the anchors' place. */
static void live_with(struct fixture *f)
{
	struct hostile h = remember(anchor_dir_of(f));

	f->kedge_names = 1;
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_unchanged(&h);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) >= (status_of(f, f->path).anchored ? 0 : 1));
	for (int i = 0; i < 5; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
		assert_unchanged(&h);
	}
	guard_for(f, 100);
	stop_guard(f);
	assert_unchanged(&h);
	assert_int_equal(count_names(f->dir, ""), 3);
}

static void symlink_to_a_victim(struct fixture *f)
{
	make_dir(in_root(f, "victim"), 0700);
	DO(symlink(in_root(f, "victim"), anchor_dir_of(f)));
	live_with(f);
	assert_int_equal(count_names(in_root(f, "victim"), ""), 2);
}

static void dangling_symlink(struct fixture *f)
{
	DO(symlink(in_root(f, "nowhere"), anchor_dir_of(f)));
	live_with(f);
	assert_false(exists(in_root(f, "nowhere")));
}

static void regular_file(struct fixture *f)
{
	write_file(anchor_dir_of(f), "theirs");
	live_with(f);
	assert_file(anchor_dir_of(f), "theirs");
}

static void fifo(struct fixture *f)
{
	DO(mkfifo(anchor_dir_of(f), 0600));
	live_with(f);
}

static void wide_mode(struct fixture *f)
{
	make_dir(anchor_dir_of(f), 0777);
	live_with(f);
}

static void group_writable(struct fixture *f)
{
	make_dir(anchor_dir_of(f), 0770);
	live_with(f);
}

static void other_owner(struct fixture *f)
{
	need_root();
	make_dir(anchor_dir_of(f), 0700);
	DO(chown(anchor_dir_of(f), 1234, 1234));
	live_with(f);
}

/* Root's directory where an ordinary user's ought to be. */
static void roots_directory(struct fixture *f)
{
	char anchors[TEST_PATH_MAX];
	struct hostile h;

	need_root();
	f->kedge_names = 1;
	DO(chmod(f->root, 0711));
	DO(chmod(f->dir, 01777));
	be_user();
	strcpy(anchors, anchor_dir_of(f));
	become_root();
	make_dir(anchors, 0700);
	h = remember(anchors);
	be_user();
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
	stop_guard(f);
	become_root();
	assert_unchanged(&h);
	assert_false(exists(f->path));
}

/* A directory that was ours all along, of an earlier life: it is used. */
static void our_own(struct fixture *f)
{
	make_dir(anchor_dir_of(f), 0700);
	start_listening(f, KEDGE_INTERVAL_NONE);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 0);
	assert_true(is_identity(anchor_of(f, 1), f->id));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
	/* Whether it is removed at the end is the guard's business: it is empty. */
	f->kedge_names = 1;
	stop_guard(f);
	assert_true(count_names(anchor_dir_of(f), "x.sock") <= 0);
}

/* Swapped for a symlink in the midst of life: what is made again goes not in there. */
static void swapped_later(struct fixture *f)
{
	f->kedge_names = 1;
	make_dir(in_root(f, "victim"), 0700);
	start_listening(f, 50);
	DO(rename(anchor_dir_of(f), in_root(f, "stolen")));
	DO(symlink(in_root(f, "victim"), anchor_dir_of(f)));
	guard_for(f, 150);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
	remove_all(in_root(f, "stolen"));
	guard_for(f, 150);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(count_names(in_root(f, "victim"), ""), 2);
	stop_guard(f);
	assert_int_equal(count_names(in_root(f, "victim"), ""), 2);
	assert_false(exists(f->path));
}

/* The same for one who asked for a place of his own. */
static void asked_for(struct fixture *f, mode_t mode)
{
	struct hostile h;

	make_dir(in_root(f, "anchors"), mode);
	h = remember(in_root(f, "anchors"));
	f->options.anchor_dir = h.path;
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	assert_unchanged(&h);
	stop_guard(f);
	assert_unchanged(&h);
	assert_false(exists(f->path));
}

static void wide_where_asked_for(struct fixture *f)
{
	asked_for(f, 0777);
}

static void symlink_where_asked_for(struct fixture *f)
{
	make_dir(in_root(f, "victim"), 0700);
	DO(symlink("victim", in_root(f, "anchors")));
	f->options.anchor_dir = in_root(f, "anchors");
	start_listening(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(count_names(in_root(f, "victim"), ""), 2);
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_int_equal(count_names(in_root(f, "victim"), ""), 2);
}

/* On another mount nothing can be linked from it. */
static void on_another_mount(struct fixture *f)
{
	own_mounts();
	make_dir(in_root(f, "anchors"), 0700);
	mount_tmpfs(in_root(f, "anchors"), "mode=0700");
	f->options.anchor_dir = in_root(f, "anchors");
	start_listening(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(count_names(in_root(f, "anchors"), ""), 2);
}

/* No directory can be made at all: nothing but re-binds, and it says so. */
static void cannot_be_made(struct fixture *f)
{
	break_syscall(SYS_mkdirat, ENOSPC);
	start_listening(f, KEDGE_INTERVAL_NONE);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_DEGRADED) == 1);
	assert_int_equal(status_of(f, f->path).anchored, 0);
	assert_int_equal(mode_of(f->path), 0600);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
		assert_int_equal(count_names(f->dir, ""), 3);
		assert_int_equal(mode_of(f->path), 0600);
	}
	stop_guard(f);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* Sockets of one name from two directories share it, and it is taken away again and again. */
static void shared_and_swept(struct fixture *f)
{
	const char *first = in_dir(f, "x.sock"), *second = in_root(f, "more/x.sock");

	make_dir(in_root(f, "more"), 0755);
	f->options.anchor_dir = in_root(f, "anchors");
	start_guard(f, 50);
	also_listen(f, first);
	also_listen(f, second);
	for (int i = 0; i < 4; i++) {
		remove_all(in_root(f, "anchors"));
		DO(unlink(first));
		DO(unlink(second));
		GUARD_UNTIL(f, reachable_at(f, first) && reachable_at(f, second));
		/* Two anchors, two locks. */
		GUARD_UNTIL(f, count_names(in_root(f, "anchors"), "") == 2 + 4);
	}
	assert_int_equal(kedge_guard_close(f->guard, first), 0);
	assert_int_equal(kedge_guard_close(f->guard, second), 0);
	assert_false(exists(first) || exists(second));
	assert_true(count_names(in_root(f, "anchors"), "") <= 2);
}

static const struct test_case cases[] = {
	{ "h24 a symlink to a victim", symlink_to_a_victim, ANYWHERE },
	{ "h24 a dangling symlink", dangling_symlink, ANYWHERE },
	{ "h24 a regular file", regular_file, ANYWHERE },
	{ "h24 a FIFO", fifo, ANYWHERE },
	{ "h24 a wide mode", wide_mode, ANYWHERE },
	{ "h24 writable by the group", group_writable, ANYWHERE },
	{ "h24 another owner", other_owner, ANYWHERE },
	{ "h24 root's directory", roots_directory, ANYWHERE },
	{ "h24 our own", our_own, ANYWHERE },
	{ "h24 swapped later", swapped_later, ANYWHERE },
	{ "h24 wide, where asked for", wide_where_asked_for, ANYWHERE },
	{ "h24 a symlink, where asked for", symlink_where_asked_for, ANYWHERE },
	{ "h24 on another mount", on_another_mount, ANYWHERE },
	{ "h24 cannot be made", cannot_be_made, ANYWHERE },
	{ "h24 shared, and swept", shared_and_swept, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
