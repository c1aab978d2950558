#include "lose.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "measure.h"

static const char *dir_of(const char *path, char dir[PATH_MAX])
{
	(void)snprintf(dir, PATH_MAX, "%s", path);
	return dirname(dir);
}

static int lose_unlink(const char *path)
{
	return unlink(path);
}

/* To a name that is free: a rename of one link onto another of the same inode does nothing. */
static int lose_rename(const char *path)
{
	static unsigned n;
	char away[PATH_MAX];

	(void)snprintf(away, sizeof(away), "%s.%u", path, n++);
	return rename(path, away);
}

/* All that is in the directory, the anchors first, and the directory itself. */
static int lose_directory(const char *path)
{
	char room[PATH_MAX], anchors[PATH_MAX + 32];
	const char *dir = dir_of(path, room);

	(void)snprintf(anchors, sizeof(anchors), "%s/.kedge-%u", dir, (unsigned)geteuid());
	for (;;) {
		lose_empty(anchors);
		(void)rmdir(anchors);
		lose_empty(dir);
		if (rmdir(dir) == 0)
			return 0;
		/* Somebody puts it back at once: once more, until we were quicker. */
		if (errno != ENOTEMPTY)
			return -1;
	}
}

/* As a second instance leaves it that was started and killed: bound, with nobody behind it. */
static int lose_replace(const char *path)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	char stale[PATH_MAX];

	(void)snprintf(stale, sizeof(stale), "%s.stale", path);
	measure_address(&address, stale);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return rename(stale, path);
}

const struct lose_way lose_ways[] = {
	{ "unlink", "unlink", lose_unlink },
	{ "rename", "rename", lose_rename },
	{ "rmtree", "directory removed", lose_directory },
	{ "replace", "replaced, stale", lose_replace },
};
const size_t lose_way_count = ARRAY_SIZE(lose_ways);

const struct lose_way *lose_find(const char *name)
{
	for (size_t i = 0; i < lose_way_count; i++)
		if (strcmp(lose_ways[i].name, name) == 0)
			return &lose_ways[i];
	return NULL;
}

static void remove_files(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

void lose_empty(const char *dir)
{
	remove_files(dir, "");
}

void lose_tidy(const char *path)
{
	char dir[PATH_MAX], prefix[NAME_MAX + 2];

	(void)snprintf(prefix, sizeof(prefix), "%s.", strrchr(path, '/') + 1);
	remove_files(dir_of(path, dir), prefix);
}
