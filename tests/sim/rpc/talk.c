/*
 * What the server says unasked: events to everybody, deliveries of subscriptions, and
 * questions of its own. All of it is numbered.
 */
#include "talk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/conn-internal.h"

char pad_text[PAD_BYTES_MAX];

unsigned text_number(struct kedge_span text, const char *name)
{
	size_t n = strlen(name);
	char digits[12] = "";
	const char *at = text.size ? memmem(text.data, text.size, name, n) : NULL;
	size_t left;

	if (!at)
		return UINT_MAX;
	at += n;
	left = (size_t)(text.data + text.size - at);
	memcpy(digits, at, left < sizeof(digits) - 1 ? left : sizeof(digits) - 1);
	return digits[0] >= '0' && digits[0] <= '9' ? (unsigned)strtoul(digits, NULL, 10)
						    : UINT_MAX;
}

/* Before the first byte has come, lines and frames cannot be told apart. */
static bool may_talk(const struct seat *s)
{
	return s->wire && !s->doomed &&
	       (world.profile.protocol == KEDGE_PROTOCOL_LINES || s->heard);
}

void talk_push(struct seat *s)
{
	char data[32];
	int r;

	if (!may_talk(s))
		return;
	(void)snprintf(data, sizeof(data), "{\"n\":%u}", s->pushed);
	r = ON_SEAT(s, kedge_conn_push(s->conn, "tick\n", kedge_span(data)));
	trace("  seat %d: event %u", (int)(s - world.seats), s->pushed);
	if (seat_result(s, r, 64) == 0)
		s->pushed++;
}

/* A message about a deal: "{"id":ID,REST". */
static int send_about(const struct job *j, const char *rest)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "{\"id\":\"%s%llu\",%s}", CALL_PREFIX,
		       (unsigned long long)j->deal->number, rest);
	return seat_result(j->seat,
			   ON_SEAT(j->seat, kedge_conn_send(j->seat->conn, kedge_span(text))),
			   sizeof(text));
}

static bool is_subscribed(const struct job *j)
{
	return j->kind == KIND_SUBSCRIBE && j->state == JOB_ANSWERED && j->deal &&
	       seat_by_serial(j) && !j->seat->doomed && !j->unsubscribed &&
	       j->answer == ANSWER_RESULT;
}

void talk_deliver(struct job *j)
{
	char rest[96];

	if (!is_subscribed(j))
		return;
	(void)snprintf(rest, sizeof(rest), "\"event\":\"delivery\",\"payload\":{\"n\":%u}",
		       j->delivered);
	if (send_about(j, rest) == 0)
		j->delivered++;
}

bool talk_end_subscription(struct job *j)
{
	char rest[96];

	if (!is_subscribed(j))
		return false;
	j->unsubscribed = true;
	(void)snprintf(rest, sizeof(rest), "\"error\":\"job %u\"", (unsigned)(j - world.jobs));
	(void)send_about(j, rest);
	return true;
}

void talk_ask(struct seat *s)
{
	struct errand *e = &world.errands[world.errand_count];
	char params[32];
	int r;

	if (!may_talk(s) || !world.profile.prefix || world.errand_count == ERRANDS_MAX)
		return;
	(void)snprintf(params, sizeof(params), "{\"errand\":%u}", world.errand_count);
	*e = (struct errand){ .seat = s, .serial = s->serial };
	r = ON_SEAT(s, kedge_conn_call(s->conn, "ask", kedge_span(params), &e->number));
	trace("  seat %d: errand %u", (int)(s - world.seats), world.errand_count);
	if (seat_result(s, r, 64) == 0)
		world.errand_count++;
}

static bool is_there(const struct errand *e)
{
	return e->seat->wire && e->seat->serial == e->serial;
}

void talk_forget(void)
{
	struct errand *e = &world.errands[world.errand_count ? choose(world.errand_count) : 0];

	if (!world.errand_count || !is_there(e) || e->answered || e->forgotten)
		return;
	e->forgotten = true;
	(void)ON_SEAT(e->seat, (kedge_conn_forget(e->seat->conn, e->number), 0));
}

static struct errand *errand_of(const struct seat *s, uint64_t number)
{
	for (unsigned i = 0; i < world.errand_count; i++) {
		struct errand *e = &world.errands[i];

		if (e->serial == s->serial && e->number == number)
			return e;
	}
	return NULL;
}

void talk_answered(struct seat *s, const struct kedge_conn_answer *answer)
{
	struct errand *e = errand_of(s, answer->number);

	if (!e)
		sim_fail("an answer to what was never asked");
	if (e->answered || e->forgotten)
		sim_fail("errand %d is answered twice", (int)(e - world.errands));
	e->answered = true;
	if (s->client->temper != TEMPER_CALLER)
		return;
	if (!e->replied || e->failing != answer->failed)
		sim_fail("errand %d has another's answer", (int)(e - world.errands));
	if (!answer->failed &&
	    text_number(answer->result, "{\"errand\":") != (unsigned)(e - world.errands))
		sim_fail("errand %d's answer has changed", (int)(e - world.errands));
}
