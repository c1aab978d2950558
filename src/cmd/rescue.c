/* kedge rescue: a socket that was lost before anybody guarded it gets its path back. */
#include "cmd/rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"

/* A look at everything, for what no event tells: a listener closed by a process that goes on. */
#define SAFETY_MS 5000

struct rescue_options {
	const char *path; /* as given; NULL: by pid */
	int64_t pid;
	bool proxy, dry_run, background;
};

struct rescues {
	struct rescue items[RESCUES_MAX];
	size_t count;
	int inotify, signals;
	int ready; /* pipe to the foreground process, or -EBADF */
};

/* Making, all or nothing. */

static void undo_all(struct rescues *all)
{
	for (size_t i = 0; i < all->count; i++) {
		rescue_undo(&all->items[i]);
		rescue_release(&all->items[i]);
	}
	all->count = 0;
}

static int prepare_all(struct rescues *all, const struct surveyed **chosen, size_t count,
		       const struct rescue_options *o)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	for (size_t i = 0; i < count; i++) {
		int r = rescue_prepare(&all->items[all->count++], chosen[i],
				       o->proxy ? RESCUE_PROXY : RESCUE_WAYS_, &error);

		if (r == 0)
			continue;
		(void)fprintf(stderr, "kedge: %s\n", error.text);
		undo_all(all);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static void watch(const struct rescues *all, const struct rescue *r)
{
	if (all->inotify >= 0 && !r->proxy)
		(void)inotify_add_watch(all->inotify, r->item->path,
					IN_DONT_FOLLOW | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
}

static int make_all(struct rescues *all)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	for (size_t i = 0; i < all->count; i++) {
		if (rescue_make(&all->items[i], &error) < 0) {
			(void)fprintf(stderr, "kedge: %s\n", error.text);
			undo_all(all);
			return EXIT_FAILED;
		}
		watch(all, &all->items[i]);
	}
	return EXIT_OK;
}

static void announce(const struct rescues *all, const char *verb)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct rescue *r = &all->items[i];

		printf("%s: %s by %s (%s); until %s (pid %d) ends\n", r->item->path, verb,
		       rescue_way_names[r->way], rescue_way_meanings[r->way], r->item->owner->comm,
		       r->item->owner->pid);
	}
	(void)fflush(stdout);
}

/* Keeping. */

static void finish(struct rescues *all, size_t i, const char *why)
{
	struct rescue *r = &all->items[i];

	rescue_undo(r);
	rescue_release(r);
	printf("%s: %s\n", r->item->path, why);
	(void)fflush(stdout);
	all->items[i] = all->items[--all->count];
}

/* Whether somebody still listens; the process that we know may have handed it on. */
static bool is_served(struct rescue *r)
{
	uint32_t inode = r->item->socket.socket_inode;
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	const struct owner *next;
	struct diag_socket s;
	int fd;

	if (diag_by_socket(inode, &s) < 0 || s.shut_down ||
	    s.listening != r->item->socket.listening)
		return false;
	if (owner_is_alive(r->pidfd))
		return true;
	if (owners_find(&inode, 1, &owners) < 0 || !(next = owners_main(&owners, inode)))
		return false;
	fd = owner_hold(next);
	if (fd < 0)
		return false;
	fd_close(r->pidfd);
	r->pidfd = fd;
	return true;
}

static void look_at_all(struct rescues *all)
{
	for (size_t i = all->count; i-- > 0;) {
		struct rescue *r = &all->items[i];
		struct kedge_error error = KEDGE_ERROR_INIT;

		if (!is_served(r)) {
			finish(all, i, "its listener is gone, and the path with it");
		} else if (!rescue_stands(r)) {
			r->made.st_ino = 0;
			if (rescue_make(r, &error) == 0) {
				printf("%s: lost again, and made again\n", r->item->path);
				watch(all, r);
			} else if (error.code == -EEXIST) {
				finish(all, i, "somebody has taken the path: left to them");
			}
		}
	}
}

static int shortest_timeout(const struct rescues *all)
{
	int timeout = SAFETY_MS;

	for (size_t i = 0; i < all->count; i++) {
		int ms = all->items[i].proxy ? proxy_timeout_ms(all->items[i].proxy) : -1;

		if (ms >= 0 && ms < timeout)
			timeout = ms;
	}
	return timeout;
}

/* Wait and forward until something else happens. Return: false: we are to end. */
static bool wait_for_event(struct rescues *all)
{
	struct pollfd fds[2 + 2 * RESCUES_MAX];
	char events[4096];
	size_t n = 2;

	fds[0] = (struct pollfd){ .fd = all->signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = all->inotify, .events = POLLIN };
	for (size_t i = 0; i < all->count; i++) {
		const struct rescue *r = &all->items[i];

		fds[n++] = (struct pollfd){ .fd = r->pidfd, .events = POLLIN };
		fds[n++] = (struct pollfd){ .fd = r->proxy ? proxy_fd(r->proxy) : -1,
					    .events = POLLIN };
	}
	(void)poll(fds, n, shortest_timeout(all));
	if (fds[1].revents & POLLIN)
		while (read(all->inotify, events, sizeof(events)) > 0)
			;
	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].proxy)
			proxy_process(all->items[i].proxy);
	return !(fds[0].revents & POLLIN);
}

static void keep_all(struct rescues *all)
{
	while (all->count && wait_for_event(all))
		look_at_all(all);
	undo_all(all);
}

/* Into the background. */

/* Tell the process in the foreground how it went, and let go of the terminal. */
static void tell_ready(struct rescues *all)
{
	int null, status = EXIT_OK;

	if (all->ready < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	fd_close(null);
	(void)!write(all->ready, &status, sizeof(status));
	all->ready = fd_close(all->ready);
}

/* Return: true in the child; the parent waits until it has told how it went, and ends. */
static bool go_to_background(struct rescues *all)
{
	int ends[2], status = EXIT_FAILED;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		(void)fprintf(stderr, "kedge: --background: %s\n", error_words(errno));
		exit(EXIT_FAILED);
	}
	if (pid == 0) {
		fd_close(ends[0]);
		all->ready = ends[1];
		(void)setsid();
		return true;
	}
	fd_close(ends[1]);
	if (read(ends[0], &status, sizeof(status)) != sizeof(status))
		status = EXIT_FAILED;
	exit(status);
}

/* The command. */

static int parse(int argc, char **argv, struct rescue_options *o)
{
	static const struct option longs[] = { { "pid", required_argument, NULL, 'p' },
					       { "proxy", no_argument, NULL, 'x' },
					       { "dry-run", no_argument, NULL, 'n' },
					       { "background", no_argument, NULL, 'b' },
					       { 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		o->proxy |= c == 'x';
		o->dry_run |= c == 'n';
		o->background |= c == 'b';
		if (c == '?' || c == ':')
			return usage_error("rescue: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		if (c == 'p' && parse_number(optarg, 1, INT_MAX, &o->pid) < 0)
			return usage_error("--pid %s: the number of a process", optarg);
	}
	if (argc - optind != (o->pid ? 0 : 1))
		return usage_error("rescue: takes one PATH, or --pid PID");
	o->path = argv[optind];
	if (o->path && *o->path == '@')
		return usage_error("rescue: '%s' is an abstract name: it is no path and cannot be "
				   "lost",
				   o->path);
	return !o->path || *o->path ? EXIT_OK : usage_error("rescue: the path is empty");
}

static int open_events(struct rescues *all)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	all->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* Without inotify the safety look does. */
	all->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return all->signals < 0 ? -errno : 0;
}

static int rescue_chosen(struct rescues *all, const struct surveyed **chosen, size_t count,
			 const struct rescue_options *o)
{
	int r;

	if (o->background && !o->dry_run)
		(void)go_to_background(all);
	r = open_events(all);
	if (r < 0) {
		(void)fprintf(stderr, "kedge: no signals can be waited for: %s\n", error_words(r));
		return EXIT_FAILED;
	}
	r = prepare_all(all, chosen, count, o);
	if (r != EXIT_OK)
		return r;
	if (o->dry_run) {
		announce(all, "would be rescued");
		undo_all(all);
		return EXIT_OK;
	}
	r = make_all(all);
	if (r != EXIT_OK)
		return r;
	announce(all, "rescued");
	tell_ready(all);
	keep_all(all);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	static struct rescues all = { .inotify = -EBADF, .signals = -EBADF, .ready = -EBADF };
	_cleanup_(survey_deinit) struct survey survey = SURVEY_INIT;
	const struct surveyed *chosen[RESCUES_MAX];
	struct rescue_options o = { 0 };
	size_t count = 0;
	int r = parse(argc, argv, &o);

	if (r != EXIT_OK)
		return r;
	r = survey_take(SURVEY_OWN_NAMESPACE, &survey);
	if (r < 0) {
		(void)fprintf(stderr, "kedge: the sockets cannot be listed: %s\n", error_words(r));
		return EXIT_FAILED;
	}
	r = o.path ? rescue_choose_path(&survey, o.path, chosen, &count)
		   : rescue_choose_pid(&survey, (pid_t)o.pid, chosen, &count);
	if (r == EXIT_OK && count)
		r = rescue_chosen(&all, chosen, count, &o);
	fd_close(all.inotify);
	fd_close(all.signals);
	return r;
}

const struct command command_rescue = {
	.name = "rescue",
	.summary = "give a lost socket its path back",
	.help = "Usage: kedge rescue [OPTION]... PATH\n"
		"       kedge rescue [OPTION]... --pid PID   all that the process has lost\n\n"
		"The daemon goes on as it is and knows nothing of it. Says which way it went:\n\n"
		"  link     a name of the socket is left: as it was, for everybody\n"
		"  symlink  to /proc/.../fd/N, where none is left: for the socket's owner and\n"
		"           root (others may not follow it). Takes root\n"
		"  proxy    where the socket's mode lets others connect: listens and forwards\n"
		"           with each client's user and groups, not its pid. Takes root\n\n"
		"  --proxy       a proxy in any case\n"
		"  --dry-run     say what would be done, change nothing\n"
		"  --background  return once the path works, and go on in the background\n\n"
		"Refuses where something stands at PATH. Runs until the daemon stops listening,\n"
		"and then, or at SIGTERM, removes the path. Guard what matters: kedge guard.\n",
	.run = run,
};
