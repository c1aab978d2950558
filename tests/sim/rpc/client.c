/*
 * A client: a caller on its socket, as loop/uvclient-link.c drives it, or a stranger.
 */
#include "world.h"

#include <errno.h>
#include <string.h>

#include "base/time.h"
#include "rpc/caller.h"
#include "talk.h"

/* A caller that spins has so many turns without an effect. */
#define IDLE_TURNS_MAX 1

struct client *client_enter(struct client *c)
{
	struct client *before = world.caller;

	world.caller = c;
	world.user = &c->memory;
	world.depth++;
	return before;
}

void client_leave(struct client *before)
{
	world.caller = before;
	if (--world.depth == 0)
		world.user = NULL;
}

struct client *client_pick(void)
{
	return &world.clients[choose(world.profile.clients)];
}

void client_start(struct client *c)
{
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = c->protocol,
						.id_prefix = CALL_PREFIX,
						.limits = c->limits,
						.userdata = c };
	struct client *before;
	int r;

	if (c->temper != TEMPER_CALLER)
		return;
	asks_fill(&options.handlers);
	before = client_enter(c);
	r = kedge_caller_new(&c->caller, &options);
	client_leave(before);
	if (r < 0)
		c->caller = NULL;
}

void client_connect(struct client *c)
{
	struct wire *w = world.wires;

	while (w < world.wires + SEATS_MAX && (w->client_open || w->server_open))
		w++;
	if (c->wire || w == world.wires + SEATS_MAX)
		return;
	if (c->temper == TEMPER_CALLER && !c->caller)
		client_start(c);
	if (c->temper == TEMPER_CALLER && !c->caller)
		return;
	trace("client %d connects", c->index);
	wire_make(w, world.profile.pipe_bytes);
	stranger_begin(c);
	c->wire = c->last = w;
	c->half = c->excused = c->gave_up = c->lied = false;
	c->pushes_seen = c->stream_seen = 0;
	(void)seat_open(c, w);
}

void client_lost(struct client *c)
{
	struct client *before;

	/* What is sent again begins anew. */
	for (unsigned i = 0; i < world.deal_count; i++)
		if (world.deals[i].client == c && world.deals[i].if_lost == KEDGE_IF_LOST_RESEND) {
			world.deals[i].subscribed = false;
			world.deals[i].deliveries = 0;
		}
	c->losing = true;
	c->forgot = false;
	c->uploading = NULL;
	before = client_enter(c);
	kedge_caller_lost(c->caller);
	client_leave(before);
	c->losing = false;
}

/* The connection is gone: whoever waits on it is told. */
static void lose(struct client *c)
{
	trace("client %d has lost its connection%s", c->index, c->excused ? "" : ", without cause");
	wire_close_client(c->wire);
	c->wire = NULL;
	c->gave_up = false;
	if (c->caller)
		client_lost(c);
}

void client_close(struct client *c)
{
	if (!c->wire)
		return;
	c->excused = true;
	lose(c);
}

void client_half_close(struct client *c)
{
	if (!c->wire || c->half || c->uploading || !c->caller ||
	    kedge_caller_output_bytes(c->caller))
		return;
	trace("client %d ends its side", c->index);
	c->half = true;
	c->wire->up.ended = true;
}

/* Return: false: the connection is over. */
static bool take(struct client *c, long n)
{
	struct client *before;
	int r;

	before = client_enter(c);
	c->caller->clock_ns = world.now_ns;
	r = kedge_caller_received(c->caller, (size_t)n);
	client_leave(before);
	if (r < 0 && !c->excused)
		sim_fail("client %d cannot go on: %d", c->index, r);
	return r == 0 && !c->gave_up;
}

static bool receive(struct client *c)
{
	size_t room = 0;
	struct client *before = client_enter(c);
	void *to = kedge_caller_input(c->caller, &room);
	long n;

	client_leave(before);
	n = to ? pipe_read(&c->wire->down, to, room) : 0;
	if (n == -EAGAIN)
		return true;
	if (n > 0)
		c->moved += (size_t)n;
	if (n > 0 && take(c, n))
		return true;
	c->excused |= c->gave_up || !to;
	lose(c);
	return false;
}

static void transmit(struct client *c)
{
	const void *data;
	size_t size;

	while (c->wire && kedge_caller_output(c->caller, &data, &size)) {
		long n = c->half ? -EPIPE : pipe_write(&c->wire->up, data, size);

		if (n == -EAGAIN)
			return;
		if (n > 0 && c->wire->first < 0)
			c->wire->first = *(const unsigned char *)data;
		c->moved += n < 0 ? size : (size_t)n;
		/* A server that refuses us may have answered before it closed: read on. */
		kedge_caller_sent(c->caller, n < 0 ? size : (size_t)n);
	}
}

static bool stranger_turn(struct client *c)
{
	static unsigned char sink[4096];
	bool did = false;
	long n;

	if (!c->asleep && pipe_is_readable(&c->wire->down)) {
		did = true;
		n = pipe_read(&c->wire->down, sink, sizeof(sink));
		if (n == 0 || n == -ECONNRESET) {
			wire_close_client(c->wire);
			c->wire = NULL;
			if (n == 0)
				stranger_check(c);
			return true;
		}
	}
	if (c->said.start < c->said.end && pipe_is_writable(&c->wire->up)) {
		did = true;
		n = pipe_write(&c->wire->up, c->said.bytes + c->said.start,
			       c->said.end - c->said.start);
		if (n > 0 && c->wire->first < 0)
			c->wire->first = c->said.bytes[c->said.start];
		c->said.start += n == -EPIPE ? c->said.end - c->said.start : n > 0 ? (size_t)n : 0;
	}
	return did;
}

static void check_idle(struct client *c)
{
	bool fluke = c->wire && (c->wire->up.fluke || c->wire->down.fluke);

	c->idle = c->moved || fluke || !c->wire ? 0 : c->idle + 1;
	c->moved = 0;
	if (c->idle > IDLE_TURNS_MAX)
		sim_fail("client %d spins", c->index);
}

bool client_turn(struct client *c)
{
	bool did = false;

	if (!c->wire)
		return false;
	if (c->gave_up) {
		client_close(c);
		return true;
	}
	if (c->temper != TEMPER_CALLER)
		return stranger_turn(c);
	if (!c->asleep && pipe_is_readable(&c->wire->down)) {
		did = true;
		if (!receive(c))
			return true;
	}
	if (!c->gave_up && kedge_caller_output_bytes(c->caller) && pipe_is_writable(&c->wire->up)) {
		did = true;
		transmit(c);
	}
	if (did)
		check_idle(c);
	return did;
}

void client_expire(struct client *c)
{
	struct client *before;

	if (!c->caller)
		return;
	before = client_enter(c);
	c->caller->clock_ns = world.now_ns;
	kedge_caller_expire(c->caller, world.now_ns);
	client_leave(before);
	if (kedge_caller_deadline(c->caller) <= world.now_ns)
		sim_fail("client %d has a deadline in the past", c->index);
}

/* Its calls are nobody's any more. */
static void forget_deals(struct client *c)
{
	for (unsigned i = 0; i < world.deal_count; i++)
		if (world.deals[i].client == c)
			world.deals[i].over = true;
	c->open = 0;
	c->uploading = NULL;
}

void client_crash(struct client *c)
{
	trace("client %d is killed", c->index);
	c->excused = true;
	if (c->wire)
		wire_close_client(c->wire);
	c->wire = NULL;
	forget_deals(c);
	arena_forget(&c->memory);
	c->caller = NULL;
}

void client_stop(struct client *c)
{
	struct client *before;

	c->excused = c->losing = c->stopping = true;
	if (c->wire)
		wire_close_client(c->wire);
	c->wire = NULL;
	c->uploading = NULL;
	before = client_enter(c);
	c->caller = kedge_caller_free(c->caller);
	client_leave(before);
	c->losing = false;
	if (c->open)
		sim_fail("client %d is freed with %u calls that were told nothing", c->index,
			 c->open);
}
