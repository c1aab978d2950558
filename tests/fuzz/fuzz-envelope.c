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

static void same_span(struct kedge_span a, struct kedge_span b)
{
	FUZZ_ASSERT(a.size == b.size && (!a.size || a.data == b.data));
}

/* Members that were noted are those that a second look finds, and all of them. */
static void check_noted(struct kedge_span params, const struct members *noted)
{
	struct kedge_span name, value;
	const char *at = NULL;
	unsigned count = 0;

	if (!noted->of)
		return;
	FUZZ_ASSERT(noted->of == params.data && noted->count <= MEMBERS_MAX);
	for (; json_next_member(params, &at, &name, &value); count++) {
		struct kedge_span bare = { name.data + 1, name.size - 2 };

		FUZZ_ASSERT(count < noted->count);
		same_span(noted->at[count].value, value);
		FUZZ_ASSERT(noted->at[count].name.size == bare.size);
		FUZZ_ASSERT(noted->at[count].name.data == bare.data);
		same_span(members_find(noted, params, bare), json_member_named(params, bare));
	}
	FUZZ_ASSERT(count == noted->count);
}

/* What is taken by the short way says the same by the long one, and nothing more. */
static void check_usual(struct kedge_span text, unsigned depth_max)
{
	struct members noted = { .of = NULL };
	struct kedge_request usual;
	struct envelope e;

	text.size = envelope_scan_usual(text, depth_max, &usual, &noted);
	if (!text.size)
		return;
	FUZZ_ASSERT(envelope_scan(text, depth_max, &e) == ENVELOPE_OK);
	FUZZ_ASSERT(!memchr(text.data, '\n', text.size));
	usual.method.data--;
	usual.method.size += 2;
	for (int i = 0; i < MEMBER_MAX_; i++)
		same_span(e.members[i], i == MEMBER_ID       ? usual.id
					: i == MEMBER_METHOD ? usual.method
					: i == MEMBER_PARAMS ? usual.params
							     : (struct kedge_span){ NULL, 0 });
	FUZZ_ASSERT(envelope_id_counts(usual.id) && usual.method.size > 2);
	FUZZ_ASSERT(!memchr(usual.method.data, '\\', usual.method.size));
	check_noted(usual.params, &noted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned depth_max = size ? 1 + data[0] % 32 : 1;
	char *text = fuzz_copy(data, size);
	struct kedge_span span = { text + (size ? 1 : 0), size ? size - 1 : 0 };
	const char *start = json_skip_space(span.data, span.data + span.size);
	struct envelope e;

	check_usual(span, depth_max);
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
