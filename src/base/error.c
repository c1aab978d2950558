#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void error_fill(struct kedge_error *error, int code, const char *format, ...)
{
	va_list args;

	if (!error)
		return;

	error->code = code;
	va_start(args, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	/* Paths come from outside. */
	error_clean(error->text);
}

void error_clean(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
}

const char *error_words(int code)
{
	const char *words = strerrordesc_np(abs(code));

	/* In one way, also where no errno value is at hand. */
	if (abs(code) == ENOMEM)
		return "out of memory";
	return words ? words : "unknown error";
}

const char *error_name(int code)
{
	const char *name = strerrorname_np(abs(code));

	return name ? name : "E?";
}
