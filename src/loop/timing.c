/*
 * Clients that are waited for: for a first byte, for another request, or to take
 * what was sent. One list for each, in which all have the same limit: so who comes
 * last runs out last, and one timer looks at the fronts.
 */
#include "loop/server.h"

static uint64_t limit_ms(const struct kedge_server *s, enum timing waited_for)
{
	switch (waited_for) {
	case TIMING_FIRST_BYTE:
		return s->options.first_byte_ms;
	case TIMING_IDLE:
		return s->options.idle_ms;
	case TIMING_STALLED:
		return s->options.stalled_ms;
	default:
		return 0;
	}
}

static enum timing waited_for(const struct client *c)
{
	if (kedge_conn_output_bytes(c->conn))
		return TIMING_STALLED;
	if (!c->heard)
		return TIMING_FIRST_BYTE;
	return kedge_conn_in_flight(c->conn) ? TIMING_NONE : TIMING_IDLE;
}

/* Nothing else than what a wait is for begins it anew. */
static bool is_fresh(const struct client *c, enum timing now)
{
	if (now != c->waited_for)
		return true;
	return (now == TIMING_IDLE && c->received) || (now == TIMING_STALLED && c->sent);
}

static void arm(struct kedge_server *s, uint64_t at_ms)
{
	uint64_t now_ms = uv_now(s->loop);

	(void)uv_timer_start(&s->timing_timer, on_timing_timer, at_ms > now_ms ? at_ms - now_ms : 0,
			     0);
}

void timing_note(struct client *c)
{
	struct kedge_server *s = c->server;
	enum timing now = waited_for(c);
	uint64_t limit = limit_ms(s, now);

	if (is_fresh(c, now)) {
		list_unlink(&c->timing);
		c->waited_for = now;
		c->since_ms = uv_now(s->loop);
		if (limit)
			list_append(&s->timing[now], &c->timing);
		/* One that is set already fires early enough, or finds out. */
		if (limit && (!uv_is_active((uv_handle_t *)&s->timing_timer) ||
			      uv_timer_get_due_in(&s->timing_timer) > limit))
			arm(s, c->since_ms + limit);
	}
	c->received = c->sent = false;
}

void on_timing_timer(uv_timer_t *timer)
{
	struct kedge_server *s = timer->data;
	uint64_t next_ms = UINT64_MAX;

	for (int i = 0; i < TIMING_MAX_; i++) {
		struct list *it;

		while ((it = list_first(&s->timing[i]))) {
			struct client *c = list_entry(it, struct client, timing);
			uint64_t at_ms = c->since_ms + limit_ms(s, (enum timing)i);

			if (at_ms > uv_now(s->loop)) {
				next_ms = at_ms < next_ms ? at_ms : next_ms;
				break;
			}
			client_close(c);
		}
	}
	if (next_ms != UINT64_MAX && !s->closed)
		arm(s, next_ms);
}
