#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

/* A condition that no event of the guard's brings about is looked at so often. */
#define TURN_MS 20

/* Texts of text() that are valid at a time. */
#define TEXTS_MAX 64

#define NFTW_FDS_MAX 32

/* So much of the story's end is shown, in bytes. */
#define STORY_SHOWN 3000

/* --- the record ------------------------------------------------------------------------- */

static void tell(struct record *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct record *r, const char *format, ...)
{
	size_t room = sizeof(r->story) - r->story_size;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(r->story + r->story_size, room, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < room)
		r->story_size += (size_t)n;
	else
		r->story[r->story_size] = '\0';
}

static void on_event(const struct kedge_event *event, void *userdata)
{
	struct fixture *f = userdata;
	struct seen *last;

	assert_true(event->kind >= 0 && event->kind < KEDGE_EVENT_MAX_);
	assert_true(event->cause >= 0 && event->cause < KEDGE_CAUSE_MAX_);
	assert_non_null(event->path);
	assert_non_null(event->detail);
	assert_true(event->error <= 0);
	last = &f->record.last[event->kind];
	f->record.count[event->kind]++;
	last->cause = event->cause;
	last->error = event->error;
	last->swallowed = event->swallowed;
	last->outage_ns = event->outage_ns;
	last->generation = event->generation;
	snprintf(last->detail, sizeof(last->detail), "%s", event->detail);
	tell(&f->record, "  %s %s error=%d gen=%llu swallowed=%u '%s' %s\n",
	     kedge_event_name(event->kind), kedge_cause_name(event->cause), event->error,
	     (unsigned long long)event->generation, event->swallowed, event->detail,
	     strlen(event->path) > 60 ? "(long path)" : event->path);
	if (f->on_event)
		f->on_event(f, event);
}

static void add_ours(struct fixture *f, int fd)
{
	size_t free_slot = LISTENERS_MAX;

	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		if (f->ours[i] == fd)
			return;
		if (f->ours[i] < 0 && free_slot == LISTENERS_MAX)
			free_slot = i;
	}
	if (free_slot < LISTENERS_MAX)
		f->ours[free_slot] = fd;
}

static void drop_ours(struct fixture *f, int fd)
{
	for (size_t i = 0; i < LISTENERS_MAX; i++)
		if (f->ours[i] == fd)
			f->ours[i] = -1;
}

static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct fixture *f = userdata;

	assert_non_null(path);
	tell(&f->record, "  on_listener new=%d old=%d\n", new_fd, old_fd);
	if (new_fd >= 0) {
		f->record.listeners_new++;
		add_ours(f, new_fd);
	} else {
		f->record.listeners_old++;
		drop_ours(f, old_fd);
	}
	if (f->on_listener)
		f->on_listener(f, new_fd, old_fd);
}

unsigned seen(const struct fixture *f, enum kedge_event_kind kind)
{
	return f->record.count[kind];
}

void forget(struct fixture *f)
{
	memset(&f->record, 0, sizeof(f->record));
}

void fail_with_story(struct fixture *f, const char *what, const char *file, int line)
{
	struct kedge_path_status status = { .size = sizeof(status) };
	size_t skip = f->record.story_size > STORY_SHOWN ? f->record.story_size - STORY_SHOWN : 0;

	/* Not by print_error(), which cuts at 1 KiB. */
	printf("not so: %s\n", what);
	if (f->guard && kedge_guard_status(f->guard, f->path, &status) == 0)
		printf("state %s, cause %s, error %d, generation %llu, retired %u, anchored %d, "
		       "watched %d\n",
		       kedge_state_name(status.state), kedge_cause_name(status.cause), status.error,
		       (unsigned long long)status.generation, status.retired, status.anchored,
		       status.watched);
	printf("the guard said:\n%s\n", f->record.story + skip);
	fflush(stdout);
	_fail(file, line);
	abort();
}

/* --- life ------------------------------------------------------------------------------- */

void fixture_init(struct fixture *f, const char *root)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < LISTENERS_MAX; i++)
		f->ours[i] = -1;
	f->fd = -1;
	snprintf(f->root, sizeof(f->root), "%s", root);
	snprintf(f->dir, sizeof(f->dir), "%s/run", root);
	snprintf(f->path, sizeof(f->path), "%s/x.sock", f->dir);
	make_dir(f->dir, 0755);
	f->options.size = sizeof(f->options);
	f->options.on_event = on_event;
	f->options.on_listener = on_listener;
	f->options.userdata = f;
	f->listen.size = sizeof(f->listen);
	f->fds_before = count_fds();
}

static void end_children(struct fixture *f)
{
	for (size_t i = 0; i < f->kept_pid_n; i++) {
		if (f->kept_pid[i] <= 0)
			continue;
		kill(f->kept_pid[i], SIGKILL);
		waitpid(f->kept_pid[i], NULL, 0);
	}
	f->kept_pid_n = 0;
}

void fixture_finish(struct fixture *f)
{
	f->on_event = NULL;
	f->on_listener = NULL;
	f->guard = kedge_guard_free(f->guard);
	assert_null(f->guard);
	end_children(f);
	for (size_t i = 0; i < f->kept_fd_n; i++)
		if (f->kept_fd[i] >= 0)
			close(f->kept_fd[i]);
	if (f->fds_before >= 0)
		ASSERT_STORY(f, count_fds() == f->fds_before);
	become_root();
	if (!f->kedge_names)
		ASSERT_STORY(f, kedge_names(f) == 0);
}

void start_guard(struct fixture *f, int64_t interval_ms)
{
	f->options.interval_ms = interval_ms;
	assert_int_equal(kedge_guard_new(&f->guard, &f->options), 0);
	assert_true(kedge_guard_fd(f->guard) >= 0);
}

int also_listen(struct fixture *f, const char *path)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int fd = -1, r = kedge_guard_listen(f->guard, path, &f->listen, &fd, &error);

	if (r < 0) {
		print_error("kedge_guard_listen: %s: %s\n", strerror(-r), error.text);
		_fail(__FILE__, __LINE__);
	}
	assert_true(fd >= 0);
	add_ours(f, fd);
	return fd;
}

void start_listening(struct fixture *f, int64_t interval_ms)
{
	start_guard(f, interval_ms);
	f->fd = also_listen(f, f->path);
	f->id = identity_of(f->path);
	assert_int_equal(seen(f, KEDGE_EVENT_LISTENING), 1);
}

void stop_guard(struct fixture *f)
{
	assert_int_equal(kedge_guard_close(f->guard, f->path), 0);
	f->guard = kedge_guard_free(f->guard);
	for (size_t i = 0; i < LISTENERS_MAX; i++)
		f->ours[i] = -1;
}

/* --- letting it work -------------------------------------------------------------------- */

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void guard_turn(struct fixture *f, int ms_max)
{
	struct pollfd p = { .fd = kedge_guard_fd(f->guard), .events = POLLIN };
	uint64_t deadline = 0, now = now_usec();
	int ms = ms_max;

	assert_int_equal(kedge_guard_deadline(f->guard, &deadline), 0);
	if (deadline <= now)
		ms = 0;
	else if ((deadline - now) / 1000 + 1 < (uint64_t)ms_max)
		ms = (int)((deadline - now) / 1000 + 1);
	if (poll(&p, 1, ms) > 0 || deadline <= now_usec())
		assert_int_equal(kedge_guard_process(f->guard), 0);
}

void guard_wait(struct fixture *f, uint64_t until_ms, const char *what, const char *file, int line)
{
	if (now_ms() >= until_ms)
		fail_with_story(f, what, file, line);
	guard_turn(f, TURN_MS);
}

void guard_for(struct fixture *f, int ms)
{
	uint64_t until = now_ms() + (uint64_t)ms;

	while (now_ms() < until)
		guard_turn(f, TURN_MS);
}

/* --- questions -------------------------------------------------------------------------- */

struct kedge_path_status status_of(const struct fixture *f, const char *path)
{
	struct kedge_path_status status = { .size = sizeof(status) };

	assert_int_equal(kedge_guard_status(f->guard, path, &status), 0);
	return status;
}

enum kedge_state state_of(const struct fixture *f)
{
	return status_of(f, f->path).state;
}

int reachable_at(struct fixture *f, const char *path)
{
	struct kedge_path_status status = status_of(f, path);

	return status.state == KEDGE_STATE_REACHABLE && who_answers(f, path) == status.fd;
}

int reachable(struct fixture *f)
{
	return reachable_at(f, f->path);
}

int same_listener(struct fixture *f)
{
	struct kedge_path_status status = status_of(f, f->path);

	return reachable(f) && status.generation == 1 && status.fd == f->fd &&
	       is_identity(f->path, f->id);
}

/* --- names ------------------------------------------------------------------------------ */

struct identity identity_of(const char *path)
{
	struct stat st;

	DO(lstat(path, &st));
	return (struct identity){ .dev = st.st_dev, .ino = st.st_ino };
}

int is_identity(const char *path, struct identity id)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == id.dev && st.st_ino == id.ino;
}

int exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

mode_t mode_of(const char *path)
{
	struct stat st;

	DO(lstat(path, &st));
	return st.st_mode & 07777;
}

char *text(const char *format, ...)
{
	static char texts[TEXTS_MAX][TEST_PATH_MAX];
	static unsigned next;
	char *t = texts[next++ % TEXTS_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(t, TEST_PATH_MAX, format, args);
	va_end(args);
	return t;
}

char *in_dir(const struct fixture *f, const char *name)
{
	return text("%s/%s", f->dir, name);
}

char *in_root(const struct fixture *f, const char *name)
{
	return text("%s/%s", f->root, name);
}

char *anchor_dir_of(const struct fixture *f)
{
	return text("%s/.kedge-%u", f->dir, (unsigned)geteuid());
}

char *anchor_of(const struct fixture *f, unsigned generation)
{
	return text("%s/x.sock.%u", anchor_dir_of(f), generation);
}

void write_file(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	DO(fd);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

void assert_file(const char *path, const char *content)
{
	char buffer[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		print_error("%s: %s\n", path, strerror(errno));
	assert_true(fd >= 0);
	assert_true(read(fd, buffer, sizeof(buffer) - 1) >= 0);
	close(fd);
	assert_string_equal(buffer, content);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void sweep(const char *path)
{
	nftw(path, remove_one, NFTW_FDS_MAX, FTW_PHYS | FTW_DEPTH);
}

void remove_all(const char *path)
{
	sweep(path);
	assert_false(exists(path));
}

void make_dir(const char *path, mode_t mode)
{
	DO(mkdir(path, 0700));
	DO(chmod(path, mode));
}

int count_names(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static struct {
	int kedge_names;
	struct identity wanted;
} walk;

static int walk_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (strncmp(path + ftw->base, ".kedge", 6) == 0) {
		walk.kedge_names++;
		print_error("there is %s\n", path);
	}
	return 0;
}

int kedge_names(const struct fixture *f)
{
	walk.kedge_names = 0;
	nftw(f->root, walk_one, NFTW_FDS_MAX, FTW_PHYS);
	return walk.kedge_names;
}

static int find_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)type;
	(void)ftw;
	return st->st_dev == walk.wanted.dev && st->st_ino == walk.wanted.ino;
}

int is_somewhere(const struct fixture *f, struct identity id)
{
	walk.wanted = id;
	return nftw(f->root, find_one, NFTW_FDS_MAX, FTW_PHYS) == 1;
}

int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3; /* ".", ".." and the directory's own */
}
