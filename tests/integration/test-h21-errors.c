/*
 * H21: the repair itself fails: no descriptor, no space, read-only, no right. It is
 * reported once per streak and retried with back-off; the recovery says how much
 * was swallowed.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOKS 10

/* The path is lost and cannot be had: @error, reported once, however often we try. */
static void assert_streak(struct fixture *f, int error)
{
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	for (int i = 0; i < LOOKS; i++)
		ASSERT_STORY(f, kedge_guard_repair(f->guard, f->path) == -EBUSY);
	guard_for(f, 200);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_BLOCKED) == 1);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_BLOCKED].error == error);
	ASSERT_STORY(f, status_of(f, f->path).error == error);
	ASSERT_STORY(f, state_of(f) == KEDGE_STATE_BLOCKED);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_LOST) == 1);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RECOVERED) == 0);
}

static void assert_recovery(struct fixture *f)
{
	GUARD_UNTIL(f, reachable(f) && seen(f, KEDGE_EVENT_RECOVERED));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RECOVERED) == 1);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_RECOVERED].swallowed >= LOOKS);
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_RECOVERED].outage_ns >= 100000000);
	ASSERT_STORY(f, status_of(f, f->path).error == 0);
}

/* A file system of our own at f->dir. */
static void own_tmpfs(struct fixture *f, const char *options)
{
	own_mounts();
	mount_tmpfs(f->dir, options);
}

/* Fill f->dir with empty files until it is full. */
static int fill(struct fixture *f, int from)
{
	for (;; from++) {
		int fd = open(text("%s/fill.%d", f->dir, from), O_CREAT | O_EXCL | O_WRONLY, 0600);

		if (fd < 0) {
			assert_int_equal(errno, ENOSPC);
			return from;
		}
		close(fd);
	}
}

static void no_space(struct fixture *f)
{
	int n;

	own_tmpfs(f, "mode=0755,nr_inodes=40");
	start_listening(f, 100);
	n = fill(f, 0);
	DO(unlink(f->path));
	n = fill(f, n);
	assert_streak(f, -ENOSPC);
	DO(unlink(text("%s/fill.%d", f->dir, n - 1)));
	assert_recovery(f);
	assert_true(same_listener(f));
}

/* A start on a full file system: an error, and nothing left. */
static void no_space_to_start(struct fixture *f)
{
	int n, r = -1;

	own_tmpfs(f, "mode=0755,nr_inodes=40");
	n = fill(f, 0);
	start_guard(f, 100);
	for (int free_names = 0; free_names < 8; free_names++) {
		r = kedge_guard_listen(f->guard, f->path, NULL, NULL, NULL);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOSPC);
		assert_false(exists(f->path));
		assert_int_equal(count_names(f->dir, ".kedge"), 0);
		DO(unlink(text("%s/fill.%d", f->dir, --n)));
	}
	assert_int_equal(r, 0);
}

/* Where a stale socket cannot be replaced, the start failed without a word. */
static void no_renames_to_start(struct fixture *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	make_stale(f->path);
	break_syscall(SYS_renameat2, EXDEV);
	start_guard(f, 100);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, &error), -EXDEV);
	assert_non_null(strstr(error.text, f->path));
	assert_true(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

static void read_only(struct fixture *f)
{
	own_tmpfs(f, "mode=0755");
	start_listening(f, 100);
	DO(unlink(f->path));
	/* It must be possible: a guard that holds a file open for writing would forbid it. */
	DO(mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY, "mode=0755"));
	assert_streak(f, -EROFS);
	DO(mount(NULL, f->dir, NULL, MS_REMOUNT, "mode=0755"));
	assert_recovery(f);
	assert_true(same_listener(f));
}

/* Read-only while nothing is lost is no affair of ours. */
static void read_only_and_reachable(struct fixture *f)
{
	own_tmpfs(f, "mode=0755");
	start_listening(f, 50);
	DO(mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY, "mode=0755"));
	guard_for(f, 300);
	assert_true(same_listener(f));
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
	assert_int_equal(seen(f, KEDGE_EVENT_BLOCKED), 0);
	DO(mount(NULL, f->dir, NULL, MS_REMOUNT, "mode=0755"));
}

static void read_only_to_start(struct fixture *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	own_tmpfs(f, "mode=0755");
	DO(mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY, "mode=0755"));
	start_guard(f, 50);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, &error), -EROFS);
	assert_int_equal(error.code, -EROFS);
	assert_non_null(strstr(error.text, f->dir));
}

static void no_right(struct fixture *f)
{
	need_root();
	become_user(f);
	start_listening(f, 100);
	become_root();
	DO(unlink(f->path));
	DO(chown(f->dir, 0, 0));
	be_user();
	assert_streak(f, -EACCES);
	become_root();
	DO(chown(f->dir, 65534, 65534));
	be_user();
	assert_recovery(f);
	assert_true(same_listener(f));
}

static void no_right_to_start(struct fixture *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	become_user(f);
	DO(chmod(f->dir, 0555));
	start_guard(f, 50);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, &error), -EACCES);
	assert_int_equal(count_names(f->dir, ""), 2);
	DO(chmod(f->dir, 0));
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, &error), -EACCES);
	DO(chmod(f->dir, 0755));
}

/* A re-bind needs descriptors, and there are none. */
static void no_descriptors(struct fixture *f)
{
	unsigned long limit;

	start_listening(f, 100);
	remove_all(f->dir);
	limit = allow_fds(f, 0);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	for (int i = 0; i < LOOKS; i++)
		ASSERT_STORY(f, kedge_guard_repair(f->guard, f->path) < 0);
	guard_for(f, 200);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_BLOCKED) <= 1);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RECOVERED) == 0);
	set_fd_limit(limit);
	assert_recovery(f);
}

/* With each number of descriptors there is a step that fails first. None of them may
 * leave anything, lose the path for good, or lose a descriptor. */
static void few_descriptors(struct fixture *f)
{
	start_listening(f, 20);
	for (int more = 0; more < 12; more++) {
		unsigned long limit;

		remove_all(f->dir);
		limit = allow_fds(f, more);
		guard_for(f, 100);
		set_fd_limit(limit);
		GUARD_UNTIL(f, reachable(f));
		assert_int_equal(count_names(f->dir, "x.sock"), 1);
		GUARD_UNTIL(f, count_names(anchor_dir_of(f), "x.sock.") == 2);
	}
}

static void few_descriptors_to_relink(struct fixture *f)
{
	start_listening(f, 20);
	for (int more = 0; more < 8; more++) {
		unsigned long limit;

		DO(unlink(f->path));
		limit = allow_fds(f, more);
		guard_for(f, 60);
		set_fd_limit(limit);
		GUARD_UNTIL(f, same_listener(f));
	}
}

static void few_descriptors_to_start(struct fixture *f)
{
	int r = -1;

	start_guard(f, 50);
	for (int more = 0; more < 30 && r < 0; more++) {
		unsigned long limit = allow_fds(f, more);

		r = kedge_guard_listen(f->guard, f->path, NULL, &f->fd, NULL);
		set_fd_limit(limit);
		assert_true(r == 0 || r == -EMFILE);
		if (r < 0)
			assert_int_equal(count_names(f->dir, ""), 2);
	}
	assert_int_equal(r, 0);
	f->ours[0] = f->fd;
	GUARD_UNTIL(f, reachable(f));
}

/* A file system without hard links: nothing to link, so each loss is a re-bind, and
 * publishing has to go another way. */
static void no_links(struct fixture *f)
{
	break_syscall(SYS_linkat, EPERM);
	start_guard(f, 50);
	f->fd = -1;
	if (kedge_guard_listen(f->guard, f->path, NULL, &f->fd, NULL) < 0) {
		assert_int_equal(count_names(f->dir, ""), 2);
		return;
	}
	f->ours[0] = f->fd;
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
	}
}

static const struct test_case cases[] = {
	{ "h21 no space", no_space, ON_TMPFS },
	{ "h21 no space to start", no_space_to_start, ON_TMPFS },
	{ "h21 no renames to start", no_renames_to_start, ANYWHERE },
	{ "h21 read-only", read_only, ON_TMPFS },
	{ "h21 read-only and reachable", read_only_and_reachable, ON_TMPFS },
	{ "h21 read-only at the start", read_only_to_start, ON_TMPFS },
	{ "h21 no right", no_right, ANYWHERE },
	{ "h21 no right to start", no_right_to_start, ANYWHERE },
	{ "h21 no descriptors", no_descriptors, ANYWHERE },
	{ "h21 few descriptors to re-bind", few_descriptors, ANYWHERE },
	{ "h21 few descriptors to re-link", few_descriptors_to_relink, ANYWHERE },
	{ "h21 few descriptors to start", few_descriptors_to_start, ANYWHERE },
	{ "h21 no hard links", no_links, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
