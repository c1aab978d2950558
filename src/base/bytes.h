/*
 * Short runs of bytes: names, ids, brackets. Compared and copied where they stand: a call of
 * libc's for so few bytes takes longer than what it does (5 % of a request's time).
 *
 * From N to 2 N bytes are taken as the N at the front and the N at the end, of which the middle
 * may be the same. Nothing beyond either end is touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hot.h"

/* N to 2 N bytes. */
HOT_INLINE void bytes_copy_ends(char *to, const char *from, size_t size, size_t n)
{
	char back[16];

	memcpy(back, from + size - n, n);
	memcpy(to, from, n);
	memcpy(to + size - n, back, n);
}

/* More than 16 bytes, sixteen at a time. */
HOT_INLINE void bytes_copy_blocks(char *to, const char *from, size_t size)
{
	for (size_t i = 0; i < size - 16; i += 16)
		memcpy(to + i, from + i, 16);
	memcpy(to + size - 16, from + size - 16, 16);
}

/* One, two or three bytes. */
HOT_INLINE void bytes_copy_few(char *to, const char *from, size_t size)
{
	char middle = from[size / 2], last = from[size - 1];

	to[0] = from[0];
	to[size / 2] = middle;
	to[size - 1] = last;
}

/* As memcpy(). Return: behind the copy. */
static inline char *bytes_put(char *to, const char *from, size_t size)
{
	if (size > 128)
		memcpy(to, from, size);
	else if (size > 16)
		bytes_copy_blocks(to, from, size);
	else if (size >= 8)
		bytes_copy_ends(to, from, size, 8);
	else if (size >= 4)
		bytes_copy_ends(to, from, size, 4);
	else if (size)
		bytes_copy_few(to, from, size);
	return to + size;
}

/* Whether both have the same @size bytes. */
static inline bool bytes_are_equal(const char *a, const char *b, size_t size)
{
	if (size > 16)
		return memcmp(a, b, size) == 0;
	if (size >= 8)
		return memcmp(a, b, 8) == 0 && memcmp(a + size - 8, b + size - 8, 8) == 0;
	if (size >= 4)
		return memcmp(a, b, 4) == 0 && memcmp(a + size - 4, b + size - 4, 4) == 0;
	for (size_t i = 0; i < size; i++)
		if (a[i] != b[i])
			return false;
	return true;
}
