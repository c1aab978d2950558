/*
 * The envelope beside the plain scanner: it takes the same texts, and finds the
 * same last members by a way of its own.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "wire/envelope.h"

static const char *const names[MEMBER_MAX_] = {
	[MEMBER_ID] = "id",
	[MEMBER_METHOD] = "method",
	[MEMBER_PARAMS] = "params",
	[MEMBER_HEADERS] = "headers",
	[MEMBER_RESULT] = "result",
	[MEMBER_ERROR] = "error",
	[MEMBER_STATUS_CODE] = "statusCode",
	[MEMBER_ERROR_CODE] = "errorCode",
	[MEMBER_ERROR_DETAILS] = "errorDetails",
	[MEMBER_EVENT] = "event",
	[MEMBER_DATA] = "data",
	[MEMBER_PAYLOAD] = "payload",
};

static void check_members(struct kedge_span object, const struct envelope *e)
{
	for (int i = 0; i < MEMBER_MAX_; i++) {
		struct kedge_span wanted;

		FUZZ_ASSERT(names[i]); /* a new member wants its row */
		wanted = json_member(object, names[i]);
		FUZZ_ASSERT(e->members[i].size == wanted.size);
		FUZZ_ASSERT(!wanted.size || e->members[i].data == wanted.data);
		(void)envelope_id_counts(wanted);
	}
	if (e->method_is_plain)
		FUZZ_ASSERT(json_kind(e->members[MEMBER_METHOD]) == JSON_STRING &&
			    !memchr(e->members[MEMBER_METHOD].data, '\\',
				    e->members[MEMBER_METHOD].size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned depth_max = size ? 1 + data[0] % 32 : 1;
	char *text = fuzz_copy(data, size);
	struct kedge_span span = { text + (size ? 1 : 0), size ? size - 1 : 0 };
	const char *start = json_skip_space(span.data, span.data + span.size);
	struct envelope e;

	switch (envelope_scan(span, depth_max, &e)) {
	case ENVELOPE_OK:
		FUZZ_ASSERT(json_is_valid(span, depth_max) && *start == '{');
		span.size -= (size_t)(start - span.data);
		span.data = start;
		check_members(span, &e);
		break;
	case ENVELOPE_NOT_OBJECT:
		FUZZ_ASSERT(json_is_valid(span, depth_max) && *start != '{');
		break;
	case ENVELOPE_NOT_JSON:
		FUZZ_ASSERT(!json_is_valid(span, depth_max));
		for (int i = 0; i < MEMBER_MAX_; i++)
			FUZZ_ASSERT(e.members[i].size == 0);
	}
	free(text);
	return 0;
}
