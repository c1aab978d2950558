/*
 * Text for terminals: names from outside made harmless, columns, colours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "kedge/conn.h"

/* Append @text with control characters and what is no UTF-8 as '?': nobody's path may
 * move somebody's cursor, or make two lines of one. Return: 0 or -ENOMEM. */
int append_clean(struct buf *b, const char *text);

/* Append as a JSON string; what is no UTF-8 becomes U+FFFD. Return: 0 or -ENOMEM. */
int append_json_text(struct buf *b, const char *text);

/* What a JSON string says, NUL behind it; of any other value "". The caller frees; NULL: out of
 * memory. */
char *text_of_json(struct kedge_span string);

/* Columns of standard output; 0: it is no terminal, and nothing is to be cut. */
unsigned terminal_columns(void);

/* Whether to colour standard output: a terminal, and neither NO_COLOR nor a dumb one. */
bool terminal_has_colours(void);

/* How many columns @text takes: a code point is one. */
size_t text_columns(const char *text);

/* The part of @text that fits into @columns from its end, or @text itself. */
const char *text_tail(const char *text, size_t columns);
