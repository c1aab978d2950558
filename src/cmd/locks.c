#include "cmd/locks.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int add(struct locks *locks, struct lock lock)
{
	if ((locks->count & (locks->count - 1)) == 0) {
		size_t capacity = locks->count ? 2 * locks->count : 1;
		void *grown = reallocarray(locks->items, capacity, sizeof(lock));

		if (!grown)
			return -ENOMEM;
		locks->items = grown;
	}
	locks->items[locks->count++] = lock;
	return 0;
}

static int compare_locks(const void *a, const void *b)
{
	const struct lock *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

int locks_read(struct locks *ret)
{
	struct locks locks = LOCKS_INIT;
	FILE *file = fopen("/proc/locks", "re");
	char line[256];
	int r = 0;

	while (file && r == 0 && fgets(line, sizeof(line), file)) {
		struct lock lock;

		/* "1: FLOCK  ADVISORY  WRITE 812 00:1a:3345 0 EOF" */
		if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %*x:%*x:%" SCNu64, &lock.pid,
			   &lock.inode) == 2 &&
		    lock.pid > 0)
			r = add(&locks, lock);
	}
	if (file)
		(void)fclose(file);
	if (r < 0)
		locks_deinit(&locks);
	if (locks.count)
		qsort(locks.items, locks.count, sizeof(*locks.items), compare_locks);
	*ret = locks;
	return r;
}

void locks_deinit(struct locks *locks)
{
	free(locks->items);
	*locks = (struct locks)LOCKS_INIT;
}

/* The device is left out: /proc/locks and stat(2) do not agree on it everywhere
 * (btrfs, overlayfs); a lock of that inode number and that name is enough. */
static pid_t holder(const struct locks *locks, uint64_t inode)
{
	const struct lock wanted = { .inode = inode };
	const struct lock *found = bsearch(&wanted, locks->items, locks->count, sizeof(wanted),
					   compare_locks);

	return found ? found->pid : 0;
}

pid_t locks_guard_of(const struct locks *locks, const char *path, uid_t owner)
{
	const char *slash = strrchr(path, '/');
	const uid_t uids[] = { owner, 0, geteuid() };
	const char *const suffixes[] = { "", "-1" };
	char lock[PATH_MAX];
	struct stat st;

	if (!slash || locks->count == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(uids) * ARRAY_SIZE(suffixes); i++) {
		int n = snprintf(lock, sizeof(lock), "%.*s/.kedge-%u%s/%s.lock",
				 (int)(slash - path), path, uids[i / ARRAY_SIZE(suffixes)],
				 suffixes[i % ARRAY_SIZE(suffixes)], slash + 1);
		pid_t pid;

		if (n < 0 || (size_t)n >= sizeof(lock) || lstat(lock, &st) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		pid = holder(locks, st.st_ino);
		if (pid)
			return pid;
	}
	return 0;
}
