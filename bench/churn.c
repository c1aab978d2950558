/*
 * A busy directory: files are made and removed in it, one after the other, as fast as one core can.
 *
 *	churn DIR MS
 *
 * Prints how many in a second.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "measure.h"

/* The clock is looked at each so many files. */
#define BATCH 256

static void make_and_remove(int dir, unsigned i)
{
	char name[32];
	int fd;

	(void)snprintf(name, sizeof(name), "churn.%u", i);
	fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		measure_die(name);
	close(fd);
	if (unlinkat(dir, name, 0) < 0)
		measure_die(name);
}

int main(int argc, char **argv)
{
	int dir = argc == 3 ? open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	uint64_t ms = argc == 3 ? (uint64_t)atoi(argv[2]) : 0, start = measure_now_ns(), ns;
	unsigned files = 0;

	if (dir < 0 || ms == 0) {
		fprintf(stderr, "usage: churn DIR MS\n");
		return 2;
	}
	do
		for (int i = 0; i < BATCH; i++)
			make_and_remove(dir, files++);
	while ((ns = measure_now_ns() - start) < ms * NSEC_PER_MSEC);
	printf("%.0f\n", (double)files * 1e9 / (double)ns);
	close(dir);
	return 0;
}
