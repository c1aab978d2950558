/*
 * How long a path is lost: one thread guards it and takes its clients in, the other takes
 * the path away and connects in a tight loop until somebody answers again.
 *
 *	outage DIR [LOSSES] [pinned]
 *
 * "pinned": each thread has a core of its own. Without, the scheduler may queue the guard
 * behind the client, which never sleeps, until the next tick.
 *
 * An outage is the time from the return of the call that removed the path to the return of
 * the first connect(2) that worked. DIR decides on the file system.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kedge/guard.h"
#include "lose.h"
#include "measure.h"

#define LISTENERS_MAX 32

static char dir[80], path[100];
static int listeners[LISTENERS_MAX];
static _Atomic int done;
static _Atomic unsigned rebinds, losses_seen;

static void on_event(const struct kedge_event *event, void *userdata)
{
	(void)userdata;
	losses_seen += event->kind == KEDGE_EVENT_LOST;
}

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

static void run(const struct lose_way *way, unsigned losses)
{
	char text[4][MEASURE_TEXT_MAX];
	struct samples s = { 0 };
	struct sockaddr_un address;
	unsigned before = rebinds, seen = losses_seen;

	measure_address(&address, path);
	for (unsigned i = 0; i < losses; i++) {
		uint64_t start;

		if (way->lose(path) < 0)
			measure_die(way->what);
		start = measure_now_ns();
		while (measure_try(&address) < 0)
			if (measure_now_ns() - start > 10000000000u) {
				fprintf(stderr, "%s: loss %u is not repaired\n", way->what, i);
				exit(1);
			}
		samples_add(&s, measure_now_ns() - start);
		lose_tidy(path);
		/* Whoever loses a path loses it after a while, and not in the repair. */
		measure_sleep_us(200);
	}
	samples_sort(&s);
	/* It may be linked back a moment before it is told. */
	for (unsigned i = 0; i < 1000 && losses_seen - seen < losses; i++)
		measure_sleep_us(1000);
	/* A loss that is no loss would look like a very quick repair. Two that come before
	 * the guard has ended its turn are told as one, which few may be. */
	if (losses_seen - seen < losses - losses / 50) {
		fprintf(stderr, "%s: %u losses, of which the guard saw %u\n", way->what, losses,
			losses_seen - seen);
		exit(1);
	}
	printf("%-18s %7u %10s %10s %10s %10s  %u\n", way->what, losses,
	       measure_text_ns(samples_at(&s, 0.5), text[0]),
	       measure_text_ns(samples_at(&s, 0.9), text[1]),
	       measure_text_ns(samples_at(&s, 0.99), text[2]),
	       measure_text_ns(samples_at(&s, 1), text[3]), rebinds - before);
	samples_free(&s);
}

static void pin(pthread_t thread, size_t core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	errno = pthread_setaffinity_np(thread, sizeof(set), &set);
	if (errno)
		measure_die("two cores are needed");
}

int main(int argc, char **argv)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .on_event = on_event,
					       .on_listener = on_listener };
	unsigned losses = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;
	struct kedge_guard *guard;
	pthread_t server;
	int fd;

	if (argc < 2 || strlen(argv[1]) > 40 || losses == 0 ||
	    (argc > 3 && strcmp(argv[3], "pinned") != 0)) {
		fprintf(stderr, "usage: outage DIR [LOSSES] [pinned]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/kedge-outage-XXXXXX", argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
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
	if (argc > 3) {
		pin(pthread_self(), 0);
		pin(server, 1);
	}
	printf("%-18s %7s %10s %10s %10s %10s  %s\n", argv[1], "losses", "p50", "p90", "p99", "max",
	       "re-bound");
	for (size_t i = 0; i < lose_way_count; i++)
		run(&lose_ways[i], losses);
	done = 1;
	pthread_join(server, NULL);
	kedge_guard_free(guard);
	lose_empty(dir);
	return rmdir(dir) < 0;
}
