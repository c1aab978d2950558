/* Filling struct kedge_error, and the names of errno values. */
#pragma once

#include "kedge/error.h"

/**
 * error_set() - note why something failed
 * @error:  filled in; may be NULL
 * @code:   negative errno value
 * @format: printf format of the one line; cut at KEDGE_ERROR_TEXT_MAX - 1
 *
 * Return: @code, so that `return error_set(...)` reads well.
 */
int error_set(struct kedge_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The words for a negative (or positive) errno value; never NULL, any thread. */
const char *error_words(int code);

/* "EACCES" for -EACCES; "E?" for a number without a name. Any thread. */
const char *error_name(int code);
