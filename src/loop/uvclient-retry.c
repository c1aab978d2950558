#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/time.h"
#include "loop/uvclient.h"
#include "sys/clock.h"
#include "sys/dial.h"

/* All failures of a streak are one and the same: that there is no connection. */
#define STREAK_NOT_CONNECTED 1

#define LINE_MAX_BYTES 1024

static void say(struct kedge_uvclient *u, enum kedge_uvclient_event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct kedge_uvclient *u, enum kedge_uvclient_event event, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	if (!u->options.on_log || u->freed)
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	u->options.on_log(event, line, u->options.userdata);
}

/* xorshift64* (Vigna 2016): enough to spread tries, and the same for the same seed. */
static uint64_t next_random(struct kedge_uvclient *u)
{
	u->random ^= u->random >> 12;
	u->random ^= u->random << 25;
	u->random ^= u->random >> 27;
	return u->random * UINT64_C(2685821657736338717);
}

unsigned uvclient_next_pause_ms(struct kedge_uvclient *u)
{
	unsigned max = u->options.reconnect_max_ms;
	unsigned next = u->pause_ms ? u->pause_ms : u->options.reconnect_first_ms;

	if (u->pause_ms)
		next = u->pause_ms > max / 2 ? max : u->pause_ms * 2;
	u->pause_ms = next < max ? next : max;
	return u->pause_ms - (unsigned)(next_random(u) % (u->pause_ms / 2 + 1));
}

static void tell_failure(struct kedge_uvclient *u, bool was_connected, int error)
{
	if (streak_fail(&u->streak, monotonic_ns(), STREAK_NOT_CONNECTED) == STREAK_SWALLOW)
		return;
	if (*u->stray)
		say(u, KEDGE_UVCLIENT_FAILED, "%s: refused by the server: %s; trying again",
		    u->path, u->stray);
	else if (was_connected)
		say(u, KEDGE_UVCLIENT_FAILED, "%s: the connection is lost: %s; trying again",
		    u->path,
		    error == -ECONNRESET || error == -EPIPE ? "closed by the server"
							    : error_words(error));
	else
		say(u, KEDGE_UVCLIENT_FAILED, "%s: cannot connect: %s; trying again", u->path,
		    error_words(error));
}

void uvclient_failed(struct kedge_uvclient *u, int error)
{
	bool was_connected = u->state == UVCLIENT_CONNECTED;

	uvclient_link_close(u);
	u->state = UVCLIENT_PAUSING;
	u->clogged = false;
	(void)uv_timer_start(&u->retry, uvclient_on_retry, uvclient_next_pause_ms(u), 0);
	tell_failure(u, was_connected, error);
	if (was_connected && u->options.on_connection)
		u->options.on_connection(0, u->options.userdata);
	kedge_caller_lost(u->caller);
}

void uvclient_restart(struct kedge_uvclient *u)
{
	bool was_connected = u->state == UVCLIENT_CONNECTED;

	u->busy = true;
	u->reset = false;
	u->clogged = false;
	if (was_connected) {
		uvclient_link_close(u);
		u->state = UVCLIENT_CONNECTING;
		(void)uv_timer_start(&u->retry, uvclient_on_retry, 0, 0);
		if (u->options.on_connection)
			u->options.on_connection(0, u->options.userdata);
	}
	kedge_caller_lost(u->caller);
	u->busy = false;
}

void uvclient_proven(struct kedge_uvclient *u)
{
	uint64_t length_ns = 0;
	uint32_t swallowed = 0;

	u->pause_ms = 0;
	(void)uv_timer_stop(&u->retry);
	/* It was over when this connection was made; only that was not known. */
	if (streak_recover(&u->streak, u->connected_ns, &length_ns, &swallowed))
		say(u, KEDGE_UVCLIENT_RECOVERED,
		    "%s: reconnected after %.1f s (%u failures not told)", u->path,
		    (double)length_ns / (double)NSEC_PER_SEC, swallowed);
}

static void connected(struct kedge_uvclient *u)
{
	/* Of what waited since the last try some may have timed out: nobody wants it done. */
	if (u->state == UVCLIENT_PAUSING)
		kedge_caller_lost(u->caller);
	u->state = UVCLIENT_CONNECTED;
	u->connected_ns = monotonic_ns();
	u->stray[0] = '\0';
	(void)uv_timer_start(&u->retry, uvclient_on_retry, UVCLIENT_PROVEN_MS, 0);
	if (u->options.on_connection)
		u->options.on_connection(1, u->options.userdata);
}

void uvclient_on_retry(uv_timer_t *timer)
{
	struct kedge_uvclient *u = timer->data;
	int r = 0;

	u->busy = true;
	if (u->state == UVCLIENT_CONNECTED) {
		uvclient_proven(u);
	} else {
		r = dial(u->path);
		if (r >= 0)
			r = uvclient_link_open(u, r);
		if (r < 0)
			uvclient_failed(u, r);
		else
			connected(u);
	}
	u->busy = false;
	uvclient_settle(u);
}
