/*
 * Patterns of routes: flags, a NUL, a source, a NUL, a text. Any of them is refused with
 * words or compiled, and a match ends within its steps, whatever the pattern.
 */
#include "fuzz/fuzz.h"

#include <errno.h>

#include "services/skill/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[PATTERN_WHY_MAX];
	struct pattern *pattern = NULL;
	char *copy = malloc(size + 2), *source, *text;
	size_t source_size;
	bool first;
	int r;

	FUZZ_ASSERT(copy);
	memcpy(copy, data, size);
	memset(copy + size, 0, 2);
	source = copy + strlen(copy) + 1;
	if (source > copy + size)
		source = copy + size;
	source_size = strlen(source);
	text = source + source_size + (source + source_size < copy + size);
	memset(why, 'x', sizeof(why));
	r = pattern_new(&pattern, source, source_size, copy, why);
	FUZZ_ASSERT(r == 0 || (r == -EINVAL && !pattern && memchr(why, '\0', sizeof(why)) && *why));
	if (r == 0) {
		size_t text_size = (size_t)(copy + size - text);

		/* Nothing is kept of one match for the next. */
		first = pattern_matches(pattern, text, text_size);
		FUZZ_ASSERT(pattern_matches(pattern, text, text_size) == first);
		(void)pattern_free(pattern);
	}
	free(copy);
	return 0;
}
