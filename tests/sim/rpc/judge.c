/*
 * What holds after each step, once the world rests, and at the end.
 */
#include <string.h>

#include "base/time.h"
#include "rpc/caller.h"
#include "rpc/output.h"
#include "talk.h"

/* What the server may hold beside its connections, and each of them beside what its limits
 * say: spares, room for a read, tickets, streams. */
#define SERVER_BYTES ((size_t)2 << 20)
#define SEAT_BYTES   ((size_t)192 << 10)

static void judge_limits(const struct seat *s)
{
	const struct kedge_conn_limits *l = &world.profile.limits;

	if (kedge_conn_in_flight(s->conn) > l->in_flight_max)
		sim_fail("seat %d has %u requests in flight", (int)(s - world.seats),
			 kedge_conn_in_flight(s->conn));
	/* A message, the length of a frame, and what came with it. */
	if (buf_size(&s->conn->in.buf) > l->message_bytes_max + 4 + READ_BYTES_MAX)
		sim_fail("seat %d has %zu bytes of input", (int)(s - world.seats),
			 buf_size(&s->conn->in.buf));
	if (output_waiting(s->conn) > l->output_bytes_max)
		sim_fail("seat %d has %zu bytes of output", (int)(s - world.seats),
			 output_waiting(s->conn));
}

static void judge_seat(const struct seat *s)
{
	if (kedge_conn_in_flight(s->conn) != s->open)
		sim_fail("seat %d counts %u requests, and has %u", (int)(s - world.seats),
			 kedge_conn_in_flight(s->conn), s->open);
	if (!s->conn->dead)
		judge_limits(s);
}

static void judge_client(const struct client *c)
{
	if (kedge_caller_in_flight(c->caller) != c->open)
		sim_fail("client %d counts %zu calls, and has %u", c->index,
			 kedge_caller_in_flight(c->caller), c->open);
	if (kedge_caller_output_bytes(c->caller) > c->limits.output_bytes_max ||
	    c->caller->kept_bytes > c->limits.output_bytes_max)
		sim_fail("client %d has %zu bytes of output", c->index,
			 kedge_caller_output_bytes(c->caller));
	if (c->open > c->limits.calls_max)
		sim_fail("client %d has %u calls, of %u at most", c->index, c->open,
			 c->limits.calls_max);
	if (kedge_caller_deadline(c->caller) <= world.now_ns)
		sim_fail("client %d has a deadline in the past", c->index);
}

/* A message may be in the input, in the envelope, and be collected; memory doubles. */
static size_t seat_bytes_max(void)
{
	const struct kedge_conn_limits *l = &world.profile.limits;
	size_t message = l->message_bytes_max < PATTERN_MAX ? l->message_bytes_max : PATTERN_MAX;

	return SEAT_BYTES + 6 * message +
	       (world.profile.output_is_tight ? 4 * l->output_bytes_max : 8 * PATTERN_MAX);
}

void judge_step(void)
{
	size_t most = SERVER_BYTES;

	for (struct seat *s = world.seats; s < world.seats + SEATS_MAX; s++) {
		if (!s->wire)
			continue;
		judge_seat(s);
		most += seat_bytes_max();
	}
	if (world.server.bytes > most)
		sim_fail("the server holds %zu bytes", world.server.bytes);
	for (unsigned i = 0; i < world.profile.clients; i++)
		if (world.clients[i].caller)
			judge_client(&world.clients[i]);
}

/* Whether all that its client has said was taken in. */
static bool is_up_to_date(const struct seat *s)
{
	const struct client *c = s->client;

	return c->wire == s->wire && c->serial == s->serial && !c->excused && !c->half &&
	       !c->forgot && !c->uploading && c->limits.output_bytes_max > 65536 &&
	       !kedge_caller_output_bytes(c->caller) && !s->wire->up.used &&
	       kedge_conn_wants_input(s->conn);
}

void judge_cancels(void)
{
	for (unsigned i = 0; i < world.job_count; i++) {
		const struct job *j = &world.jobs[i];

		if (job_is_open(j) && j->deal && j->deal->given_up && seat_by_serial(j) &&
		    j->deal->client->protocol == KEDGE_PROTOCOL_FRAMES && is_up_to_date(j->seat))
			sim_fail("job %u was given up, and was not told", i);
	}
}

static void judge_deals(void)
{
	for (unsigned i = 0; i < world.deal_count; i++) {
		const struct deal *d = &world.deals[i];

		if (!d->over && !(d->client->half && d->subscribed))
			sim_fail("deal %u (%s) has no end", i, kind_names[d->kind]);
	}
}

static void judge_jobs(void)
{
	for (unsigned i = 0; i < world.job_count; i++) {
		const struct job *j = &world.jobs[i];

		if (job_is_open(j))
			sim_fail("job %u has no end%s", i, j->blocked ? ": nobody wakes it" : "");
	}
}

/* Whose connection lives has heard everything that was said on it. */
static void judge_talk(const struct seat *s)
{
	const struct client *c = s->client;

	if (c->temper != TEMPER_CALLER || c->serial != s->serial || !c->wire)
		return;
	if (c->pushes_seen != s->pushed)
		sim_fail("client %d has seen %u events of %u", c->index, c->pushes_seen, s->pushed);
	if (!c->half && !c->excused && s->conn->calls.count)
		sim_fail("client %d has not answered %zu questions", c->index,
			 s->conn->calls.count);
	if (output_waiting(s->conn) || buf_size(&s->conn->in.buf))
		sim_fail("seat %d has bytes that go nowhere", (int)(s - world.seats));
}

void judge_rest(void)
{
	judge_deals();
	judge_jobs();
	for (struct seat *s = world.seats; s < world.seats + SEATS_MAX; s++)
		if (s->wire)
			judge_talk(s);
}

void judge_end(void)
{
	for (unsigned i = 0; i < world.deal_count; i++)
		if (!world.deals[i].over)
			sim_fail("deal %u was never told of its end", i);
	if (world.server.allocations)
		sim_fail("%ld allocations of the server are left", world.server.allocations);
	for (unsigned i = 0; i < world.profile.clients; i++)
		if (world.clients[i].memory.allocations)
			sim_fail("%ld allocations of client %u are left",
				 world.clients[i].memory.allocations, i);
}
