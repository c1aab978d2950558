/*
 * Trouble: what may happen next, and in the midst of a callback.
 */
#include "base/time.h"
#include "talk.h"

static void turn(void)
{
	struct seat *s = seat_pick();

	if (choose(2) && s)
		(void)seat_turn(s);
	else
		(void)client_turn(client_pick());
}

bool turn_all(void)
{
	bool any = false;

	for (unsigned i = 0; i < world.profile.clients; i++)
		any |= client_turn(&world.clients[i]);
	for (unsigned i = 0; i < SEATS_MAX; i++)
		any |= world.seats[i].wire && seat_turn(&world.seats[i]);
	return server_flush() || any;
}

static void step_turns(void)
{
	for (unsigned i = choose(12); i > 0; i--)
		turn();
}

static void step_turn_all(void)
{
	(void)turn_all();
}

static void step_say(void)
{
	struct client *c = client_pick();

	if (c->temper == TEMPER_CALLER)
		ask_something(c);
	else
		stranger_say(c);
}

static void step_upload(void)
{
	ask_upload(client_pick(), choose(8) == 7);
}

static void step_give_up(void)
{
	struct client *c = client_pick();

	if (choose(6) == 5)
		ask_forget(c);
	else
		ask_cancel(c);
}

static void step_sleep(void)
{
	struct client *c = client_pick();

	c->asleep = !c->asleep;
	trace("client %d %s", c->index, c->asleep ? "falls asleep" : "wakes");
}

static void step_work(void)
{
	for (unsigned i = choose(6); i > 0; i--) {
		struct job *j = job_pick();

		if (j)
			(void)job_act(j);
	}
}

static void step_late(void)
{
	struct job *j = job_pick();

	if (j)
		job_answer_again(j);
}

static void step_push(void)
{
	if (choose(3) == 2) {
		for (unsigned i = 0; i < SEATS_MAX; i++)
			talk_push(&world.seats[i]);
		return;
	}
	for (struct seat *s = seat_pick(); s; s = NULL)
		talk_push(s);
}

static void step_deliver(void)
{
	struct job *j = NULL;

	for (unsigned i = world.job_count; i-- > 0 && !j;)
		if (world.jobs[i].kind == KIND_SUBSCRIBE && choose(2))
			j = &world.jobs[i];
	if (!j)
		return;
	if (choose(12) == 11)
		(void)talk_end_subscription(j);
	else
		talk_deliver(j);
}

static void step_question(void)
{
	struct seat *s = seat_pick();

	if (choose(6) == 5)
		talk_forget();
	else if (s)
		talk_ask(s);
}

static void step_answer(void)
{
	struct client *c = client_pick();

	if (c->caller)
		(void)ask_answer_kept(c);
}

static void drain(struct seat *s)
{
	if (s->drained || s->doomed)
		return;
	trace("seat %d is drained", (int)(s - world.seats));
	s->drained = true;
	if (s->client->serial == s->serial)
		s->client->excused = true;
	(void)ON_SEAT(s, (kedge_conn_drain(s->conn), 0));
}

static void step_end_seat(void)
{
	struct seat *s = seat_pick();
	unsigned how = choose(8);

	if (how == 7) {
		server_crash();
	} else if (how == 6) {
		/* A server that stops. */
		for (unsigned i = 0; i < SEATS_MAX; i++)
			if (world.seats[i].wire)
				drain(&world.seats[i]);
	} else if (s && how < 4) {
		drain(s);
	} else if (s) {
		trace("seat %d is doomed", (int)(s - world.seats));
		s->doomed = true;
		seat_taint(s);
	}
}

static void step_end_client(void)
{
	struct client *c = client_pick();

	switch (choose(6)) {
	case 0:
	case 1:
	case 2:
		client_half_close(c);
		break;
	case 3:
		client_crash(c);
		break;
	default:
		client_close(c);
	}
}

static void step_connect(void)
{
	client_connect(client_pick());
}

static void step_lie(void)
{
	if (world.profile.lying)
		lie_to(client_pick());
}

static void step_time(void)
{
	world.now_ns += 1 + choose(1000) * NSEC_PER_MSEC;
	for (unsigned i = 0; i < world.profile.clients; i++)
		client_expire(&world.clients[i]);
}

static const struct {
	unsigned weight;
	void (*step)(void);
} steps[] = {
	{ 30, step_turns },   { 12, step_turn_all },  { 30, step_say },     { 8, step_upload },
	{ 5, step_give_up },  { 3, step_sleep },      { 16, step_work },    { 2, step_late },
	{ 4, step_push },     { 4, step_deliver },    { 3, step_question }, { 3, step_answer },
	{ 1, step_end_seat }, { 2, step_end_client }, { 4, step_connect },  { 3, step_time },
	{ 3, step_lie },
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

void trouble(void)
{
	unsigned weights[STEP_COUNT];

	for (size_t i = 0; i < STEP_COUNT; i++)
		weights[i] = steps[i].weight;
	for (unsigned i = 0; i < world.profile.steps; i++) {
		steps[choose_weighted(weights, STEP_COUNT)].step();
		if (choose(3) < 2)
			(void)server_flush();
		judge_step();
	}
}

/* In the midst of a callback, each side may do what it likes with its own. */

static void meddle_here(struct client *c)
{
	switch (choose(8)) {
	case 0:
		ask_cancel(c);
		break;
	case 1:
		(void)ask_answer_kept(c);
		break;
	case 2:
		ask_upload(c, choose(3) == 2);
		break;
	case 3:
		if (choose(4) == 3 && c->wire && !c->losing) {
			trace("  client %d gives its connection up", c->index);
			c->gave_up = c->excused = true;
			client_lost(c);
		}
		break;
	case 4:
		ask_forget(c);
		break;
	default:
		ask_something(c);
	}
}

static void meddle_there(void)
{
	struct seat *s = seat_pick();

	switch (choose(8)) {
	case 0:
		step_push();
		break;
	case 1:
		step_question();
		break;
	case 2:
		step_deliver();
		break;
	case 3:
		if (s && choose(4) == 3)
			drain(s);
		break;
	default:
		step_work();
	}
}

void trouble_meddle(void)
{
	if (world.calm || !world.callback_gap || world.depth > 4 || --world.callback_gap > 0)
		return;
	world.callback_gap = choose_gap(world.profile.callback_gap_max);
	trace("  ... and in the midst of it");
	if (world.caller)
		meddle_here(world.caller);
	else
		meddle_there();
}
