/*
 * H19: at a clean exit the path is removed only where it is still our inode. What
 * somebody put there a moment before is left as it is.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 300

static void ours_is_removed(struct fixture *f)
{
	start_listening(f, 50);
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(count_names(f->dir, ""), 2);
	assert_int_equal(seen(f, KEDGE_EVENT_STOPPED), 1);
}

static void freed_without_close(struct fixture *f)
{
	start_listening(f, 50);
	f->guard = kedge_guard_free(f->guard);
	assert_int_equal(count_names(f->dir, ""), 2);
	assert_int_equal(seen(f, KEDGE_EVENT_STOPPED), 1);
}

/* Put something there, end at once: it is there afterwards, the same inode. */
static void assert_left_alone(struct fixture *f, void (*make)(const char *path))
{
	struct identity id;

	start_listening(f, 50);
	DO(unlink(f->path));
	make(f->path);
	id = identity_of(f->path);
	stop_guard(f);
	assert_true(is_identity(f->path, id));
	assert_int_equal(count_names(f->dir, ""), 3);
	assert_int_equal(kedge_names(f), 0);
}

static void make_regular(const char *path)
{
	write_file(path, "theirs");
}

static void make_directory(const char *path)
{
	make_dir(path, 0700);
}

static void make_symlink(const char *path)
{
	DO(symlink("/nowhere/at/all", path));
}

static void regular(struct fixture *f)
{
	assert_left_alone(f, make_regular);
	assert_file(f->path, "theirs");
}

static void directory(struct fixture *f)
{
	assert_left_alone(f, make_directory);
}

static void symlink_dangling(struct fixture *f)
{
	assert_left_alone(f, make_symlink);
}

static void stale_socket_of_another(struct fixture *f)
{
	assert_left_alone(f, make_stale);
}

static void live_socket_of_another(struct fixture *f)
{
	struct identity id;
	int other;

	start_listening(f, 50);
	other = stranger_new(f, in_dir(f, "other"));
	DO(rename(in_dir(f, "other"), f->path));
	id = identity_of(f->path);
	stop_guard(f);
	assert_true(is_identity(f->path, id));
	assert_int_equal(who_answers(f, f->path), other);
}

static void path_is_gone(struct fixture *f)
{
	start_listening(f, 50);
	DO(unlink(f->path));
	stop_guard(f);
	assert_int_equal(count_names(f->dir, ""), 2);
}

/* Swept a moment before, and no turn since: what is taken from the path had nowhere to go
 * (ENOENT), and the path stayed. */
static void anchors_are_gone(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	remove_all(anchor_dir_of(f));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_int_equal(count_names(f->dir, ""), 2);
}

static void other_names_stay(struct fixture *f)
{
	start_listening(f, 50);
	DO(link(f->path, in_dir(f, "second")));
	stop_guard(f);
	assert_false(exists(f->path));
	assert_true(is_identity(in_dir(f, "second"), f->id));
}

static void told_to_leave_it(struct fixture *f)
{
	f->listen.at_close = KEDGE_AT_CLOSE_LEAVE;
	start_listening(f, 50);
	stop_guard(f);
	assert_true(is_identity(f->path, f->id));
	assert_int_equal(kedge_names(f), 0);
}

static void adopt(struct fixture *f, enum kedge_at_close at_close)
{
	start_guard(f, 50);
	f->fd = bind_at(f->path, SOCK_STREAM);
	DO(listen(keep_fd(f, f->fd), 16));
	f->id = identity_of(f->path);
	f->listen.at_close = at_close;
	assert_int_equal(kedge_guard_adopt(f->guard, f->path, f->fd, &f->listen, NULL), 0);
	stop_guard(f);
}

static void adopted_is_left(struct fixture *f)
{
	adopt(f, KEDGE_AT_CLOSE_DEFAULT);
	assert_true(is_identity(f->path, f->id));
	f->ours[0] = f->fd;
	assert_int_equal(who_answers(f, f->path), f->fd);
}

static void adopted_is_removed_if_asked(struct fixture *f)
{
	adopt(f, KEDGE_AT_CLOSE_REMOVE);
	assert_false(exists(f->path));
}

struct swapper {
	struct fixture *f;
	pthread_t thread;
	pthread_barrier_t barrier;
	unsigned delay;
	char from[TEST_PATH_MAX];
};

/* At the very moment of the close somebody renames a file of his over the path. */
static void *swap_once(void *userdata)
{
	struct swapper *s = userdata;

	pthread_barrier_wait(&s->barrier);
	for (volatile unsigned i = 0; i < s->delay; i++)
		;
	rename(s->from, s->f->path);
	return NULL;
}

static void swapped_in_the_midst(struct fixture *f)
{
	struct swapper s = { .f = f };

	snprintf(s.from, sizeof(s.from), "%s", in_root(f, "precious"));
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct identity id;

		start_listening(f, KEDGE_INTERVAL_NONE);
		write_file(s.from, "theirs");
		id = identity_of(s.from);
		s.delay = i * 200;
		pthread_barrier_init(&s.barrier, NULL, 2);
		pthread_create(&s.thread, NULL, swap_once, &s);
		pthread_barrier_wait(&s.barrier);
		stop_guard(f);
		pthread_join(s.thread, NULL);
		pthread_barrier_destroy(&s.barrier);
		ASSERT_STORY(f, is_identity(f->path, id));
		ASSERT_STORY(f, kedge_names(f) == 0);
		DO(unlink(f->path));
		forget(f);
	}
}

/* A listener of ours that was retired stands at the path (moved back by somebody): it is
 * nobody else's, and would be stale. */
static void retired_one_at_the_path(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(rename(f->dir, in_root(f, "old")));
	remove_all(in_root(f, "old/.kedge-0"));
	make_dir(f->dir, 0755);
	GUARD_UNTIL(f, reachable(f));
	DO(rename(in_root(f, "old/x.sock"), f->path));
	stop_guard(f);
	if (exists(f->path))
		assert_true(who_answers(f, f->path) != -ECONNREFUSED);
}

static const struct test_case cases[] = {
	{ "h19 ours is removed", ours_is_removed, ANYWHERE },
	{ "h19 freed without close", freed_without_close, ANYWHERE },
	{ "h19 a regular file", regular, ANYWHERE },
	{ "h19 a directory", directory, ANYWHERE },
	{ "h19 a dangling symlink", symlink_dangling, ANYWHERE },
	{ "h19 a stale socket", stale_socket_of_another, ANYWHERE },
	{ "h19 a live socket", live_socket_of_another, ANYWHERE },
	{ "h19 the path is gone", path_is_gone, ANYWHERE },
	{ "h19 the anchors are gone", anchors_are_gone, ANYWHERE },
	{ "h19 other names stay", other_names_stay, ANYWHERE },
	{ "h19 told to leave it", told_to_leave_it, ANYWHERE },
	{ "h19 adopted is left", adopted_is_left, ANYWHERE },
	{ "h19 adopted is removed if asked", adopted_is_removed_if_asked, ANYWHERE },
	{ "h19 swapped in the midst", swapped_in_the_midst, ANYWHERE },
	{ "h19 a retired listener at the path", retired_one_at_the_path, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
