/*
 * Compact JSON text: what came in over several lines, and is to go out on one.
 */
#pragma once

#include "wire/json.h"

/**
 * json_append_compact() - append a value without the white space between its tokens
 * @value: valid JSON text; strings and numbers stay as they are, byte for byte
 *
 * Return: 0, or -ENOMEM (the buffer is as it was).
 */
int json_append_compact(struct buf *b, struct kedge_span value);

/**
 * json_append_member() - append "NAME":VALUE to an object whose '{' is there
 * @name:  goes out as it is
 * @value: as for json_append_compact(); absent: nothing is appended
 *
 * Return: 0, or -ENOMEM.
 */
int json_append_member(struct buf *b, const char *name, struct kedge_span value);
