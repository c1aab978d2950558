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

int json_append_member(struct buf *b, const char *name, struct kedge_span value)
{
	const char *comma = b->data[b->end - 1] == '{' ? "" : ",";
	int r = value.size ? buf_appendf(b, "%s\"%s\":", comma, name) : 0;

	return r < 0 || !value.size ? r : json_append_compact(b, value);
}
