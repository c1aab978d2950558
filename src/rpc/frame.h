/* A frame: four bytes that say how long it is, the highest first, and so many bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES 4

/* Frames are shorter: the first byte of a length must not be a line's '{'. */
#define FRAME_BYTES_MAX UINT32_C(0x7AFFFFFF)

static inline void frame_put_length(char *to, size_t size)
{
	to[0] = (char)(size >> 24);
	to[1] = (char)(size >> 16);
	to[2] = (char)(size >> 8);
	to[3] = (char)size;
}

static inline uint32_t frame_get_length(const char *header)
{
	const unsigned char *p = (const unsigned char *)header;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
