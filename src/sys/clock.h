/* What time it is. The guard and the connections are told, and do not ask. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/time.h"

/* CLOCK_MONOTONIC. */
uint64_t monotonic_ns(void);

/* CLOCK_REALTIME, since 1970: to be shown, and for nothing else. */
int64_t realtime_ms(void);

/* Append 2026-01-02T03:04:05.678Z, of the thousandths of a second since 1970. Return: 0;
 * -ENOMEM. */
int append_utc(struct buf *b, int64_t time_ms);
