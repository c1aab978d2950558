#include "wire/envelope.h"

#include <string.h>

#include "base/hot.h"
#include "wire/plain.h"

#define NAME(text, member)                                                                         \
	{                                                                                          \
		text, sizeof(text) - 1, member                                                     \
	}

/* In order of their length: of each length there are few. */
static const struct {
	const char *text;
	size_t size;
	enum member member;
} names[] = {
	NAME("id", MEMBER_ID),
	NAME("data", MEMBER_DATA),
	NAME("error", MEMBER_ERROR),
	NAME("event", MEMBER_EVENT),
	NAME("method", MEMBER_METHOD),
	NAME("params", MEMBER_PARAMS),
	NAME("result", MEMBER_RESULT),
	NAME("headers", MEMBER_HEADERS),
	NAME("payload", MEMBER_PAYLOAD),
	NAME("errorCode", MEMBER_ERROR_CODE),
	NAME("statusCode", MEMBER_STATUS_CODE),
	NAME("errorDetails", MEMBER_ERROR_DETAILS),
};

_Static_assert(ARRAY_SIZE(names) == MEMBER_MAX_, "each member has a name");

/* Where the names of a length, or the next longer ones, begin in the table; what is longer
 * than these is none of ours. */
static const unsigned char first_of_size[] = { 0, 0, 0, 1, 1, 2, 4, 7, 9, 9, 10, 11, 11 };

static enum member member_of_escaped(struct kedge_span name)
{
	for (size_t i = 0; i < MEMBER_MAX_; i++)
		if (json_string_is(name, names[i].text))
			return names[i].member;
	return MEMBER_MAX_;
}

/* Which member a name, with its quotes, is; MEMBER_MAX_: none of ours. */
static enum member member_of(struct kedge_span name)
{
	size_t size = name.size - 2;

	if (size < sizeof(first_of_size))
		for (size_t i = first_of_size[size]; i < MEMBER_MAX_ && names[i].size == size; i++)
			if (name.data[1] == names[i].text[0] &&
			    memcmp(name.data + 1, names[i].text, size) == 0)
				return names[i].member;
	return memchr(name.data, '\\', name.size) ? member_of_escaped(name) : MEMBER_MAX_;
}

/* The longest of the names below, with quotes and colon. */
#define COMMON_NAME_BYTES 9

#define BEGINS(p, text) (memcmp(p, text, sizeof(text) - 1) == 0)

/*
 * The names that nearly every message has, in the way in which nearly all write them: told by
 * a comparison or two, where the end of a name, its colon and its row in the table take some
 * fifty instructions. Return: behind the colon; NULL: it is another name, or other white space.
 */
static inline const char *take_common_name(const char *p, const char *end, enum member *ret)
{
	if (end - p < COMMON_NAME_BYTES)
		return NULL;
	if (BEGINS(p, "\"id\":"))
		return *ret = MEMBER_ID, p + 5;
	if (BEGINS(p, "\"method\":"))
		return *ret = MEMBER_METHOD, p + 9;
	if (BEGINS(p, "\"params\":"))
		return *ret = MEMBER_PARAMS, p + 9;
	if (BEGINS(p, "\"result\":"))
		return *ret = MEMBER_RESULT, p + 9;
	return NULL;
}

/* Any name and its colon. Return: behind them, or NULL. */
static const char *take_name(const char *p, const char *end, enum member *ret)
{
	struct kedge_span name;
	bool plain;

	if (json_peek(&p, end) != '"')
		return NULL;
	name.data = p;
	p = json_skip_short_string(p, end, &plain);
	if (!p)
		return NULL;
	name.size = (size_t)(p - name.data);
	*ret = member_of(name);
	return json_peek(&p, end) == ':' ? p + 1 : NULL;
}

/* One member at @p. Return: behind it, or NULL. */
static inline const char *scan_member(const char *p, const char *end, unsigned depth_max,
				      struct envelope *ret)
{
	enum member member;
	const char *value = take_common_name(p, end, &member);
	bool plain = false;

	if (!value && !(value = take_name(p, end, &member)))
		return NULL;
	p = json_peek(&value, end) == '"' ? json_skip_short_string(value, end, &plain)
					  : json_skip(value, end, depth_max - 1);
	if (!p || member == MEMBER_MAX_)
		return p;
	ret->members[member] = (struct kedge_span){ value, (size_t)(p - value) };
	if (member == MEMBER_METHOD)
		ret->method_is_plain = plain;
	return p;
}

static const char *scan_object(const char *p, const char *end, unsigned depth_max,
			       struct envelope *ret)
{
	p++;
	if (json_peek(&p, end) == '}')
		return p + 1;
	for (;;) {
		char c;

		p = scan_member(p, end, depth_max, ret);
		if (!p)
			return NULL;
		c = json_peek(&p, end);
		if (c != ',')
			return c == '}' ? p + 1 : NULL;
		p++;
	}
}

enum envelope_verdict envelope_scan(struct kedge_span text, unsigned depth_max,
				    struct envelope *ret)
{
	const char *end = text.data + text.size;
	const char *p = json_skip_space(text.data, end);

	memset(ret, 0, sizeof(*ret));
	if (p == end)
		return ENVELOPE_NOT_JSON;
	if (*p != '{')
		return json_is_valid(text, depth_max) ? ENVELOPE_NOT_OBJECT : ENVELOPE_NOT_JSON;
	p = scan_object(p, end, depth_max, ret);
	if (!p || json_skip_space(p, end) != end) {
		memset(ret, 0, sizeof(*ret));
		return ENVELOPE_NOT_JSON;
	}
	return ENVELOPE_OK;
}

/* @before, and what is left of a short string that is not empty; @ret: without its quotes.
 * Return: behind it, or NULL. */
HOT_INLINE const char *take_usual_string(const char *p, const char *end, const char *before,
					 size_t size, struct kedge_span *ret)
{
	if (end - p < (ptrdiff_t)size + PLAIN_BLOCK_BYTES || memcmp(p, before, size) != 0)
		return NULL;
	p = plain_text(p + size, ret);
	return p && ret->size ? p + 1 : NULL;
}

/* @before ends with the quote that opens the string. */
#define TAKE_USUAL(p, end, before, ret) take_usual_string(p, end, before, sizeof(before) - 1, ret)

/* The params at @p. Return: behind them; NULL: not valid, or written in an unusual way. */
static inline const char *take_usual_params(const char *p, const char *end, unsigned depth_max,
					    struct members *ret)
{
	const char *behind = json_is_space(*p) ? NULL : members_skip(p, end, depth_max, ret);

	/* A newline would be the end of a line, whatever is around it. */
	if (behind && !ret->of && memchr(p, '\n', (size_t)(behind - p)))
		return NULL;
	return behind;
}

size_t envelope_scan_usual(struct kedge_span text, unsigned depth_max, struct kedge_request *ret,
			   struct members *ret_members)
{
	const char *p = text.data, *end = p + text.size;

	p = TAKE_USUAL(p, end, "{\"id\":\"", &ret->id);
	if (!p)
		return 0;
	ret->id.data--;
	ret->id.size += 2;
	p = TAKE_USUAL(p, end, ",\"method\":\"", &ret->method);
	if (!p)
		return 0;
	ret->params = (struct kedge_span){ NULL, 0 };
	if (end - p > 10 && BEGINS(p, ",\"params\":")) {
		ret->params.data = p + 10;
		p = take_usual_params(p + 10, end, depth_max - 1, ret_members);
		if (!p)
			return 0;
		ret->params.size = (size_t)(p - ret->params.data);
	}
	return p < end && *p == '}' ? (size_t)(p + 1 - text.data) : 0;
}

/* A number whose digits before the exponent are all zero: what else stands there, a sign and a
 * point, is below them all. */
static bool is_zero(struct kedge_span number)
{
	for (size_t i = 0; i < number.size; i++) {
		char c = number.data[i];

		if (c == 'e' || c == 'E')
			return true;
		if (c > '0')
			return false;
	}
	return true;
}

bool envelope_id_counts(struct kedge_span id)
{
	switch (json_kind(id)) {
	case JSON_ABSENT:
	case JSON_NULL:
	case JSON_FALSE:
		return false;
	case JSON_NUMBER:
		return !is_zero(id);
	case JSON_STRING:
		return id.size > 2;
	default:
		return true;
	}
}

int envelope_status(const struct envelope *e)
{
	struct kedge_span value = e->members[MEMBER_STATUS_CODE];
	int status = 0;

	if (json_kind(value) != JSON_NUMBER || value.size > 5)
		return 0;
	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] < '0' || value.data[i] > '9')
			return 0;
		status = status * 10 + (value.data[i] - '0');
	}
	return status;
}
