/* The guard's turns: one descriptor, one deadline. Neither keeps the loop alive. */
#include <errno.h>

#include "loop/server.h"

static void on_guard_timer(uv_timer_t *timer);

static void on_closed(uv_handle_t *handle)
{
	server_handle_closed(handle->data);
}

void guarding_plan(struct kedge_server *s)
{
	uint64_t deadline_us;
	int wait_ms;

	if (uv_is_closing((uv_handle_t *)&s->guard_timer))
		return;
	(void)kedge_guard_deadline(s->guard, &deadline_us);
	wait_ms = time_until_ms(time_from_usec(deadline_us), loop_now_ns());
	if (wait_ms < 0) {
		uv_timer_stop(&s->guard_timer);
		return;
	}
	uv_update_time(s->loop);
	(void)uv_timer_start(&s->guard_timer, on_guard_timer, (uint64_t)wait_ms, 0);
}

static void process(struct kedge_server *s)
{
	(void)kedge_guard_process(s->guard);
	if (!s->closed)
		guarding_plan(s);
}

static void on_guard_timer(uv_timer_t *timer)
{
	process(timer->data);
}

static void on_guard_event(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	process(poll->data);
}

int guarding_open(struct kedge_server *s)
{
	int r = uv_poll_init(s->loop, &s->guard_poll, kedge_guard_fd(s->guard));

	if (r < 0)
		return r;
	s->guard_poll.data = s;
	server_handle_opened(s);
	(void)uv_timer_init(s->loop, &s->guard_timer);
	s->guard_timer.data = s;
	server_handle_opened(s);
	(void)uv_poll_start(&s->guard_poll, UV_READABLE, on_guard_event);
	uv_unref((uv_handle_t *)&s->guard_poll);
	uv_unref((uv_handle_t *)&s->guard_timer);
	return 0;
}

void guarding_close(struct kedge_server *s)
{
	uv_close((uv_handle_t *)&s->guard_poll, on_closed);
	uv_close((uv_handle_t *)&s->guard_timer, on_closed);
}
