/*
 * Answers: the text of the messages that a server sends, without what tells one
 * message from the next. Each function appends whole or, without memory
 * (-ENOMEM), leaves half a text that the caller takes back.
 */
#pragma once

#include "base/buf.h"
#include "kedge/conn.h"

/* {"id":ID,"result":RESULT}, the result in @count parts; where all of them are empty the
 * member is left out. */
int answer_parts(struct buf *b, struct kedge_span id, const struct kedge_span *parts, size_t count);

static inline int answer_result(struct buf *b, struct kedge_span id, struct kedge_span result)
{
	return answer_parts(b, id, &result, 1);
}

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
