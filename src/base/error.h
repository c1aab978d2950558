/* Filling struct kedge_error, and the names of errno values. */
#pragma once

#include "kedge/error.h"

/**
 * error_fill() - note why something failed
 * @error:  filled in; may be NULL
 * @code:   negative errno value
 * @format: printf format of the one line; cut at KEDGE_ERROR_TEXT_MAX - 1
 */
void error_fill(struct kedge_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, and the value is @code: `return error_set(...)`. A macro, because whoever reads
 * one file at a time (the analyzer) would think that a function may return 0 here. */
#define error_set(error, code, ...)                                                                \
	({                                                                                         \
		int _code = (code);                                                                \
		error_fill((error), _code, __VA_ARGS__);                                           \
		_code;                                                                             \
	})

/* Make one line of @text, in place, that plays with nobody's terminal: control characters become
 * '?'. */
void error_clean(char *text);

/* The words for a negative (or positive) errno value: the system's, and "out of memory". Never
 * NULL, any thread. */
const char *error_words(int code);

/* "EACCES" for -EACCES; "E?" for a number without a name. Any thread. */
const char *error_name(int code);
