/* The daemon asks a skill: a number, a time-out, one outcome. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "services/skill/skill.h"
#include "wire/json.h"

struct ask {
	struct list link;   /* skill_client.asks */
	struct list by_age; /* skill.asks_by_age */
	struct skill_client *client;
	uint64_t number;
	uint64_t deadline_ms; /* of the loop's clock */
	ask_fn *done;
	void *userdata;
};

static void plan_timer(struct skill *skill)
{
	struct list *first = list_first(&skill->asks_by_age);
	uint64_t now = uv_now(skill->context.loop), at;

	if (skill->closing)
		return;
	if (!first) {
		uv_timer_stop(&skill->ask_timer);
		return;
	}
	at = list_entry(first, struct ask, by_age)->deadline_ms;
	(void)uv_timer_start(&skill->ask_timer, on_ask_timer, at > now ? at - now : 0, 0);
}

static void ask_end(struct ask *a, const struct ask_outcome *outcome)
{
	list_unlink(&a->link);
	list_unlink(&a->by_age);
	a->client->ask_count--;
	a->done(outcome, a->userdata);
	free(a);
}

static void ask_fail(struct ask *a, int status, const char *code, const char *text)
{
	ask_end(a,
		&(struct ask_outcome){ .status = status, .code = code, .text = kedge_span(text) });
}

int ask(struct skill *skill, struct skill_client *client, const char *method,
	struct kedge_span params, ask_fn *done, void *userdata)
{
	struct ask *a;
	int r;

	if (client->ask_count >= ASKS_MAX)
		return -EBUSY;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct ask){ .client = client,
			   .deadline_ms = uv_now(skill->context.loop) +
					  skill->context.shared->answer_ms,
			   .done = done,
			   .userdata = userdata };
	list_init(&a->link);
	list_init(&a->by_age);
	r = kedge_server_call(skill->context.server, client->id, method, params, &a->number);
	if (r < 0) {
		free(a);
		return r;
	}
	list_append(&client->asks, &a->link);
	list_append(&skill->asks_by_age, &a->by_age);
	client->ask_count++;
	plan_timer(skill);
	return 0;
}

/* The words of an error of any kind: text as it reads, anything else as JSON. */
static void fail_with_answer(struct ask *a, const struct kedge_conn_answer *answer)
{
	struct ask_outcome outcome = { .status = 500,
				       .code = "INTERNAL_ERROR",
				       .text = answer->error,
				       .details = answer->error_details };
	_cleanup_(freep) char *text = malloc(answer->error.size + 1);
	_cleanup_(freep) char *code = malloc(answer->error_code.size + 1);

	if (text && json_kind(answer->error) == JSON_STRING && answer->error.size > 2)
		outcome.text = (struct kedge_span){ text, json_string_decode(answer->error, text) };
	if (answer->status >= 400 && answer->status <= 599)
		outcome.status = answer->status;
	/* Codes are names; what is none would have to be escaped in the answer. */
	if (code && json_kind(answer->error_code) == JSON_STRING) {
		code[json_string_decode(answer->error_code, code)] = '\0';
		if (*code && code[strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] == '\0')
			outcome.code = code;
	}
	ask_end(a, &outcome);
}

void asks_answered(struct skill *skill, struct skill_client *client,
		   const struct kedge_conn_answer *answer)
{
	list_for_each_safe (it, &client->asks) {
		struct ask *a = list_entry(it, struct ask, link);

		if (a->number != answer->number)
			continue;
		if (answer->failed)
			fail_with_answer(a, answer);
		else
			ask_end(a, &(struct ask_outcome){ .result = answer->result });
		plan_timer(skill);
		return;
	}
}

void asks_forget(struct skill *skill, struct skill_client *client)
{
	struct list *it;

	while ((it = list_first(&client->asks)))
		ask_fail(list_entry(it, struct ask, link), 502, "BAD_GATEWAY",
			 "connection closed before response");
	plan_timer(skill);
}

void on_ask_timer(uv_timer_t *timer)
{
	struct skill *skill = timer->data;
	uint64_t now = uv_now(skill->context.loop);
	struct list *it;
	char text[80];

	(void)snprintf(text, sizeof(text), "no answer from the skill within %u ms",
		       skill->context.shared->answer_ms);

	while ((it = list_first(&skill->asks_by_age))) {
		struct ask *a = list_entry(it, struct ask, by_age);

		if (a->deadline_ms > now)
			break;
		kedge_server_forget(skill->context.server, a->client->id, a->number);
		ask_fail(a, 504, "GATEWAY_TIMEOUT", text);
	}
	plan_timer(skill);
}
