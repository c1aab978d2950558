/*
 * Answers: the text of the messages that a server sends, without what tells one
 * message from the next. Each function appends whole or, without memory
 * (-ENOMEM), leaves half a text that the caller takes back.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "kedge/conn.h"

/* Room is reserved before: what follows cannot fail. */
#define ANSWER_PUT(to, text) ((char *)memcpy(to, text, sizeof(text) - 1) + sizeof(text) - 1)

/* The fixed parts of {"id":,"result":} and whatever follows it, rounded up. */
#define ANSWER_FIXED_BYTES 32

/* {"id":ID,"result":RESULT}, the result in @count parts; where all of them are empty the
 * member is left out. Inline, for nearly every answer goes through here. */
HOT_INLINE int answer_parts(struct buf *b, struct kedge_span id, const struct kedge_span *parts,
			    size_t count)
{
	size_t size = 0;
	char *to;
	int r;

	for (size_t i = 0; i < count; i++)
		size += parts[i].size;
	r = buf_reserve(b, id.size + size + ANSWER_FIXED_BYTES);
	if (r < 0)
		return r;
	to = ANSWER_PUT(b->data + b->end, "{\"id\":");
	to = bytes_put(to, id.data, id.size);
	if (size)
		to = ANSWER_PUT(to, ",\"result\":");
	for (size_t i = 0; i < count; i++)
		to = bytes_put(to, parts[i].data, parts[i].size);
	*to++ = '}';
	b->end = (size_t)(to - b->data);
	return 0;
}

/* The same with the result in one part. */
int answer_result(struct buf *b, struct kedge_span id, struct kedge_span result);

/* {"id":ID,"error":TEXT,"statusCode":N,"errorCode":CODE,"errorDetails":VALUE}.
 * Text that is not UTF-8 is mended: each bad byte becomes U+FFFD. */
int answer_error(struct buf *b, struct kedge_span id, const struct kedge_rpc_error *error);

/* {"id":ID,"headers":{HEADERS...,NAME:VALUE}}. @headers: members as answer_headers() has them. */
int answer_envelope(struct buf *b, struct kedge_span id, struct kedge_span headers,
		    const char *name, const char *value);

/* The members of an object (JSON text, or absent), each with a comma behind it, but those
 * that say how a body comes. */
int answer_headers(struct buf *b, struct kedge_span object);

/* {"event":NAME,"data":DATA} */
int answer_event(struct buf *b, struct kedge_span name, struct kedge_span data);

/* {"id":"PREFIXNUMBER","method":METHOD,"params":PARAMS} */
int answer_call(struct buf *b, const char *prefix, uint64_t number, struct kedge_span method,
		struct kedge_span params);

/* Codes and their numbers, as the product's route errors have them. */

/* The code of a status: "BAD_REQUEST" for 400; "INTERNAL_ERROR" where there is none. */
const char *status_code(int status);

/* The status of a code: 400 for "BAD_REQUEST"; 500 where it is unknown. */
int code_status(const char *code);
