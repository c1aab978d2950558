/*
 * Without memory: the n-th allocation fails, for n = 1, 2, 3, ... until none does
 * any more. Whatever fails is told by -ENOMEM, every call that was taken ends
 * exactly once, and nothing leaks (the address sanitizer looks on).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "kedge/client.h"

#define RUNS_MAX 500

/* The linker puts these in front of the C library's, see meson.build. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);

static unsigned until_failure; /* 0: none fails */
static bool failed;

static bool fails_now(void)
{
	if (!until_failure || --until_failure)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

static unsigned taken, ended;

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	(void)userdata;
	ended += reply->outcome != KEDGE_OUTCOME_STREAM;
}

static void on_request(struct kedge_caller *caller, const struct kedge_asked *asked, void *userdata)
{
	int r = kedge_caller_reply(caller, asked->id, kedge_span("{}"));

	(void)userdata;
	assert_true(r == 0 || r == -ENOMEM);
}

/* Return: the call's number, or 0: no memory. */
static uint64_t ask(struct kedge_caller *caller, struct kedge_ask a)
{
	uint64_t number = 0;
	int r;

	a.method = "m";
	a.on_reply = on_reply;
	a.deadline_ns = 1000;
	r = kedge_caller_call(caller, &a, &number);
	assert_true(r == 0 || r == -ENOMEM);
	assert_true((r == 0) == (number != 0));
	taken += r == 0;
	return number;
}

static int feed(struct kedge_caller *caller, const char *text)
{
	size_t room, n = strlen(text);
	unsigned char *to = kedge_caller_input(caller, &room);

	if (!to)
		return -ENOMEM;
	memcpy(to, (unsigned char[]){ 0, 0, 0, (unsigned char)n }, 4);
	memcpy(to + 4, text, n);
	return kedge_caller_received(caller, n + 4);
}

static void feed_all(struct kedge_caller *caller)
{
	static const char *const frames[] = {
		"{\"id\":\"d:1\",\"method\":\"m\"}",
		"{\"id\":\"1\",\"headers\":{\"content-length\":\"1\"}}",
		"x",
		"{\"id\":\"2\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
		"x",
		"",
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]) && r == 0; i++)
		r = feed(caller, frames[i]);
	/* Where a call failed the frames belong to nobody: that is no trouble. */
	assert_true(r == 0 || r == -ENOMEM);
}

static void live(struct kedge_caller *caller)
{
	struct kedge_span headers = kedge_span("{\"a\":1}"), body = kedge_span("body");
	uint64_t upload;

	(void)ask(caller, (struct kedge_ask){ .params = kedge_span("[1]") });
	(void)ask(caller, (struct kedge_ask){ .headers = headers,
					      .body_kind = KEDGE_BODY_WHOLE,
					      .body = body });
	upload = ask(caller, (struct kedge_ask){ .body_kind = KEDGE_BODY_STREAMED });
	(void)ask(caller, (struct kedge_ask){ .if_lost = KEDGE_IF_LOST_RESEND });
	if (upload) {
		int r = kedge_caller_upload(caller, upload, body);

		assert_true(r == 0 || r == -ENOMEM);
		r = kedge_caller_upload_end(caller, upload);
		assert_true(r == 0 || r == -ENOMEM);
	}
	feed_all(caller);
	kedge_caller_lost(caller);
	kedge_caller_expire(caller, 1000);
}

static void test_each_allocation_may_fail(void **state)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_FRAMES,
						.handlers = { .on_request = on_request } };
	unsigned n = 0;

	(void)state;
	do {
		struct kedge_caller *caller = NULL;
		int r;

		assert_true(++n < RUNS_MAX);
		taken = ended = 0;
		failed = false;
		until_failure = n;
		r = kedge_caller_new(&caller, &options);
		if (r == 0)
			live(caller);
		else
			assert_int_equal(r, -ENOMEM);
		kedge_caller_free(caller);
		until_failure = 0;
		assert_int_equal(taken, ended);
	} while (failed);
	/* A test of the test: there was something to fail. */
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_may_fail),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
