#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kedge/guard.h"
#include "kedge/watchdog.h"

struct point {
	const char *name;
	enum fault_family family;
	int errors[6]; /* that it may have, 0 at the end */
};

static struct fault planned;
static _Atomic bool armed;
static _Atomic unsigned calls;
static _Atomic long blocks;
static const struct point *_Atomic hit;
static struct fault_hit *shared;

/* How deep this thread is within kedge. */
static _Thread_local int inside;

static bool is_ours(void)
{
	return inside > 0 || gettid() != getpid();
}

struct fault_hit *fault_share(void)
{
	void *memory = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	shared = memory == MAP_FAILED ? NULL : memory;
	return shared;
}

void fault_arm(const struct fault *fault)
{
	planned = *fault;
	hit = NULL;
	calls = 0;
	armed = true;
}

void fault_lift(void)
{
	armed = false;
}

long fault_blocks(void)
{
	return blocks;
}

/* Is this call to fail? Return: the error, or 0. */
static int fault_due(const struct point *point)
{
	unsigned count = 0;

	if (!armed || point->family != planned.family || !is_ours())
		return 0;
	if (hit)
		return planned.lasting && hit == point ? shared->error : 0;
	if (++calls != planned.at)
		return 0;
	while (point->errors[count])
		count++;
	shared->error = point->errors[planned.which % count];
	(void)snprintf(shared->name, sizeof(shared->name), "%s", point->name);
	hit = point;
	return shared->error;
}

/* --- memory ------------------------------------------------------------------------------ */

#define WRAPS(type, name, ...)                                                                     \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAPS(void *, malloc, size_t size);
WRAPS(void *, calloc, size_t n, size_t size);
WRAPS(void *, realloc, void *old, size_t size);
WRAPS(char *, strdup, const char *text);
WRAPS(char *, strndup, const char *text, size_t size);
WRAPS(void, free, void *block);

static const struct point allocation = { "malloc", FAULT_MEMORY, { ENOMEM } };

static void *counted(void *block)
{
	if (block && is_ours())
		blocks++;
	return block;
}

static bool no_memory(void)
{
	int error = fault_due(&allocation);

	if (error)
		errno = error;
	return error != 0;
}

void *__wrap_malloc(size_t size)
{
	return no_memory() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *block;

	if (no_memory())
		return NULL;
	block = __real_realloc(old, size);
	return old ? block : counted(block);
}

char *__wrap_strdup(const char *text)
{
	return no_memory() ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
	return no_memory() ? NULL : counted(__real_strndup(text, size));
}

void __wrap_free(void *block)
{
	if (block && is_ours())
		blocks--;
	__real_free(block);
}

/* --- system calls ------------------------------------------------------------------------ */

#define FAILS(type, name, params, args, ...)                                                       \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		static const struct point point = { #name, FAULT_SYSTEM, { __VA_ARGS__ } };        \
		int error = fault_due(&point);                                                     \
                                                                                                   \
		if (!error)                                                                        \
			return __real_##name args;                                                 \
		errno = error;                                                                     \
		return -1;                                                                         \
	}

FAILS(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode), EMFILE, ENOENT,
      EACCES, ENOMEM)
FAILS(int, openat64, (int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode),
      EMFILE, ENOENT, EACCES, ENOSPC)
FAILS(int, stat64, (const char *path, struct stat *st), (path, st), EACCES, ENOMEM, ENOENT)
FAILS(int, lstat64, (const char *path, struct stat *st), (path, st), EACCES, ENOMEM)
FAILS(int, fstat64, (int fd, struct stat *st), (fd, st), ENOMEM, EIO)
FAILS(int, fstatat64, (int dir, const char *path, struct stat *st, int flags),
      (dir, path, st, flags), EACCES, EIO, ENOMEM)
FAILS(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), EACCES, ENOSPC,
      EROFS)
FAILS(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), EACCES, EROFS,
      EBUSY)
FAILS(int, linkat, (int from, const char *old, int to, const char *path, int flags),
      (from, old, to, path, flags), ENOSPC, EPERM, EACCES, EXDEV, EMLINK)
FAILS(int, renameat, (int from, const char *old, int to, const char *path), (from, old, to, path),
      EACCES, ENOSPC)
FAILS(int, renameat2, (int from, const char *old, int to, const char *path, unsigned flags),
      (from, old, to, path, flags), EACCES, ENOSPC, EXDEV, EINVAL, EROFS)
FAILS(int, chmod, (const char *path, mode_t mode), (path, mode), EPERM, EROFS)
FAILS(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM)
FAILS(int, flock, (int fd, int how), (fd, how), ENOLCK, EWOULDBLOCK)
FAILS(ssize_t, pread64, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), EIO)
FAILS(ssize_t, pwrite64, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), ENOSPC,
      EIO)
FAILS(ssize_t, read, (int fd, void *to, size_t n), (fd, to, n), EINTR, EIO)
FAILS(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, ENOMEM,
      ENFILE)
FAILS(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), ENOSPC, EACCES,
      EADDRINUSE, EROFS, ENOENT)
FAILS(int, listen, (int fd, int backlog), (fd, backlog), ENOMEM)
FAILS(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), EAGAIN, ENOMEM)
FAILS(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags), ENOBUFS)
FAILS(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags), ENOBUFS)
FAILS(int, getsockopt, (int fd, int level, int name, void *to, socklen_t *n),
      (fd, level, name, to, n), ENOBUFS)
FAILS(int, poll, (struct pollfd * p, nfds_t n, int wait_ms), (p, n, wait_ms), EINTR, ENOMEM)
FAILS(int, epoll_create1, (int flags), (flags), EMFILE, ENOMEM)
FAILS(int, epoll_ctl, (int fd, int op, int of, struct epoll_event *event), (fd, op, of, event),
      ENOMEM, ENOSPC)
FAILS(int, inotify_init1, (int flags), (flags), EMFILE, ENOMEM)
FAILS(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), ENOSPC,
      ENOMEM, EACCES)
FAILS(int, inotify_rm_watch, (int fd, int watch), (fd, watch), EINVAL)
FAILS(int, eventfd, (unsigned value, int flags), (value, flags), EMFILE, ENOMEM)

int __real_fcntl64(int fd, int what, long arg);
int __wrap_fcntl64(int fd, int what, long arg);

/* Only what makes a descriptor can fail. */
int __wrap_fcntl64(int fd, int what, long arg)
{
	static const struct point point = { "fcntl", FAULT_SYSTEM, { EMFILE } };
	int error = what == F_DUPFD_CLOEXEC ? fault_due(&point) : 0;

	if (!error)
		return __real_fcntl64(fd, what, arg);
	errno = error;
	return -1;
}

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *a, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *a, void *(*run)(void *), void *arg);

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *a, void *(*run)(void *), void *arg)
{
	static const struct point point = { "pthread_create", FAULT_SYSTEM, { EAGAIN } };
	int error = fault_due(&point);

	return error ? error : __real_pthread_create(ret, a, run, arg);
}

/* --- the ways into kedge ----------------------------------------------------------------- */

#define ENTERS(type, name, params, args)                                                           \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		type result;                                                                       \
                                                                                                   \
		inside++;                                                                          \
		result = __real_##name args;                                                       \
		inside--;                                                                          \
		return result;                                                                     \
	}

ENTERS(int, kedge_guard_new, (struct kedge_guard * *ret, const struct kedge_guard_options *o),
       (ret, o))
ENTERS(struct kedge_guard *, kedge_guard_free, (struct kedge_guard * guard), (guard))
ENTERS(int, kedge_guard_listen,
       (struct kedge_guard * guard, const char *path, const struct kedge_listen_options *o,
	int *ret_fd, struct kedge_error *error),
       (guard, path, o, ret_fd, error))
ENTERS(int, kedge_guard_adopt,
       (struct kedge_guard * guard, const char *path, int fd, const struct kedge_listen_options *o,
	struct kedge_error *error),
       (guard, path, fd, o, error))
ENTERS(int, kedge_guard_close, (struct kedge_guard * guard, const char *path), (guard, path))
ENTERS(int, kedge_guard_process, (struct kedge_guard * guard), (guard))
ENTERS(int, kedge_watchdog_new,
       (struct kedge_watchdog * *ret, const struct kedge_watchdog_options *o,
	struct kedge_error *error),
       (ret, o, error))
ENTERS(int, kedge_watchdog_start, (struct kedge_watchdog * dog, struct kedge_error *error),
       (dog, error))
ENTERS(int, kedge_watchdog_stop, (struct kedge_watchdog * dog), (dog))
ENTERS(struct kedge_watchdog *, kedge_watchdog_free, (struct kedge_watchdog * dog), (dog))
