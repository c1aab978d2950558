/*
 * Runs of plain characters: where a string ends, a block of bytes at a time. Apart
 * from json.c, so that the names and ids that every message has, which are
 * short, are passed over where they stand, without a call.
 *
 * A block is sixteen bytes with SSE2, which every x86-64 has, and else the eight of a word.
 * Both are tested by the same tests: see meson.build.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) && !defined(KEDGE_PORTABLE)
#define PLAIN_SSE2
#include <emmintrin.h>
#else
#include <endian.h>
#endif

#include "wire/json.h"

/* A byte that ends a run of plain characters: a quote, an escape, control, non-ASCII. */
static inline bool is_special(char c)
{
	return c == '"' || c == '\\' || (unsigned char)c < 0x20 || (unsigned char)c >= 0x80;
}

#ifdef PLAIN_SSE2
#define PLAIN_BLOCK_BYTES 16

/*
 * The upper bit is set in each of sixteen bytes that is special. As signed numbers both control
 * characters and bytes from 0x80 on are below 0x20, and what is left of them negative.
 */
static inline __m128i special_bytes(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);

	return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
					 _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))),
			    _mm_subs_epi8(bytes, _mm_set1_epi8(0x20)));
}

/* A bit for each special byte of the block at @p, the first lowest. */
static inline uint64_t special_mask(const char *p)
{
	return (unsigned)_mm_movemask_epi8(special_bytes(p));
}

/* How many bytes are plain before the first that is special; @mask is not 0. */
static inline unsigned plain_before(uint64_t mask)
{
	return (unsigned)__builtin_ctzll(mask);
}

/* The first special byte of the four blocks at @p; NULL: there is none. */
static inline const char *special_in_four_blocks(const char *p)
{
	uint64_t mask = special_mask(p) | special_mask(p + PLAIN_BLOCK_BYTES) << 16 |
			special_mask(p + 2 * PLAIN_BLOCK_BYTES) << 32 |
			special_mask(p + 3 * PLAIN_BLOCK_BYTES) << 48;

	return mask ? p + plain_before(mask) : NULL;
}

/* Whether none of the four blocks at @p has a special byte: one branch for all of them. */
static inline bool four_blocks_are_plain(const char *p)
{
	__m128i low = _mm_or_si128(special_bytes(p), special_bytes(p + PLAIN_BLOCK_BYTES));
	__m128i high = _mm_or_si128(special_bytes(p + 2 * PLAIN_BLOCK_BYTES),
				    special_bytes(p + 3 * PLAIN_BLOCK_BYTES));

	return _mm_movemask_epi8(_mm_or_si128(low, high)) == 0;
}
#else
#define PLAIN_BLOCK_BYTES 8

/* @byte in each byte of a word. */
#define PLAIN_EACH(byte)  (UINT64_C(0x0101010101010101) * (byte))

/*
 * The upper bit is set in each special byte of a word whose first byte is the lowest. A borrow
 * can set it in plain ones, too, but only above a special one: the first is right.
 */
static inline uint64_t special_mask(const char *p)
{
	uint64_t word, quote, escape;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	quote = word ^ PLAIN_EACH('"');
	escape = word ^ PLAIN_EACH('\\');
	return (((quote - PLAIN_EACH(1)) & ~quote) | ((escape - PLAIN_EACH(1)) & ~escape) |
		(word - PLAIN_EACH(0x20)) | word) &
	       PLAIN_EACH(0x80);
}

static inline unsigned plain_before(uint64_t mask)
{
	return (unsigned)__builtin_ctzll(mask) / 8;
}

static inline const char *special_in_four_blocks(const char *p)
{
	for (const char *end = p + 4 * PLAIN_BLOCK_BYTES; p < end; p += PLAIN_BLOCK_BYTES)
		if (special_mask(p))
			return p + plain_before(special_mask(p));
	return NULL;
}

static inline bool four_blocks_are_plain(const char *p)
{
	return (special_mask(p) | special_mask(p + PLAIN_BLOCK_BYTES) |
		special_mask(p + 2 * PLAIN_BLOCK_BYTES) |
		special_mask(p + 3 * PLAIN_BLOCK_BYTES)) == 0;
}
#endif

/* What a string says, where its quote is within the block at @p, which can be read, and nothing
 * else is special before. Return: at the quote, or NULL. */
static inline const char *plain_text(const char *p, struct kedge_span *ret)
{
	uint64_t mask = special_mask(p);

	if (!mask)
		return NULL;
	*ret = (struct kedge_span){ p, plain_before(mask) };
	p += ret->size;
	return *p == '"' ? p : NULL;
}

/* What is left of a string of which all before @p was checked. Return: behind it, or NULL. */
const char *json_skip_rest_of_string(const char *p, const char *end);

/**
 * json_skip_short_string() - as json_skip_string(), quick where the string is short and plain
 * @ret_plain: whether it was both; then there is no escape in it
 */
static inline const char *json_skip_short_string(const char *p, const char *end, bool *ret_plain)
{
	*ret_plain = false;
	if (end - p > PLAIN_BLOCK_BYTES) {
		uint64_t mask = special_mask(++p);

		if (!mask)
			return json_skip_rest_of_string(p + PLAIN_BLOCK_BYTES, end);
		p += plain_before(mask);
		*ret_plain = *p == '"';
		return *ret_plain ? p + 1 : json_skip_rest_of_string(p, end);
	}
	return json_skip_string(p, end);
}
