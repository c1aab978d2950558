/*
 * A byte buffer: appended to at its end, consumed from its front.
 *
 * The bytes that wait are data[start .. end). Consuming moves `start`;
 * growing moves the bytes back to the front first, so a buffer that is
 * filled and emptied in turn stays where it is and never allocates again.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct buf {
	char *data;
	size_t start, end, capacity;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		0                                                                                  \
	}

/* Free the memory; the buffer is empty and may be used again. */
void buf_deinit(struct buf *b);

static inline size_t buf_size(const struct buf *b)
{
	return b->end - b->start;
}

static inline char *buf_front(const struct buf *b)
{
	/* Without memory there is nothing to add to: not even 0, says the standard. */
	return b->start ? b->data + b->start : b->data;
}

/* What buf_reserve() does where there is no room yet. */
int buf_grow(struct buf *b, size_t n);

/**
 * buf_reserve() - make room for @n more bytes behind the end
 *
 * Pointers into the buffer are void afterwards. The memory doubles, so that
 * appending n bytes one by one costs O(n).
 *
 * Return: 0, or -ENOMEM (nothing changed).
 */
static inline int buf_reserve(struct buf *b, size_t n)
{
	return b->capacity - b->end >= n ? 0 : buf_grow(b, n);
}

/* Append a copy of @n bytes. Return: 0, or -ENOMEM (nothing changed). */
int buf_append(struct buf *b, const void *data, size_t n);

/* Append the text of a printf format, without a NUL. Return: 0, or -ENOMEM. */
int buf_appendf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drop @n bytes from the front; @n is at most buf_size(). */
static inline void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_size(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

/* Give memory beyond @keep bytes back, where the buffer is empty and larger. */
void buf_trim(struct buf *b, size_t keep);
