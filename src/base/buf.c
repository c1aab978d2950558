#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* A first allocation holds a common message and its answer. */
#define BUF_CAPACITY_MIN ((size_t)512)

void buf_deinit(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

static void buf_move_to_front(struct buf *b)
{
	if (b->start == 0)
		return;
	memmove(b->data, b->data + b->start, buf_size(b));
	b->end -= b->start;
	b->start = 0;
}

int buf_grow(struct buf *b, size_t n)
{
	size_t need, capacity;
	char *data;

	if (n > SIZE_MAX / 2 - buf_size(b))
		return -ENOMEM;
	need = buf_size(b) + n;
	/* Moving pays only where it frees at least half: else it is O(n^2). */
	if (need <= b->capacity && b->start >= b->capacity / 2) {
		buf_move_to_front(b);
		return 0;
	}
	/* Room that is there but may not be moved into for each byte is doubled as well. */
	capacity = b->capacity ? b->capacity * 2 : BUF_CAPACITY_MIN;
	while (capacity < need)
		capacity *= 2;
	buf_move_to_front(b);
	data = realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n)
		memcpy(b->data + b->end, data, n);
	b->end += n;
	return 0;
}

int buf_appendf(struct buf *b, const char *format, ...)
{
	va_list args;
	int n, r;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	/* Text beyond INT_MAX bytes, or no memory within printf. */
	if (n < 0)
		return -ENOMEM;
	/* One more for the NUL that vsnprintf() writes and nobody counts. */
	r = buf_reserve(b, (size_t)n + 1);
	if (r < 0)
		return r;
	va_start(args, format);
	(void)vsnprintf(b->data + b->end, (size_t)n + 1, format, args);
	va_end(args);
	b->end += (size_t)n;
	return 0;
}

void buf_trim(struct buf *b, size_t keep)
{
	if (buf_size(b) == 0 && b->capacity > keep)
		buf_deinit(b);
}
