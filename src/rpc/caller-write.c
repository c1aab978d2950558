#include "rpc/caller.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/answer.h"
#include "wire/json.h"

/* What an envelope has beside texts of the caller's: names, id, braces. */
#define ENVELOPE_BYTES_MAX 256

/* Chunks carry no id: what is said while a body is under way has to wait. */
static struct buf *lane(struct kedge_caller *c)
{
	return c->uploading ? &c->behind : &c->out;
}

/* Whether @n more bytes may be kept waiting. */
static bool has_room(const struct kedge_caller *c, size_t n)
{
	size_t used = buf_size(&c->out) + buf_size(&c->behind) + c->kept_bytes;

	return n <= c->limits.output_bytes_max && used <= c->limits.output_bytes_max - n;
}

static void cut_back(struct buf *b, size_t size)
{
	b->end = b->start + size;
}

/* The end of an upload, and what waits behind it, have their room before they are needed:
 * without it what is said next would be taken for a piece of the body. */
static int keep_room(struct kedge_caller *c)
{
	return buf_reserve(&c->out, FRAME_HEADER_BYTES + buf_size(&c->behind));
}

/* A message was appended behind @before; @r: how that went. Return: @r, or -ENOMEM. */
static int finish(struct kedge_caller *c, struct buf *b, size_t before, int r)
{
	if (r == 0 && c->uploading)
		r = keep_room(c);
	if (r < 0)
		cut_back(b, before);
	return r;
}

static int begin_message(struct kedge_caller *c, struct buf *b)
{
	static const char header[FRAME_HEADER_BYTES];

	return c->protocol == KEDGE_PROTOCOL_FRAMES ? buf_append(b, header, sizeof(header)) : 0;
}

/* @start: what the buffer held before the message. */
static int end_message(struct kedge_caller *c, struct buf *b, size_t start)
{
	size_t length = buf_size(b) - start - FRAME_HEADER_BYTES;

	if (c->protocol == KEDGE_PROTOCOL_LINES)
		return buf_append(b, "\n", 1);
	if (length > CALLER_FRAME_MAX)
		return -ENOBUFS;
	frame_put_length(buf_front(b) + start, length);
	return 0;
}

static int append_frame(struct buf *b, struct kedge_span bytes)
{
	char header[FRAME_HEADER_BYTES];
	int r;

	if (bytes.size > CALLER_FRAME_MAX)
		return -ENOBUFS;
	frame_put_length(header, bytes.size);
	r = buf_append(b, header, sizeof(header));
	return r < 0 ? r : buf_append(b, bytes.data, bytes.size);
}

/* JSON text on one line: a line break outside of strings is white space, and in
 * strings there is none. */
static int append_json(struct buf *b, struct kedge_span text)
{
	int r = buf_append(b, text.data, text.size);

	if (r < 0)
		return r;
	for (char *p = b->data + b->end - text.size; p < b->data + b->end; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	return 0;
}

static int append_headers(struct buf *b, const struct kedge_ask *ask)
{
	int r;

	if (!ask->headers.size && ask->body_kind == KEDGE_BODY_NONE)
		return 0;
	r = buf_append(b, ",\"headers\":{", 12);
	if (r == 0)
		r = answer_headers(b, ask->headers);
	if (r < 0)
		return r;
	if (ask->body_kind == KEDGE_BODY_WHOLE)
		return buf_appendf(b, "\"content-length\":\"%zu\"}", ask->body.size);
	if (ask->body_kind == KEDGE_BODY_STREAMED)
		return buf_append(b, "\"transfer-encoding\":\"chunked\"}", 30);
	if (b->data[b->end - 1] == ',')
		b->end--;
	return buf_append(b, "}", 1);
}

static int append_request(struct kedge_caller *c, struct buf *b, uint64_t number,
			  const struct kedge_ask *ask)
{
	size_t start = buf_size(b);
	int r = begin_message(c, b);

	if (r == 0)
		r = buf_appendf(b, "{\"id\":\"%s%" PRIu64 "\",\"method\":", c->prefix, number);
	if (r == 0)
		r = json_append_string(b, kedge_span(ask->method));
	if (r == 0 && ask->params.size)
		r = buf_append(b, ",\"params\":", 10);
	if (r == 0 && ask->params.size)
		r = append_json(b, ask->params);
	if (r == 0)
		r = append_headers(b, ask);
	if (r == 0)
		r = buf_append(b, "}", 1);
	if (r == 0)
		r = end_message(c, b, start);
	if (r == 0 && ask->body_kind == KEDGE_BODY_WHOLE)
		r = append_frame(b, ask->body);
	return r;
}

static int keep(struct kedge_caller *c, struct caller_call *call, const char *data, size_t size)
{
	call->kept = malloc(size);
	if (!call->kept)
		return -ENOMEM;
	memcpy(call->kept, data, size);
	call->kept_size = size;
	c->kept_bytes += size;
	return 0;
}

int caller_write_request(struct kedge_caller *c, struct caller_call *call,
			 const struct kedge_ask *ask)
{
	struct buf *b = lane(c);
	size_t before = buf_size(b);
	size_t about = ENVELOPE_BYTES_MAX + strlen(ask->method) + ask->params.size +
		       ask->headers.size +
		       (ask->body_kind == KEDGE_BODY_WHOLE ? ask->body.size : 0);
	int r;

	if (!has_room(c, ask->if_lost == KEDGE_IF_LOST_RESEND ? about * 2 : about))
		return -ENOBUFS;
	r = append_request(c, b, call->number, ask);
	if (r == 0 && ask->if_lost == KEDGE_IF_LOST_RESEND)
		r = keep(c, call, buf_front(b) + before, buf_size(b) - before);
	if (r == 0 && ask->body_kind == KEDGE_BODY_STREAMED)
		r = keep_room(c);
	return finish(c, b, before, r);
}

int caller_write_kept(struct kedge_caller *c, const struct caller_call *call)
{
	return buf_append(&c->out, call->kept, call->kept_size);
}

void caller_write_cancel(struct kedge_caller *c, uint64_t number)
{
	struct buf *b = lane(c);
	size_t before = buf_size(b);
	char params[64 + KEDGE_ID_PREFIX_MAX];
	struct kedge_ask ask = { .method = "$cancel" };
	int n;

	if (c->protocol != KEDGE_PROTOCOL_FRAMES || c->limits.calls_max == 0)
		return;
	n = snprintf(params, sizeof(params), "{\"targetId\":\"%s%" PRIu64 "\"}", c->prefix, number);
	ask.params = (struct kedge_span){ params, (size_t)n };
	/* Its answer says nothing and is not waited for: an id that has no call. */
	if (has_room(c, ENVELOPE_BYTES_MAX))
		(void)finish(c, b, before, append_request(c, b, ++c->serial, &ask));
}

void caller_close_upload(struct kedge_caller *c)
{
	int r = append_frame(&c->out, (struct kedge_span){ NULL, 0 });

	assert(r == 0);
	r = buf_append(&c->out, buf_front(&c->behind), buf_size(&c->behind));
	assert(r == 0);
	c->uploading = 0;
	buf_deinit(&c->behind);
}

int kedge_caller_upload(struct kedge_caller *c, uint64_t number, struct kedge_span piece)
{
	size_t before = buf_size(&c->out);

	if (!number || c->uploading != number)
		return -ESTALE;
	if (!piece.size)
		return 0;
	if (!has_room(c, FRAME_HEADER_BYTES + piece.size))
		return -ENOBUFS;
	return finish(c, &c->out, before, append_frame(&c->out, piece));
}

int kedge_caller_upload_end(struct kedge_caller *c, uint64_t number)
{
	if (!number || c->uploading != number)
		return -ESTALE;
	caller_close_upload(c);
	return 0;
}

struct kedge_span kedge_caller_id(struct kedge_caller *c, uint64_t number)
{
	buf_consume(&c->id, buf_size(&c->id));
	if (buf_appendf(&c->id, "\"%s%" PRIu64 "\"", c->prefix, number) < 0)
		return (struct kedge_span){ NULL, 0 };
	return (struct kedge_span){ buf_front(&c->id), buf_size(&c->id) };
}

/* @r: how writing it went. */
static int finish_answer(struct kedge_caller *c, struct buf *b, size_t before, int r)
{
	return finish(c, b, before, r < 0 ? r : end_message(c, b, before));
}

int kedge_caller_reply(struct kedge_caller *c, struct kedge_span id, struct kedge_span result)
{
	struct buf *b = lane(c);
	size_t before = buf_size(b);
	int r = has_room(c, ENVELOPE_BYTES_MAX + id.size + result.size) ? begin_message(c, b)
									: -ENOBUFS;

	return finish_answer(c, b, before, r < 0 ? r : answer_result(b, id, result));
}

int kedge_caller_fail(struct kedge_caller *c, struct kedge_span id,
		      const struct kedge_rpc_error *error)
{
	struct buf *b = lane(c);
	size_t before = buf_size(b);
	size_t about = ENVELOPE_BYTES_MAX + id.size + error->text.size + error->details.size;
	int r = has_room(c, about) ? begin_message(c, b) : -ENOBUFS;

	return finish_answer(c, b, before, r < 0 ? r : answer_error(b, id, error));
}

bool kedge_caller_output(struct kedge_caller *c, const void **ret_data, size_t *ret_size)
{
	*ret_data = buf_front(&c->out);
	*ret_size = buf_size(&c->out);
	return *ret_size > 0;
}

void kedge_caller_sent(struct kedge_caller *c, size_t n)
{
	buf_consume(&c->out, n);
	if (!c->uploading)
		buf_trim(&c->out, (size_t)1 << 20);
}

size_t kedge_caller_output_bytes(const struct kedge_caller *c)
{
	return buf_size(&c->out);
}
