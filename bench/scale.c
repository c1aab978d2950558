/*
 * Many paths: what one costs, and how long it takes until all are back that were removed
 * at once.
 *
 *	scale [PATHS]
 */
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kedge/guard.h"
#include "measure.h"

#define IDLE_S 20

static char dir[] = "/dev/shm/kedge-scale-XXXXXX";

static const char *path_of(unsigned i)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%u.sock", dir, i);
	return path;
}

static void work(struct kedge_guard *guard, int ms)
{
	struct pollfd p = { .fd = kedge_guard_fd(guard), .events = POLLIN };

	(void)poll(&p, 1, ms);
	(void)kedge_guard_process(guard);
}

static int is_back(unsigned i)
{
	struct stat st;

	return stat(path_of(i), &st) == 0;
}

/* The time until the last of them is there again. */
static uint64_t lose_all(struct kedge_guard *guard, unsigned paths)
{
	uint64_t start;

	for (unsigned i = 0; i < paths; i++)
		if (unlink(path_of(i)) < 0)
			measure_die(path_of(i));
	start = measure_now_ns();
	for (unsigned back = 0; back < paths;) {
		if (is_back(back))
			back++;
		else
			work(guard, 1000);
	}
	return measure_now_ns() - start;
}

/* How often the guard wants to be called while nothing happens. */
static unsigned count_wakeups(struct kedge_guard *guard)
{
	uint64_t end = measure_now_ns() + IDLE_S * UINT64_C(1000000000);
	unsigned n = 0;

	for (uint64_t now; (now = measure_now_ns()) < end; n++) {
		uint64_t deadline_us = 0;
		int64_t left_us;

		(void)kedge_guard_deadline(guard, &deadline_us);
		if (deadline_us > end / 1000)
			deadline_us = end / 1000;
		left_us = (int64_t)(deadline_us - now / 1000);
		work(guard, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct kedge_guard_options options = { .size = sizeof(options) };
	unsigned paths = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	struct rlimit files = { .rlim_cur = paths * 4 + 100, .rlim_max = paths * 4 + 100 };
	char text[MEASURE_TEXT_MAX];
	struct kedge_guard *guard;
	size_t before;
	uint64_t start;

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0)
		paths = (unsigned)(files.rlim_cur - 100) / 3;
	if (paths == 0) {
		fputs("scale: the number of paths is not one from 1 up\n", stderr);
		return 2;
	}
	if (!mkdtemp(dir) || kedge_guard_new(&guard, &options) < 0)
		measure_die("scale");
	before = mallinfo2().uordblks;
	start = measure_now_ns();
	for (unsigned i = 0; i < paths; i++)
		if (kedge_guard_listen(guard, path_of(i), NULL, NULL, NULL) < 0)
			measure_die(path_of(i));
	printf("%u paths guarded in          %s\n", paths,
	       measure_text_ns(measure_now_ns() - start, text));
	work(guard, 0);
	printf("memory, each                  %zu bytes\n",
	       (mallinfo2().uordblks - before) / paths);
	for (int i = 0; i < 5; i++)
		printf("all unlinked, all back after  %s\n",
		       measure_text_ns(lose_all(guard, paths), text));
	printf("wake-ups in %d s idle         %u\n", IDLE_S, count_wakeups(guard));
	kedge_guard_free(guard);
	return rmdir(dir) < 0;
}
