/*
 * The JSON scanner beside jansson: both take or refuse the same texts, and a
 * text that they take says the same to both. What differs by intent is taken out
 * first: lone surrogates and \u0000 (refused by jansson, let through by us, as
 * JSON.parse() does), numbers beyond a double, nesting beyond the limits.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "fuzz/theirs.h"
#include "wire/json.h"

/* Both work through these without a limit of their own in the way. */
#define DEPTH_MAX 512

static int hex_of(const char *p, const char *end, unsigned *ret)
{
	char digits[5] = "";
	char *last;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return 0;
	memcpy(digits, p + 2, 4);
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return 0;
	*ret = (unsigned)strtoul(digits, &last, 16);
	return 1;
}

/* Write an A over escapes that jansson refuses. In strings and out of them alike: out of
 * them both refuse a backslash. */
static void tame_escapes(char *text, size_t size)
{
	char *end = text + size;
	unsigned unit, next;

	for (char *p = text; p < end; p++) {
		if (*p != '\\')
			continue;
		if (!hex_of(p, end, &unit)) {
			p++;
			continue;
		}
		if (unit >= 0xD800 && unit < 0xDC00 && hex_of(p + 6, end, &next) &&
		    next >= 0xDC00 && next < 0xE000) {
			p += 11;
			continue;
		}
		if (unit == 0 || (unit >= 0xD800 && unit < 0xE000))
			memcpy(p, "\\u0041", 6);
		p += 5;
	}
}

/* An upper bound of the nesting: brackets in strings count as well. */
static unsigned depth_of(const char *text, size_t size)
{
	unsigned depth = 0;

	for (size_t i = 0; i < size; i++)
		depth += text[i] == '[' || text[i] == '{';
	return depth;
}

static void compare(struct kedge_span ours, struct theirs *theirs);

static void compare_string(struct kedge_span ours, struct theirs *theirs)
{
	char *text = fuzz_copy(ours.data, ours.size);
	size_t size = json_string_decode(ours, text), their_size;
	const char *their_text = theirs_text(theirs, &their_size);
	struct buf again = BUF_INIT;

	FUZZ_ASSERT(size == their_size && memcmp(text, their_text, size) == 0);
	FUZZ_ASSERT(json_string_is(ours, their_text));
	FUZZ_ASSERT(json_append_string(&again, (struct kedge_span){ text, size }) == 0);
	ours = (struct kedge_span){ buf_front(&again), buf_size(&again) };
	FUZZ_ASSERT(json_is_valid(ours, 0) && json_string_is(ours, their_text));
	buf_deinit(&again);
	free(text);
}

static void compare_number(struct kedge_span ours, struct theirs *theirs)
{
	char *text = malloc(ours.size + 1);

	FUZZ_ASSERT(text);
	memcpy(text, ours.data, ours.size);
	text[ours.size] = '\0';
	FUZZ_ASSERT(strtod(text, NULL) == theirs_number(theirs));
	free(text);
}

static void compare_array(struct kedge_span ours, struct theirs *theirs)
{
	struct kedge_span value;
	const char *at = NULL;
	size_t n = 0;

	while (json_next_element(ours, &at, &value))
		compare(value, theirs_element(theirs, n++));
	FUZZ_ASSERT(n == theirs_size(theirs));
}

/* Of a member given twice the last counts, for both. */
static void compare_object(struct kedge_span ours, struct theirs *theirs)
{
	struct kedge_span name, value, last;
	const char *at = NULL;
	size_t n = 0;

	while (json_next_member(ours, &at, &name, &value)) {
		char *key = fuzz_copy(name.data, name.size);

		key[json_string_decode(name, key)] = '\0'; /* there is room: it had quotes */
		last = json_member(ours, key);
		if (last.data == value.data) {
			compare(value, theirs_member(theirs, key));
			n++;
		}
		free(key);
	}
	FUZZ_ASSERT(n == theirs_size(theirs));
}

static void compare(struct kedge_span ours, struct theirs *theirs)
{
	enum json_kind kind = json_kind(ours);

	FUZZ_ASSERT(theirs && theirs_kind(theirs) == "-nft0\"[{"[kind]);
	/* A span is the whole value, and no more: it is found again where it is looked at alone. */
	FUZZ_ASSERT(json_skip(ours.data, ours.data + ours.size, DEPTH_MAX) ==
		    ours.data + ours.size);
	if (kind == JSON_STRING)
		compare_string(ours, theirs);
	else if (kind == JSON_NUMBER)
		compare_number(ours, theirs);
	else if (kind == JSON_ARRAY)
		compare_array(ours, theirs);
	else if (kind == JSON_OBJECT)
		compare_object(ours, theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct kedge_span span = { text, size };
	bool valid = json_is_valid(span, DEPTH_MAX);
	struct theirs *theirs = NULL;
	const char *p;

	tame_escapes(text, size);
	FUZZ_ASSERT(json_is_valid(span, DEPTH_MAX) == valid);
	if (memchr(text, '\0', size)) {
		/* jansson takes one between tokens for the end of the text. */
		FUZZ_ASSERT(!valid);
	} else if (depth_of(text, size) <= DEPTH_MAX) {
		switch (theirs_parse(text, size, &theirs)) {
		case THEIRS_TAKEN:
			FUZZ_ASSERT(valid);
			p = json_skip_space(text, text + size);
			span = (struct kedge_span){ p, 0 };
			span.size = (size_t)(json_skip(p, text + size, DEPTH_MAX) - p);
			compare(span, theirs);
			break;
		case THEIRS_REFUSED:
			FUZZ_ASSERT(!valid);
			break;
		case THEIRS_TOO_BIG:
			break;
		}
	}
	theirs_free(theirs);
	free(text);
	return 0;
}
