#include "rpc/answer.h"

#include <string.h>

#include "wire/json.h"
#include "wire/utf8.h"

static const struct {
	int status;
	const char *code;
} codes[] = {
	{ 400, "BAD_REQUEST" },
	{ 401, "UNAUTHORIZED" },
	{ 403, "FORBIDDEN" },
	{ 404, "NOT_FOUND" },
	{ 409, "CONFLICT" },
	{ 410, "GONE" },
	{ 413, "PAYLOAD_TOO_LARGE" },
	{ 422, "UNPROCESSABLE_ENTITY" },
	{ 424, "FAILED_DEPENDENCY" },
	{ 429, "RATE_LIMITED" },
	{ 500, "INTERNAL_ERROR" },
	{ 502, "BAD_GATEWAY" },
	{ 503, "SERVICE_UNAVAILABLE" },
	{ 504, "GATEWAY_TIMEOUT" },
};

const char *status_code(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return "INTERNAL_ERROR";
}

int code_status(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].status;
	return 500;
}

/* A line is appended whole or not at all. */
static int whole(struct buf *b, size_t before, int r)
{
	if (r < 0)
		b->end = b->start + before;
	return r;
}

/* Room is reserved before: what follows cannot fail. */
static char *put(char *to, const void *data, size_t size)
{
	memcpy(to, data, size);
	return to + size;
}

#define PUT(to, text) put(to, text, sizeof(text) - 1)

/* The fixed parts of {"id":,"result":}\n, rounded up. */
#define RESULT_FRAME_BYTES 32

int answer_result(struct buf *b, struct kedge_span id, struct kedge_span result)
{
	int r = buf_reserve(b, id.size + result.size + RESULT_FRAME_BYTES);
	char *to;

	if (r < 0)
		return r;
	to = PUT(b->data + b->end, "{\"id\":");
	to = put(to, id.data, id.size);
	if (result.size) {
		to = PUT(to, ",\"result\":");
		to = put(to, result.data, result.size);
	}
	to = PUT(to, "}\n");
	b->end = (size_t)(to - b->data);
	return 0;
}

/* The first byte that is not UTF-8, or the end. */
static const char *first_bad(const char *p, const char *end)
{
	while (p < end) {
		size_t n = (unsigned char)*p < 0x80 ? 1 : utf8_sequence(p, end);

		if (!n)
			break;
		p += n;
	}
	return p;
}

static int append_mended(struct buf *b, struct kedge_span text)
{
	struct buf mended = BUF_INIT;
	const char *p = text.data, *end = p + text.size;
	int r = 0;

	if (first_bad(p, end) == end)
		return json_append_string(b, text);
	while (r == 0 && p < end) {
		const char *bad = first_bad(p, end);

		r = buf_append(&mended, p, (size_t)(bad - p));
		if (r == 0 && bad < end)
			r = buf_append(&mended, "\xEF\xBF\xBD", 3);
		p = bad + 1;
	}
	if (r == 0)
		r = json_append_string(
			b, (struct kedge_span){ buf_front(&mended), buf_size(&mended) });
	buf_deinit(&mended);
	return r;
}

static int append_error(struct buf *b, struct kedge_span id, const struct kedge_rpc_error *error)
{
	/* Clients test the text for truth: an error without words would be a success. */
	struct kedge_span text = error->text.size ? error->text : kedge_span("Unknown error");
	int r = buf_append(b, "{\"id\":", 6);

	if (r == 0)
		r = buf_append(b, id.data, id.size);
	if (r == 0)
		r = buf_append(b, ",\"error\":", 9);
	if (r == 0)
		r = append_mended(b, text);
	if (r == 0)
		r = buf_appendf(b, ",\"statusCode\":%d,\"errorCode\":\"%s\"", error->status,
				error->code);
	if (r == 0 && error->details.size)
		r = buf_append(b, ",\"errorDetails\":", 16);
	if (r == 0)
		r = buf_append(b, error->details.data, error->details.size);
	return r < 0 ? r : buf_append(b, "}\n", 2);
}

int answer_error(struct buf *b, struct kedge_span id, const struct kedge_rpc_error *error)
{
	size_t before = buf_size(b);

	return whole(b, before, append_error(b, id, error));
}

static int append_event(struct buf *b, struct kedge_span name, struct kedge_span data)
{
	int r = buf_append(b, "{\"event\":", 9);

	if (r == 0)
		r = append_mended(b, name);
	if (r == 0 && data.size)
		r = buf_append(b, ",\"data\":", 8);
	if (r == 0)
		r = buf_append(b, data.data, data.size);
	return r < 0 ? r : buf_append(b, "}\n", 2);
}

int answer_event(struct buf *b, struct kedge_span name, struct kedge_span data)
{
	size_t before = buf_size(b);

	return whole(b, before, append_event(b, name, data));
}
