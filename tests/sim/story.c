#include <stdarg.h>
#include <stdio.h>

#include "story.h"

struct story story;

void __wrap___assert_fail(const char *what, const char *file, unsigned line, const char *function);

void trace_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)printf("# %12.6f ", (double)history_clock_ns() / 1e9);
	(void)vprintf(format, arguments);
	(void)printf("\n");
	va_end(arguments);
}

_Noreturn void sim_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(story.failure, sizeof(story.failure), format, arguments);
	va_end(arguments);
	trace("FOUL: %s", story.failure);
	story.failed = true;
	history_leave();
}

void __wrap___assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
	sim_fail("%s:%u: %s: assertion failed: %s", file, line, function, what);
}
