#include "wire/members.h"

#include <string.h>

#include "wire/plain.h"

/* A short name without escapes and its colon. Return: where the value begins, or NULL. */
static inline const char *take_name(const char *p, const char *end, struct kedge_span *ret)
{
	if (end - p <= PLAIN_BLOCK_BYTES + 2 || *p != '"')
		return NULL;
	p = plain_text(p + 1, ret);
	return p && p[1] == ':' ? p + 2 : NULL;
}

/* A value without a newline in it. Return: behind it, or NULL. */
static inline const char *take_value(const char *p, const char *end, unsigned depth_max)
{
	const char *behind;
	bool plain;

	if (*p == '"')
		return json_skip_short_string(p, end, &plain);
	if (*p != '{' && *p != '[')
		return json_skip_scalar(p, end);
	behind = json_skip(p, end, depth_max);
	return behind && !memchr(p, '\n', (size_t)(behind - p)) ? behind : NULL;
}

/* @p: behind the bracket. Return: behind the closing one; NULL: it is not written that way,
 * has too many members, or is not valid. */
static inline const char *take_members(const char *p, const char *end, unsigned depth_max,
				       struct members *ret)
{
	if (p < end && *p == '}')
		return p + 1;
	for (;;) {
		struct kedge_span name;
		const char *value;

		if (ret->count == MEMBERS_MAX || !(value = take_name(p, end, &name)) ||
		    !(p = take_value(value, end, depth_max)) || p == end)
			return NULL;
		ret->at[ret->count].name = name;
		ret->at[ret->count].value = (struct kedge_span){ value, (size_t)(p - value) };
		ret->count++;
		if (*p != ',')
			return *p == '}' ? p + 1 : NULL;
		p++;
	}
}

const char *members_skip(const char *p, const char *end, unsigned depth_max, struct members *ret)
{
	const char *behind = NULL;

	ret->of = NULL;
	ret->count = 0;
	if (*p == '{' && depth_max > 0)
		behind = take_members(p + 1, end, depth_max - 1, ret);
	if (!behind)
		return json_skip(p, end, depth_max);
	ret->of = p;
	return behind;
}
