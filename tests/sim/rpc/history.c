/*
 * A history: a time of trouble, a time of rest, an end.
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "talk.h"

/* Trouble of one history. */
#define STEPS_MAX 120

/* In so many rounds everything comes to its end. */
#define ROUNDS_MAX 4000u

/* A client that behaves is served within so many rounds, whatever the others do. */
#define SERVED_ROUNDS_MAX 1000u

/* Strangers go on for so many rounds of the rest. */
#define STRANGE_ROUNDS 24u

#define CLOCK_BEGIN_NS (1000 * NSEC_PER_SEC)

struct world world;

static char patterns[8192 + PATTERN_MAX];

const char *pattern(unsigned of, size_t at)
{
	if (at > PATTERN_MAX)
		sim_fail("a stream has gone on for too long");
	return patterns + (of * 251u) % 8192u + at;
}

static void make_texts(void)
{
	uint64_t random = 1;

	if (pad_text[0])
		return;
	for (size_t i = 0; i < sizeof(patterns); i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		patterns[i] = (char)(random >> 56);
	}
	for (size_t i = 0; i < sizeof(pad_text); i++)
		pad_text[i] = (char)('a' + (i * 7 + i / 26) % 26);
}

uint64_t history_clock_ns(void)
{
	return world.now_ns - CLOCK_BEGIN_NS;
}

_Noreturn void history_leave(void)
{
	longjmp(world.end, 1);
}

struct holder *arena_user(void)
{
	return world.user;
}

bool arena_refuses(void)
{
	if (world.calm || !world.user || !world.alloc_gap || --world.alloc_gap > 0)
		return false;
	if (world.faults_left) {
		world.faults_left--;
		world.alloc_gap = choose_gap(100);
	}
	trace("  no memory");
	if (world.user != &world.server)
		world.caller->excused = world.caller->forgot = true;
	else if (world.at)
		seat_taint(world.at);
	return true;
}

void arena_is_exhausted(void)
{
	sim_fail("the arena is used up");
}

/* The profile. */

static void make_limits(struct profile *p)
{
	static const size_t messages[] = { 65536, 400, 1000, 5000, 70000 };
	static const size_t highs[] = { 65536, 100, 500, 3000 };
	struct kedge_conn_limits *l = &p->limits;

	l->message_bytes_max = messages[choose(5)];
	l->depth_max = choose(2) ? 3 + choose(12) : 128;
	l->in_flight_max = choose(3) ? 1 + choose(9) : 1024;
	l->output_bytes_high = highs[choose(4)];
	p->output_is_tight = choose(4) == 3;
	l->output_bytes_max = p->output_is_tight ? 400 + choose(8000) : (size_t)64 << 20;
}

static void make_profile(void)
{
	static const unsigned rooms[] = { 65536, 1, 5, 64, 300, 4096 };
	static const unsigned cuts[] = { 0, 3, 10, 40 };
	struct profile *p = &world.profile;
	unsigned kind = choose(4);

	*p = (struct profile){ .protocol = kind & 1 ? KEDGE_PROTOCOL_LINES : KEDGE_PROTOCOL_FRAMES,
			       .prefix = kind & 2 ? "d:" : NULL,
			       .clients = 1 + choose(CLIENTS_MAX),
			       .sharing = choose(2),
			       .steps = 4 + choose(STEPS_MAX),
			       .pipe_bytes = rooms[choose(6)],
			       .cut = cuts[choose(4)] };
	make_limits(p);
	p->lying = choose(6) == 5;
	trace("%s%s; messages of %zu bytes, %u in flight, %zu and %zu bytes of output",
	      p->protocol ? "frames" : "lines", p->prefix ? ", and questions" : "",
	      p->limits.message_bytes_max, p->limits.in_flight_max, p->limits.output_bytes_high,
	      p->limits.output_bytes_max);
	p->callback_gap_max = choose(3) == 2 ? 2 + choose(16) : 0;
	world.callback_gap = choose_gap(p->callback_gap_max);
	world.faults_left = choose(3) == 2 ? 1 + choose(4) : 0;
	world.alloc_gap = world.faults_left ? choose_gap(150) : 0;
}

static void make_client(struct client *c, int index)
{
	static const unsigned weights[TEMPERS_] = { 5, 1, 1 };

	c->index = index;
	c->temper = (enum temper)choose_weighted(weights, TEMPERS_);
	c->protocol = world.profile.protocol == KEDGE_PROTOCOL_FRAMES && choose(4) != 3
			      ? KEDGE_PROTOCOL_FRAMES
			      : KEDGE_PROTOCOL_LINES;
	c->limits.message_bytes_max = choose(4) == 3 ? CLIENT_BYTES_MAX : (size_t)1 << 26;
	c->limits.output_bytes_max = choose(6) == 5 ? 2000 + choose(9000) : (size_t)64 << 20;
	c->limits.calls_max = choose(6) == 5 ? 1 + choose(6) : CALLS_DEFAULT;
	client_connect(c);
}

/* Rest. */

static bool work_on(void)
{
	bool any = false;

	for (unsigned i = 0; i < world.job_count; i++)
		any |= job_finish(&world.jobs[i]);
	for (unsigned i = 0; i < world.profile.clients; i++) {
		struct client *c = &world.clients[i];

		any |= c->uploading && c->wire;
		if (c->wire)
			ask_upload(c, true);
		if (c->caller)
			any |= ask_answer_kept(c);
	}
	return any;
}

static bool end_subscriptions(void)
{
	bool any = false;

	for (unsigned i = 0; i < world.job_count; i++)
		any |= talk_end_subscription(&world.jobs[i]);
	return any;
}

/* Callers come back, and read; strangers do neither. */
static void wake_callers(void)
{
	for (unsigned i = 0; i < world.profile.clients; i++) {
		struct client *c = &world.clients[i];

		if (c->temper != TEMPER_CALLER)
			continue;
		c->asleep = false;
		if (!c->wire)
			client_connect(c);
	}
}

static void strangers_end(void)
{
	for (unsigned i = 0; i < world.profile.clients; i++) {
		struct client *c = &world.clients[i];

		if (c->temper == TEMPER_CALLER || !c->wire)
			continue;
		c->asleep = false;
		if (c->said.start == c->said.end && !c->half) {
			trace("stranger %d ends its side", c->index);
			c->half = true;
			c->wire->up.ended = true;
		}
	}
}

static bool callers_are_served(void)
{
	for (unsigned i = 0; i < world.deal_count; i++)
		if (!world.deals[i].over && !world.deals[i].subscribed)
			return false;
	return true;
}

static bool round_of_rest(void)
{
	bool any = turn_all();

	any |= work_on();
	judge_step();
	return any;
}

/* Strangers go on with what they do, and read nothing: nobody else may suffer. */
static void rest_beside_strangers(void)
{
	for (unsigned i = 0; !callers_are_served(); i++) {
		if (i > SERVED_ROUNDS_MAX)
			judge_rest();
		wake_callers();
		for (unsigned k = 0; k < world.profile.clients && i < STRANGE_ROUNDS; k++)
			if (world.clients[k].temper != TEMPER_CALLER)
				stranger_say(&world.clients[k]);
		if (!round_of_rest() && i > STRANGE_ROUNDS)
			break;
	}
}

static void rest(void)
{
	unsigned rounds = 0;

	trace("the world rests");
	world.calm = true;
	for (unsigned i = 0; i < world.profile.clients; i++)
		if (world.clients[i].lied)
			client_close(&world.clients[i]);
	/* What goes a byte at a time has been seen by now. */
	world.profile.pipe_bytes = PIPE_BYTES_MAX;
	for (unsigned i = 0; i < SEATS_MAX; i++)
		world.wires[i].up.room = world.wires[i].down.room = PIPE_BYTES_MAX;
	for (unsigned i = 0; turn_all(); i++)
		if (i > ROUNDS_MAX)
			sim_fail("bytes go to and fro without end");
	judge_cancels();
	rest_beside_strangers();
	do {
		wake_callers();
		strangers_end();
		if (++rounds > ROUNDS_MAX)
			sim_fail("the world does not come to rest");
	} while (end_subscriptions() || round_of_rest());
	judge_rest();
}

static void end(void)
{
	bool server_first = choose(2);

	trace("the end");
	if (server_first)
		server_stop();
	for (unsigned i = 0; i < world.profile.clients; i++)
		client_stop(&world.clients[i]);
	if (!server_first)
		server_stop();
	judge_end();
}

static void reset(void)
{
	size_t kept = offsetof(struct world, wires);

	make_texts();
	memset(&world, 0, kept);
	memset(&world.clients, 0, offsetof(struct world, end) - offsetof(struct world, clients));
	for (unsigned i = 0; i < SEATS_MAX; i++)
		world.wires[i].client_open = world.wires[i].server_open = false;
	world.now_ns = CLOCK_BEGIN_NS;
	story.failed = false;
	story.failure[0] = '\0';
	arena_reset();
}

bool history_run(void)
{
	reset();
	if (setjmp(world.end) == 0) {
		make_profile();
		server_start();
		for (unsigned i = 0; i < world.profile.clients; i++)
			make_client(&world.clients[i], (int)i);
		trouble();
		/* Some end in the midst of it. */
		if (choose(4) != 3)
			rest();
		end();
	}
	return !story.failed;
}
