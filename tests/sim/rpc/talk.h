/*
 * Texts that both sides know: who reads one can tell whose it is, and whether a byte
 * of it is missing.
 */
#pragma once

#include "world.h"

/* Ids of calls are this and a number. */
#define CALL_PREFIX "c:"

/* The longest pad of a request's params, and the room for all of them. */
#define PAD_BYTES_MAX    4000u
#define PARAMS_BYTES_MAX (PAD_BYTES_MAX + 64u)

/* Patterns from here on are of what clients send. */
#define DEAL_PATTERNS 1000u

/* So many bytes that need no escape. */
extern char pad_text[PAD_BYTES_MAX];

unsigned deal_index(const struct deal *d);

/* What a deal sends as params. Return: their size. */
size_t deal_params(const struct deal *d, char *to);

/* The deal that params name; NULL: none. */
struct deal *deal_by_params(struct kedge_span params);

/* The number behind @name in a text such as {"job":7...}; UINT_MAX: there is none. */
unsigned text_number(struct kedge_span text, const char *name);
