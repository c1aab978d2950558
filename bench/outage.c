/*
 * How long a path is lost: one thread guards it and takes its clients in, the other takes
 * the path away and connects in a tight loop until somebody answers again.
 *
 *	outage DIR [LOSSES]
 *
 * An outage is the time from the return of the call that removed the path to the return of
 * the first connect(2) that worked. DIR decides on the file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kedge/guard.h"
#include "measure.h"

#define LISTENERS_MAX 32

static char dir[80], path[100];
static int listeners[LISTENERS_MAX];
static _Atomic int done;
static _Atomic unsigned rebinds;

static void on_listener(const char *where, int new_fd, int old_fd, void *userdata)
{
	(void)where;
	(void)userdata;
	rebinds += new_fd >= 0;
	for (size_t i = 0; i < LISTENERS_MAX; i++)
		if (new_fd < 0 ? listeners[i] == old_fd : listeners[i] < 0) {
			listeners[i] = new_fd;
			return;
		}
}

static int timeout_ms(const struct kedge_guard *guard)
{
	uint64_t deadline_us, now_us = measure_now_ns() / 1000;

	if (kedge_guard_deadline(guard, &deadline_us) < 0 || deadline_us > now_us + 50000)
		return 50;
	return deadline_us <= now_us ? 0 : (int)((deadline_us - now_us + 999) / 1000);
}

static void *serve(void *guard)
{
	while (!done) {
		struct pollfd p[1 + LISTENERS_MAX] = { { .fd = kedge_guard_fd(guard),
							 .events = POLLIN } };

		for (size_t i = 0; i < LISTENERS_MAX; i++)
			p[1 + i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
		(void)poll(p, 1 + LISTENERS_MAX, timeout_ms(guard));
		(void)kedge_guard_process(guard);
		for (size_t i = 0; i < LISTENERS_MAX; i++)
			if (p[1 + i].revents & POLLIN) {
				int fd = accept4(p[1 + i].fd, NULL, NULL, SOCK_CLOEXEC);

				if (fd >= 0)
					close(fd);
			}
	}
	return NULL;
}

static int try_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r;
}

static int lose_unlink(void)
{
	return unlink(path);
}

static int lose_rename(void)
{
	char away[120];

	snprintf(away, sizeof(away), "%s.away", path);
	return rename(path, away);
}

static void empty(const char *where)
{
	DIR *d = opendir(where);

	for (struct dirent *e; d && (e = readdir(d));)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

/* All that is in the directory, the anchors first, and the directory itself. */
static int lose_directory(void)
{
	char anchors[120];

	snprintf(anchors, sizeof(anchors), "%s/.kedge-%u", dir, (unsigned)geteuid());
	for (;;) {
		empty(anchors);
		(void)rmdir(anchors);
		empty(dir);
		if (rmdir(dir) == 0)
			return 0;
		if (errno != ENOTEMPTY)
			return -1;
	}
}

static void run(const char *name, int (*lose)(void), unsigned losses)
{
	char text[4][MEASURE_TEXT_MAX];
	struct samples s = { 0 };
	unsigned before = rebinds;

	for (unsigned i = 0; i < losses; i++) {
		uint64_t start;

		if (lose() < 0) {
			perror(name);
			exit(1);
		}
		start = measure_now_ns();
		while (try_connect() < 0)
			if (measure_now_ns() - start > 10000000000u) {
				fprintf(stderr, "%s: loss %u is not repaired\n", name, i);
				exit(1);
			}
		samples_add(&s, measure_now_ns() - start);
		/* Whoever loses a path loses it after a while, and not in the repair. */
		measure_sleep_us(200);
	}
	samples_sort(&s);
	printf("%-18s %7u %10s %10s %10s %10s  %u\n", name, losses,
	       measure_text_ns(samples_at(&s, 0.5), text[0]),
	       measure_text_ns(samples_at(&s, 0.9), text[1]),
	       measure_text_ns(samples_at(&s, 0.99), text[2]),
	       measure_text_ns(samples_at(&s, 1), text[3]), rebinds - before);
	samples_free(&s);
}

int main(int argc, char **argv)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .on_listener = on_listener };
	unsigned losses = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;
	struct kedge_guard *guard;
	pthread_t server;
	int fd;

	if (argc < 2 || strlen(argv[1]) > 40) {
		fprintf(stderr, "usage: outage DIR [LOSSES]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/kedge-outage-XXXXXX", argv[1]);
	if (!mkdtemp(dir))
		return perror(dir), 1;
	snprintf(path, sizeof(path), "%s/x.sock", dir);
	memset(listeners, -1, sizeof(listeners));
	if (kedge_guard_new(&guard, &options) < 0 ||
	    kedge_guard_listen(guard, path, NULL, &fd, NULL) < 0)
		return fprintf(stderr, "cannot listen at %s\n", path), 1;
	if (listeners[0] < 0)
		listeners[0] = fd;
	pthread_create(&server, NULL, serve, guard);
	printf("%-18s %7s %10s %10s %10s %10s  %s\n", argv[1], "losses", "p50", "p90", "p99", "max",
	       "re-bound");
	run("unlink", lose_unlink, losses);
	run("rename", lose_rename, losses);
	run("directory removed", lose_directory, losses);
	done = 1;
	pthread_join(server, NULL);
	kedge_guard_free(guard);
	empty(dir);
	return rmdir(dir) < 0;
}
