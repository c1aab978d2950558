/*
 * Run histories: many, or one and look.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "choice.h"
#include "story.h"

/* Replays that shrinking one failure may take. */
#define SHRINK_TRIES_MAX 20000

/* So many are told of by default. */
#define FAILURES_MAX 5

struct options {
	uint64_t first, count, failures_max;
	bool one, tracing, raw;
	const char *list;
	double seconds; /* 0: no limit but @count */
};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_signal(int signal)
{
	sim_fail("signal %d (%s)", signal, strsignal(signal));
}

static void catch_signals(void)
{
	static char stack[65536];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER };

	(void)sigaltstack(&other, NULL);
	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
}

/* Failures of one kind: numbers in them may differ. */
static bool same_failure(const char *a, const char *b)
{
	while (*a && *b) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b)
			return false;
		if (*a) {
			a++;
			b++;
		}
	}
	return *a == *b;
}

static bool still_fails(const struct choices *list, const char *failure)
{
	choose_by_list(list);
	return !history_run() && same_failure(story.failure, failure);
}

/* Try without @n answers from @at on. */
static bool try_cut(struct choices *list, size_t at, size_t n, const char *failure)
{
	static struct choices shorter;

	if (at + n > list->count)
		return false;
	shorter = *list;
	memmove(shorter.answers + at, shorter.answers + at + n,
		(list->count - at - n) * sizeof(shorter.answers[0]));
	shorter.count -= n;
	if (!still_fails(&shorter, failure))
		return false;
	*list = shorter;
	return true;
}

static bool try_smaller(struct choices *list, size_t at, const char *failure)
{
	static struct choices smaller;
	static const unsigned divisors[] = { 0, 8, 2 };

	for (size_t i = 0; i < 3 && list->answers[at]; i++) {
		smaller = *list;
		smaller.answers[at] = (uint16_t)(divisors[i] ? list->answers[at] / divisors[i] : 0);
		if (smaller.answers[at] != list->answers[at] && still_fails(&smaller, failure)) {
			*list = smaller;
			return true;
		}
	}
	if (!list->answers[at])
		return false;
	smaller = *list;
	smaller.answers[at]--;
	if (!still_fails(&smaller, failure))
		return false;
	*list = smaller;
	return true;
}

/* Cut out and make smaller whatever the failure does not need. */
static void shrink(struct choices *list, const char *failure)
{
	unsigned tries = 0;
	bool better = true;

	while (better && tries < SHRINK_TRIES_MAX) {
		better = false;
		for (size_t n = list->count / 2 + 1; n > 0; n /= 2)
			for (size_t at = list->count; at-- > 0 && tries < SHRINK_TRIES_MAX; tries++)
				better |= try_cut(list, at, n, failure);
		for (size_t at = 0; at < list->count && tries < SHRINK_TRIES_MAX; at++, tries++)
			better |= try_smaller(list, at, failure);
	}
}

static void print_list(const struct choices *list)
{
	(void)printf("# replay with: --replay ");
	for (size_t i = 0; i < list->count; i++)
		(void)printf("%s%u", i ? "," : "", list->answers[i]);
	(void)printf("\n");
}

static void show(struct choices *list)
{
	story.tracing = true;
	choose_by_list(list);
	(void)history_run();
	story.tracing = false;
}

/* Tell of a history that failed, as short as it can be made. */
static void tell(uint64_t seed, struct choices *list, const struct options *o)
{
	char failure[sizeof(story.failure)];

	(void)snprintf(failure, sizeof(failure), "%s", story.failure);
	(void)printf("# seed %llu: %s\n", (unsigned long long)seed, failure);
	if (o->raw)
		return;
	shrink(list, failure);
	show(list);
	print_list(list);
	(void)fflush(stdout);
}

static int run_one(const struct options *o)
{
	static struct choices list;
	bool sound;

	if (o->list) {
		const char *at = o->list;
		char *end;

		while (*at && list.count < CHOICES_MAX) {
			list.answers[list.count++] = (uint16_t)strtoul(at, &end, 10);
			at = *end ? end + 1 : end;
		}
		choose_by_list(&list);
	} else {
		choose_by_seed(o->first, &list);
	}
	story.tracing = o->tracing;
	sound = history_run();
	story.tracing = false;
	if (!sound && !o->tracing)
		tell(o->first, &list, o);
	(void)printf("%s 1 - %s\n1..1\n", sound ? "ok" : "not ok",
		     sound ? "one history" : story.failure);
	return sound ? 0 : 1;
}

static int run_many(const struct options *o)
{
	static struct choices list;
	double began = now(), took;
	uint64_t run = 0, failures = 0;

	while (run < o->count && failures < o->failures_max) {
		uint64_t seed = o->first + run;

		if (o->seconds > 0 && run % 64 == 0 && now() - began > o->seconds)
			break;
		choose_by_seed(seed, &list);
		if (!history_run()) {
			failures++;
			tell(seed, &list, o);
		}
		run++;
	}
	took = now() - began;
	(void)printf("# %llu histories from seed %llu in %.1f s, %.0f a second\n",
		     (unsigned long long)run, (unsigned long long)o->first, took,
		     (double)run / took);
	(void)printf("%s 1 - no history shows a bug\n1..1\n", failures ? "not ok" : "ok");
	return failures ? 1 : 0;
}

static int usage(const char *name)
{
	(void)fprintf(stderr,
		      "usage: %s [--seeds N] [--first S] [--seconds T] [--failures N] [--raw]\n"
		      "       %s --seed S [--trace]\n"
		      "       %s --replay LIST [--trace]\n",
		      name, name, name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "trace", no_argument, NULL, 't' },
		{ "replay", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 'T' },
		{ "raw", no_argument, NULL, 'R' },
		{ "failures", required_argument, NULL, 'F' },
		{ 0 },
	};
	struct options o = { .first = 1, .count = 10000, .failures_max = FAILURES_MAX };
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (option) {
		case 'n':
			o.count = strtoull(optarg, NULL, 10);
			break;
		case 's':
			o.one = true;
			/* fall through */
		case 'f':
			o.first = strtoull(optarg, NULL, 10);
			break;
		case 't':
			o.tracing = true;
			break;
		case 'r':
			o.one = true;
			o.list = optarg;
			break;
		case 'T':
			o.seconds = strtod(optarg, NULL);
			o.count = UINT64_MAX;
			break;
		case 'F':
			o.failures_max = strtoull(optarg, NULL, 10);
			break;
		case 'R':
			o.raw = true;
			break;
		default:
			return usage(argv[0]);
		}
	}
	catch_signals();
	return o.one ? run_one(&o) : run_many(&o);
}
