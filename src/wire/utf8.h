/*
 * Wire: bytes <-> messages. JSON text, UTF-8, envelopes. No I/O, no allocation
 * but where a function says so.
 *
 * This header: strict UTF-8 (RFC 3629): no overlong forms, no surrogates,
 * nothing above U+10FFFF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * utf8_sequence() - check the sequence that begins at @p, a byte of 0x80 or more
 *
 * Return: its length, 2 to 4, or 0: it is not valid, or goes beyond @end.
 */
static inline size_t utf8_sequence(const char *p, const char *end)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t left = (size_t)(end - p);
	unsigned char low = 0x80, high = 0xBF;
	size_t n;

	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		n = 2;
	} else if ((s[0] & 0xF0) == 0xE0) {
		n = 3;
		low = s[0] == 0xE0 ? 0xA0 : 0x80;
		high = s[0] == 0xED ? 0x9F : 0xBF;
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		n = 4;
		low = s[0] == 0xF0 ? 0x90 : 0x80;
		high = s[0] == 0xF4 ? 0x8F : 0xBF;
	} else {
		return 0;
	}
	if (left < n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return n;
}

/* Whether all of it is UTF-8. */
static inline bool utf8_is_valid(const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		size_t n = (unsigned char)*text < 0x80 ? 1 : utf8_sequence(text, end);

		if (!n)
			return false;
		text += n;
	}
	return true;
}

/* Write @code, at most U+10FFFF, as UTF-8. A lone surrogate is written as the three
 * bytes that its number would have. Return: how many bytes, 1 to 4. */
static inline size_t utf8_write(char *to, uint32_t code)
{
	unsigned char *s = (unsigned char *)to;

	if (code < 0x80) {
		s[0] = (unsigned char)code;
		return 1;
	}
	if (code < 0x800) {
		s[0] = (unsigned char)(0xC0 | code >> 6);
		s[1] = (unsigned char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		s[0] = (unsigned char)(0xE0 | code >> 12);
		s[1] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
		s[2] = (unsigned char)(0x80 | (code & 0x3F));
		return 3;
	}
	s[0] = (unsigned char)(0xF0 | code >> 18);
	s[1] = (unsigned char)(0x80 | (code >> 12 & 0x3F));
	s[2] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
	s[3] = (unsigned char)(0x80 | (code & 0x3F));
	return 4;
}
