#include "cmd/whereabouts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/procfs.h"

/* "/proc/PID/" and what we read there. */
struct proc_path {
	char text[32 + NAME_MAX];
};

static struct proc_path proc_path(pid_t pid, const char *what)
{
	struct proc_path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/%d/%.*s", pid, NAME_MAX, what);
	return path;
}

int name_of_inode(const char *dir, const struct diag_socket *s, struct found_name *ret)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!stream)
		return -errno;
	while (r == 0 && (entry = readdir(stream))) {
		struct stat st;

		/* The entry's own number first: most names cost no look. */
		if ((uint32_t)entry->d_ino != s->path_inode ||
		    fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISSOCK(st.st_mode) || !diag_is_at(s, st.st_dev, st.st_ino))
			continue;
		(void)snprintf(ret->text, sizeof(ret->text), "%s", entry->d_name);
		r = 1;
	}
	closedir(stream);
	return r;
}

/* Whether the owner sees other directories than we do. Not to be told: no. */
static bool has_foreign_root(pid_t pid)
{
	struct stat theirs, ours;

	if (stat(proc_path(pid, "ns/mnt").text, &theirs) == 0 &&
	    stat("/proc/self/ns/mnt", &ours) == 0 && theirs.st_ino != ours.st_ino)
		return true;
	return stat(proc_path(pid, "root").text, &theirs) == 0 && stat("/", &ours) == 0 &&
	       (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev);
}

/* Open what stands at an absolute path, as the owner sees it. Links in it begin at its
 * root, not at ours. Return: an O_PATH descriptor or -errno. */
static int open_as_seen(const struct surveyed *item, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	_cleanup_(fd_closep) int root = -EBADF;
	int fd;

	if (!item->foreign_root) {
		fd = open(path, O_PATH | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	root = open(proc_path(item->owner->pid, "root").text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* Whether a file system is mounted where we are. Device numbers are the kernel's own both
 * in sock_diag and in mountinfo. */
static bool is_mounted_here(uint32_t device)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t capacity = 0;
	bool found = false;

	while (file && !found && getline(&line, &capacity, file) > 0) {
		uint32_t mounted;

		found = procfs_mount_device(line, &mounted) && mounted == device;
	}
	if (file)
		(void)fclose(file);
	return found;
}

/* Nothing stands at the path. Where the owner may not be looked into, it may have meant a
 * path of a container's, which only its file system tells. */
static enum survey_state judge_nothing(const struct surveyed *item)
{
	if (item->owner || (is_mounted_here(item->socket.path_device) &&
			    strncmp(item->socket.name, "/proc/self/", 11) != 0))
		return SURVEY_LOST;
	return SURVEY_UNKNOWN;
}

static void judge(struct surveyed *item, const char *path)
{
	_cleanup_(fd_closep) int fd = open_as_seen(item, path);
	struct stat st;

	item->error = 0;
	if (fd == -ENOENT || fd == -ENOTDIR) {
		item->state = judge_nothing(item);
	} else if (fd < 0 || fstat(fd, &st) < 0) {
		item->state = SURVEY_UNKNOWN;
		item->error = fd < 0 ? fd : -errno;
	} else if (S_ISSOCK(st.st_mode) && diag_is_at(&item->socket, st.st_dev, st.st_ino)) {
		item->state = SURVEY_REACHABLE;
	} else {
		item->state = SURVEY_REPLACED;
	}
}

/* ".../.kedge-UID/NAME.GEN" was published as ".../NAME". Return: that, or NULL. */
static char *published_path(const char *dir, const char *anchor)
{
	const char *last = strrchr(dir, '/'), *dot = strrchr(anchor, '.');
	char *path;

	if (!last || strncmp(last, "/.kedge-", 8) != 0 || !dot || dot == anchor ||
	    !isdigit((unsigned char)dot[1]) || dot[1 + strspn(dot + 1, "0123456789")])
		return NULL;
	return asprintf(&path, "%.*s/%.*s", (int)(last - dir), dir, (int)(dot - anchor), anchor) < 0
		       ? NULL
		       : path;
}

/*
 * A socket that was bound through an open directory, as kedge does (and whoever
 * has long paths): the kernel keeps the name "/proc/self/fd/N/NAME". While its
 * maker holds the directory, it tells the rest.
 */
static char *path_through_directory(const struct surveyed *item)
{
	char dir[PATH_MAX];
	struct found_name name;
	char *path;
	int fd, used = 0;
	ssize_t n;

	if (sscanf(item->socket.name, "/proc/self/fd/%d/%n", &fd, &used) != 1 || !used ||
	    !item->owner)
		return NULL;
	(void)snprintf(name.text, sizeof(name.text), "fd/%d", fd);
	n = readlink(proc_path(item->owner->pid, name.text).text, dir, sizeof(dir) - 1);
	if (n <= 0 || dir[0] != '/')
		return NULL;
	dir[n] = '\0';
	(void)snprintf(name.text, sizeof(name.text), "%s", item->socket.name + used);
	path = published_path(dir, name.text);
	/* One with a long name was bound under a short one and renamed. */
	if (!path && !item->foreign_root && name_of_inode(dir, &item->socket, &name) == 1)
		path = published_path(dir, name.text);
	if (!path && asprintf(&path, "%s/%s", dir, name.text) < 0)
		path = NULL;
	return path;
}

/* A relative path was bound in the directory its maker was in then; if it still is, the
 * inode proves it. */
static char *path_from_directory(struct surveyed *item)
{
	char dir[PATH_MAX];
	char *path;
	ssize_t n = item->owner ? readlink(proc_path(item->owner->pid, "cwd").text, dir,
					   sizeof(dir) - 1)
				: -1;

	if (n <= 0)
		return NULL;
	dir[n] = '\0';
	if (asprintf(&path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, item->socket.name) < 0)
		return NULL;
	judge(item, path);
	if (item->state == SURVEY_REACHABLE)
		return path;
	free(path);
	return NULL;
}

static char *abstract_name(const struct diag_socket *s)
{
	char *name = malloc((size_t)s->name_size + 1);

	if (!name)
		return NULL;
	for (size_t i = 0; i < s->name_size; i++)
		name[i] = s->name[i] ? s->name[i] : '@';
	name[s->name_size] = '\0';
	return name;
}

int whereabouts(struct surveyed *item)
{
	item->foreign_root = item->owner && has_foreign_root(item->owner->pid);
	if (diag_is_abstract(&item->socket)) {
		item->state = SURVEY_ABSTRACT;
		item->path = abstract_name(&item->socket);
	} else if (item->socket.name[0] != '/') {
		item->path = path_from_directory(item);
		if (!item->path) {
			item->state = SURVEY_UNKNOWN;
			item->error = 0;
			item->path = strdup(item->socket.name);
		}
	} else {
		item->path = path_through_directory(item);
		if (!item->path)
			item->path = strdup(item->socket.name);
		if (item->path)
			judge(item, item->path);
	}
	return item->path ? 0 : -ENOMEM;
}
