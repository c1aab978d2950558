/*
 * Many paths in one directory: what one costs, and how long it takes until all are back
 * that were removed at once.
 *
 *	scale [PATHS]
 *
 * A path takes three descriptors. Where one process may not have so many, the paths are
 * shared out to several, each with a guard; the first line says how many.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kedge/guard.h"
#include "measure.h"

/* As long as the interval between safety looks, so that each window has one. */
#define WINDOW_S       5
#define ROUNDS         5
#define FDS_EACH       3
#define FDS_BESIDE     100
#define WORKERS_MAX    64
#define QUIET_PATHS    100
#define LOOK_AGAIN_US  200
#define PATH_BYTES_MAX 64

/* A process with a guard; what it tells is in memory that it shares with us. */
struct worker {
	unsigned first, count; /* of the paths */
	int64_t interval_ms;
	pid_t pid;
	int end; /* closing it ends it */
	uint64_t guarded_ns;
	size_t bytes;
	_Atomic unsigned wakeups;
};

static char dir[] = "/dev/shm/kedge-scale-XXXXXX";

static const char *path_of(unsigned i)
{
	static char path[PATH_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "%s/%u.sock", dir, i);
	return path;
}

/* As many descriptors as the system lets us have, up to @wanted. */
static unsigned raise_limit(unsigned wanted)
{
	struct rlimit files = { wanted, wanted };

	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return wanted;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		measure_die("RLIMIT_NOFILE");
	files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		measure_die("RLIMIT_NOFILE");
	return (unsigned)files.rlim_cur;
}

static struct kedge_guard *guard_share(struct worker *w)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .interval_ms = w->interval_ms };
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_guard *guard;
	uint64_t start = measure_now_ns();

	if (kedge_guard_new(&guard, &options) < 0)
		measure_die("guard");
	for (unsigned i = w->first; i < w->first + w->count; i++)
		if (kedge_guard_listen(guard, path_of(i), NULL, NULL, &error) < 0) {
			fprintf(stderr, "%s\n", error.text);
			exit(1);
		}
	w->guarded_ns = measure_now_ns() - start;
	return guard;
}

static int timeout_ms(const struct kedge_guard *guard)
{
	uint64_t deadline_us = 0, now_us = measure_now_ns() / 1000;

	(void)kedge_guard_deadline(guard, &deadline_us);
	if (deadline_us == UINT64_MAX)
		return -1;
	return deadline_us <= now_us ? 0 : (int)((deadline_us - now_us) / 1000) + 1;
}

static _Noreturn void work(struct worker *w, int ready, int end)
{
	size_t before = mallinfo2().uordblks;
	struct kedge_guard *guard = guard_share(w);
	struct pollfd p[] = { { .fd = kedge_guard_fd(guard), .events = POLLIN },
			      { .fd = end, .events = POLLIN } };

	if (write(ready, "", 1) != 1)
		measure_die("ready");
	while (!p[1].revents) {
		(void)poll(p, 2, timeout_ms(guard));
		(void)kedge_guard_process(guard);
		w->wakeups++;
		w->bytes = mallinfo2().uordblks - before;
	}
	kedge_guard_free(guard);
	exit(0);
}

/* Begin, and wait until all its paths are there. */
static void worker_start(struct worker *w)
{
	int ready[2], end[2];
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(end, O_CLOEXEC) < 0)
		measure_die("pipe");
	pid = fork();
	if (pid < 0)
		measure_die("fork");
	if (pid == 0) {
		close(end[1]);
		work(w, ready[1], end[0]);
	}
	w->pid = pid;
	close(ready[1]);
	close(end[0]);
	w->end = end[1];
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
}

static void worker_stop(struct worker *w)
{
	int status;

	close(w->end);
	if (waitpid(w->pid, &status, 0) < 0 || status != 0)
		exit(1);
}

/* Stopped meanwhile, so that they find all of it done at once. */
static uint64_t lose_all(const struct worker *workers, unsigned n, unsigned paths)
{
	struct stat st;
	uint64_t start;

	for (unsigned i = 0; i < n; i++)
		(void)kill(workers[i].pid, SIGSTOP);
	for (unsigned i = 0; i < paths; i++)
		if (unlink(path_of(i)) < 0)
			measure_die(path_of(i));
	start = measure_now_ns();
	for (unsigned i = 0; i < n; i++)
		(void)kill(workers[i].pid, SIGCONT);
	for (unsigned back = 0; back < paths;) {
		if (stat(path_of(back), &st) == 0)
			back++;
		else
			measure_sleep_us(LOOK_AGAIN_US);
	}
	return measure_now_ns() - start;
}

static void measure_losses(const struct worker *workers, unsigned n, unsigned paths)
{
	char text[3][MEASURE_TEXT_MAX];
	struct samples s = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		samples_add(&s, lose_all(workers, n, paths));
		/* The events of the repairs themselves are not part of the next loss. */
		measure_sleep_us(500000);
	}
	samples_sort(&s);
	printf("all unlinked, all back after  %s (%s to %s, %d times)\n",
	       measure_text_ns(samples_at(&s, 0.5), text[0]),
	       measure_text_ns(samples_at(&s, 0), text[1]),
	       measure_text_ns(samples_at(&s, 1), text[2]), ROUNDS);
	samples_free(&s);
}

/* How often each of @n guards woke up a second, in a window, in thousandths. */
static uint64_t count_wakeups(struct worker *workers, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += atomic_exchange(&workers[i].wakeups, 0);
	return sum * 1000 / n / WINDOW_S;
}

static uint64_t count_bytes(const struct worker *workers, unsigned n, unsigned paths)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += workers[i].bytes;
	return sum / paths;
}

/* At rest, that is after a safety look: what served the start is given back by then. */
static void measure_idle(struct worker *workers, unsigned n, unsigned paths, struct worker *quiet)
{
	struct samples bytes = { 0 }, loud = { 0 };
	uint64_t quiet_mhz = 0;

	measure_sleep_us(1000000);
	(void)count_wakeups(workers, n);
	(void)count_wakeups(quiet, 1);
	for (int i = 0; i < ROUNDS; i++) {
		measure_sleep_us(WINDOW_S * 1000000);
		samples_add(&loud, count_wakeups(workers, n));
		samples_add(&bytes, count_bytes(workers, n, paths));
		quiet_mhz += count_wakeups(quiet, 1);
	}
	samples_sort(&loud);
	samples_sort(&bytes);
	printf("memory, each                  %" PRIu64 " bytes (%" PRIu64 " to %" PRIu64
	       ", %d times)\n",
	       samples_at(&bytes, 0.5), samples_at(&bytes, 0), samples_at(&bytes, 1), ROUNDS);
	printf("wake-ups of a guard, idle     %.2f /s (%.2f to %.2f, %d times %d s); with no "
	       "interval %.2f /s\n",
	       (double)samples_at(&loud, 0.5) / 1e3, (double)samples_at(&loud, 0) / 1e3,
	       (double)samples_at(&loud, 1) / 1e3, ROUNDS, WINDOW_S,
	       (double)quiet_mhz / ROUNDS / 1e3);
	samples_free(&loud);
	samples_free(&bytes);
}

static void measure_start(struct worker *workers, unsigned n, unsigned paths)
{
	char text[MEASURE_TEXT_MAX];
	uint64_t ns = 0;

	for (unsigned i = 0; i < n; i++) {
		worker_start(&workers[i]);
		ns += workers[i].guarded_ns;
	}
	printf("%u paths in %u guard%s, guarded in %s\n", paths, n, n > 1 ? "s" : "",
	       measure_text_ns(ns, text));
}

int main(int argc, char **argv)
{
	unsigned paths = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	unsigned most = paths > QUIET_PATHS ? paths : QUIET_PATHS;
	unsigned room = (raise_limit(most * FDS_EACH + FDS_BESIDE) - FDS_BESIDE) / FDS_EACH;
	unsigned n = paths ? (paths + room - 1) / room : 0;
	struct worker *workers = mmap(NULL, (n + 1) * sizeof(*workers), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (n == 0 || n > WORKERS_MAX || workers == MAP_FAILED) {
		fprintf(stderr, "usage: scale [PATHS], 1 to %u\n", room * WORKERS_MAX);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(dir))
		measure_die(dir);
	for (unsigned i = 0, first = 0; i <= n; i++) {
		workers[i].first = first;
		workers[i].count = i < n ? (paths - first) / (n - i) : QUIET_PATHS;
		workers[i].interval_ms = i < n ? 0 : KEDGE_INTERVAL_NONE;
		first += workers[i].count;
	}
	measure_start(workers, n, paths);
	measure_losses(workers, n, paths);
	worker_start(&workers[n]);
	measure_idle(workers, n, paths, &workers[n]);
	/* The last first: whoever was started later holds the ends of all before it. */
	for (unsigned i = n + 1; i-- > 0;)
		worker_stop(&workers[i]);
	return rmdir(dir) < 0;
}
