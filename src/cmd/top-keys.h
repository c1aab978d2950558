/*
 * Keys, as terminals send them: ECMA-48 and what xterm, the Linux console, tmux and the VT100
 * made of it.
 */
#pragma once

#include <stddef.h>

#include "cmd/top-ui.h"

/* Whether the bytes may go on. */
enum top_keys_end {
	TOP_KEYS_GO_ON = 0,
	TOP_KEYS_END, /* nothing came for a while: a lone escape was the key of that name */
};

/**
 * top_keys_next() - take one key out of what was read
 * @ret_key: the key; TOP_KEY_NONE: these bytes are none that means something here
 *
 * Return: how many bytes it took; 0: more have to come (never with TOP_KEYS_END, if @size).
 */
size_t top_keys_next(const char *data, size_t size, enum top_keys_end end, int *ret_key);
