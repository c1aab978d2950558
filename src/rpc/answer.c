#include "rpc/answer.h"

#include <inttypes.h>
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

int answer_result(struct buf *b, struct kedge_span id, struct kedge_span result)
{
	return answer_parts(b, id, &result, 1);
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

static int append_id(struct buf *b, struct kedge_span id)
{
	int r = buf_append(b, "{\"id\":", 6);

	return r < 0 ? r : buf_append(b, id.data, id.size);
}

/* A member @name, with its comma and colon, of JSON text; absent: left out. */
static int append_member(struct buf *b, const char *name, struct kedge_span value)
{
	int r = 0;

	if (value.size)
		r = buf_append(b, name, strlen(name));
	return r < 0 ? r : buf_append(b, value.data, value.size);
}

int answer_error(struct buf *b, struct kedge_span id, const struct kedge_rpc_error *error)
{
	/* Clients test the text for truth: an error without words would be a success. */
	struct kedge_span text = error->text.size ? error->text : kedge_span("Unknown error");
	const char *code = error->code ? error->code : status_code(error->status);
	int r = append_id(b, id);

	if (r == 0)
		r = buf_append(b, ",\"error\":", 9);
	if (r == 0)
		r = append_mended(b, text);
	if (r == 0)
		r = buf_appendf(b, ",\"statusCode\":%d,\"errorCode\":", error->status);
	if (r == 0)
		r = append_mended(b, kedge_span(code));
	if (r == 0)
		r = append_member(b, ",\"errorDetails\":", error->details);
	return r < 0 ? r : buf_append(b, "}", 1);
}

int answer_headers(struct buf *b, struct kedge_span object)
{
	struct kedge_span name, value;
	const char *at = NULL;
	int r = 0;

	if (json_kind(object) != JSON_OBJECT)
		return 0;
	while (r == 0 && json_next_member(object, &at, &name, &value)) {
		if (json_string_is(name, "content-length") ||
		    json_string_is(name, "transfer-encoding"))
			continue;
		r = buf_append(b, name.data, name.size);
		if (r == 0)
			r = append_member(b, ":", value);
		if (r == 0)
			r = buf_append(b, ",", 1);
	}
	return r;
}

int answer_envelope(struct buf *b, struct kedge_span id, struct kedge_span headers,
		    const char *name, const char *value)
{
	int r = append_id(b, id);

	if (r == 0)
		r = buf_append(b, ",\"headers\":{", 12);
	if (r == 0)
		r = buf_append(b, headers.data, headers.size);
	return r < 0 ? r : buf_appendf(b, "\"%s\":\"%s\"}}", name, value);
}

int answer_event(struct buf *b, struct kedge_span name, struct kedge_span data)
{
	int r = buf_append(b, "{\"event\":", 9);

	if (r == 0)
		r = append_mended(b, name);
	if (r == 0)
		r = append_member(b, ",\"data\":", data);
	return r < 0 ? r : buf_append(b, "}", 1);
}

int answer_call(struct buf *b, const char *prefix, uint64_t number, struct kedge_span method,
		struct kedge_span params)
{
	int r = buf_appendf(b, "{\"id\":\"%s%" PRIu64 "\",\"method\":", prefix, number);

	if (r == 0)
		r = append_mended(b, method);
	if (r == 0)
		r = append_member(b, ",\"params\":", params);
	return r < 0 ? r : buf_append(b, "}", 1);
}
