/*
 * Answers without memory: each writer, into a buffer that has room for the first n bytes and
 * cannot grow, for every n. The allocator is wrapped by the linker: see meson.build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rpc/answer.h"
#include "rpc/test-allocator.h"
#include "wire/compact.h"
#include "wire/json.h"

/* Writers append, with an escape in front of it, at most so many bytes more than they leave. */
#define SLACK_BYTES 16

static bool refusing;
static unsigned granted; /* allocations that succeed before the first that is refused */

static bool is_refused(void)
{
	if (!refusing)
		return false;
	if (granted == 0)
		return true;
	granted--;
	return false;
}

static const struct kedge_span id = { "\"i\"", 3 };

static int write_parts(struct buf *b)
{
	const struct kedge_span parts[] = { kedge_span("[1"), kedge_span(",2]") };

	return answer_parts(b, id, parts, 2);
}

static int write_error(struct buf *b)
{
	const struct kedge_rpc_error error = { .text = kedge_span("a\nb"),
					       .status = 400,
					       .details = kedge_span("[]") };

	return answer_error(b, id, &error);
}

static int write_mended_error(struct buf *b)
{
	const struct kedge_rpc_error error = { .text = kedge_span("a\xFFz"), .status = 400 };

	return answer_error(b, id, &error);
}

static int write_headers(struct buf *b)
{
	return answer_headers(b, kedge_span("{\"a\":1,\"content-length\":2,\"b\":\"c\"}"));
}

static int write_envelope(struct buf *b)
{
	return answer_envelope(b, id, kedge_span("\"a\":1,"), "content-length", "7");
}

static int write_event(struct buf *b)
{
	return answer_event(b, kedge_span("changed"), kedge_span("{}"));
}

static int write_call(struct buf *b)
{
	return answer_call(b, "d:", 17, kedge_span("m"), kedge_span("{}"));
}

static int write_compact(struct buf *b)
{
	return json_append_compact(b, kedge_span("{ \"a\" : [ 1 ] }"));
}

static int write_member(struct buf *b)
{
	int r = buf_append(b, "{", 1);

	return r < 0 ? r : json_append_member(b, "a", kedge_span("[ 1 ]"));
}

static int write_string(struct buf *b)
{
	size_t before = buf_size(b);
	int r = json_append_string(b, kedge_span("a\x01\"bcdefgh"));

	/* This one promises to leave nothing of what did not fit. */
	assert_true(r == 0 || buf_size(b) == before);
	return r;
}

static int (*const writers[])(struct buf *) = {
	write_parts, write_error, write_mended_error, write_headers, write_envelope,
	write_event, write_call,  write_compact,      write_member,  write_string,
};

/* Into @room bytes, with so many allocations granted: the whole text, or -ENOMEM. */
static int write_into(int (*writer)(struct buf *), size_t room, unsigned grants,
		      const struct buf *whole)
{
	/* One byte at least: realloc(NULL) would be the buffer's first memory, and no growth. */
	struct buf b = { .data = malloc(room + 1), .capacity = room };
	int r;

	assert_non_null(b.data);
	granted = grants;
	refusing = true;
	r = writer(&b);
	refusing = false;
	if (r == 0) {
		assert_int_equal(buf_size(&b), buf_size(whole));
		assert_memory_equal(buf_front(&b), buf_front(whole), buf_size(whole));
	} else {
		assert_int_equal(r, -ENOMEM);
	}
	assert_true(b.end <= b.capacity);
	buf_deinit(&b);
	return r;
}

/* Cut short anywhere, each says so, and writes beyond nothing. */
static void test_no_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		struct buf whole = BUF_INIT;

		assert_int_equal(writers[i](&whole), 0);
		for (size_t room = 0; room < buf_size(&whole); room++)
			assert_int_equal(write_into(writers[i], room, 0, &whole), -ENOMEM);
		assert_int_equal(write_into(writers[i], buf_size(&whole) + SLACK_BYTES, 1, &whole),
				 0);
		buf_deinit(&whole);
	}
}

/* What needs memory of its own is refused that as well: the first of it, the second ... */
static void test_no_memory_of_its_own(void **state)
{
	struct buf whole = BUF_INIT;
	size_t room;
	unsigned n = 0;

	(void)state;
	assert_int_equal(write_mended_error(&whole), 0);
	room = buf_size(&whole) + SLACK_BYTES;
	while (write_into(write_mended_error, room, n, &whole) < 0)
		n++;
	assert_int_equal(n, 1);
	buf_deinit(&whole);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_no_memory_of_its_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
