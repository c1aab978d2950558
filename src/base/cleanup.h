/*
 * Base: buffers, lists, maps, errors. Knows nothing of sockets or JSON.
 *
 * This header: ownership by scope. A variable marked _cleanup_(f) is released
 * by f when it leaves its scope; the good way out takes it with steal_*().
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Define noun_freep() for a type that has `struct noun *noun_free(struct noun *)`. */
#define DEFINE_CLEANUP(type, free_function)                                                        \
	static inline void free_function##p(type *p)                                               \
	{                                                                                          \
		if (*p)                                                                            \
			free_function(*p);                                                         \
	}                                                                                          \
	struct kedge_swallow_semicolon

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Close and forget: always returns -EBADF, so `fd = fd_close(fd)` reads well. */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -EBADF;
}

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})
