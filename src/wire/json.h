/*
 * JSON text, in place: one strict pass (RFC 8259, RFC 3629) that checks and
 * yields spans. Nothing is copied, nothing allocated, nothing recursed.
 *
 * Escapes of lone surrogates ("\ud800") are in the grammar and are let through,
 * as JSON.parse() does; decoded each becomes one U+FFFD, as in Node's Buffer. Where strings are
 * compared they differ from that, and from each other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "kedge/conn.h"

enum json_kind {
	JSON_ABSENT = 0, /* no value at all */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* The deepest nesting that any limit may allow. */
#define JSON_DEPTH_MAX 1024

/**
 * json_skip() - check one value
 * @p:         where it begins; white space is skipped first
 * @end:       end of the text
 * @depth_max: how deep it may be nested, 0 to JSON_DEPTH_MAX; a scalar has 0
 *
 * Return: the place behind the value, or NULL: not valid, or too deep.
 */
const char *json_skip(const char *p, const char *end, unsigned depth_max);

/* The same of a value that is neither an array nor an object, with no white space before it. */
const char *json_skip_scalar(const char *p, const char *end);

/* What a buffer holds; valid until it changes. */
static inline struct kedge_span buf_span(const struct buf *b)
{
	return (struct kedge_span){ buf_front(b), buf_size(b) };
}

/* Check one string. @p: its opening quote. Return: behind the closing one, or NULL. */
const char *json_skip_string(const char *p, const char *end);

static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline const char *json_skip_space(const char *p, const char *end)
{
	/* As a rule there is none: one comparison tells. */
	while (p < end && (unsigned char)*p <= ' ' && json_is_space(*p))
		p++;
	return p;
}

/* Go on to the next byte that is no white space. Return: it; a NUL, which stands for nothing
 * in JSON: there is none. */
static inline char json_peek(const char **p, const char *end)
{
	if (__builtin_expect(*p < end && (unsigned char)**p > ' ', 1))
		return **p;
	*p = json_skip_space(*p, end);
	return *p < end ? **p : '\0';
}

/* Whether @text is one valid value and nothing else. */
bool json_is_valid(struct kedge_span text, unsigned depth_max);

/* From here on all text is valid: checked by json_skip() before. */

/* The kind of a value, told by its first byte. */
enum json_kind json_kind(struct kedge_span value);

/**
 * json_next_member() - go through the members of an object; an absent one has none
 * @at:        NULL at the beginning, then what the call before left there
 * @ret_name:  the name, with its quotes and escapes
 * @ret_value: the value, without white space around it
 *
 * Each value is scanned once more to find its end: cheap where objects are small, and
 * a cost for each level that is gone into.
 *
 * Return: true, or false: no more.
 */
bool json_next_member(struct kedge_span object, const char **at, struct kedge_span *ret_name,
		      struct kedge_span *ret_value);

/* The same for the elements of an array. */
bool json_next_element(struct kedge_span array, const char **at, struct kedge_span *ret_value);

/* The last member called @name, or an absent span. @object may be of any kind. */
struct kedge_span json_member_named(struct kedge_span object, struct kedge_span name);

static inline struct kedge_span json_member(struct kedge_span object, const char *name)
{
	return json_member_named(object, kedge_span(name));
}

/* Whether a string (with quotes, maybe with escapes) says @text. */
bool json_string_says(struct kedge_span string, struct kedge_span text);

static inline bool json_string_is(struct kedge_span string, const char *text)
{
	return json_string_says(string, kedge_span(text));
}

/* Whether a value is a string that begins with @ascii. */
bool json_string_starts(struct kedge_span value, const char *ascii);

/* Whether two scalars are the same: of one kind, and with the same text, however escaped. */
bool json_scalar_equal(struct kedge_span a, struct kedge_span b);

/**
 * json_string_decode() - resolve the escapes of a string
 * @string: with its quotes
 * @to:     room for string.size bytes; may be where @string is
 *
 * Return: how many bytes were written; there may be NULs among them.
 */
size_t json_string_decode(struct kedge_span string, char *to);

/* Whether a string is one that UTF-8 can hold: none of its escapes is half a surrogate pair. */
bool json_string_is_text(struct kedge_span string);

/* Append text as a string: quoted, compact, raw UTF-8. Return: 0, or -ENOMEM. */
int json_append_string(struct buf *b, struct kedge_span text);
