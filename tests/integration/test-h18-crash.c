/*
 * H18: a crash leaves the path and anchors behind. A start replaces what is stale
 * and sweeps its own; what lives, or was never ours, it leaves alone.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CRASHES 10
#define SOCKETS 20

static int try_listen(struct fixture *f, struct kedge_error *error)
{
	return kedge_guard_listen(f->guard, f->path, NULL, NULL, error);
}

static void killed(struct fixture *f)
{
	for (int i = 0; i < CRASHES; i++) {
		pid_t pid = fork_guard(f);

		assert_true(exists(f->path));
		kill_child(f, pid);
		assert_true(exists(f->path));
	}
	start_listening(f, 50);
	assert_true(reachable(f));
	/* Of all those lives one anchor is left, the present one, and the lock. */
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

static int adopt(struct fixture *f)
{
	return kedge_guard_adopt(f->guard, f->path, f->fd, &f->listen, NULL);
}

static int adopt_and_be_killed(struct fixture *f)
{
	if (kedge_guard_new(&f->guard, &f->options) == 0 && adopt(f) == 0)
		raise(SIGKILL);
	return 1;
}

/* A listener that was passed in outlives each guard of it: their anchors are alive, and go. */
static void killed_with_an_adopted_listener(struct fixture *f)
{
	f->fd = stranger_new(f, f->path);
	for (int i = 0; i < CRASHES; i++)
		assert_int_equal(in_child(f, adopt_and_be_killed), -SIGKILL);
	start_guard(f, 50);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock."), 2);
	stop_guard(f);
	assert_true(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

/* Killed after its path was taken away: an anchor without a path. */
static void killed_without_a_path(struct fixture *f)
{
	pid_t pid = fork_guard(f);

	kill_child(f, pid);
	DO(unlink(f->path));
	start_listening(f, 50);
	assert_true(reachable(f));
	stop_guard(f);
	assert_int_equal(kedge_names(f), 0);
}

static void killed_with_many_generations(struct fixture *f)
{
	pid_t pid = fork_guard(f);

	for (int i = 0; i < 5; i++) {
		sweep(f->dir);
		for (uint64_t until = now_ms() + CAP_MS; !exists(f->path) && now_ms() < until;)
			usleep(1000);
		assert_true(exists(f->path));
	}
	kill_child(f, pid);
	start_listening(f, 50);
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
}

/* What is a socket nobody listens on, of a program that never knew of us. */
static void stale_of_a_plain_server(struct fixture *f)
{
	make_stale(f->path);
	start_listening(f, 50);
	assert_true(reachable(f));
}

static void live_is_not_stolen(struct fixture *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int other = stranger_new(f, f->path);
	struct identity id = identity_of(f->path);

	start_guard(f, 50);
	assert_int_equal(try_listen(f, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, f->path));
	assert_true(is_identity(f->path, id));
	assert_int_equal(who_answers(f, f->path), other);
	assert_int_equal(count_names(f->dir, ""), 3);
}

/* It does not accept and its queue is full: alive, after two seconds of asking. */
static void hung_is_alive(struct fixture *f)
{
	struct identity id;
	int other = keep_fd(f, bind_at(f->path, SOCK_STREAM)), client;

	DO(listen(other, 0));
	while ((client = client_new(f->path)) >= 0)
		keep_fd(f, client);
	id = identity_of(f->path);
	start_guard(f, 50);
	assert_int_equal(try_listen(f, NULL), -EADDRINUSE);
	assert_true(is_identity(f->path, id));
}

static void live_of_another_type(struct fixture *f)
{
	struct identity id;

	stranger_of_type(f, f->path, SOCK_DGRAM);
	id = identity_of(f->path);
	start_guard(f, 50);
	assert_int_equal(try_listen(f, NULL), -EADDRINUSE);
	assert_true(is_identity(f->path, id));
}

static void make_regular(const char *path)
{
	write_file(path, "theirs");
}

static void make_empty_directory(const char *path)
{
	make_dir(path, 0700);
}

static void make_fifo(const char *path)
{
	DO(mkfifo(path, 0600));
}

static void make_dangling(const char *path)
{
	DO(symlink("/nowhere/at/all", path));
}

/* A start never moves or replaces what is no socket. */
static void other_files(struct fixture *f)
{
	const struct {
		void (*make)(const char *path);
		int expected;
	} rows[] = {
		{ make_regular, -ENOTSOCK },
		{ make_fifo, -ENOTSOCK },
		{ make_dangling, -ENOTSOCK },
		{ make_empty_directory, -EISDIR },
	};

	start_guard(f, 50);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kedge_error error = KEDGE_ERROR_INIT;
		struct identity id;

		rows[i].make(f->path);
		id = identity_of(f->path);
		assert_int_equal(try_listen(f, &error), rows[i].expected);
		assert_int_equal(error.code, rows[i].expected);
		assert_non_null(strstr(error.text, f->path));
		assert_true(is_identity(f->path, id));
		assert_int_equal(count_names(f->dir, ""), 3);
		remove_all(f->path);
	}
	f->fd = also_listen(f, f->path);
	assert_true(reachable(f));
}

/* A symlink to a live socket: the name is no socket, and the socket is a stranger's. */
static void symlink_to_a_live_socket(struct fixture *f)
{
	struct identity id;
	int other = stranger_new(f, in_root(f, "other.sock")), r;

	DO(symlink(in_root(f, "other.sock"), f->path));
	id = identity_of(f->path);
	start_guard(f, 50);
	r = try_listen(f, NULL);
	assert_true(r == -ENOTSOCK || r == -EADDRINUSE);
	assert_true(is_identity(f->path, id));
	assert_int_equal(who_answers(f, f->path), other);
}

/* The sweep under the lock takes our own stale anchors and nothing else. */
static void sweeps_its_own_only(struct fixture *f)
{
	const char *foreign[] = { "precious", "x.sock.7", "x.sock.0x1", "x.sock.", "x.sock.1.bak" };
	int other;

	f->kedge_names = 1;
	kill_child(f, fork_guard(f));
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		write_file(text("%s/%s", anchor_dir_of(f), foreign[i]), "theirs");
	other = stranger_new(f, text("%s/x.sock.8", anchor_dir_of(f)));
	start_listening(f, 50);
	assert_true(reachable(f));
	stop_guard(f);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_file(text("%s/%s", anchor_dir_of(f), foreign[i]), "theirs");
	assert_int_equal(who_answers(f, text("%s/x.sock.8", anchor_dir_of(f))), other);
	assert_int_equal(count_names(anchor_dir_of(f), ""), (int)ARRAY_SIZE(foreign) + 1 + 2);
}

/* Names that begin alike share an anchor directory: s, s.1, s.lock, s.1.lock. */
static void names_that_begin_alike(struct fixture *f)
{
	const char *names[] = { "s", "s.1", "s.1.1", "s.lock", "s.lock.1", "s.2" };
	struct identity ids[ARRAY_SIZE(names)];

	start_guard(f, KEDGE_INTERVAL_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		also_listen(f, in_dir(f, names[i]));
		ids[i] = identity_of(in_dir(f, names[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		DO(unlink(in_dir(f, names[i])));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		GUARD_UNTIL(f, reachable_at(f, in_dir(f, names[i])));
		assert_true(is_identity(in_dir(f, names[i]), ids[i]));
	}
	/* One ends and starts again, with a sweep, while the others are there. */
	assert_int_equal(kedge_guard_close(f->guard, in_dir(f, "s")), 0);
	also_listen(f, in_dir(f, "s"));
	for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
		DO(unlink(in_dir(f, names[i])));
		GUARD_UNTIL(f, reachable_at(f, in_dir(f, names[i])));
		assert_true(is_identity(in_dir(f, names[i]), ids[i]));
	}
}

/* The same in two processes: the sweep of one must not take the other's anchors. */
static void names_that_begin_alike_in_two_processes(struct fixture *f)
{
	struct fixture other = *f;

	snprintf(other.path, sizeof(other.path), "%s", in_dir(f, "x.sock.1"));
	fork_guard(&other);
	start_listening(f, 50);
	DO(unlink(other.path));
	for (uint64_t until = now_ms() + CAP_MS; !exists(other.path) && now_ms() < until;)
		usleep(1000);
	assert_true(exists(text("%s/x.sock.1.1", anchor_dir_of(f))));
	assert_true(exists(other.path));
	kill_child(&other, other.kept_pid[0]);
	snprintf(f->path, sizeof(f->path), "%s", other.path);
	also_listen(f, f->path);
	assert_true(reachable(f));
}

/* The lock file that a crash left is somebody else's by now, or unreadable, or long. */
static void strange_lock_files(struct fixture *f)
{
	const char *contents[] = { "", "no number", "18446744073709551615 99999999999999999999\n",
				   "-1 -1\n" };

	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		kill_child(f, fork_guard(f));
		write_file(text("%s/x.sock.lock", anchor_dir_of(f)), contents[i]);
		start_listening(f, 50);
		assert_true(reachable(f));
		DO(unlink(f->path));
		GUARD_UNTIL(f, reachable(f));
		stop_guard(f);
		assert_false(exists(f->path));
		forget(f);
		/* It could not know what it had left: what is stale is gone all the same, or
		 * at least not in the way. */
		remove_all(f->dir);
		make_dir(f->dir, 0755);
	}
}

/*
 * A power cut: the file system has the last names, and a note from before them. It was written
 * in another run of the machine, so it is not believed.
 */
static void older_note(struct fixture *f)
{
	const char *lock = text("%s/x.sock.lock", anchor_dir_of(f));
	char note[96];

	kill_child(f, fork_guard(f));
	(void)snprintf(note, sizeof(note), "%20d %20d %s\n", 1, 2,
		       "01234567-89ab-cdef-0123-456789abcdef");
	write_file(lock, note);
	make_stale(text("%s/x.sock.461", anchor_dir_of(f)));
	make_stale(text("%s/x.sock.462.out", anchor_dir_of(f)));
	start_listening(f, 50);
	assert_int_equal(count_names(anchor_dir_of(f), "x.sock.46"), 1);
	stop_guard(f);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* A sweeper of old files took the lock files and spared the sockets. */
static void lock_files_gone(struct fixture *f)
{
	for (int i = 0; i < SOCKETS; i++)
		make_stale(text("%s/%d.sock", f->dir, i));
	make_dir(anchor_dir_of(f), 0700);
	for (int i = 0; i < SOCKETS; i++) {
		make_stale(text("%s/%d.sock.%d", anchor_dir_of(f), i, i % 3 + 1));
		make_stale(text("%s/%d.sock.%d.out", anchor_dir_of(f), i, i + 2));
	}
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < SOCKETS; i++)
		also_listen(f, text("%s/%d.sock", f->dir, i));
	for (int i = 0; i < SOCKETS; i++)
		assert_int_equal(count_names(anchor_dir_of(f), text("%d.sock.", i)), 2);
	f->guard = kedge_guard_free(f->guard);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* Neither of the two names is free: no anchors, and no lock with a note. */
static void forbid_anchors(struct fixture *f)
{
	write_file(anchor_dir_of(f), "theirs");
	write_file(text("%s-1", anchor_dir_of(f)), "theirs");
	f->kedge_names = 1;
}

/* A crash between bind and publish, where a listener is made beside its path: the name
 * stayed taken, and no start succeeded until somebody removed a hidden file. */
static void draft_left_beside_the_path(struct fixture *f)
{
	forbid_anchors(f);
	make_stale(in_dir(f, ".x.sock.kedge-1"));
	start_listening(f, 50);
	assert_true(reachable(f));
	assert_false(exists(in_dir(f, ".x.sock.kedge-1")));
	stop_guard(f);
	assert_int_equal(count_names(f->dir, ""), 4);
}

/* The same name, but somebody listens there: it was removed as if it were ours. */
static void live_draft_beside_the_path(struct fixture *f)
{
	int other = stranger_new(f, in_dir(f, ".x.sock.kedge-1"));

	forbid_anchors(f);
	start_listening(f, 50);
	assert_true(reachable(f));
	assert_int_equal(who_answers(f, in_dir(f, ".x.sock.kedge-1")), other);
	stop_guard(f);
	assert_int_equal(who_answers(f, in_dir(f, ".x.sock.kedge-1")), other);
}

/* Each tmpfs counts its inodes from 1: a socket on another one has the number of ours. */
static void same_inode_number_elsewhere(struct fixture *f)
{
	const char *here = in_root(f, "here"), *there = in_root(f, "there");
	struct identity stranger, stale;

	own_mounts();
	make_dir(here, 0755);
	make_dir(there, 0755);
	mount_tmpfs(here, "mode=0755");
	mount_tmpfs(there, "mode=0755");
	assert_true(keep_fd(f, bind_at(in_root(f, "there/x.sock"), SOCK_STREAM)) >= 0);
	make_stale(in_root(f, "here/x.sock"));
	stranger = identity_of(in_root(f, "there/x.sock"));
	stale = identity_of(in_root(f, "here/x.sock"));
	if (stranger.ino != stale.ino)
		skip_case("the file systems number their inodes in another way");
	snprintf(f->path, sizeof(f->path), "%s", in_root(f, "here/x.sock"));
	start_guard(f, 50);
	also_listen(f, f->path);
	assert_true(reachable_at(f, f->path));
}

static const struct test_case cases[] = {
	{ "h18 killed", killed, ANYWHERE },
	{ "h18 killed with an adopted listener", killed_with_an_adopted_listener, ANYWHERE },
	{ "h18 killed without a path", killed_without_a_path, ANYWHERE },
	{ "h18 killed with many generations", killed_with_many_generations, ANYWHERE },
	{ "h18 stale, of a plain server", stale_of_a_plain_server, ANYWHERE },
	{ "h18 live is not stolen", live_is_not_stolen, ANYWHERE },
	{ "h18 hung is alive", hung_is_alive, ANYWHERE },
	{ "h18 live, of another type", live_of_another_type, ANYWHERE },
	{ "h18 other files", other_files, ANYWHERE },
	{ "h18 a symlink to a live socket", symlink_to_a_live_socket, ANYWHERE },
	{ "h18 sweeps its own only", sweeps_its_own_only, ANYWHERE },
	{ "h18 names that begin alike", names_that_begin_alike, ANYWHERE },
	{ "h18 ... in two processes", names_that_begin_alike_in_two_processes, ANYWHERE },
	{ "h18 strange lock files", strange_lock_files, ANYWHERE },
	{ "h18 an older run's note", older_note, ANYWHERE },
	{ "h18 lock files gone", lock_files_gone, ANYWHERE },
	{ "h18 a draft left beside the path", draft_left_beside_the_path, ANYWHERE },
	{ "h18 a live draft beside the path", live_draft_beside_the_path, ANYWHERE },
	{ "h18 the same inode number elsewhere", same_inode_number_elsewhere, ON_TMPFS },
};

int main(void)
{
	return RUN_CASES(cases);
}
