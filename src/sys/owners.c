#include "sys/owners.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/un.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "sys/procfs.h"

#define STATUS_BYTES_MAX 1024

/* "socket:[4294967295]" and more than that. */
#define LINK_BYTES_MAX 64

/* A walk over /proc. */
struct walk {
	struct map wanted; /* socket inode -> struct holders, as a number */
	struct owners found;
	struct owner process; /* the one that is gone through, once it is described */
};

/* What the map says of a wanted socket: how many hold it, and who was the last. The
 * descriptors of one process come together, so that is enough to count it once. */
#define HOLDERS_NONE    1 /* a map has no place for 0 */
#define HOLDERS_BITS    8
#define HOLDERS_OF(n)   ((unsigned)((n) & ((1u << HOLDERS_BITS) - 1)))
#define HOLDERS_LAST(n) ((pid_t)((n) >> HOLDERS_BITS))

_Static_assert(OWNERS_PER_SOCKET_MAX + HOLDERS_NONE < 1 << HOLDERS_BITS, "the count has room");

static int compare_owners(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	if (x->socket_inode != y->socket_inode)
		return x->socket_inode < y->socket_inode ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* The socket that a descriptor's link names. Return: its inode; 0: no socket; -EACCES, -EPERM:
 * none of the process's links may be read. */
static int64_t socket_of(int fds, const char *name)
{
	char text[LINK_BYTES_MAX];
	ssize_t n = readlinkat(fds, name, text, sizeof(text) - 1);

	if (n < 0 && (errno == EACCES || errno == EPERM))
		return -errno;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return procfs_link_socket(text);
}

/* Fill in what /proc/PID tells of the process. */
static int describe(int process, struct owner *o)
{
	char status[STATUS_BYTES_MAX], exe[PATH_MAX];
	_cleanup_(fd_closep) int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, o->comm, sizeof(o->comm) - 1);

	if (n > 0 && o->comm[n - 1] == '\n')
		n--;
	o->comm[n > 0 ? n : 0] = '\0';
	fd_close(fd);
	fd = openat(process, "status", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);
	status[n > 0 ? n : 0] = '\0';
	o->uid = procfs_status_uid(status);
	n = readlinkat(process, "exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	o->exe = strdup(exe);
	return o->exe ? 0 : -ENOMEM;
}

static int append_owner(struct owners *found, const struct owner *owner)
{
	if ((found->count & (found->count - 1)) == 0) {
		size_t capacity = found->count ? 2 * found->count : 1;
		void *grown = reallocarray(found->items, capacity, sizeof(*owner));

		if (!grown)
			return -ENOMEM;
		found->items = grown;
	}
	found->items[found->count] = *owner;
	found->items[found->count].exe = strdup(owner->exe);
	if (!found->items[found->count].exe)
		return -ENOMEM;
	found->count++;
	return 0;
}

static int add_owner(struct walk *w, int process, int fd, uint32_t inode)
{
	uintptr_t holders = (uintptr_t)map_get(&w->wanted, inode);
	unsigned count = HOLDERS_OF(holders);
	struct owner *o = &w->process;
	int r;

	if (!holders || count > OWNERS_PER_SOCKET_MAX || HOLDERS_LAST(holders) == o->pid)
		return 0;
	/* Most processes hold none: they cost no more than the walk. */
	r = o->exe ? 0 : describe(process, o);
	if (r < 0)
		return r;
	o->socket_inode = inode;
	o->fd = fd;
	r = append_owner(&w->found, o);
	holders = (uintptr_t)o->pid << HOLDERS_BITS | (count + 1);
	return r < 0 ? r : map_put(&w->wanted, inode, (void *)holders);
}

/* Whether we are short of something that the whole walk needs. */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static int walk_process(struct walk *w, int proc, const char *name)
{
	_cleanup_(fd_closep) int process = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fds = process < 0 ? -1 : openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = is_shortage(errno) ? -errno : 0;
		/* A process that ended meanwhile (ENOENT, ESRCH) hides nothing. */
		w->found.hidden += errno == EACCES || errno == EPERM;
		fd_close(fds);
		return r;
	}
	w->process = (struct owner){ .pid = atoi(name) };
	while (r == 0 && (entry = readdir(dir))) {
		int64_t inode = isdigit((unsigned char)entry->d_name[0])
					? socket_of(fds, entry->d_name)
					: 0;

		/* Who may list the descriptors and not read them may read none: stop. */
		if (inode < 0) {
			w->found.hidden++;
			break;
		}
		if (inode)
			r = add_owner(w, process, atoi(entry->d_name), (uint32_t)inode);
	}
	free(w->process.exe);
	closedir(dir);
	return r;
}

static int walk_all(struct walk *w)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = walk_process(w, dirfd(proc), entry->d_name);
	closedir(proc);
	return r;
}

int owners_find(const uint32_t *socket_inodes, size_t count, struct owners *ret)
{
	struct walk w = { .wanted = MAP_INIT };
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = map_put(&w.wanted, socket_inodes[i], (void *)(uintptr_t)HOLDERS_NONE);
	if (r == 0 && count)
		r = walk_all(&w);
	map_deinit(&w.wanted);
	if (r < 0) {
		owners_deinit(&w.found);
		return r;
	}
	if (w.found.count)
		qsort(w.found.items, w.found.count, sizeof(*w.found.items), compare_owners);
	*ret = w.found;
	return 0;
}

void owners_deinit(struct owners *owners)
{
	for (size_t i = 0; i < owners->count; i++)
		free(owners->items[i].exe);
	free(owners->items);
	*owners = (struct owners)OWNERS_INIT;
}

const struct owner *owners_of(const struct owners *owners, uint32_t socket_inode, size_t *ret_count)
{
	size_t low = 0, high = owners->count, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owners->items[middle].socket_inode < socket_inode)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < owners->count && owners->items[low + n].socket_inode == socket_inode)
		n++;
	*ret_count = n;
	return n ? &owners->items[low] : NULL;
}

const struct owner *owners_main(const struct owners *owners, uint32_t socket_inode)
{
	size_t n;
	const struct owner *first = owners_of(owners, socket_inode, &n);

	return first && first->pid == 1 && n > 1 ? first + 1 : first;
}

int owner_hold(const struct owner *owner)
{
	char path[64];
	_cleanup_(fd_closep) int pidfd = (int)syscall(SYS_pidfd_open, owner->pid, 0);
	_cleanup_(fd_closep) int process = -EBADF;

	if (pidfd < 0)
		return -errno;
	/* /proc/PID as it is opened now is the pidfd's process, if that lives afterwards. */
	(void)snprintf(path, sizeof(path), "/proc/%d", owner->pid);
	process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "fd/%d", owner->fd);
	if (process < 0 || socket_of(process, path) != owner->socket_inode ||
	    !owner_is_alive(pidfd))
		return -ESRCH;
	return steal_fd(&pidfd);
}

bool owner_is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

int owner_take(const struct owner *owner, int pidfd)
{
	_cleanup_(fd_closep) int fd = (int)syscall(SYS_pidfd_getfd, pidfd, owner->fd, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	/* The number may stand for another file by now. */
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_ino != owner->socket_inode)
		return -ESRCH;
	return steal_fd(&fd);
}

int socket_inode(int fd)
{
	int handle = ioctl(fd, SIOCUNIXFILE);

	return handle < 0 ? -errno : handle;
}

int owner_take_inode(const struct owner *owner, int pidfd)
{
	/* Closed again at once: with it we would keep a listener open that nobody serves. */
	_cleanup_(fd_closep) int fd = owner_take(owner, pidfd);

	return fd < 0 ? steal_fd(&fd) : socket_inode(fd);
}
