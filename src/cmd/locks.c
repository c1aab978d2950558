#include "cmd/locks.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/procfs.h"

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

/* A lock in a directory that several share: "HASH-NAME.lock". See guard/anchor.h. */
#define HASH_DIGITS 16

static bool is_shared_name(const char *name)
{
	size_t n = strlen(name);

	return strspn(name, "0123456789abcdef") == HASH_DIGITS && name[HASH_DIGITS] == '-' &&
	       n > 5 && strcmp(name + n - 5, ".lock") == 0;
}

/* Note the locks in shared directories that a process holds open. */
static int add_held(struct locks *locks, pid_t pid)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && r == 0 && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, path, sizeof(path) - 1);
		const char *slash;

		path[n > 0 ? n : 0] = '\0';
		slash = strrchr(path, '/');
		if (slash && is_shared_name(slash + 1))
			r = map_put(&locks->elsewhere, map_hash_text(slash + 1),
				    (void *)(uintptr_t)pid);
	}
	if (dir)
		closedir(dir);
	return r;
}

static int add_all_held(struct locks *locks)
{
	_cleanup_(map_deinit) struct map seen = MAP_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < locks->count; i++) {
		pid_t pid = locks->items[i].pid;

		if (map_get(&seen, (uint64_t)pid))
			continue;
		r = map_put(&seen, (uint64_t)pid, &seen);
		r = r < 0 ? r : add_held(locks, pid);
	}
	return r;
}

int locks_read(struct locks *ret)
{
	struct locks locks = LOCKS_INIT;
	FILE *file = fopen("/proc/locks", "re");
	char line[256];
	int r = 0;

	while (file && r == 0 && fgets(line, sizeof(line), file)) {
		struct lock lock;

		if (procfs_lock_line(line, &lock.pid, &lock.inode))
			r = add(&locks, lock);
	}
	if (file)
		(void)fclose(file);
	r = r < 0 ? r : add_all_held(&locks);
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
	map_deinit(&locks->elsewhere);
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

static pid_t holder_elsewhere(const struct locks *locks, const char *path, const char *slash)
{
	char place[PATH_MAX], name[PATH_MAX];
	int n = snprintf(place, sizeof(place), "%.*s", slash == path ? 1 : (int)(slash - path),
			 path);

	if (n < 0 || (size_t)n >= sizeof(place))
		return 0;
	n = snprintf(name, sizeof(name), "%016" PRIx64 "-%s.lock", map_hash_text(place), slash + 1);
	if (n < 0 || (size_t)n >= sizeof(name))
		return 0;
	return (pid_t)(uintptr_t)map_get(&locks->elsewhere, map_hash_text(name));
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
	return holder_elsewhere(locks, path, slash);
}
