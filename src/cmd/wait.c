/*
 * kedge wait: until clients can connect.
 *
 * inotify tells of each step: the deepest directory of a path that exists is
 * watched for the next component to appear, the ones above for being moved
 * away, links as what they are, the socket for its mode. The kernel's notice of
 * mounts tells of a file system that comes. What no event tells is that a
 * socket which is bound begins to listen: there we look again, soon and then
 * less and less often; and every SAFETY_MS for file systems that tell nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/time.h"
#include "cmd/command.h"
#include "cmd/reach.h"
#include "cmd/table.h"
#include "sys/clock.h"

#define TIMEOUT_S_MAX (365 * 86400)

/* A socket without a listener is looked at again after 1 ms, 2 ms, ... and then each 256 ms. */
#define AGAIN_MS_MIN 1
#define AGAIN_MS_MAX 256

/* NFS, 9p and FUSE send no events for what others do there. */
#define SAFETY_MS 5000

/* As the kernel bounds the links in a path (MAXSYMLINKS). */
#define LINKS_MAX 40

/*
 * IN_ATTRIB of a directory tells of its children too, and in /tmp that is of
 * everybody: it is asked for only where a permission is missing, and of the
 * socket itself.
 */
#define WATCH_ABOVE (IN_MOVE_SELF | IN_DELETE_SELF)
#define WATCH_HERE  (WATCH_ABOVE | IN_CREATE | IN_MOVED_TO)

struct waited {
	const char *path;
	struct reach reach;
};

struct wait {
	struct waited *items;
	size_t count;
	int inotify, mounts;
	bool told_blind; /* said that there is no inotify */
	int64_t again_ms;
	uint64_t end_ns; /* TIME_NEVER: no time-out */
};

/* Watches. */

static void say_blind(struct wait *w, int error)
{
	if (!w->told_blind)
		(void)fprintf(stderr, "kedge: no events (%s): looking every %d ms instead\n",
			      error_words(error), AGAIN_MS_MAX);
	w->told_blind = true;
}

static void watch(struct wait *w, const char *path, uint32_t mask)
{
	/* Two paths may share a directory: one must not take the other's events. What may
	 * not be read cannot be watched; then its parent tells most of it. */
	if (w->inotify < 0 ||
	    inotify_add_watch(w->inotify, path, mask | IN_MASK_ADD | IN_DONT_FOLLOW) >= 0)
		return;
	if (errno == ENOSPC || errno == ENOMEM)
		say_blind(w, errno);
}

/* A path on its way down: what was gone through, and what is left of it. */
struct descent {
	char above[PATH_MAX], here[PATH_MAX], rest[PATH_MAX];
	int links;
};

/* Put where a link leads in front of the rest. Return: whether to go on. */
static bool descend_link(struct descent *d, const char *link)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	int size;

	if (n <= 0 || ++d->links > LINKS_MAX)
		return false;
	target[n] = '\0';
	memcpy(rest, d->rest, sizeof(rest));
	size = snprintf(d->rest, sizeof(d->rest), "%s/%s", target, rest);
	if (*target == '/')
		strcpy(d->here, "/");
	return size > 0 && (size_t)size < sizeof(d->rest);
}

/* One component down. Return: whether there may be another one. */
static bool descend(struct wait *w, struct descent *d)
{
	const char *name = d->rest + strspn(d->rest, "/");
	size_t n = strcspn(name, "/");
	char next[PATH_MAX];
	struct stat st;
	int size;

	if (n == 0)
		return false;
	size = snprintf(next, sizeof(next), "%s%s%.*s", d->here,
			strcmp(d->here, "/") == 0 ? "" : "/", (int)n, name);
	if (size < 0 || (size_t)size >= sizeof(next))
		return false;
	if (lstat(next, &st) < 0) {
		bool forbidden = errno == EACCES;

		watch(w, d->here, WATCH_HERE | (forbidden ? IN_ATTRIB : 0));
		/* Whom we may not search we often may not watch: the one above tells. */
		if (forbidden)
			watch(w, d->above, WATCH_ABOVE | IN_ATTRIB);
		return false;
	}
	memmove(d->rest, name + n, strlen(name + n) + 1);
	if (S_ISLNK(st.st_mode)) {
		watch(w, d->here, WATCH_HERE);
		return descend_link(d, next);
	}
	watch(w, d->here, S_ISDIR(st.st_mode) ? WATCH_ABOVE : WATCH_HERE);
	if (!S_ISDIR(st.st_mode))
		watch(w, next, WATCH_ABOVE | IN_ATTRIB);
	memcpy(d->above, d->here, sizeof(d->above));
	memcpy(d->here, next, sizeof(next));
	return S_ISDIR(st.st_mode);
}

static void watch_path(struct wait *w, const char *path)
{
	struct descent d = { .above = ".", .here = "." };

	if (*path == '@' || strlen(path) >= sizeof(d.rest))
		return;
	if (*path == '/')
		strcpy(d.above, strcpy(d.here, "/"));
	strcpy(d.rest, path);
	while (descend(w, &d))
		;
	/* A directory stands where the socket should: it may go. */
	watch(w, d.here, WATCH_HERE);
}

/* Looking. */

static bool try_all(struct wait *w)
{
	bool all = true;

	for (size_t i = 0; i < w->count; i++) {
		struct waited *item = &w->items[i];

		/* The others wait for the slowest; they are looked at once more in the end. */
		if (item->reach.kind == REACH_OK)
			continue;
		item->reach = reach_try(item->path, REACH_NO_WAIT);
		all &= item->reach.kind == REACH_OK;
	}
	return all;
}

static bool try_again_at_once(struct wait *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->items[i].reach = reach_try(w->items[i].path, REACH_NO_WAIT);
	return try_all(w);
}

/* How long no event is needed to come: until the next look. */
static int64_t pause_ms(struct wait *w)
{
	bool eventless = w->inotify < 0 || w->told_blind;
	int64_t pause = SAFETY_MS;
	uint64_t now = monotonic_ns();

	for (size_t i = 0; i < w->count; i++) {
		enum reach_kind kind = w->items[i].reach.kind;

		eventless |= kind == REACH_REFUSED || kind == REACH_FULL;
		eventless |= kind != REACH_OK && *w->items[i].path == '@';
	}
	if (eventless) {
		pause = w->again_ms;
		w->again_ms = pause * 2 > AGAIN_MS_MAX ? AGAIN_MS_MAX : pause * 2;
	}
	if (w->end_ns != TIME_NEVER) {
		int left = time_until_ms(w->end_ns, now);

		pause = left < pause ? left : pause;
	}
	return pause;
}

/* Wait for something to happen. Events are only hints to look. */
static void wait_for_event(struct wait *w)
{
	struct pollfd fds[] = { { .fd = w->inotify, .events = POLLIN },
				{ .fd = w->mounts, .events = POLLPRI } };
	char events[4096];

	if (poll(fds, ARRAY_SIZE(fds), (int)pause_ms(w)) <= 0)
		return;
	/* Something moved: what is bound now may listen in a moment. */
	w->again_ms = AGAIN_MS_MIN;
	if (fds[0].revents)
		while (read(w->inotify, events, sizeof(events)) > 0)
			;
}

static bool wait_for_all(struct wait *w)
{
	while (!try_all(w) || !try_again_at_once(w)) {
		for (size_t i = 0; i < w->count; i++)
			if (w->items[i].reach.kind != REACH_OK)
				watch_path(w, w->items[i].path);
		/* What came between the look and the watch. */
		if (try_all(w))
			continue;
		if (w->end_ns != TIME_NEVER && monotonic_ns() >= w->end_ns)
			return false;
		wait_for_event(w);
	}
	return true;
}

static void report(const struct wait *w)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct waited *item = &w->items[i];
		struct buf line = BUF_INIT;

		if (item->reach.kind == REACH_OK)
			continue;
		(void)buf_appendf(&line, "kedge: timed out: ");
		(void)append_clean(&line, item->path);
		(void)buf_append(&line, ": ", 2);
		reach_explain(item->path, &item->reach, &line);
		(void)buf_append(&line, "\n", 1);
		(void)fwrite(buf_front(&line), 1, buf_size(&line), stderr);
		buf_deinit(&line);
	}
}

static int parse(int argc, char **argv, struct wait *w)
{
	static const struct option longs[] = { { "timeout", required_argument, NULL, 't' }, { 0 } };
	int64_t ms;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c != 't')
			return usage_error("wait: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		if (parse_seconds(optarg, TIMEOUT_S_MAX, &ms) < 0)
			return usage_error("--timeout %s: seconds from 0 to %d", optarg,
					   TIMEOUT_S_MAX);
		w->end_ns = monotonic_ns() + (uint64_t)ms * NSEC_PER_MSEC;
	}
	if (optind == argc)
		return usage_error("wait: takes PATH...");
	for (int i = optind; i < argc; i++)
		if (!*argv[i] || strlen(argv[i]) >= PATH_MAX)
			return usage_error("wait: '%.40s': a path of 1 to %d bytes", argv[i],
					   PATH_MAX - 1);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct wait w = { .end_ns = TIME_NEVER, .again_ms = AGAIN_MS_MIN };
	_cleanup_(freep) struct waited *items = NULL;
	int r = parse(argc, argv, &w);

	if (r != EXIT_OK)
		return r;
	w.count = (unsigned)(argc - optind);
	w.items = items = calloc(w.count, sizeof(*items));
	if (!items)
		return EXIT_FAILED;
	for (size_t i = 0; i < w.count; i++)
		items[i] = (struct waited){ .path = argv[optind + (int)i],
					    .reach.kind = REACH_MISSING };
	w.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w.inotify < 0)
		say_blind(&w, errno);
	w.mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	r = wait_for_all(&w) ? EXIT_OK : EXIT_FAILED;
	if (r != EXIT_OK)
		report(&w);
	fd_close(w.inotify);
	fd_close(w.mounts);
	return r;
}

const struct command command_wait = {
	.name = "wait",
	.summary = "wait until clients can connect",
	.help = "Usage: kedge wait [--timeout S] PATH...\n\n"
		"Returns as soon as a client could connect to all of the sockets. Connects to\n"
		"each and closes the connection, as kedge check does.\n\n"
		"  PATH         need not exist, nor its directories; @NAME: an abstract name\n"
		"  --timeout S  give up after so many seconds (never); 0: look once\n\n"
		"Events wake it, it does not poll. Two things have no event: that a bound socket\n"
		"begins to listen, and abstract names; these are looked at after 1 ms, 2 ms, 4 ms\n"
		"and then every 256 ms. Network file systems are looked at every 5 s.\n\n"
		"Exit status: 0 all can be reached; 1 timed out, and why is said of each that is\n"
		"missing; 2 wrong usage.\n\n"
		"  kedge wait --timeout 30 /run/postgresql/.s.PGSQL.5432 && exec app\n",
	.run = run,
};
