/*
 * A stranger: takes paths away as standard input says, and answers with the
 * time (CLOCK_MONOTONIC, ns) at which they were gone.
 *
 *	unlink PATH	rename PATH	remove DIRECTORY
 */
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int obey(const char *word, const char *path)
{
	char aside[4096];

	if (strcmp(word, "unlink") == 0)
		return unlink(path);
	if (strcmp(word, "rename") == 0) {
		(void)snprintf(aside, sizeof(aside), "%s.aside", path);
		return rename(path, aside);
	}
	/* What is put back meanwhile must be removed as well: until nothing is in the way. */
	while (nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH) != 0)
		continue;
	return 0;
}

int main(void)
{
	char word[16], path[4096];
	struct timespec now;

	while (scanf("%15s %4095[^\n]", word, path) == 2) {
		int r = obey(word, path + strspn(path, " "));

		clock_gettime(CLOCK_MONOTONIC, &now);
		printf("%lld\n", r < 0 ? -1ll : now.tv_sec * 1000000000ll + now.tv_nsec);
		fflush(stdout);
	}
	return 0;
}
