/* Events: published by whoever may, delivered to those who subscribed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "rpc/answer.h"
#include "services/params.h"
#include "services/skill/skill.h"
#include "sys/clock.h"
#include "wire/compact.h"

/* More than this waiting for a client that does not read ends its streams. */
#define QUEUED_BYTES_MAX 1048576

struct subscription {
	struct list link;          /* skill_client.subscriptions */
	struct subscription *next; /* with the same hash, in skill_client.by_stream */
	uint64_t hash;             /* of what the id says, however it was escaped */
	char *id;                  /* JSON text of the request's id */
	size_t id_size;
	bool filtered;
	char *conversation; /* decoded; with @filtered */
	size_t conversation_size;
};

/* An event, checked: spans into the params. */
struct event {
	struct kedge_span id, emitted_at, message;
	struct kedge_span conversation_json; /* absent: of no conversation */
	char *conversation;                  /* decoded */
	size_t conversation_size;
};

/* Whatever hash was asked for, nothing is allocated: the key is there already. */
static void unhash(struct skill_client *client, struct subscription *s)
{
	struct subscription *first = map_get(&client->by_stream, s->hash), *it = first;

	if (first == s) {
		if (s->next)
			(void)map_put(&client->by_stream, s->hash, s->next);
		else
			map_remove(&client->by_stream, s->hash);
		return;
	}
	while (it->next != s)
		it = it->next;
	it->next = s->next;
}

static void subscription_free(struct skill_client *client, struct subscription *s)
{
	unhash(client, s);
	list_unlink(&s->link);
	client->subscription_count--;
	free(s->id);
	free(s->conversation);
	free(s);
}

void events_forget(struct skill_client *client)
{
	list_for_each_safe (it, &client->subscriptions)
		subscription_free(client, list_entry(it, struct subscription, link));
	map_deinit(&client->by_stream);
}

/* Ids are the same where their texts are, however they were escaped. */
static int hash_id(struct kedge_span id, uint64_t *ret)
{
	_cleanup_(freep) char *text = NULL;

	if (!memchr(id.data, '\\', id.size)) {
		*ret = map_hash(id.data + 1, id.size - 2);
		return 0;
	}
	text = malloc(id.size);
	if (!text)
		return -ENOMEM;
	*ret = map_hash(text, json_string_decode(id, text));
	return 0;
}

/* By its hash: a client may have thousands, and asks for one more a thousand times a turn. */
static struct subscription *find_subscription(const struct skill_client *client,
					      struct kedge_span id, uint64_t hash)
{
	struct subscription *s = map_get(&client->by_stream, hash);

	while (s && !json_scalar_equal(id, (struct kedge_span){ s->id, s->id_size }))
		s = s->next;
	return s;
}

/* @p is inside the event. */
static void read_event(struct params *p, struct event *ret)
{
	ret->id = params_string_json(p, "id", PARAMS_NOT_EMPTY);
	ret->emitted_at = params_string_json(p, "emittedAt", PARAMS_NOT_EMPTY);
	ret->message = params_object(p, "message", PARAMS_REQUIRED);
	if (params_string(p, "conversationId", PARAMS_MAY_BE_ABSENT, &ret->conversation,
			  &ret->conversation_size))
		ret->conversation_json = params_member(p, "conversationId");
}

/* {"id","conversationId"?,"emittedAt","message"} */
static int append_event(struct buf *b, const struct event *e)
{
	int r = buf_append(b, "{", 1);

	if (r == 0)
		r = json_append_member(b, "id", e->id);
	if (r == 0)
		r = json_append_member(b, "conversationId", e->conversation_json);
	if (r == 0)
		r = json_append_member(b, "emittedAt", e->emitted_at);
	if (r == 0)
		r = json_append_member(b, "message", e->message);
	return r < 0 ? r : buf_append(b, "}", 1);
}

static bool wants(const struct subscription *s, const struct event *e)
{
	if (!s->filtered || !e->conversation_json.size)
		return true;
	return s->conversation_size == e->conversation_size &&
	       memcmp(s->conversation, e->conversation, e->conversation_size) == 0;
}

/* Whoever does not read must not make us keep everything: the stream ends with a word. */
static void end_stalled(struct skill *skill, struct skill_client *client, struct subscription *s)
{
	struct kedge_span id = { s->id, s->id_size };
	struct kedge_rpc_error error = { .status = 503 };
	struct buf text = BUF_INIT, line = BUF_INIT;
	uint64_t to = client->id;
	char *plain = malloc(id.size);
	int r = plain ? buf_appendf(&text, "Stream ") : -ENOMEM;

	if (r == 0)
		r = buf_append(&text, plain, json_string_decode(id, plain));
	if (r == 0)
		r = buf_appendf(&text,
				" closed: client not draining (socket buffer exceeded %d bytes)",
				QUEUED_BYTES_MAX);
	error.text = buf_span(&text);
	if (r == 0)
		r = answer_error(&line, id, &error);
	/* First: a client that is at its end as well goes while this is sent. */
	subscription_free(client, s);
	if (r == 0)
		(void)kedge_server_send(skill->context.server, to, buf_span(&line));
	free(plain);
	buf_deinit(&text);
	buf_deinit(&line);
}

static void deliver(struct skill *skill, struct skill_client *client, struct subscription *s,
		    struct kedge_span payload)
{
	struct kedge_server *server = skill->context.server;
	struct buf line = BUF_INIT;

	if (kedge_server_output_bytes(server, client->id) > QUEUED_BYTES_MAX) {
		end_stalled(skill, client, s);
		return;
	}
	if (buf_append(&line, "{\"id\":", 6) == 0 && buf_append(&line, s->id, s->id_size) == 0 &&
	    buf_append(&line, ",\"event\":\"delivery\",\"payload\":", 30) == 0 &&
	    buf_append(&line, payload.data, payload.size) == 0 && buf_append(&line, "}", 1) == 0)
		(void)kedge_server_send(server, client->id, buf_span(&line));
	buf_deinit(&line);
}

/* A client that is gone by the end of a delivery takes its subscriptions with it. */
static void deliver_to(struct skill *skill, uint64_t id, const struct event *e,
		       struct kedge_span payload)
{
	struct skill_client *client = skill_client_of(skill, id);
	struct list *it = client ? client->subscriptions.next : NULL;

	while (client && it != &client->subscriptions) {
		struct subscription *s = list_entry(it, struct subscription, link);

		it = it->next;
		if (wants(s, e))
			deliver(skill, client, s, payload);
		client = skill_client_of(skill, id);
	}
}

/* The ids of all clients with subscriptions. Return: how many, or -ENOMEM. */
static ssize_t list_readers(const struct skill *skill, uint64_t **ret)
{
	size_t count = 0;

	*ret = malloc((skill->by_id.count + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	list_for_each (it, &skill->clients) {
		const struct skill_client *client = list_entry(it, struct skill_client, link);

		if (client->subscription_count)
			(*ret)[count++] = client->id;
	}
	return (ssize_t)count;
}

static int publish(struct skill *skill, const struct event *e)
{
	_cleanup_(buf_deinit) struct buf payload = BUF_INIT;
	_cleanup_(freep) uint64_t *readers = NULL;
	ssize_t count = list_readers(skill, &readers);
	int r = count < 0 ? (int)count : append_event(&payload, e);

	for (ssize_t i = 0; r == 0 && i < count; i++)
		deliver_to(skill, readers[i], e, buf_span(&payload));
	return r;
}

void events_publish(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	struct event event = { 0 };
	struct kedge_span outer;
	struct params params;

	params_init(&params, call);
	if (params.object.size) {
		outer = params_enter(&params, (struct params_step){ .name = "event" },
				     params_member(&params, "event"));
		read_event(&params, &event);
		params_leave(&params, outer);
	}
	if (!params_refused(&params, call)) {
		if (publish(skill, &event) < 0)
			(void)kedge_call_refuse(call, 500, "out of memory");
		else
			(void)kedge_call_reply(call, kedge_span("{\"published\":true}"));
	}
	free(event.conversation);
	params_deinit(&params);
}

/* Version 4, RFC 9562: 122 bits of chance. */
static int append_uuid(struct buf *b)
{
	unsigned char x[16];

	if (getrandom(x, sizeof(x), 0) != (ssize_t)sizeof(x))
		return -EIO;
	x[6] = (unsigned char)((x[6] & 0x0F) | 0x40);
	x[8] = (unsigned char)((x[8] & 0x3F) | 0x80);
	return buf_appendf(
		b, "\"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\"", x[0],
		x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10], x[11], x[12], x[13],
		x[14], x[15]);
}

static int build(struct buf *reply, struct event *e)
{
	_cleanup_(buf_deinit) struct buf id = BUF_INIT;
	_cleanup_(buf_deinit) struct buf now = BUF_INIT;
	int r = append_uuid(&id);

	if (r == 0)
		r = buf_append(&now, "\"", 1);
	if (r == 0)
		r = append_utc(&now, realtime_ms());
	if (r == 0)
		r = buf_append(&now, "\"", 1);
	e->id = buf_span(&id);
	e->emitted_at = buf_span(&now);
	return r < 0 ? r : append_event(reply, e);
}

void events_build(const struct kedge_call *call, void *userdata)
{
	struct event event = { 0 };
	struct buf reply = BUF_INIT;
	struct params params;

	(void)userdata;
	params_init(&params, call);
	event.message = params_object(&params, "message", PARAMS_REQUIRED);
	event.conversation_json = params_string_json(&params, "conversationId",
						     PARAMS_MAY_BE_ABSENT);
	if (!params_refused(&params, call))
		skill_reply(call, &reply, build(&reply, &event));
	params_deinit(&params);
}

/* @conversation is consumed. Return: 0, or -ENOMEM. */
static int subscribe(struct skill_client *client, struct kedge_span id, uint64_t hash,
		     char *conversation, size_t size)
{
	struct subscription *s = calloc(1, sizeof(*s));
	char *copy = malloc(id.size);
	struct subscription *next = map_get(&client->by_stream, hash);

	if (!s || !copy || map_put(&client->by_stream, hash, s) < 0) {
		free(conversation);
		free(copy);
		free(s);
		return -ENOMEM;
	}
	memcpy(copy, id.data, id.size);
	*s = (struct subscription){ .next = next,
				    .hash = hash,
				    .id = copy,
				    .id_size = id.size,
				    .filtered = conversation != NULL,
				    .conversation = conversation,
				    .conversation_size = size };
	list_append(&client->subscriptions, &s->link);
	client->subscription_count++;
	return 0;
}

static void refuse_active(const struct kedge_call *call)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT;
	_cleanup_(freep) char *plain = malloc(call->id.size + 1);

	if (!plain)
		return;
	plain[json_string_decode(call->id, plain)] = '\0';
	if (buf_appendf(&text, "Stream id already active: %s", plain) == 0 &&
	    buf_append(&text, "", 1) == 0)
		(void)kedge_call_refuse(call, 409, buf_front(&text));
}

/* The filter is good. @conversation is consumed. */
static void answer_subscribe(const struct kedge_call *call, struct skill_client *client,
			     char *conversation, size_t size)
{
	uint64_t hash = 0;
	int r = hash_id(call->id, &hash);

	if (r == 0 && find_subscription(client, call->id, hash)) {
		refuse_active(call);
	} else if (r == 0 && client->subscription_count >= SUBSCRIPTIONS_MAX) {
		(void)kedge_call_refuse(call, 429, "Too many streams on this connection");
	} else {
		if (r == 0)
			r = subscribe(client, call->id, hash, steal_ptr(conversation), size);
		if (r == 0)
			(void)kedge_call_reply(call, kedge_span("{\"subscribed\":true}"));
		else
			(void)kedge_call_refuse(call, 500, "out of memory");
	}
	free(conversation);
}

void events_subscribe(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	struct skill_client *client = skill_caller(skill, call);
	struct kedge_span outer;
	struct params params;
	char *conversation = NULL;
	size_t size = 0;

	if (!client)
		return;
	params_init(&params, call);
	if (params.object.size) {
		outer = params_enter(&params, (struct params_step){ .name = "filter" },
				     params_member(&params, "filter"));
		(void)params_string(&params, "conversationId", PARAMS_MAY_BE_ABSENT, &conversation,
				    &size);
		params_leave(&params, outer);
	}
	if (params_refused(&params, call))
		free(conversation);
	else
		answer_subscribe(call, client, conversation, size);
	params_deinit(&params);
}

void events_unsubscribe(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	struct skill_client *client = skill_caller(skill, call);
	struct kedge_span id = json_member(call->params, "subscribeId");
	struct subscription *s;
	uint64_t hash = 0;

	if (!client)
		return;
	if (json_kind(id) != JSON_STRING || id.size == 2) {
		(void)kedge_call_refuse(call, 400, "Missing 'subscribeId' param");
		return;
	}
	if (hash_id(id, &hash) < 0) {
		(void)kedge_call_refuse(call, 500, "out of memory");
		return;
	}
	s = find_subscription(client, id, hash);
	if (s)
		subscription_free(client, s);
	(void)kedge_call_reply(call, kedge_span("{\"closed\":true}"));
}
