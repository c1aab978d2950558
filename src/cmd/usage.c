/* What all commands share: complaints, and the numbers that options take. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"

void usage_complain(const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	/* What was given may hold any byte. */
	if (text)
		error_clean(text);
	(void)fprintf(stderr, "kedge: %s\n", text ? text : format);
}

int parse_number(const char *text, int64_t low, int64_t high, int64_t *ret)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || strchr(" \t\n\v\f\r", *text) || value < low ||
	    value > high)
		return -EINVAL;
	*ret = value;
	return 0;
}

int parse_seconds(const char *text, int64_t max_s, int64_t *ret_ms)
{
	char *end;
	double value;

	/* strtod() would take white space, signs, hex, "inf" and "nan" as well. */
	if (!*text || strspn(text, "0123456789.") != strlen(text))
		return -EINVAL;
	value = strtod(text, &end);
	if (*end || value > (double)max_s)
		return -EINVAL;
	*ret_ms = (int64_t)(value * 1000);
	return 0;
}
