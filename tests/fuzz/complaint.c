#include "fuzz/complaint.h"

#include <stdarg.h>

#include "fuzz/fuzz.h"

unsigned complaint_count;

void complaint_forget(void)
{
	complaint_count = 0;
}

void __wrap_usage_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_usage_complain(const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	FUZZ_ASSERT(n > 0 && !strchr(text, '\n'));
	free(text);
	complaint_count++;
}
