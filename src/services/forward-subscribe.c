/*
 * Subscriptions on lines, where a stream is a request that stays open: X.subscribe is
 * acknowledged, deliveries carry its id, X.subscribe.close ends it by that id. The
 * other side knows it by another id, which is put in and taken out here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpc/answer.h"
#include "services/forwarding.h"
#include "wire/json.h"

/* More than so much waiting for a client ends what it has subscribed to, as for the skills. */
#define WAITING_BYTES_MAX 1048576

static bool ends_with(struct kedge_span text, const char *end)
{
	size_t n = strlen(end);

	return text.size > n && memcmp(text.data + text.size - n, end, n) == 0;
}

bool forward_is_subscribe(const struct forward *f, const char *method)
{
	return f->protocol == KEDGE_PROTOCOL_LINES && ends_with(kedge_span(method), ".subscribe");
}

struct passed *subscription_find(const struct line *line, struct kedge_span id)
{
	list_for_each (it, &line->subscriptions) {
		struct passed *p = list_entry(it, struct passed, link);

		if (strlen(p->id) == id.size && memcmp(p->id, id.data, id.size) == 0)
			return p;
	}
	return NULL;
}

void subscription_drop(struct passed *p)
{
	(void)kedge_caller_forget(kedge_uvclient_caller(p->line->client), p->number);
	passed_free(p);
}

/* From here on the request is answered: what comes belongs to the subscription. */
void subscription_begin(struct passed *p, const struct kedge_reply *reply)
{
	struct forward *f = p->forward;
	struct kedge_later later = p->open.later;

	open_remove(&f->open, &p->open);
	p->subscribed = true;
	list_append(&p->line->subscriptions, &p->link);
	if (kedge_server_reply(f->context.server, later, reply->result) < 0)
		subscription_drop(p);
}

static void send_buf(const struct passed *p, const struct buf *b)
{
	(void)kedge_server_send(p->forward->context.server, p->client, buf_span(b));
}

static void send_error(const struct passed *p, const struct kedge_rpc_error *error)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	if (answer_error(&b, kedge_span(p->id), error) == 0)
		send_buf(p, &b);
}

void subscription_ended(struct passed *p, const struct kedge_reply *reply)
{
	char code[FORWARD_CODE_SIZE];
	_cleanup_(freep) char *text = NULL;
	struct kedge_rpc_error error = passed_error(reply, code, &text);

	if (reply->outcome != KEDGE_OUTCOME_ERROR)
		error = (struct kedge_rpc_error){ .text = kedge_span("the connection was lost"),
						  .status = 502 };
	send_error(p, &error);
	passed_free(p);
}

/* {"subscribeId":ID}, as the other side knows it. */
static int append_close(struct buf *b, const struct passed *p)
{
	struct kedge_span id = kedge_caller_id(kedge_uvclient_caller(p->line->client), p->number);

	if (buf_append(b, "{\"subscribeId\":", 15) < 0 || buf_append(b, id.data, id.size) < 0)
		return -ENOMEM;
	return buf_append(b, "}", 1);
}

/* Deliveries that nobody takes are not kept: the subscription ends, on both sides. */
static void end_for_slowness(struct passed *p)
{
	_cleanup_(buf_deinit) struct buf params = BUF_INIT;
	bool quoted = *p->id == '"';
	size_t size = strlen(p->id) - (quoted ? 2 : 0);
	char text[192], method[256];
	struct kedge_rpc_error error = { .text = { text, 0 }, .status = 503 };

	(void)snprintf(text, sizeof(text),
		       "Stream %.*s closed: client not draining (socket buffer exceeded %d bytes)",
		       size < 64 ? (int)size : 64, p->id + quoted, WAITING_BYTES_MAX);
	error.text = kedge_span(text);
	send_error(p, &error);
	if (append_close(&params, p) == 0 &&
	    snprintf(method, sizeof(method), "%s.close", p->method) < (int)sizeof(method))
		(void)kedge_uvclient_call(
			p->line->client,
			&(struct kedge_ask){ .method = method, .params = buf_span(&params) }, NULL);
	subscription_drop(p);
}

void subscription_on_delivery(struct kedge_span name, struct kedge_span payload, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	struct passed *p = userdata;
	int r;

	if (kedge_server_output_bytes(p->forward->context.server, p->client) > WAITING_BYTES_MAX) {
		end_for_slowness(p);
		return;
	}
	r = buf_appendf(&b, "{\"id\":%s,\"event\":", p->id);
	if (r == 0)
		r = buf_append(&b, name.data, name.size);
	if (r == 0 && payload.size)
		r = buf_append(&b, ",\"payload\":", 11);
	if (r == 0)
		r = buf_append(&b, payload.data, payload.size);
	if (r == 0)
		r = buf_append(&b, "}", 1);
	if (r == 0)
		send_buf(p, &b);
}

int subscription_close(struct line *line, const struct kedge_call *call, struct buf *ret_params)
{
	struct passed *p;
	int r;

	if (!ends_with(call->method, ".subscribe.close"))
		return 0;
	p = subscription_find(line, json_member(call->params, "subscribeId"));
	if (!p)
		return 0;
	r = append_close(ret_params, p);
	if (r == 0)
		subscription_drop(p);
	return r;
}
