/* Units of time. Nothing here reads a clock: the caller says what time it is. */
#pragma once

#include <limits.h>
#include <stdint.h>

#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* A deadline that never comes. */
#define TIME_NEVER UINT64_MAX

/**
 * time_until_ms() - a deadline as a time-out of poll(2), or of a timer
 *
 * Rounded up: rounded down, the last millisecond would be spun through with a time-out of 0.
 *
 * Return: milliseconds, 0 where it has come already, INT_MAX where it is farther off than
 *         that; -1: TIME_NEVER.
 */
static inline int time_until_ms(uint64_t deadline_ns, uint64_t now_ns)
{
	uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	uint64_t left_ms = left_ns / NSEC_PER_MSEC + (left_ns % NSEC_PER_MSEC != 0);

	if (deadline_ns == TIME_NEVER)
		return -1;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* A deadline as the public functions tell it: microseconds, UINT64_MAX for none. */
static inline uint64_t time_from_usec(uint64_t deadline_us)
{
	return deadline_us < TIME_NEVER / NSEC_PER_USEC ? deadline_us * NSEC_PER_USEC : TIME_NEVER;
}
