#include "sys/clock.h"

#include <time.h>

uint64_t monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

int64_t realtime_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / (long)NSEC_PER_MSEC;
}

int append_utc(struct buf *b, int64_t time_ms)
{
	time_t seconds = (time_t)(time_ms / 1000);
	char text[32];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		text[0] = '\0';
	return buf_appendf(b, "%s.%03dZ", text, (int)(time_ms % 1000));
}
