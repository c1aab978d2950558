/*
 * A stranger and a client in one: takes a path away, and connects until somebody answers.
 *
 *	recovery-probe PATH WAY LOSSES CAP_MS
 *
 * WAY as in lose.h. An outage is the time from the return of the call that took the path away to
 * the return of the first connect(2) that worked, by a client that does nothing else. After a
 * loss that nobody repaired within CAP_MS it ends. Prints one JSON object: how many came back,
 * percentiles, and which share of AFTER_TRIES connects worked after the last one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "lose.h"
#include "measure.h"

/* Whoever loses a path loses it after a while, and not in the repair of the loss before. */
#define PAUSE_US 2000

/* A path that is back is one that stays: 50 tries in a quarter of a second. */
#define AFTER_TRIES    50
#define AFTER_PAUSE_US 5000

/* Return: 1: it was back within @cap_ns; 0. */
static int lose_once(const struct lose_way *way, const char *path,
		     const struct sockaddr_un *address, uint64_t cap_ns, struct samples *s)
{
	uint64_t start;

	if (way->lose(path) < 0)
		measure_die(way->name);
	start = measure_now_ns();
	while (measure_try(address) < 0)
		if (measure_now_ns() - start > cap_ns)
			return 0;
	samples_add(s, measure_now_ns() - start);
	lose_tidy(path);
	measure_sleep_us(PAUSE_US);
	return 1;
}

static double share_served(const struct sockaddr_un *address)
{
	int served = 0;

	for (int i = 0; i < AFTER_TRIES; i++) {
		served += measure_try(address) == 0;
		measure_sleep_us(AFTER_PAUSE_US);
	}
	return (double)served / AFTER_TRIES;
}

int main(int argc, char **argv)
{
	const struct lose_way *way = argc == 5 ? lose_find(argv[2]) : NULL;
	int losses = argc == 5 ? atoi(argv[3]) : 0, cap_ms = argc == 5 ? atoi(argv[4]) : 0;
	struct sockaddr_un address;
	struct samples s = { 0 };
	int i = 0;

	if (!way || losses < 1 || cap_ms < 1 || !strchr(argv[1], '/')) {
		fprintf(stderr, "usage: recovery-probe PATH unlink|rename|rmtree|replace LOSSES "
				"CAP_MS\n");
		return 2;
	}
	measure_address(&address, argv[1]);
	while (i < losses &&
	       lose_once(way, argv[1], &address, (uint64_t)cap_ms * NSEC_PER_MSEC, &s))
		i++;
	samples_sort(&s);
	printf("{\"losses\":%d,\"back\":%zu,\"p50_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64
	       ",\"max_ns\":%" PRIu64 ",\"served\":%.2f}\n",
	       i < losses ? i + 1 : i, s.count, samples_at(&s, 0.5), samples_at(&s, 0.99),
	       samples_at(&s, 1), share_served(&address));
	samples_free(&s);
	return 0;
}
