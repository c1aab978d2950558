#include "wire/json.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "wire/plain.h"
#include "wire/utf8.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#ifdef __SSE2__
/* Skip blocks of 64 plain bytes: of long texts one branch for each is what remains. */
static const char *skip_plain_blocks(const char *p, const char *end)
{
	while (end - p >= 4 * PLAIN_BLOCK_BYTES) {
		__m128i low = _mm_or_si128(special_bytes(p), special_bytes(p + PLAIN_BLOCK_BYTES));
		__m128i high = _mm_or_si128(special_bytes(p + 2 * PLAIN_BLOCK_BYTES),
					    special_bytes(p + 3 * PLAIN_BLOCK_BYTES));

		if (_mm_movemask_epi8(_mm_or_si128(low, high)))
			break;
		p += 4 * PLAIN_BLOCK_BYTES;
	}
	return p;
}
#endif

/* The first special byte, or @end. */
static const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	/* Most strings end within the first block. */
	for (int blocks = 0; end - p >= PLAIN_BLOCK_BYTES; blocks++) {
		unsigned mask = (unsigned)_mm_movemask_epi8(special_bytes(p));

		if (mask)
			return p + __builtin_ctz(mask);
		p += PLAIN_BLOCK_BYTES;
		if (blocks == 3)
			p = skip_plain_blocks(p, end);
	}
#endif
	while (p < end && !is_special(*p))
		p++;
	return p;
}

/* @p: the backslash. Return: behind the escape, or NULL. */
static const char *skip_escape(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u')
		return memchr("\"\\/bfnrt", p[1], 8) ? p + 2 : NULL;
	if (end - p < 6)
		return NULL;
	for (int i = 2; i < 6; i++)
		if (hex_value(p[i]) < 0)
			return NULL;
	return p + 6;
}

const char *json_skip_string(const char *p, const char *end)
{
	for (p++;;) {
		size_t n;

		p = skip_plain(p, end);
		if (p == end)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p == '\\') {
			p = skip_escape(p, end);
			if (!p)
				return NULL;
			continue;
		}
		if ((unsigned char)*p < 0x20 || !(n = utf8_sequence(p, end)))
			return NULL;
		p += n;
	}
}

static const char *skip_digits(const char *p, const char *end)
{
	const char *begin = p;

	while (p < end && is_digit(*p))
		p++;
	return p == begin ? NULL : p;
}

static const char *skip_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if (!(p = skip_digits(p, end)))
		return NULL;
	if (p < end && *p == '.' && !(p = skip_digits(p + 1, end)))
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = skip_digits(p, end);
	}
	return p;
}

static const char *skip_word(const char *p, const char *end, const char *word, size_t n)
{
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

static const char *skip_scalar(const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return json_skip_string(p, end);
	case 't':
		return skip_word(p, end, "true", 4);
	case 'f':
		return skip_word(p, end, "false", 5);
	case 'n':
		return skip_word(p, end, "null", 4);
	default:
		return *p == '-' || is_digit(*p) ? skip_number(p, end) : NULL;
	}
}

/* What encloses the present value: one bit a level, 1 for an object. */
struct nesting {
	uint64_t bits[JSON_DEPTH_MAX / 64];
	unsigned depth;
};

static void nest(struct nesting *n, bool object)
{
	uint64_t bit = UINT64_C(1) << (n->depth % 64);

	if (object)
		n->bits[n->depth / 64] |= bit;
	else
		n->bits[n->depth / 64] &= ~bit;
	n->depth++;
}

static bool in_object(const struct nesting *n)
{
	return n->bits[(n->depth - 1) / 64] >> ((n->depth - 1) % 64) & 1;
}

/* A member's name and its colon. Return: where the value begins, or NULL. */
static const char *skip_name(const char *p, const char *end)
{
	p = json_skip_space(p, end);
	if (p == end || *p != '"')
		return NULL;
	p = json_skip_short_string(p, end);
	if (!p)
		return NULL;
	p = json_skip_space(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

/*
 * Behind a value: close whatever ends here, and go to the next value.
 * Return: where that begins, or, with the depth at 0, the end; NULL: not valid.
 */
static const char *skip_between(struct nesting *n, const char *p, const char *end)
{
	while (n->depth > 0) {
		p = json_skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p == ',')
			return in_object(n) ? skip_name(p + 1, end) : p + 1;
		if (*p != (in_object(n) ? '}' : ']'))
			return NULL;
		n->depth--;
		p++;
	}
	return p;
}

/* Open an array or object. Return: where its first value begins; *@ret_empty: it has none. */
static const char *skip_open(struct nesting *n, const char *p, const char *end, bool *ret_empty)
{
	bool object = *p == '{';
	const char *inside = json_skip_space(p + 1, end);

	nest(n, object);
	*ret_empty = inside < end && *inside == (object ? '}' : ']');
	if (*ret_empty)
		return inside;
	return object ? skip_name(inside, end) : inside;
}

const char *json_skip(const char *p, const char *end, unsigned depth_max)
{
	struct nesting n;

	n.depth = 0;
	do {
		bool empty = false;

		p = json_skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p == '{' || *p == '[') {
			if (n.depth == depth_max)
				return NULL;
			p = skip_open(&n, p, end, &empty);
			if (p && !empty)
				continue;
		} else {
			p = skip_scalar(p, end);
		}
		if (p)
			p = skip_between(&n, p, end);
	} while (p && n.depth > 0);
	return p;
}

bool json_is_valid(struct kedge_span text, unsigned depth_max)
{
	const char *end = text.data + text.size;
	const char *p = text.size ? json_skip(text.data, end, depth_max) : NULL;

	return p && json_skip_space(p, end) == end;
}

enum json_kind json_kind(struct kedge_span value)
{
	if (value.size == 0)
		return JSON_ABSENT;
	switch (*value.data) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

/* A valid value at @at. Return: behind it. */
static const char *take_value(const char *at, const char *end, struct kedge_span *ret)
{
	const char *p = json_skip_space(at, end);
	const char *behind = *p == '"' ? json_skip_short_string(p, end)
				       : json_skip(p, end, JSON_DEPTH_MAX);

	assert(behind);
	*ret = (struct kedge_span){ p, (size_t)(behind - p) };
	return behind;
}

/* Step over the opening bracket, or a comma. Return: NULL: the end. */
static const char *next_item(struct kedge_span container, const char *at)
{
	const char *end = container.data + container.size;
	const char *p = json_skip_space(at ? at : container.data + 1, end);

	if (at && p < end && *p == ',')
		p = json_skip_space(p + 1, end);
	return p >= end || *p == '}' || *p == ']' ? NULL : p;
}

bool json_next_member(struct kedge_span object, const char **at, struct kedge_span *ret_name,
		      struct kedge_span *ret_value)
{
	const char *end = object.data + object.size;
	const char *p = next_item(object, *at);

	if (!p)
		return false;
	p = take_value(p, end, ret_name);
	p = json_skip_space(p, end);
	*at = take_value(p + 1, end, ret_value);
	return true;
}

bool json_next_element(struct kedge_span array, const char **at, struct kedge_span *ret_value)
{
	const char *p = next_item(array, *at);

	if (!p)
		return false;
	*at = take_value(p, array.data + array.size, ret_value);
	return true;
}

struct kedge_span json_member(struct kedge_span object, const char *name)
{
	struct kedge_span found = { NULL, 0 }, key, value;
	const char *at = NULL;

	if (json_kind(object) != JSON_OBJECT)
		return found;
	while (json_next_member(object, &at, &key, &value))
		if (json_string_is(key, name))
			found = value;
	return found;
}
