/*
 * H5: the path, or its directory, is mounted over. The listener comes to the path
 * as it now is: by a link where one mount allows it, else by a bind mount of its
 * anchor, else as a new listener. Each case has a mount namespace of its own.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* STATX_MNT_ID_UNIQUE, which older headers do not know. */
#define STATX_UNIQUE 0x4000U

static void start(struct fixture *f)
{
	own_mounts();
	start_listening(f, 1000);
}

static void over_directory(struct fixture *f)
{
	start(f);
	mount_tmpfs(f->dir, "mode=0755");
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_MOUNTED_OVER);
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_BIND_MOUNTED) == 1);
	ASSERT_STORY(f, same_listener(f));
}

/* ... and nothing of ours stays: neither the mount nor what it was mounted on. */
static void over_directory_then_closed(struct fixture *f)
{
	start(f);
	mount_tmpfs(f->dir, "mode=0755");
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_int_equal(mounts_at(f->path), 0);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
	DO(umount2(f->dir, 0));
	assert_false(exists(f->path));
}

static void over_directory_and_away(struct fixture *f)
{
	start(f);
	for (int i = 0; i < 5; i++) {
		mount_tmpfs(f->dir, "mode=0755");
		GUARD_UNTIL(f, reachable(f));
		DO(umount2(f->dir, MNT_DETACH));
		GUARD_UNTIL(f, reachable(f));
	}
	assert_true(same_listener(f));
	stop_guard(f);
	assert_false(exists(f->path));
}

/* The mount that is put over has a directory of its own at work: it is not touched. */
static void over_directory_with_content(struct fixture *f)
{
	own_mounts();
	make_dir(in_root(f, "other"), 0755);
	mount_tmpfs(in_root(f, "other"), "mode=0711");
	write_file(in_root(f, "other/precious"), "theirs");
	start_listening(f, 1000);
	bind_mount(in_root(f, "other"), f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_file(in_dir(f, "precious"), "theirs");
	assert_int_equal(mode_of(f->dir), 0711);
	stop_guard(f);
	assert_file(in_dir(f, "precious"), "theirs");
	assert_int_equal(count_names(f->dir, ""), 3); /* with "." and ".." */
}

static void never_mounting(struct fixture *f)
{
	f->options.mounting = KEDGE_MOUNTING_NEVER;
	start(f);
	mount_tmpfs(f->dir, "mode=0755");
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 1 && !seen(f, KEDGE_EVENT_BIND_MOUNTED));
	assert_int_equal(mounts_at(f->path), 0);
	DO(umount2(f->dir, MNT_DETACH));
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_false(exists(f->path));
}

static void without_the_right_to_mount(struct fixture *f)
{
	start(f);
	mount_tmpfs(f->dir, "mode=0755");
	drop_sys_admin();
	GUARD_UNTIL(f, reachable(f));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 1);
	assert_int_equal(mounts_at(f->path), 0);
	stop_guard(f);
	assert_false(exists(f->path));
}

static void file_over_path(struct fixture *f)
{
	own_mounts();
	write_file(in_root(f, "precious"), "theirs");
	start_listening(f, 1000);
	bind_mount(in_root(f, "precious"), f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST) && same_listener(f));
	assert_file(in_root(f, "precious"), "theirs");
	stop_guard(f);
	assert_file(in_root(f, "precious"), "theirs");
}

/* A mount point can neither be renamed nor linked over: wait until it is gone. */
static void file_over_path_never_mounting(struct fixture *f)
{
	own_mounts();
	f->options.mounting = KEDGE_MOUNTING_NEVER;
	write_file(in_root(f, "precious"), "theirs");
	start_listening(f, 100);
	bind_mount(in_root(f, "precious"), f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	for (int i = 0; i < 10; i++)
		assert_true(kedge_guard_repair(f->guard, f->path) < 0);
	assert_file(f->path, "theirs");
	DO(umount2(f->path, 0));
	GUARD_UNTIL(f, same_listener(f));
	assert_file(in_root(f, "precious"), "theirs");
}

/* Somebody bind-mounts his own live socket there: displaced, as by any live one. */
static void live_socket_over_path(struct fixture *f)
{
	int other;

	own_mounts();
	other = stranger_new(f, in_root(f, "other.sock"));
	start_listening(f, 100);
	bind_mount(in_root(f, "other.sock"), f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_DISPLACED));
	for (int i = 0; i < 10; i++)
		assert_int_equal(kedge_guard_repair(f->guard, f->path), -EADDRINUSE);
	assert_int_equal(who_answers(f, f->path), other);
	assert_int_equal(mounts_at(f->path), 1);
	DO(umount2(f->path, 0));
	GUARD_UNTIL(f, same_listener(f));
	assert_int_equal(who_answers(f, in_root(f, "other.sock")), other);
}

/* A bind mount of the directory on itself shows the same socket: nothing is lost.
 * But it is another mount, and links do not cross from the first. */
static void itself_over_directory(struct fixture *f)
{
	start(f);
	bind_mount(f->dir, f->dir);
	guard_for(f, 100);
	assert_true(same_listener(f));
	for (int i = 0; i < 5; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	DO(umount2(f->dir, MNT_DETACH));
	GUARD_UNTIL(f, same_listener(f));
	stop_guard(f);
	assert_false(exists(f->path));
}

/* The file system that the directory is on is unmounted and mounted anew, empty. */
static void file_system_mounted_anew(struct fixture *f)
{
	const char *mnt = in_root(f, "mnt"), *path = in_root(f, "mnt/run/s.sock");

	own_mounts();
	make_dir(mnt, 0755);
	mount_tmpfs(mnt, "mode=0755");
	make_dir(in_root(f, "mnt/run"), 0710);
	start_guard(f, 1000);
	also_listen(f, path);
	for (int i = 0; i < 3; i++) {
		DO(umount2(mnt, MNT_DETACH));
		mount_tmpfs(mnt, "mode=0755");
		GUARD_UNTIL(f, reachable_at(f, path));
		assert_int_equal(mode_of(in_root(f, "mnt/run")), 0710);
	}
}

/* A guard that is waiting must not hold a file system that somebody wants to unmount
 * for longer than it is needed: after the end nothing holds it. */
static void lets_go_of_a_file_system(struct fixture *f)
{
	const char *mnt = in_root(f, "mnt");

	own_mounts();
	make_dir(mnt, 0755);
	mount_tmpfs(mnt, "mode=0755");
	start_guard(f, 1000);
	also_listen(f, in_root(f, "mnt/s.sock"));
	f->guard = kedge_guard_free(f->guard);
	DO(umount2(mnt, 0));
}

/* A directory above is mounted over: the path is made in what shows now, and the old one
 * found again when that goes. */
static void over_an_ancestor(struct fixture *f)
{
	own_mounts();
	make_dir(in_dir(f, "a"), 0755);
	make_dir(in_dir(f, "a/b"), 0711);
	start_guard(f, 1000);
	f->fd = also_listen(f, in_dir(f, "a/b/s.sock"));
	for (int i = 0; i < 3; i++) {
		mount_tmpfs(in_dir(f, "a"), "mode=0755");
		GUARD_UNTIL(f, reachable_at(f, in_dir(f, "a/b/s.sock")));
		assert_int_equal(mode_of(in_dir(f, "a/b")), 0711);
		DO(umount2(in_dir(f, "a"), MNT_DETACH));
		GUARD_UNTIL(f, reachable_at(f, in_dir(f, "a/b/s.sock")));
	}
	f->guard = kedge_guard_free(f->guard);
	assert_false(exists(in_dir(f, "a/b/s.sock")));
}

/* A container has the socket file itself mounted, and with it the inode: it keeps working
 * after a re-link, and, as the old listener is still served, after a re-bind. */
static void mounted_into_a_container(struct fixture *f)
{
	char box[TEST_PATH_MAX];
	int first;

	own_mounts();
	write_file(in_root(f, "box"), "");
	strcpy(box, in_root(f, "box"));
	start_listening(f, 1000);
	first = f->fd;
	bind_mount(f->path, box);
	for (int i = 0; i < 3; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, same_listener(f));
		assert_int_equal(who_answers(f, box), first);
	}
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_not_equal(who_answers(f, f->path), first);
	assert_int_equal(who_answers(f, box), first);
	DO(umount2(box, 0));
}

/* What the guard has noted of its mount: the number of it, 0 where there is none (yet). */
static unsigned long long noted_mount(const struct fixture *f)
{
	unsigned long long id = 0;
	FILE *lock = fopen(in_dir(f, text(".kedge-%u/x.sock.lock", geteuid())), "re");

	if (!lock)
		return 0;
	(void)fscanf(lock, "%*u %*u %*s %llu", &id);
	(void)fclose(lock);
	return id;
}

/* Linux 6.8 gives mounts numbers that are not used again. */
static void need_mount_numbers(void)
{
	struct statx st;

	DO(statx(AT_FDCWD, "/", 0, STATX_UNIQUE, &st));
	if (!(st.stx_mask & STATX_UNIQUE))
		skip_case("the kernel has no number for a mount that is its own for ever");
}

/* The child's guard was killed with its mount at work, and nobody has taken that away. */
static void start_and_crash_mounted(struct fixture *f)
{
	pid_t pid;

	own_mounts();
	need_mount_numbers();
	pid = fork_guard(f);
	mount_tmpfs(f->dir, "mode=0755");
	for (uint64_t until = now_ms() + CAP_MS; mounts_at(f->path) == 0 || noted_mount(f) == 0;) {
		assert_true(now_ms() < until);
		usleep(1000);
	}
	kill_child(f, pid);
	assert_int_equal(mounts_at(f->path), 1);
}

/* The mount is known for the killed one's by its number, and goes; crashes stack up nothing. */
static void killed_and_started_again(struct fixture *f)
{
	start_and_crash_mounted(f);
	start_listening(f, 1000);
	guard_for(f, 100);
	ASSERT_STORY(f, reachable(f) && is_identity(f->path, f->id));
	assert_int_equal(who_answers(f, f->path), f->fd);
	assert_int_equal(mounts_at(f->path), 0);
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

/* To take its own away it need not be allowed to mount. */
static void killed_and_started_never_mounting(struct fixture *f)
{
	start_and_crash_mounted(f);
	f->options.mounting = KEDGE_MOUNTING_NEVER;
	start_listening(f, 1000);
	assert_int_equal(mounts_at(f->path), 0);
	assert_int_equal(who_answers(f, f->path), f->fd);
}

/* Unmounted since, and the same inode mounted anew by somebody: as alike as two mounts can be. */
static void killed_and_mounted_by_another(struct fixture *f)
{
	const char *kept = in_root(f, "kept");

	start_and_crash_mounted(f);
	write_file(kept, "");
	bind_mount(f->path, kept);
	DO(umount2(f->path, 0));
	bind_mount(kept, f->path);
	start_listening(f, 1000);
	guard_for(f, 100);
	assert_int_equal(who_answers(f, f->path), f->fd);
	assert_int_equal(mounts_at(f->path), 2);
	stop_guard(f);
	assert_int_equal(mounts_at(f->path), 1);
	DO(umount2(f->path, 0));
	DO(umount2(kept, 0));
	DO(unlink(f->path)); /* what the killed one had made to mount on */
}

/* A stale socket that somebody mounted there: over it where that is allowed, and said where not. */
static void stale_socket_over_path(struct fixture *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int fd;

	own_mounts();
	make_stale(in_root(f, "stale.sock"));
	make_stale(f->path);
	bind_mount(in_root(f, "stale.sock"), f->path);
	start_listening(f, 1000);
	assert_int_equal(who_answers(f, f->path), f->fd);
	assert_int_equal(mounts_at(f->path), 2);
	stop_guard(f);
	assert_int_equal(mounts_at(f->path), 1);
	f->options.mounting = KEDGE_MOUNTING_NEVER;
	start_guard(f, 1000);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, &fd, &error), -EBUSY);
	assert_non_null(strstr(error.text, f->path));
	assert_non_null(strstr(error.text, "unmount it first"));
	assert_int_equal(mounts_at(f->path), 1);
	DO(umount2(f->path, 0));
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, &fd, NULL), 0);
	assert_int_equal(mounts_at(f->path), 0);
}

static const struct test_case cases[] = {
	{ "h05 over the directory", over_directory, ANYWHERE },
	{ "h05 over the directory, then closed", over_directory_then_closed, ANYWHERE },
	{ "h05 over the directory and away", over_directory_and_away, ANYWHERE },
	{ "h05 a directory with content", over_directory_with_content, ANYWHERE },
	{ "h05 never mounting", never_mounting, ANYWHERE },
	{ "h05 without the right to mount", without_the_right_to_mount, ANYWHERE },
	{ "h05 a file over the path", file_over_path, ANYWHERE },
	{ "h05 a file over the path, never mounting", file_over_path_never_mounting, ANYWHERE },
	{ "h05 a live socket over the path", live_socket_over_path, ANYWHERE },
	{ "h05 the directory over itself", itself_over_directory, ANYWHERE },
	{ "h05 its file system mounted anew", file_system_mounted_anew, ON_TMPFS },
	{ "h05 over a directory above", over_an_ancestor, ANYWHERE },
	{ "h05 mounted into a container", mounted_into_a_container, ANYWHERE },
	{ "h05 killed, and started again", killed_and_started_again, ANYWHERE },
	{ "h05 killed, then never mounting", killed_and_started_never_mounting, ANYWHERE },
	{ "h05 killed, and another's mount", killed_and_mounted_by_another, ANYWHERE },
	{ "h05 a stale socket over the path", stale_socket_over_path, ANYWHERE },
	{ "h05 lets go of a file system", lets_go_of_a_file_system, ON_TMPFS },
};

int main(void)
{
	return RUN_CASES(cases);
}
