#include "loop/uvclient.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/time.h"
#include "kedge/endpoint.h"
#include "sys/clock.h"
#include "wire/json.h"

/* A day: a longer pause is a mistake in units. */
#define PAUSE_MS_MAX 86400000u

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct kedge_uvclient *u = userdata;

	u->options.handlers.on_event(name, data, u->options.userdata);
}

static void on_request(struct kedge_caller *caller, const struct kedge_asked *asked, void *userdata)
{
	struct kedge_uvclient *u = userdata;

	u->options.handlers.on_request(caller, asked, u->options.userdata);
}

/* Remembered for the line that tells why the connection went. */
static void on_stray(const struct kedge_reply *reply, void *userdata)
{
	struct kedge_uvclient *u = userdata;
	size_t n = 0;

	if (json_kind(reply->error) == JSON_STRING && reply->error.size < sizeof(u->stray))
		n = json_string_decode(reply->error, u->stray);
	if (!n)
		n = (size_t)(stpcpy(u->stray, "an error") - u->stray);
	u->stray[n] = '\0';
	if (u->options.handlers.on_stray)
		u->options.handlers.on_stray(reply, u->options.userdata);
}

void uvclient_closed(struct kedge_uvclient *u)
{
	if (--u->handles)
		return;
	free(u->path);
	free(u);
}

static void on_timer_closed(uv_handle_t *handle)
{
	uvclient_closed(handle->data);
}

static void end(struct kedge_uvclient *u)
{
	u->busy = true;
	u->freed = true;
	uvclient_link_close(u);
	u->caller = kedge_caller_free(u->caller);
	uv_close((uv_handle_t *)&u->retry, on_timer_closed);
	uv_close((uv_handle_t *)&u->deadline, on_timer_closed);
}

static void on_deadline(uv_timer_t *timer)
{
	struct kedge_uvclient *u = timer->data;

	u->busy = true;
	kedge_caller_expire(u->caller, monotonic_ns());
	u->busy = false;
	uvclient_settle(u);
}

static void plan_deadline(struct kedge_uvclient *u)
{
	int wait_ms = time_until_ms(kedge_caller_deadline(u->caller), monotonic_ns());

	if (wait_ms < 0) {
		(void)uv_timer_stop(&u->deadline);
		return;
	}
	/* libuv's clock stands still within a round: counted from it a timer comes early. */
	uv_update_time(u->loop);
	(void)uv_timer_start(&u->deadline, on_deadline, (uint64_t)wait_ms, 0);
}

void uvclient_settle(struct kedge_uvclient *u)
{
	if (u->busy)
		return;
	if (u->freed) {
		end(u);
		return;
	}
	if (u->reset)
		uvclient_restart(u);
	uvclient_transmit(u);
	uvclient_poll(u);
	plan_deadline(u);
}

static int take_options(struct kedge_uvclient *u, const struct kedge_uvclient_options *o,
			struct kedge_error *error)
{
	u->options = *o;
	if (!u->options.reconnect_first_ms)
		u->options.reconnect_first_ms = KEDGE_RECONNECT_FIRST_MS;
	if (!u->options.reconnect_max_ms)
		u->options.reconnect_max_ms = KEDGE_RECONNECT_MAX_MS;
	if (u->options.reconnect_max_ms > PAUSE_MS_MAX ||
	    u->options.reconnect_first_ms > u->options.reconnect_max_ms)
		return error_set(error, -EINVAL,
				 "reconnect_first_ms %u and reconnect_max_ms %u: the first is at "
				 "most the second, and that at most %u",
				 u->options.reconnect_first_ms, u->options.reconnect_max_ms,
				 PAUSE_MS_MAX);
	u->random = o->seed;
	while (!u->random)
		if (getrandom(&u->random, sizeof(u->random), 0) < 0)
			u->random = monotonic_ns();
	return 0;
}

static int make_caller(struct kedge_uvclient *u, struct kedge_error *error)
{
	const struct kedge_uvclient_options *o = &u->options;
	struct kedge_caller_options options = {
		.size = sizeof(options),
		.protocol = o->protocol,
		.id_prefix = o->id_prefix,
		.limits = o->limits,
		.handlers = { .on_event = o->handlers.on_event ? on_event : NULL,
			      .on_request = o->handlers.on_request ? on_request : NULL,
			      .on_stray = on_stray },
		.userdata = u
	};
	int r = kedge_caller_new(&u->caller, &options);

	return r < 0 ? error_set(error, r, "client: an option is out of its range") : 0;
}

static int find_path(struct kedge_uvclient *u, const char *where, struct kedge_error *error)
{
	if (!strchr(where, '/'))
		return kedge_endpoint_resolve(where, u->options.workspace, &u->path, NULL, error);
	u->path = strdup(where);
	return u->path ? 0 : -ENOMEM;
}

int kedge_uvclient_new(struct kedge_uvclient **ret_client, uv_loop_t *loop, const char *where,
		       const struct kedge_uvclient_options *options, struct kedge_error *error)
{
	static const struct kedge_uvclient_options defaults = { .size = sizeof(defaults) };
	const struct kedge_uvclient_options *o = options ? options : &defaults;
	struct kedge_uvclient *u;
	int r;

	if (o->size != sizeof(*o))
		return error_set(error, -EINVAL, "client: size %zu, not %zu", o->size, sizeof(*o));
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->loop = loop;
	r = take_options(u, o, error);
	if (r == 0)
		r = find_path(u, where, error);
	if (r == 0)
		r = make_caller(u, error);
	if (r < 0) {
		free(u->path);
		free(u);
		return r;
	}
	(void)uv_timer_init(loop, &u->retry);
	(void)uv_timer_init(loop, &u->deadline);
	u->retry.data = u->deadline.data = u;
	u->handles = 2;
	(void)uv_timer_start(&u->retry, uvclient_on_retry, 0, 0);
	*ret_client = u;
	return 0;
}

struct kedge_uvclient *kedge_uvclient_free(struct kedge_uvclient *u)
{
	if (!u || u->freed)
		return NULL;
	u->freed = true;
	uvclient_settle(u);
	return NULL;
}

int kedge_uvclient_call(struct kedge_uvclient *u, const struct kedge_ask *ask, uint64_t *ret_number)
{
	int timeout_ms = ask->timeout_ms ? ask->timeout_ms : KEDGE_CALL_TIMEOUT_MS;
	struct kedge_ask timed = *ask;
	int r;

	if (u->freed || (u->state == UVCLIENT_PAUSING && ask->if_lost == KEDGE_IF_LOST_FAIL))
		return -ENOTCONN;
	timed.deadline_ns = timeout_ms < 0 ? 0
					   : monotonic_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	r = kedge_caller_call(u->caller, &timed, ret_number);
	uvclient_settle(u);
	return r;
}

int kedge_uvclient_cancel(struct kedge_uvclient *u, uint64_t number)
{
	bool was_busy = u->busy;
	int r;

	if (u->freed)
		return -ESTALE;
	u->busy = true;
	r = kedge_caller_cancel(u->caller, number);
	u->busy = was_busy;
	uvclient_settle(u);
	return r;
}

void kedge_uvclient_reset(struct kedge_uvclient *u)
{
	u->reset = true;
	uvclient_settle(u);
}

struct kedge_caller *kedge_uvclient_caller(struct kedge_uvclient *u)
{
	return u->caller;
}

void kedge_uvclient_flush(struct kedge_uvclient *u)
{
	uvclient_settle(u);
}

void kedge_uvclient_pause(struct kedge_uvclient *u)
{
	u->paused = true;
	uvclient_settle(u);
}

void kedge_uvclient_resume(struct kedge_uvclient *u)
{
	u->paused = false;
	uvclient_settle(u);
}

int kedge_uvclient_is_connected(const struct kedge_uvclient *u)
{
	return u->state == UVCLIENT_CONNECTED;
}
