#include "wire/json.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
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

/* The first special byte, or @end. */
static const char *skip_plain(const char *p, const char *end)
{
	while (end - p >= 4 * PLAIN_BLOCK_BYTES && four_blocks_are_plain(p))
		p += 4 * PLAIN_BLOCK_BYTES;
	while (end - p >= PLAIN_BLOCK_BYTES) {
		uint64_t mask = special_mask(p);

		if (mask)
			return p + plain_before(mask);
		p += PLAIN_BLOCK_BYTES;
	}
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
	return json_skip_rest_of_string(p + 1, end);
}

/* The rest of a string, whatever is in it, at whatever length. */
static __attribute__((noinline)) const char *skip_any_string(const char *p, const char *end)
{
	for (;;) {
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

const char *json_skip_rest_of_string(const char *p, const char *end)
{
	/* Most end within four blocks, without anything special before. */
	if (end - p >= 4 * PLAIN_BLOCK_BYTES) {
		const char *special = special_in_four_blocks(p);

		if (special && *special == '"')
			return special + 1;
		p = special ? special : p + 4 * PLAIN_BLOCK_BYTES;
	}
	return skip_any_string(p, end);
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

const char *json_skip_scalar(const char *p, const char *end)
{
	bool plain;

	switch (*p) {
	case '"':
		return json_skip_short_string(p, end, &plain);
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

/*
 * What encloses the present value: one bit a level, 1 for an object, the innermost lowest.
 * Those of the 64 levels that fit are shifted in and out; the others are put away.
 */
struct nesting {
	unsigned depth;
	uint64_t levels;
	uint64_t outer[JSON_DEPTH_MAX / 64];
};

static inline void nest(struct nesting *n, bool object)
{
	if (n->depth % 64 == 0)
		n->outer[n->depth / 64] = n->levels;
	n->levels = n->levels << 1 | object;
	n->depth++;
}

static inline void unnest(struct nesting *n)
{
	n->depth--;
	n->levels = n->depth % 64 == 0 ? n->outer[n->depth / 64] : n->levels >> 1;
}

static inline bool in_object(const struct nesting *n)
{
	return n->levels & 1;
}

/* A member's name and its colon. Return: where the value begins, or NULL. */
static inline const char *skip_name(const char *p, const char *end)
{
	bool plain;

	if (json_peek(&p, end) != '"')
		return NULL;
	p = json_skip_short_string(p, end, &plain);
	return p && json_peek(&p, end) == ':' ? p + 1 : NULL;
}

static inline char closing_bracket(const struct nesting *n)
{
	return in_object(n) ? '}' : ']';
}

/*
 * Behind a value: close whatever ends here, and go to the next value.
 * Return: where that begins, or, with the depth at 0, the end; NULL: not valid.
 */
static inline const char *skip_between(struct nesting *n, const char *p, const char *end)
{
	while (n->depth > 0) {
		char c = json_peek(&p, end);

		if (c == ',')
			return in_object(n) ? skip_name(p + 1, end) : p + 1;
		if (c != closing_bracket(n))
			return NULL;
		unnest(n);
		p++;
	}
	return p;
}

/* Open an array or object. Return: where its first value begins; *@ret_empty: it has none. */
static inline const char *skip_open(struct nesting *n, const char *p, const char *end,
				    bool *ret_empty)
{
	nest(n, *p++ == '{');
	*ret_empty = json_peek(&p, end) == closing_bracket(n);
	return *ret_empty || !in_object(n) ? p : skip_name(p, end);
}

const char *json_skip(const char *p, const char *end, unsigned depth_max)
{
	struct nesting n;

	n.depth = 0;
	n.levels = 0;
	do {
		bool empty = false;
		char c = json_peek(&p, end);

		if (c == '{' || c == '[') {
			if (n.depth == depth_max)
				return NULL;
			p = skip_open(&n, p, end, &empty);
			if (p && !empty)
				continue;
		} else {
			p = c ? json_skip_scalar(p, end) : NULL;
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

/* A valid value at @p. Return: behind it. */
static inline const char *behind_value(const char *p, const char *end)
{
	bool plain;
	const char *behind = *p == '"' ? json_skip_short_string(p, end, &plain)
				       : json_skip(p, end, JSON_DEPTH_MAX);

	assert(behind);
	return behind;
}

/* Step over the opening bracket, or a comma. Return: NULL: the end, or there is no container. */
static inline const char *next_item(struct kedge_span container, const char *at)
{
	const char *end, *p;
	char c;

	if (!container.size)
		return NULL;
	end = container.data + container.size;
	p = at ? at : container.data + 1;
	c = json_peek(&p, end);
	if (at && c == ',') {
		p++;
		c = json_peek(&p, end);
	}
	return c == '}' || c == ']' ? NULL : p;
}

/* A value at @at, maybe behind white space. Return: behind it. */
static inline const char *take_value(const char *at, const char *end, struct kedge_span *ret)
{
	const char *p = at, *behind;

	(void)json_peek(&p, end);
	behind = behind_value(p, end);
	*ret = (struct kedge_span){ p, (size_t)(behind - p) };
	return behind;
}

/* The name at @p. Return: the end of it and of its colon; *@ret_plain: no escape is in it. */
static inline const char *take_name(const char *p, const char *end, struct kedge_span *ret,
				    bool *ret_plain)
{
	const char *behind = json_skip_short_string(p, end, ret_plain);

	assert(behind);
	*ret = (struct kedge_span){ p, (size_t)(behind - p) };
	(void)json_peek(&behind, end);
	return behind + 1;
}

bool json_next_member(struct kedge_span object, const char **at, struct kedge_span *ret_name,
		      struct kedge_span *ret_value)
{
	const char *p = next_item(object, *at), *end;
	bool plain;

	if (!p)
		return false;
	end = object.data + object.size;
	p = take_name(p, end, ret_name, &plain);
	*at = take_value(p, end, ret_value);
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

/* A name without escapes says what it looks like. */
static inline bool name_is(struct kedge_span key, bool plain, struct kedge_span name)
{
	if (plain)
		return key.size == name.size + 2 &&
		       bytes_are_equal(key.data + 1, name.data, name.size);
	return json_string_says(key, name);
}

struct kedge_span json_member_named(struct kedge_span object, struct kedge_span name)
{
	struct kedge_span found = { NULL, 0 }, key, value;
	const char *end, *p;
	bool plain;

	if (json_kind(object) != JSON_OBJECT)
		return found;
	end = object.data + object.size;
	for (p = next_item(object, NULL); p; p = next_item(object, p)) {
		p = take_name(p, end, &key, &plain);
		p = take_value(p, end, &value);
		if (name_is(key, plain, name))
			found = value;
	}
	return found;
}
