/* Units of time. Nothing here reads a clock: the caller says what time it is. */
#pragma once

#include <stdint.h>

#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* A deadline that never comes. */
#define TIME_NEVER UINT64_MAX
