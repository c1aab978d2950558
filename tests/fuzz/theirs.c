#include "fuzz/theirs.h"

#include <jansson.h>

static const json_t *of(const struct theirs *t)
{
	return (const json_t *)t;
}

enum theirs_verdict theirs_parse(const char *text, size_t size, struct theirs **ret)
{
	json_error_t error;
	json_t *t = json_loadb(text, size,
			       JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

	if (!t)
		return json_error_code(&error) == json_error_numeric_overflow ? THEIRS_TOO_BIG
									      : THEIRS_REFUSED;
	*ret = (struct theirs *)t;
	return THEIRS_TAKEN;
}

void theirs_free(struct theirs *t)
{
	json_decref((json_t *)t);
}

char theirs_kind(const struct theirs *t)
{
	static const char kinds[] = {
		[JSON_OBJECT] = '{', [JSON_ARRAY] = '[', [JSON_STRING] = '"', [JSON_INTEGER] = '0',
		[JSON_REAL] = '0',   [JSON_TRUE] = 't',  [JSON_FALSE] = 'f',  [JSON_NULL] = 'n',
	};

	return kinds[json_typeof(of(t))];
}

const char *theirs_text(const struct theirs *t, size_t *ret_size)
{
	*ret_size = json_string_length(of(t));
	return json_string_value(of(t));
}

double theirs_number(const struct theirs *t)
{
	return json_number_value(of(t));
}

size_t theirs_size(const struct theirs *t)
{
	return json_is_array(of(t)) ? json_array_size(of(t)) : json_object_size(of(t));
}

struct theirs *theirs_element(const struct theirs *t, size_t i)
{
	return (struct theirs *)json_array_get(of(t), i);
}

struct theirs *theirs_member(const struct theirs *t, const char *key)
{
	return (struct theirs *)json_object_get(of(t), key);
}
