/*
 * Runs of plain characters: where a string ends, sixteen bytes at a time. Apart
 * from json.c, so that the names and ids that every message has, which are
 * short, are passed over where they stand, without a call.
 */
#pragma once

#include <stdbool.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "wire/json.h"

/* A byte that ends a run of plain characters: a quote, an escape, control, non-ASCII. */
static inline bool is_special(char c)
{
	return c == '"' || c == '\\' || (unsigned char)c < 0x20 || (unsigned char)c >= 0x80;
}

#ifdef __SSE2__
#define PLAIN_BLOCK_BYTES 16

/*
 * A bit for each special byte of sixteen. As signed numbers both control characters and
 * bytes from 0x80 on are below 0x20.
 */
static inline __m128i special_bytes(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);

	return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
					 _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))),
			    _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
}
#endif

/* As json_skip_string(), quick where the string is short and plain. */
static inline const char *json_skip_short_string(const char *p, const char *end)
{
#ifdef __SSE2__
	if (end - p > PLAIN_BLOCK_BYTES) {
		unsigned mask = (unsigned)_mm_movemask_epi8(special_bytes(p + 1));
		const char *first = p + 1 + (mask ? __builtin_ctz(mask) : 0);

		if (mask && *first == '"')
			return first + 1;
	}
#endif
	return json_skip_string(p, end);
}
