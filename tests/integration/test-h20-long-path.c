/*
 * H20: paths longer than the 107 bytes that an address holds, up to what the
 * system takes: bound, repaired, re-bound and removed like any other.
 */
#include "fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Step of the directories in a long path, in bytes, with their '/'. */
#define STEP 200

/* Make directories so that @ret_path (TEST_PATH_MAX bytes) is @size bytes long and its
 * last component is "s.sock". */
static void make_long(const struct fixture *f, size_t size, char *ret_path)
{
	size_t at = strlen(strcpy(ret_path, f->root)), rest;

	while ((rest = size - at) > strlen("/s.sock")) {
		size_t step = rest - strlen("/s.sock");

		/* Leave no rest of one byte: a '/' needs a letter after it. */
		if (step > STEP)
			step = step == STEP + 1 ? STEP - 1 : STEP;
		ret_path[at] = '/';
		memset(ret_path + at + 1, 'd', step - 1);
		ret_path[at + step] = '\0';
		at += step;
		DO(mkdir(ret_path, 0755));
	}
	strcpy(ret_path + at, "/s.sock");
	assert_int_equal(strlen(ret_path), size);
}

static void take_through(struct fixture *f, size_t size)
{
	char path[TEST_PATH_MAX], dir[TEST_PATH_MAX];

	make_long(f, size, path);
	start_guard(f, KEDGE_INTERVAL_NONE);
	also_listen(f, path);
	assert_true(reachable_at(f, path));
	DO(unlink(path));
	GUARD_UNTIL(f, reachable_at(f, path));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_RELINKED) == 1);

	strcpy(dir, path);
	*strrchr(dir, '/') = '\0';
	DO(rename(dir, in_root(f, "away")));
	remove_all(in_root(f, "away"));
	GUARD_UNTIL(f, reachable_at(f, path));
	ASSERT_STORY(f, seen(f, KEDGE_EVENT_REBOUND) == 1);
	assert_int_equal(kedge_guard_close(f->guard, path), 0);
	assert_false(exists(path));
	assert_int_equal(count_names(dir, ""), 2);
}

static void of_107(struct fixture *f)
{
	take_through(f, 107);
}

static void of_108(struct fixture *f)
{
	take_through(f, 108);
}

static void of_109(struct fixture *f)
{
	take_through(f, 109);
}

static void of_255(struct fixture *f)
{
	take_through(f, 255);
}

static void of_1000(struct fixture *f)
{
	take_through(f, 1000);
}

static void of_4000(struct fixture *f)
{
	take_through(f, 4000);
}

/* The longest that open(2) takes. The anchor's path would be longer still. */
static void of_4095(struct fixture *f)
{
	take_through(f, PATH_MAX - 1);
}

static void too_long(struct fixture *f)
{
	char path[TEST_PATH_MAX];

	start_guard(f, 50);
	make_long(f, 3000, path);
	while (strlen(path) < PATH_MAX)
		memcpy(strrchr(path, '/'), "/./s.sock", sizeof("/./s.sock"));
	assert_int_equal(kedge_guard_listen(f->guard, path, NULL, NULL, NULL), -ENAMETOOLONG);
}

/* 63 directories below the root are watched; one more is refused, in so many words. */
static void too_deep(struct fixture *f)
{
	char path[TEST_PATH_MAX], socket[TEST_PATH_MAX];
	int depth = 0, r = 0;

	snprintf(path, sizeof(path), "%s", f->root);
	for (const char *c = path; *c; c++)
		depth += *c == '/';
	start_guard(f, KEDGE_INTERVAL_NONE);
	while (r == 0 && depth++ < 80) {
		strcat(path, "/d");
		DO(mkdir(path, 0755));
		snprintf(socket, sizeof(socket), "%s", text("%s/s.sock", path));
		r = kedge_guard_listen(f->guard, socket, NULL, NULL, NULL);
	}
	assert_int_equal(r, -ENAMETOOLONG);
	assert_int_equal(depth, 64);
	assert_int_equal(count_names(path, ""), 2);
}

static size_t bind_path_size_max;

static int create(const char *bind_path, void *userdata)
{
	int fd = bind_at(bind_path, SOCK_STREAM);

	if (strlen(bind_path) > bind_path_size_max)
		bind_path_size_max = strlen(bind_path);
	if (fd < 0)
		return fd;
	listen(fd, 16);
	return keep_fd(userdata, fd);
}

/* The server's own bind gets a name that fits, however long the path is. */
static void created_by_the_server(struct fixture *f)
{
	char path[TEST_PATH_MAX], dir[TEST_PATH_MAX];

	make_long(f, 3000, path);
	strcpy(dir, path);
	*strrchr(dir, '/') = '\0';
	f->listen.create = create;
	f->listen.userdata = f;
	start_guard(f, KEDGE_INTERVAL_NONE);
	also_listen(f, path);
	DO(rename(dir, in_root(f, "away")));
	remove_all(in_root(f, "away"));
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_true(bind_path_size_max <= KEDGE_SOCKET_PATH_MAX);
}

/* A file at a long path is moved aside, and a live stranger there is seen. */
static void strangers(struct fixture *f)
{
	char path[TEST_PATH_MAX], other[TEST_PATH_MAX];
	int fd;

	make_long(f, 500, path);
	start_guard(f, 50);
	also_listen(f, path);
	DO(unlink(path));
	write_file(path, "theirs");
	GUARD_UNTIL(f, reachable_at(f, path));
	assert_int_equal(seen(f, KEDGE_EVENT_MOVED_ASIDE), 1);

	strcpy(other, path);
	strcpy(strrchr(other, '/'), "/other");
	fd = stranger_new(f, other);
	DO(rename(other, path));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_DISPLACED));
	assert_int_equal(who_answers(f, path), fd);
	stranger_close(f, fd);
	GUARD_UNTIL(f, reachable_at(f, path));
}

static void second_instance(struct fixture *f)
{
	struct kedge_guard *second = NULL;
	char path[TEST_PATH_MAX];

	make_long(f, 500, path);
	start_guard(f, 50);
	also_listen(f, path);
	assert_int_equal(kedge_guard_new(&second, NULL), 0);
	assert_int_equal(kedge_guard_listen(second, path, NULL, NULL, NULL), -EADDRINUSE);
	kedge_guard_free(second);
	assert_true(reachable_at(f, path));
}

/* Names of the length that a file system takes leave no room for an anchor's suffix. */
static void long_names(struct fixture *f)
{
	start_guard(f, 50);
	for (int size = 256; size >= 255; size--) {
		const char *path = text("%s/%0*d", f->dir, size, 0);

		assert_int_equal(kedge_guard_listen(f->guard, path, NULL, NULL, NULL),
				 -ENAMETOOLONG);
		assert_int_equal(count_names(f->dir, ""), 2);
	}
	also_listen(f, text("%s/%0200d", f->dir, 0));
	assert_true(reachable_at(f, text("%s/%0200d", f->dir, 0)));
}

/* In a directory that several share, names carry a hash as well: counting generations made
 * them too long, which ended the process. */
static void long_names_with_anchors_elsewhere(struct fixture *f)
{
	const char *longest = text("%s/%0213d", f->dir, 0);

	f->options.anchor_dir = in_root(f, "anchors");
	start_guard(f, KEDGE_INTERVAL_NONE);
	for (int size = 230; size > 213; size--) {
		const char *path = text("%s/%0*d", f->dir, size, 0);

		assert_int_equal(kedge_guard_listen(f->guard, path, NULL, NULL, NULL),
				 -ENAMETOOLONG);
		assert_int_equal(count_names(f->dir, ""), 2);
	}
	also_listen(f, longest);
	DO(unlink(longest));
	GUARD_UNTIL(f, reachable_at(f, longest));
}

/* Nobody could be asked by a name longer than an address, so nothing was ever stale. */
static void stale_at_a_long_name(struct fixture *f)
{
	const char *path = text("%s/%0180d", f->dir, 0), *brief = in_dir(f, "brief");
	int other;

	make_stale(brief);
	DO(rename(brief, path));
	start_guard(f, KEDGE_INTERVAL_NONE);
	also_listen(f, path);
	assert_true(reachable_at(f, path));
	make_stale(brief);
	DO(rename(brief, path));
	GUARD_UNTIL(f, reachable_at(f, path));

	other = stranger_new(f, brief);
	DO(rename(brief, path));
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_DISPLACED));
	assert_int_equal(who_answers(f, path), other);
	stranger_close(f, other);
	GUARD_UNTIL(f, reachable_at(f, path));
}

/* The server's own bind cannot be given a name that fits: said at the start. */
static void long_name_created_by_the_server(struct fixture *f)
{
	f->listen.create = create;
	f->listen.userdata = f;
	start_guard(f, KEDGE_INTERVAL_NONE);
	assert_int_equal(
		kedge_guard_listen(f->guard, text("%s/%0120d", f->dir, 0), &f->listen, NULL, NULL),
		-ENAMETOOLONG);
	assert_int_equal(count_names(f->dir, ""), 2);
}

static const struct test_case cases[] = {
	{ "h20 107 bytes", of_107, ANYWHERE },
	{ "h20 108 bytes", of_108, ANYWHERE },
	{ "h20 109 bytes", of_109, ANYWHERE },
	{ "h20 255 bytes", of_255, ANYWHERE },
	{ "h20 1000 bytes", of_1000, ANYWHERE },
	{ "h20 4000 bytes", of_4000, ANYWHERE },
	{ "h20 4095 bytes", of_4095, ANYWHERE },
	{ "h20 too long", too_long, ANYWHERE },
	{ "h20 too deep", too_deep, ON_TMPFS },
	{ "h20 created by the server", created_by_the_server, ANYWHERE },
	{ "h20 strangers", strangers, ANYWHERE },
	{ "h20 a second instance", second_instance, ANYWHERE },
	{ "h20 long names", long_names, ANYWHERE },
	{ "h20 long names, anchors elsewhere", long_names_with_anchors_elsewhere, ANYWHERE },
	{ "h20 stale at a long name", stale_at_a_long_name, ANYWHERE },
	{ "h20 a long name, created", long_name_created_by_the_server, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
