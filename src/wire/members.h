/*
 * The members of an object, noted while it is checked: whoever asks for one of them then
 * has it without a second look at the text, which for small objects costs as much as the
 * first.
 */
#pragma once

#include "base/bytes.h"
#include "wire/json.h"

/* Objects with more members than this are looked through when they are asked. */
#define MEMBERS_MAX 8

struct members {
	const char *of; /* the object's opening bracket; NULL: nothing was noted */
	unsigned count;
	struct {
		struct kedge_span name; /* without its quotes; no escape is in it */
		struct kedge_span value;
	} at[MEMBERS_MAX];
};

/**
 * members_skip() - check one value, as json_skip() does, and note what it has
 * @p: where it begins; white space is not skipped
 *
 * Noted are the members of an object that is written as JSON.stringify() does, without
 * white space of its own or a newline anywhere, with few members and short names without
 * escapes.
 *
 * Return: as json_skip(); @ret->of is NULL where nothing was noted.
 */
const char *members_skip(const char *p, const char *end, unsigned depth_max, struct members *ret);

/* As json_member_named(), of any value; quick where it is the one that was noted. */
static inline struct kedge_span members_find(const struct members *m, struct kedge_span object,
					     struct kedge_span name)
{
	if (!m->of || m->of != object.data)
		return json_member_named(object, name);
	/* Of members with one name the last counts. */
	for (unsigned i = m->count; i-- > 0;)
		if (m->at[i].name.size == name.size &&
		    bytes_are_equal(m->at[i].name.data, name.data, name.size))
			return m->at[i].value;
	return (struct kedge_span){ NULL, 0 };
}
