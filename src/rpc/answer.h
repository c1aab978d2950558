/*
 * Answers: the lines that a server writes.
 */
#pragma once

#include "base/buf.h"
#include "kedge/conn.h"

/* {"id":ID,"result":RESULT}\n; without a result the member is left out. Return: 0
 * or -ENOMEM (the buffer is as it was). */
int answer_result(struct buf *b, struct kedge_span id, struct kedge_span result);

/* {"id":ID,"error":TEXT,"statusCode":N,"errorCode":CODE,"errorDetails":VALUE}\n.
 * Text that is not UTF-8 is mended: each bad byte becomes U+FFFD. */
int answer_error(struct buf *b, struct kedge_span id, const struct kedge_rpc_error *error);

/* {"event":NAME,"data":DATA}\n */
int answer_event(struct buf *b, struct kedge_span name, struct kedge_span data);

/* Codes and their numbers, as the product's route errors have them. */

/* The code of a status: "BAD_REQUEST" for 400; "INTERNAL_ERROR" where there is none. */
const char *status_code(int status);

/* The status of a code: 400 for "BAD_REQUEST"; 500 where it is unknown. */
int code_status(const char *code);
