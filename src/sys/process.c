#include "sys/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/procfs.h"

/* Threads of one process that are asked what they do. */
#define THREADS_MAX 256

static int read_small(int dir, const char *name, char *ret, size_t size)
{
	_cleanup_(fd_closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return (int)n;
}

/* The kernel adds this to the link of a file that was removed or replaced. */
static void cut_deleted(char *path)
{
	static const char mark[] = " (deleted)";
	size_t n = strlen(path), m = sizeof(mark) - 1;

	if (n > m && strcmp(path + n - m, mark) == 0)
		path[n - m] = '\0';
}

static void read_exe(int dir, struct process *ret)
{
	ssize_t n = readlinkat(dir, "exe", ret->exe, sizeof(ret->exe) - 1);
	struct stat st;

	ret->exe[n > 0 ? n : 0] = '\0';
	cut_deleted(ret->exe);
	if (fstatat(dir, "exe", &st, 0) == 0) {
		ret->exe_device = st.st_dev;
		ret->exe_inode = st.st_ino;
	}
}

static int open_process(const char *pid)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%.20s", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int process_identify(pid_t pid, struct process *ret)
{
	_cleanup_(fd_closep) int dir = -EBADF;
	char number[24];
	struct stat st;

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	dir = open_process(number);
	*ret = (struct process){ .pid = pid };
	if (dir < 0 || fstat(dir, &st) < 0)
		return -ESRCH;
	ret->uid = st.st_uid;
	if (read_small(dir, "comm", ret->comm, sizeof(ret->comm)) < 0)
		return -ESRCH;
	ret->comm[strcspn(ret->comm, "\n")] = '\0';
	read_exe(dir, ret);
	return 0;
}

bool process_same_program(const struct process *a, const struct process *b)
{
	if (a->exe_inode && a->exe_device == b->exe_device && a->exe_inode == b->exe_inode)
		return true;
	return *a->exe && strcmp(a->exe, b->exe) == 0;
}

static bool thread_busy(int tasks, const char *tid)
{
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "%.20s/stat", tid);
	return read_small(tasks, path, text, sizeof(text)) >= 0 && procfs_stat_busy(text);
}

static bool threads_busy(int process)
{
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool busy = false;

	if (!tasks) {
		fd_close(fd);
		return false;
	}
	for (int i = 0; i < THREADS_MAX && !busy && (entry = readdir(tasks)); i++)
		busy = isdigit((unsigned char)entry->d_name[0]) && thread_busy(fd, entry->d_name);
	closedir(tasks);
	return busy;
}

/* Whether the link of a descriptor names that socket. */
static bool is_socket(int dir, const char *name, uint32_t socket_inode)
{
	char link[64];
	ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);

	link[n > 0 ? n : 0] = '\0';
	return socket_inode && procfs_link_socket(link) == socket_inode;
}

bool process_holds(pid_t pid, uint32_t socket_inode)
{
	char path[64];
	const struct dirent *entry;
	bool found = false;
	DIR *fds;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && !found && (entry = readdir(fds)))
		found = is_socket(dirfd(fds), entry->d_name, socket_inode);
	if (fds)
		closedir(fds);
	return found;
}

bool process_holds_at(pid_t pid, int fd, uint32_t socket_inode)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	return is_socket(AT_FDCWD, path, socket_inode);
}

bool process_busy(pid_t pid)
{
	_cleanup_(fd_closep) int dir = -EBADF;
	char number[24];

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	dir = open_process(number);
	return dir >= 0 && threads_busy(dir);
}

bool process_program_busy(const struct process *p)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool busy = false;

	while (proc && !busy && (entry = readdir(proc))) {
		_cleanup_(fd_closep) int dir = -EBADF;
		struct process other = { 0 };

		if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == getpid())
			continue;
		dir = open_process(entry->d_name);
		if (dir < 0)
			continue;
		read_exe(dir, &other);
		busy = process_same_program(p, &other) && threads_busy(dir);
	}
	if (proc)
		closedir(proc);
	return busy;
}
