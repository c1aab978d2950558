/* The text of feature-flags.json, taken apart. See flags.h. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "kedge/error.h"

/* The values that a file's text gives. Return: an object of booleans, a new reference; or NULL
 * and why not. */
json_t *flags_parse(const char *text, size_t size, struct kedge_error *error);
