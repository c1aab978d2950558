/*
 * feature-flags.json: any text is an object of booleans, or refused by one line.
 */
#include "fuzz/fuzz.h"

#include "services/flagstext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	char *text = fuzz_copy(data, size);
	json_t *values, *value;
	const char *key;

	values = flags_parse(text, size, &error);
	free(text);
	if (!values) {
		FUZZ_ASSERT(error.code < 0 && *error.text && !strchr(error.text, '\n'));
		return 0;
	}
	FUZZ_ASSERT(json_is_object(values));
	json_object_foreach(values, key, value) FUZZ_ASSERT(json_is_boolean(value));
	json_decref(values);
	return 0;
}
