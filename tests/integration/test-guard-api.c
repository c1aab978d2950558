/*
 * The promises of guard.h that belong to no hazard: what is refused and leaves
 * nothing, adopting, status, deadlines, many paths, many guards.
 */
#include "fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATHS_MANY 1000

/* --- what is refused -------------------------------------------------------------------- */

static int try_path(struct fixture *f, const char *path)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int fd = -42, r = kedge_guard_listen(f->guard, path, NULL, &fd, &error);

	if (r < 0) {
		assert_int_equal(fd, -42);
		assert_int_equal(error.code, r);
		assert_int_not_equal(error.text[0], '\0');
		assert_null(strchr(error.text, '\n'));
		assert_true(strlen(error.text) < KEDGE_ERROR_TEXT_MAX);
	}
	return r;
}

static void bad_paths(struct fixture *f)
{
	const struct {
		const char *path;
		int expected;
	} rows[] = {
		{ "", -EINVAL },
		{ "x.sock", -EINVAL },
		{ "./x.sock", -EINVAL },
		{ "/", -EINVAL },
		{ text("%s/", f->path), -EINVAL },
		{ text("%s/none/x.sock", f->dir), -ENOENT },
		{ text("%s/file/x.sock", f->dir), -ENOTDIR },
		{ text("%s/loop/x.sock", f->dir), -ELOOP },
		{ f->dir, -EISDIR },
	};

	write_file(in_dir(f, "file"), "theirs");
	DO(symlink("loop", in_dir(f, "loop")));
	start_guard(f, 50);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = try_path(f, rows[i].path);

		if (r != rows[i].expected)
			print_error("'%s': %d\n", rows[i].path, r);
		assert_int_equal(r, rows[i].expected);
	}
	assert_int_equal(count_names(f->dir, ""), 4);
	assert_int_equal(count_names(f->root, ""), 3);
	assert_int_equal(seen(f, KEDGE_EVENT_LISTENING), 0);
}

/* Names that are nobody's: the socket would be the directory itself. */
static void dot_names(struct fixture *f)
{
	start_guard(f, 50);
	assert_true(try_path(f, text("%s/.", f->dir)) < 0);
	assert_true(try_path(f, text("%s/..", f->dir)) < 0);
	assert_int_equal(count_names(f->dir, ""), 2);
	assert_int_equal(kedge_names(f), 0);
}

static void bad_listen_options(struct fixture *f)
{
	const struct kedge_listen_options rows[] = {
		{ .size = 0 },
		{ .size = sizeof(rows[0]), .mode = 01000 },
		{ .size = sizeof(rows[0]), .mode = 04755 },
		{ .size = sizeof(rows[0]), .backlog = -1 },
		{ .size = sizeof(rows[0]), .type = (enum kedge_socket_type)77 },
		{ .size = sizeof(rows[0]), .keep = (enum kedge_keep)77 },
		{ .size = sizeof(rows[0]), .at_close = (enum kedge_at_close)77 },
	};

	start_guard(f, 50);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = kedge_guard_listen(f->guard, f->path, &rows[i], NULL, NULL);

		if (r != -EINVAL)
			print_error("row %zu: %d\n", i, r);
		assert_int_equal(r, -EINVAL);
		assert_int_equal(count_names(f->dir, ""), 2);
	}
}

static void bad_guard_options(struct fixture *f)
{
	const struct kedge_guard_options rows[] = {
		{ .size = 0 },
		{ .size = sizeof(rows[0]), .interval_ms = -2 },
		{ .size = sizeof(rows[0]), .interval_ms = INT64_MIN },
		{ .size = sizeof(rows[0]), .interval_ms = KEDGE_INTERVAL_MAX_MS + 1 },
		{ .size = sizeof(rows[0]), .interval_ms = INT64_MAX },
		{ .size = sizeof(rows[0]), .mounting = (enum kedge_mounting)77 },
		{ .size = sizeof(rows[0]), .anchor_dir = "relative" },
		{ .size = sizeof(rows[0]), .anchor_dir = "" },
	};
	struct kedge_guard *guard = NULL;

	(void)f;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = kedge_guard_new(&guard, &rows[i]);

		if (r != -EINVAL)
			print_error("row %zu: %d\n", i, r);
		assert_int_equal(r, -EINVAL);
		assert_null(guard);
	}
}

static void good_guard_options(struct fixture *f)
{
	const struct kedge_guard_options rows[] = {
		{ .size = sizeof(rows[0]) },
		{ .size = sizeof(rows[0]), .interval_ms = 1 },
		{ .size = sizeof(rows[0]), .interval_ms = KEDGE_INTERVAL_MAX_MS },
		{ .size = sizeof(rows[0]), .interval_ms = KEDGE_INTERVAL_NONE },
		/* A caller who was built against an older, shorter, header. */
		{ .size = offsetof(struct kedge_guard_options, on_event) },
		{ .size = offsetof(struct kedge_guard_options, anchor_dir) },
	};
	struct kedge_guard *guard = NULL;

	(void)f;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(kedge_guard_new(&guard, &rows[i]), 0);
		guard = kedge_guard_free(guard);
	}
	assert_int_equal(kedge_guard_new(&guard, NULL), 0);
	assert_null(kedge_guard_free(guard));
	assert_null(kedge_guard_free(NULL));
}

static void listen_twice(struct fixture *f)
{
	start_listening(f, 50);
	assert_int_equal(try_path(f, f->path), -EEXIST);
	assert_true(same_listener(f));
}

/* Other spellings of the same path: no second listener may come of them. */
static void other_spellings(struct fixture *f)
{
	start_listening(f, 50);
	DO(symlink(f->dir, in_root(f, "link")));
	assert_true(try_path(f, text("%s//x.sock", f->dir)) < 0);
	assert_true(try_path(f, text("%s/./x.sock", f->dir)) < 0);
	assert_true(try_path(f, text("%s/../run/x.sock", f->dir)) < 0);
	assert_true(try_path(f, in_root(f, "link/x.sock")) < 0);
	assert_true(same_listener(f));
}

static void not_guarded(struct fixture *f)
{
	struct kedge_path_status status = { .size = sizeof(status), .fd = 42 };

	start_guard(f, 50);
	assert_int_equal(kedge_guard_close(f->guard, f->path), -ENOENT);
	assert_int_equal(kedge_guard_repair(f->guard, f->path), -ENOENT);
	assert_int_equal(kedge_guard_status(f->guard, f->path, &status), -ENOENT);
	assert_int_equal(status.fd, 42);
	f->fd = also_listen(f, f->path);
	status.size = 0;
	assert_int_equal(kedge_guard_status(f->guard, f->path, &status), -EINVAL);
}

/* --- listening -------------------------------------------------------------------------- */

static void modes(struct fixture *f)
{
	const mode_t rows[] = { 0001, 0200, 0600, 0660, 0666, 0777 };

	umask(0777);
	start_guard(f, 50);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f->listen.mode = rows[i];
		also_listen(f, f->path);
		assert_int_equal(mode_of(f->path), rows[i]);
		assert_int_equal(kedge_guard_close(f->guard, f->path), 0);
	}
	assert_int_equal(umask(022), 0777);
}

static void descriptor_flags(struct fixture *f)
{
	int value = 0;
	socklen_t size = sizeof(value);

	f->listen.backlog = 3;
	start_listening(f, 50);
	assert_true(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(f->fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(kedge_guard_fd(f->guard), F_GETFD) & FD_CLOEXEC);
	DO(getsockopt(f->fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
	assert_int_equal(value, 1);
	assert_int_equal(status_of(f, f->path).fd, f->fd);
	for (int i = 0; i <= 3; i++)
		assert_true(keep_fd(f, client_new(f->path)) >= 0);
	assert_int_equal(client_new(f->path), -EAGAIN);
}

/* With no options at all. */
static void defaults(struct fixture *f)
{
	int fd = -1;

	start_guard(f, 0);
	assert_int_equal(kedge_guard_listen(f->guard, f->path, NULL, NULL, NULL), 0);
	fd = status_of(f, f->path).fd;
	f->ours[0] = fd;
	assert_int_equal(who_answers(f, f->path), fd);
	assert_int_equal(mode_of(f->path), 0600);
}

/* --- a server that makes its own -------------------------------------------------------- */

enum create_fault { BIND_NOT, BIND_ELSEWHERE, FAIL, A_FILE, BAD_FD, GOOD, LISTEN_NOT };

static enum create_fault fault;
static unsigned creates;

static int create(const char *bind_path, void *userdata)
{
	struct fixture *f = userdata;
	int fd = -1;

	creates++;
	switch (fault) {
	case FAIL:
		return -EIO;
	case BAD_FD:
		return 1000;
	case A_FILE:
		return keep_fd(f, open("/dev/null", O_RDONLY | O_CLOEXEC));
	case BIND_NOT:
		return keep_fd(f, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	case BIND_ELSEWHERE:
		unlink(in_root(f, "elsewhere"));
		fd = bind_at(in_root(f, "elsewhere"), SOCK_STREAM);
		break;
	default:
		fd = bind_at(bind_path, SOCK_STREAM);
	}
	assert_true(fd >= 0);
	if (fault != LISTEN_NOT)
		DO(listen(fd, 16));
	return keep_fd(f, fd);
}

/* A callback that does not do its work: an error, nothing published, nothing left. */
static void create_faults_at_start(struct fixture *f)
{
	start_guard(f, 50);
	f->listen.create = create;
	f->listen.userdata = f;
	for (fault = BIND_NOT; fault < GOOD; fault++) {
		int r = kedge_guard_listen(f->guard, f->path, &f->listen, NULL, NULL);

		if (r >= 0 || exists(f->path) || count_names(f->dir, "") != 2)
			print_error("fault %d: %d\n", (int)fault, r);
		assert_true(r < 0);
		assert_true(fault != FAIL || r == -EIO);
		assert_int_equal(count_names(f->dir, ""), 2);
	}
	/* To forget listen() is no fault: kedge sets the backlog in any case. */
	fault = LISTEN_NOT;
	f->fd = also_listen(f, f->path);
	assert_true(reachable(f));
}

static void create_faults_in_a_rebind(struct fixture *f)
{
	f->listen.create = create;
	f->listen.userdata = f;
	fault = GOOD;
	start_listening(f, 50);
	for (enum create_fault i = BIND_NOT; i < GOOD; i++) {
		fault = i;
		creates = 0;
		remove_all(f->dir);
		GUARD_UNTIL(f, creates >= 1);
		guard_for(f, 50);
		assert_false(exists(f->path));
		assert_true(creates < 40);
		fault = GOOD;
		GUARD_UNTIL(f, reachable(f));
	}
}

/* --- adopting --------------------------------------------------------------------------- */

static int adopt(struct fixture *f, const char *path, int fd)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r = kedge_guard_adopt(f->guard, path, fd, &f->listen, &error);

	if (r < 0) {
		assert_int_equal(error.code, r);
		assert_int_not_equal(error.text[0], '\0');
	}
	return r;
}

static void adopted(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	f->fd = stranger_new(f, f->path);
	DO(chmod(f->path, 0640));
	f->id = identity_of(f->path);
	assert_int_equal(adopt(f, f->path, f->fd), 0);
	assert_int_equal(adopt(f, f->path, f->fd), -EEXIST);
	for (int i = 0; i < 5; i++) {
		DO(unlink(f->path));
		GUARD_UNTIL(f, who_answers(f, f->path) == f->fd);
		assert_true(is_identity(f->path, f->id));
		assert_int_equal(mode_of(f->path), 0640);
	}
	/* Taken away with its anchor: a new listener, the server's own stays open. */
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(mode_of(f->path), 0640);
	assert_true(fcntl(f->fd, F_GETFD) >= 0);
}

static void adopted_of_each_type(struct fixture *f)
{
	const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	start_guard(f, KEDGE_INTERVAL_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char *path = text("%s/%zu.sock", f->dir, i);
		int fd = stranger_of_type(f, path, types[i]);
		struct identity id = identity_of(path);

		assert_int_equal(adopt(f, path, fd), 0);
		DO(unlink(path));
		GUARD_UNTIL(f, is_identity(path, id));
	}
}

static void adopt_refuses(struct fixture *f)
{
	int unbound = keep_fd(f, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int silent = keep_fd(f, bind_at(in_dir(f, "silent"), SOCK_STREAM));
	int file = keep_fd(f, open("/dev/null", O_RDONLY | O_CLOEXEC));
	int inet = keep_fd(f, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int good = stranger_new(f, f->path);

	stranger_new(f, in_dir(f, "other"));
	start_guard(f, 50);
	assert_int_equal(adopt(f, f->path, file), -ENOTSOCK);
	assert_int_equal(adopt(f, f->path, -1), -EBADF);
	assert_int_equal(adopt(f, f->path, unbound), -EINVAL);
	assert_int_equal(adopt(f, in_dir(f, "silent"), silent), -EINVAL);
	assert_int_equal(adopt(f, f->path, inet), -EINVAL);
	assert_int_equal(adopt(f, "x.sock", good), -EINVAL);
	/* It listens, but elsewhere. */
	assert_int_equal(adopt(f, in_dir(f, "other"), good), -EINVAL);
	assert_int_equal(adopt(f, in_dir(f, "none"), good), -EINVAL);
	assert_int_equal(count_names(f->dir, ""), 2 + 3);
	assert_int_equal(kedge_names(f), 0);
	assert_int_equal(who_answers(f, f->path), good);
}

static void adopt_what_is_lost(struct fixture *f)
{
	int fd = stranger_new(f, f->path);

	start_guard(f, 50);
	DO(unlink(f->path));
	assert_int_equal(adopt(f, f->path, fd), -ESTALE);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* Its path now leads to somebody else. */
static void adopt_what_was_replaced(struct fixture *f)
{
	int fd = stranger_new(f, f->path), other, r;
	struct identity id;

	DO(unlink(f->path));
	other = stranger_new(f, f->path);
	id = identity_of(f->path);
	start_guard(f, 50);
	r = adopt(f, f->path, fd);
	assert_true(r == -ESTALE || r == -EINVAL || r == -EADDRINUSE);
	assert_true(is_identity(f->path, id));
	assert_int_equal(who_answers(f, f->path), other);
	assert_int_equal(kedge_names(f), 0);
}

/* As a service manager passes it: bound by a relative name, or through a symlink. */
static void adopted_by_another_name(struct fixture *f)
{
	char *const names[] = { f->path, text("%s/../run//x.sock", f->dir),
				text("%s/current/x.sock", f->root), text("%s/./x.sock", f->dir) };

	DO(symlink("run", in_root(f, "current")));
	DO(chdir(f->dir));
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct kedge_error error = KEDGE_ERROR_INIT;
		int fd = keep_fd(f, bind_at("x.sock", SOCK_STREAM));

		DO(listen(fd, 16));
		if (kedge_guard_adopt(f->guard, names[i], fd, NULL, &error) < 0)
			fail_msg("%s", error.text);
		f->id = identity_of(f->path);
		DO(unlink(f->path));
		GUARD_UNTIL(f, exists(f->path));
		assert_true(is_identity(f->path, f->id));
		assert_int_equal(kedge_guard_close(f->guard, names[i]), 0);
		DO(unlink(f->path));
	}
}

/* The server closes what it gave: the guard must not keep a dead thing reachable. */
static void adopted_then_closed(struct fixture *f)
{
	int fd = bind_at(f->path, SOCK_STREAM);

	DO(listen(fd, 16));
	start_guard(f, 50);
	assert_int_equal(adopt(f, f->path, fd), 0);
	close(fd);
	guard_for(f, 100);
	DO(unlink(f->path));
	guard_for(f, 100);
	assert_int_equal(kedge_guard_close(f->guard, f->path), 0);
	assert_int_equal(kedge_names(f), 0);
}

/* --- working ---------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct fixture *f)
{
	uint64_t deadline = 42;

	assert_int_equal(kedge_guard_deadline(f->guard, &deadline), 0);
	return deadline;
}

static void deadlines(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	assert_true(deadline_of(f) == UINT64_MAX);
	f->fd = also_listen(f, f->path);
	guard_for(f, 50);
	assert_true(deadline_of(f) == UINT64_MAX);

	/* A loss is in the air, then mended: no deadline again. */
	DO(unlink(f->path));
	GUARD_UNTIL(f, reachable(f));
	guard_for(f, 50);
	assert_true(deadline_of(f) == UINT64_MAX);

	/* Blocked: another try is due. */
	DO(unlink(f->path));
	make_dir(f->path, 0755);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_BLOCKED));
	assert_true(deadline_of(f) != UINT64_MAX);
	DO(rmdir(f->path));
}

static void interval_is_a_deadline(struct fixture *f)
{
	uint64_t now = now_ms() * 1000;

	start_listening(f, 0);
	assert_true(deadline_of(f) > now);
	assert_true(deadline_of(f) <= now_ms() * 1000 + 5001000);
	guard_for(f, 50);
	assert_true(deadline_of(f) <= now_ms() * 1000 + 5001000);
}

/*
 * Turns that a deadline asked for in so many ms, in @ret_ms as it came out. What makes the
 * descriptor readable is not counted: a directory above may be the whole machine's, and
 * tells of what others do there. But it must not stay readable.
 */
static unsigned count_deadlines(struct fixture *f, uint64_t ms, uint64_t *ret_ms)
{
	struct pollfd p = { .fd = kedge_guard_fd(f->guard), .events = POLLIN };
	uint64_t begin = now_ms();
	unsigned n = 0, quiet = 0;

	while (now_ms() - begin < ms) {
		uint64_t now = now_ms() * 1000, deadline = deadline_of(f);

		if (deadline > now)
			(void)poll(&p, 1, (int)((deadline - now) / 1000 + 1));
		n += deadline <= now_ms() * 1000;
		assert_int_equal(kedge_guard_process(f->guard), 0);
		quiet += poll(&p, 1, 0) == 0;
	}
	assert_true(quiet > 0);
	*ret_ms = now_ms() - begin;
	return n;
}

/*
 * The deadline is kept, and moves on: a loop that honours it does not spin. Blocked, there
 * are two that come round, the safety look and the next try, and the tries before the
 * back-off has grown; and one for what is seen the first time.
 */
static void does_not_spin(struct fixture *f)
{
	uint64_t interval_ms = 100, ms;
	unsigned n;

	start_listening(f, (int64_t)interval_ms);
	make_dir(in_dir(f, "d"), 0755);
	DO(unlink(f->path));
	DO(rename(in_dir(f, "d"), f->path));
	n = count_deadlines(f, 1000, &ms);
	assert_in_range(n, 3, 2 * (ms / interval_ms + 1) + 8);
	DO(rmdir(f->path));
	GUARD_UNTIL(f, same_listener(f));
	n = count_deadlines(f, 1000, &ms);
	assert_in_range(n, 1, ms / interval_ms + 8);
}

static void process_at_any_time(struct fixture *f)
{
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(kedge_guard_process(f->guard), 0);
	f->fd = also_listen(f, f->path);
	f->id = identity_of(f->path);
	for (int i = 0; i < 100; i++)
		assert_int_equal(kedge_guard_process(f->guard), 0);
	assert_true(same_listener(f));
	assert_int_equal(seen(f, KEDGE_EVENT_LOST), 0);
	DO(unlink(f->path));
	for (int i = 0; i < 100; i++)
		assert_int_equal(kedge_guard_process(f->guard), 0);
	assert_true(same_listener(f));
}

static void fd_is_constant(struct fixture *f)
{
	int fd;

	start_guard(f, 50);
	fd = kedge_guard_fd(f->guard);
	f->fd = also_listen(f, f->path);
	assert_int_equal(kedge_guard_fd(f->guard), fd);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	assert_int_equal(kedge_guard_fd(f->guard), fd);
}

static void many_paths(struct fixture *f)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .interval_ms = KEDGE_INTERVAL_NONE };
	char path[TEST_PATH_MAX];

	/* Two listeners each, the retired one counted, of two descriptors; and a lock. */
	set_fd_limit(6 * PATHS_MANY);
	f->options = options;
	f->fds_before = -1;
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int i = 0; i < PATHS_MANY; i++) {
		snprintf(path, sizeof(path), "%s/%d.sock", f->dir, i);
		assert_int_equal(kedge_guard_listen(f->guard, path, NULL, NULL, NULL), 0);
	}
	for (int i = 0; i < PATHS_MANY; i++)
		DO(unlink(text("%s/%d.sock", f->dir, i)));
	GUARD_UNTIL(f, count_names(f->dir, "") == PATHS_MANY + 3);
	remove_all(f->dir);
	GUARD_UNTIL(f, count_names(f->dir, "") == PATHS_MANY + 3);
	for (int i = 0; i < PATHS_MANY; i++)
		assert_int_equal(status_of(f, text("%s/%d.sock", f->dir, i)).state,
				 KEDGE_STATE_REACHABLE);
	f->guard = kedge_guard_free(f->guard);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* Two guards in one process and one directory share nothing but the directory. */
static void two_guards(struct fixture *f)
{
	struct fixture other = *f;

	snprintf(other.path, sizeof(other.path), "%s", in_dir(f, "y.sock"));
	other.options.userdata = &other;
	start_listening(f, KEDGE_INTERVAL_NONE);
	start_listening(&other, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	DO(unlink(other.path));
	GUARD_UNTIL(f, same_listener(f));
	assert_false(exists(other.path));
	GUARD_UNTIL(&other, same_listener(&other));
	other.guard = kedge_guard_free(other.guard);
	assert_true(exists(anchor_dir_of(f)));
	DO(unlink(f->path));
	GUARD_UNTIL(f, same_listener(f));
}

/* Another path of the same directory is listened at just after that was replaced: the
 * guard's knowledge of the directory is out of date by then. */
static void listen_in_a_replaced_directory(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(f->dir);
	make_dir(f->dir, 0755);
	also_listen(f, in_dir(f, "y.sock"));
	assert_true(reachable_at(f, in_dir(f, "y.sock")));
	GUARD_UNTIL(f, reachable(f));
	DO(rename(f->dir, in_root(f, "old")));
	make_dir(f->dir, 0755);
	also_listen(f, in_dir(f, "z.sock"));
	assert_true(reachable_at(f, in_dir(f, "z.sock")));
	GUARD_UNTIL(f, reachable(f) && reachable_at(f, in_dir(f, "y.sock")));
}

/* A listener that shut down by itself: whoever listens, a client must get in again. */
static void listener_shut_down(struct fixture *f)
{
	start_listening(f, 50);
	DO(shutdown(f->fd, SHUT_RDWR));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_LISTENER_GONE);
	GUARD_UNTIL(f, reachable(f));
}

/* A neighbour comes and goes, and one of the directory too. */
static void disturb_neighbours(struct fixture *f)
{
	write_file(in_dir(f, "neighbour"), "theirs");
	DO(chmod(in_dir(f, "neighbour"), 0600));
	DO(unlink(in_dir(f, "neighbour")));
	make_dir(in_root(f, "run2"), 0700);
	DO(chmod(in_root(f, "run2"), 0711));
	DO(rmdir(in_root(f, "run2")));
}

/* A look that nothing in the directory asked for: somebody on this machine mounted something. */
static int mounts_changed(int mountinfo)
{
	struct pollfd p = { .fd = mountinfo, .events = POLLPRI };

	return poll(&p, 1, 0) > 0;
}

/* Events about the neighbours of a socket cost no look: only a look finds that a listener
 * has shut down, so as long as that goes unnoticed there was none. */
static void busy_directory(struct fixture *f)
{
	for (;;) {
		_cleanup_(fd_closep) int mountinfo = open("/proc/self/mountinfo",
							  O_RDONLY | O_CLOEXEC);

		assert_true(mountinfo >= 0);
		start_listening(f, KEDGE_INTERVAL_NONE);
		guard_for(f, 20);
		DO(shutdown(f->fd, SHUT_RDWR));
		disturb_neighbours(f);
		guard_for(f, 100);
		if (!seen(f, KEDGE_EVENT_LOST))
			break;
		ASSERT_STORY(f, mounts_changed(mountinfo));
		stop_guard(f);
		memset(&f->record, 0, sizeof(f->record));
	}
	DO(chmod(f->dir, 0711));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_LOST) && reachable(f));
}

/* A small status struct of an older caller is filled to its size, and no further. */
static void status_of_an_older_caller(struct fixture *f)
{
	struct kedge_path_status status;

	start_listening(f, 50);
	memset(&status, 0x5a, sizeof(status));
	status.size = offsetof(struct kedge_path_status, generation);
	assert_int_equal(kedge_guard_status(f->guard, f->path, &status), 0);
	assert_int_equal(status.state, KEDGE_STATE_REACHABLE);
	assert_int_equal(status.fd, f->fd);
	assert_true(status.generation == 0x5a5a5a5a5a5a5a5a);
}

static void names_of_everything(struct fixture *f)
{
	(void)f;
	for (int i = -1; i <= KEDGE_EVENT_MAX_ + 1; i++)
		assert_non_null(kedge_event_name((enum kedge_event_kind)i));
	for (int i = -1; i <= KEDGE_CAUSE_MAX_ + 1; i++)
		assert_non_null(kedge_cause_name((enum kedge_cause)i));
	for (int i = -1; i <= KEDGE_STATE_BLOCKED + 2; i++)
		assert_non_null(kedge_state_name((enum kedge_state)i));
	assert_string_equal(kedge_event_name(KEDGE_EVENT_LOST), "lost");
	assert_string_equal(kedge_event_name(KEDGE_EVENT_REBOUND), "rebound");
	assert_string_equal(kedge_cause_name(KEDGE_CAUSE_DIR_REMOVED), "dir-removed");
	assert_string_equal(kedge_state_name(KEDGE_STATE_DISPLACED), "displaced");
}

static void changes_nothing_of_the_process(struct fixture *f)
{
	char before[PATH_MAX], after[PATH_MAX];

	assert_non_null(getcwd(before, sizeof(before)));
	umask(027);
	start_listening(f, 50);
	remove_all(f->dir);
	GUARD_UNTIL(f, reachable(f));
	stop_guard(f);
	assert_int_equal(umask(022), 027);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
}

static const struct test_case cases[] = {
	{ "bad paths", bad_paths, ANYWHERE },
	{ "names of dots", dot_names, ANYWHERE },
	{ "bad options of a path", bad_listen_options, ANYWHERE },
	{ "bad options of a guard", bad_guard_options, ON_TMPFS },
	{ "good options of a guard", good_guard_options, ON_TMPFS },
	{ "listen twice", listen_twice, ANYWHERE },
	{ "other spellings of a path", other_spellings, ANYWHERE },
	{ "not guarded", not_guarded, ANYWHERE },
	{ "modes, under a narrow umask", modes, ANYWHERE },
	{ "flags and backlog of the descriptor", descriptor_flags, ANYWHERE },
	{ "defaults", defaults, ANYWHERE },
	{ "faults of create at the start", create_faults_at_start, ANYWHERE },
	{ "faults of create in a re-bind", create_faults_in_a_rebind, ANYWHERE },
	{ "adopted", adopted, ANYWHERE },
	{ "adopted, of each type", adopted_of_each_type, ANYWHERE },
	{ "adopt refuses", adopt_refuses, ANYWHERE },
	{ "adopt what is lost", adopt_what_is_lost, ANYWHERE },
	{ "adopt what was replaced", adopt_what_was_replaced, ANYWHERE },
	{ "adopted by another name", adopted_by_another_name, ANYWHERE },
	{ "adopted, then closed", adopted_then_closed, ANYWHERE },
	{ "deadlines", deadlines, ANYWHERE },
	{ "the interval is a deadline", interval_is_a_deadline, ON_TMPFS },
	{ "it does not spin", does_not_spin, ANYWHERE },
	{ "process at any time", process_at_any_time, ANYWHERE },
	{ "the descriptor is constant", fd_is_constant, ON_TMPFS },
	{ "a thousand paths", many_paths, ANYWHERE },
	{ "two guards", two_guards, ANYWHERE },
	{ "listen in a replaced directory", listen_in_a_replaced_directory, ANYWHERE },
	{ "a listener that shut down", listener_shut_down, ANYWHERE },
	{ "a busy directory", busy_directory, ANYWHERE },
	{ "status for an older caller", status_of_an_older_caller, ON_TMPFS },
	{ "names of everything", names_of_everything, ON_TMPFS },
	{ "nothing of the process is changed", changes_nothing_of_the_process, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
