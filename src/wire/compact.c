#include "wire/compact.h"

#include <assert.h>

int json_append_compact(struct buf *b, struct kedge_span value)
{
	const char *p = value.data, *end = p + value.size;
	int r = buf_reserve(b, value.size);
	char *to;

	if (r < 0)
		return r;
	to = b->data + b->end;
	while ((p = json_skip_space(p, end)) < end) {
		const char *behind = *p == '"' ? json_skip_string(p, end) : p + 1;

		assert(behind);
		memcpy(to, p, (size_t)(behind - p));
		to += behind - p;
		p = behind;
	}
	b->end = (size_t)(to - b->data);
	return 0;
}
