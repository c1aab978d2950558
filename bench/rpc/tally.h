/*
 * What a bench counts: latencies in a histogram, time, and the server's CPU and
 * memory. Shared by all the drivers, so that all figures mean the same.
 */
#pragma once

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Buckets of 1/32 of a power of two: an error of 3 % at the most. */
#define TALLY_SUB_BITS 5
#define TALLY_BUCKETS  (64 << TALLY_SUB_BITS)

struct tally {
	uint64_t buckets[TALLY_BUCKETS];
	uint64_t count;
	uint64_t begin_ns;
	double begin_cpu;
	long pid;
};

static inline uint64_t tally_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline unsigned tally_bucket(uint64_t ns)
{
	unsigned power;

	if (ns < (1u << TALLY_SUB_BITS))
		return (unsigned)ns;
	power = 63u - (unsigned)__builtin_clzll(ns);
	return ((power - TALLY_SUB_BITS + 1) << TALLY_SUB_BITS) +
	       (unsigned)((ns >> (power - TALLY_SUB_BITS)) & ((1u << TALLY_SUB_BITS) - 1));
}

/* The lower end of a bucket. */
static inline double tally_value(unsigned bucket)
{
	unsigned power = bucket >> TALLY_SUB_BITS, sub = bucket & ((1u << TALLY_SUB_BITS) - 1);

	if (power == 0)
		return bucket;
	return (double)(((uint64_t)sub + (1u << TALLY_SUB_BITS)) << (power - 1));
}

static inline void tally_add(struct tally *t, uint64_t ns, unsigned count)
{
	t->buckets[tally_bucket(ns)] += count;
	t->count += count;
}

/* Seconds that a thread ran. The scheduler counts them in nanoseconds, where the user and
 * system times of /proc are counted in ticks of a hundredth. */
static inline double tally_thread_cpu(long pid, const char *thread)
{
	unsigned long long ran_ns = 0;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/task/%.32s/schedstat", pid, thread);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &ran_ns) != 1)
		ran_ns = 0;
	fclose(f);
	return (double)ran_ns / 1e9;
}

/* The same of all threads that a process has now; the peers keep theirs. */
static inline double tally_cpu(long pid)
{
	const struct dirent *entry;
	char path[64];
	double sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	dir = pid ? opendir(path) : NULL;
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += tally_thread_cpu(pid, entry->d_name);
	closedir(dir);
	return sum;
}

/* The most memory that it ever had resident, in KiB. */
static inline long tally_peak_kib(long pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	f = pid ? fopen(path, "r") : NULL;
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmHWM: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* What was counted so far was to get warm. */
static inline void tally_begin(struct tally *t, long pid)
{
	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->begin_ns = tally_now_ns();
	t->begin_cpu = tally_cpu(pid);
}

static inline double tally_percentile_us(const struct tally *t, double share)
{
	uint64_t wanted = (uint64_t)((double)t->count * share), seen = 0;

	for (unsigned i = 0; i < TALLY_BUCKETS; i++) {
		seen += t->buckets[i];
		if (seen > wanted)
			return tally_value(i) / 1000;
	}
	return 0;
}

static inline void tally_print(const struct tally *t)
{
	double seconds = (double)(tally_now_ns() - t->begin_ns) / 1e9;
	double cpu = tally_cpu(t->pid) - t->begin_cpu;

	printf("{\"per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"cpu_s\":%.3f,"
	       "\"per_cpu_s\":%.0f,\"peak_kib\":%ld}\n",
	       (double)t->count / seconds, tally_percentile_us(t, 0.5),
	       tally_percentile_us(t, 0.99), tally_percentile_us(t, 0.999), cpu,
	       cpu > 0 ? (double)t->count / cpu : 0, tally_peak_kib(t->pid));
	fflush(stdout);
}

/* What the drivers are told: PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]. */
struct load {
	const char *path;
	unsigned connections, depth;
	size_t payload;
	double seconds;
	long pid;
	uint64_t warm_ns, end_ns; /* see load_is_over() */
};

static inline long load_number(const char *text, long low, long high)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < low || value > high) {
		fprintf(stderr, "%s: a number from %ld to %ld\n", text, low, high);
		exit(2);
	}
	return value;
}

static inline void load_read(struct load *l, int argc, char **argv)
{
	if (argc < 5) {
		fputs("wanted: PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]\n", stderr);
		exit(2);
	}
	memset(l, 0, sizeof(*l));
	l->path = argv[0];
	l->connections = (unsigned)load_number(argv[1], 1, 100000);
	l->depth = (unsigned)load_number(argv[2], 1, 4096);
	l->payload = (size_t)load_number(argv[3], 1, 16 << 20);
	l->seconds = (double)load_number(argv[4], 1, 3600);
	l->pid = argc > 5 ? load_number(argv[5], 1, 1L << 22) : 0;
}

/* How long the first answers may take: some need seconds for a thousand connections. */
#define LOAD_WARM_MAX_NS 8000000000u

/* All is connected: a tenth of the time to get warm, which is not counted, then the rest. */
static inline void load_begin(struct load *l)
{
	l->warm_ns = tally_now_ns() + (uint64_t)(l->seconds * 1e8);
}

/* Asked again and again while the load runs. Warm it is when each request in flight had an
 * answer, too. */
static inline int load_is_over(struct load *l, struct tally *t)
{
	uint64_t now = tally_now_ns();

	if (!l->warm_ns)
		return now >= l->end_ns;
	if (now < l->warm_ns ||
	    (t->count < (uint64_t)l->connections * l->depth && now < l->warm_ns + LOAD_WARM_MAX_NS))
		return 0;
	l->warm_ns = 0;
	l->end_ns = now + (uint64_t)(l->seconds * 1e9);
	tally_begin(t, l->pid);
	return 0;
}
