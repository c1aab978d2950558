/*
 * What a stranger is sent, byte by byte: whatever it has done, lines are JSON, frames
 * have the length that they say, bodies and streams end.
 */
#include <string.h>

#include "talk.h"
#include "wire/envelope.h"

enum expect {
	EXPECT_LENGTH = 0, /* of an envelope */
	EXPECT_ENVELOPE,
	EXPECT_BODY_LENGTH,
	EXPECT_CHUNK_LENGTH,
	EXPECT_BODY, /* bytes that are not looked at */
	EXPECT_CHUNK,
};

bool witness_is_between(const struct witness *t)
{
	return t->state == EXPECT_LENGTH && t->have == 0;
}

static struct envelope take_message(struct witness *t, size_t n)
{
	struct envelope e;

	if (envelope_scan((struct kedge_span){ (const char *)t->bytes, n }, JSON_DEPTH_MAX, &e) !=
	    ENVELOPE_OK)
		sim_fail("a stranger was sent no message: %.*s", (int)(n < 200 ? n : 200),
			 (const char *)t->bytes);
	if (envelope_status(&e) == 413 && json_string_is(e.members[MEMBER_ID], "unknown")) {
		t->large++;
		t->large_bytes += text_number(e.members[MEMBER_ERROR], "too large: ");
	}
	if (e.members[MEMBER_EVENT].size || e.members[MEMBER_METHOD].size)
		t->events++;
	else if (!e.members[MEMBER_ID].size)
		sim_fail("a stranger was sent an answer to nothing");
	else
		t->messages++;
	return e;
}

/* What follows an envelope. */
static int after(const struct envelope *e)
{
	struct kedge_span headers = e->members[MEMBER_HEADERS];

	if (e->members[MEMBER_EVENT].size || e->members[MEMBER_METHOD].size)
		return EXPECT_LENGTH;
	if (json_member(headers, "content-length").size)
		return EXPECT_BODY_LENGTH;
	return json_member(headers, "transfer-encoding").size ? EXPECT_CHUNK_LENGTH : EXPECT_LENGTH;
}

static void take_length(struct witness *t)
{
	const unsigned char *b = t->bytes;
	size_t n = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];

	t->have = 0;
	t->need = n;
	if (t->state == EXPECT_LENGTH && (n == 0 || n > sizeof(t->bytes)))
		sim_fail("a stranger was sent an envelope of %zu bytes", n);
	if (t->state == EXPECT_LENGTH)
		t->state = EXPECT_ENVELOPE;
	else if (t->state == EXPECT_CHUNK_LENGTH)
		t->state = n ? EXPECT_CHUNK : EXPECT_LENGTH;
	else
		t->state = n ? EXPECT_BODY : EXPECT_LENGTH;
}

static bool is_length(const struct witness *t)
{
	return t->state == EXPECT_LENGTH || t->state == EXPECT_BODY_LENGTH ||
	       t->state == EXPECT_CHUNK_LENGTH;
}

static void take_whole(struct witness *t)
{
	struct envelope e;

	if (is_length(t)) {
		take_length(t);
		return;
	}
	if (t->state == EXPECT_ENVELOPE) {
		e = take_message(t, t->have);
		t->state = after(&e);
	} else {
		t->state = t->state == EXPECT_CHUNK ? EXPECT_CHUNK_LENGTH : EXPECT_LENGTH;
	}
	t->have = 0;
}

static void take_framed(struct witness *t, const unsigned char *bytes, size_t n)
{
	while (n) {
		size_t need = (is_length(t) ? 4 : t->need) - t->have;
		size_t take = n < need ? n : need;

		if (is_length(t) || t->state == EXPECT_ENVELOPE)
			memcpy(t->bytes + t->have, bytes, take);
		t->have += take;
		bytes += take;
		n -= take;
		if (take == need)
			take_whole(t);
	}
}

void witness_take(struct witness *t, bool framed, const unsigned char *bytes, size_t n)
{
	if (framed) {
		take_framed(t, bytes, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n') {
			if (t->have == sizeof(t->bytes))
				sim_fail("a stranger was sent a line without end");
			t->bytes[t->have++] = bytes[i];
			continue;
		}
		(void)take_message(t, t->have);
		t->have = 0;
	}
}
