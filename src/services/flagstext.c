#include "services/flagstext.h"

#include <errno.h>

#include "base/error.h"

/* Check what was read. Return: the values, a new reference, or NULL with words. */
static json_t *check(json_t *document, struct kedge_error *error)
{
	json_t *version = json_object_get(document, "version");
	json_t *values = json_object_get(document, "values");
	const char *key;
	json_t *value;

	if (!json_is_object(document)) {
		(void)error_set(error, -EINVAL, "it is not an object");
		return NULL;
	}
	if (version && json_number_value(version) != 1) {
		(void)error_set(error, -EINVAL, "version: only 1 is known");
		return NULL;
	}
	if (!json_is_object(values)) {
		(void)error_set(error, -EINVAL, "values: it is not an object");
		return NULL;
	}
	json_object_foreach(values, key, value) if (!json_is_boolean(value))
	{
		(void)error_set(error, -EINVAL, "values.%.100s: it is not a boolean", key);
		return NULL;
	}
	return json_incref(values);
}

json_t *flags_parse(const char *text, size_t size, struct kedge_error *error)
{
	json_error_t where;
	json_t *document = json_loadb(text, size, 0, &where), *values;

	if (!document) {
		(void)error_set(error, -EINVAL, "line %d: %s", where.line, where.text);
		return NULL;
	}
	values = check(document, error);
	json_decref(document);
	return values;
}
