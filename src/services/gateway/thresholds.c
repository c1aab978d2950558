#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/gateway/gateway.h"
#include "services/params.h"
#include "wire/json.h"

#define TOO_MANY "Too many writes are waiting for the disk"

/* A write that is on its way to the disk, and who waits for it. */
struct pending {
	struct gateway *gateway;
	struct kedge_later later;
	struct buf reply; /* what to say when it is committed */
	enum write_kind kind;
};

/* An answer to a read, or why there is none. */
struct found {
	int error;         /* 0, or negative errno */
	const char *words; /* with @error; good until the store's next call */
	char text[128];
};

static void write_globals(char *to, size_t room, const struct globals *g)
{
	(void)snprintf(to, room,
		       "{\"interactive\":\"%s\",\"autonomous\":\"%s\",\"headless\":\"%s\"}",
		       threshold_names[g->values[0]], threshold_names[g->values[1]],
		       threshold_names[g->values[2]]);
}

static void show_globals(struct found *found, const struct globals *g)
{
	write_globals(found->text, sizeof(found->text), g);
}

/* @index: into threshold_names; negative: no threshold is set. */
static void show_conversation(struct found *found, int index)
{
	if (index < 0)
		(void)snprintf(found->text, sizeof(found->text), "null");
	else
		(void)snprintf(found->text, sizeof(found->text), "{\"threshold\":\"%s\"}",
			       threshold_names[index]);
}

static void answer(const struct gateway *gateway, struct kedge_later later,
		   const struct found *found)
{
	struct kedge_rpc_error refusal = { .status = 500, .code = "INTERNAL_ERROR" };
	char text[256];

	if (!found->error) {
		(void)kedge_server_reply(gateway->context.server, later, kedge_span(found->text));
		return;
	}
	(void)snprintf(text, sizeof(text), "The thresholds cannot be read: %.200s", found->words);
	refusal.text = kedge_span(text);
	(void)kedge_server_fail(gateway->context.server, later, &refusal);
}

/* A read that waits for writes that were asked for before it. */
struct reading {
	struct gateway *gateway;
	struct kedge_later later;
	enum write_kind kind;
};

static void on_read(const struct outcome *outcome, void *userdata)
{
	struct reading *r = userdata;
	struct found found = { .error = outcome->error, .words = outcome->words };

	if (r->kind == READ_GLOBALS)
		show_globals(&found, &outcome->globals);
	else
		show_conversation(&found, outcome->threshold);
	answer(r->gateway, r->later, &found);
	free(r);
}

/* @read is consumed. */
static void read_later(struct gateway *gateway, const struct kedge_call *call,
		       const struct write *read)
{
	struct reading *r = malloc(sizeof(*r));
	int error = -ENOMEM;

	if (r) {
		*r = (struct reading){ gateway, call->later, read->kind };
		error = store_write(gateway->store, read, on_read, r);
	} else {
		free(read->conversation);
	}
	if (error == 0)
		return;
	free(r);
	(void)kedge_call_refuse(call, 503, TOO_MANY);
}

void gateway_get_global_thresholds(const struct kedge_call *call, void *userdata)
{
	struct gateway *gateway = userdata;
	struct found found = { 0 };
	struct globals globals;

	if (store_globals_waiting(gateway->store)) {
		read_later(gateway, call, &(struct write){ .kind = READ_GLOBALS });
		return;
	}
	found.error = store_globals(gateway->store, &globals, &found.words);
	if (found.error) {
		answer(gateway, call->later, &found);
		return;
	}
	if (!*gateway->shown_text || memcmp(&globals, &gateway->shown, sizeof(globals)) != 0) {
		gateway->shown = globals;
		write_globals(gateway->shown_text, sizeof(gateway->shown_text), &globals);
	}
	(void)kedge_call_reply(call, kedge_span(gateway->shown_text));
}

static void get_conversation(struct gateway *gateway, const struct kedge_call *call, char *id,
			     size_t size)
{
	struct found found = { 0 };
	int index = store_conversation(gateway->store, id, size, &found.words);

	if (index < 0 && index != -ENOENT)
		found.error = index;
	show_conversation(&found, index);
	answer(gateway, call->later, &found);
}

void gateway_get_conversation_threshold(const struct kedge_call *call, void *userdata)
{
	struct gateway *gateway = userdata;
	_cleanup_(freep) char *id = NULL;
	struct params params;
	size_t size;

	params_init(&params, call);
	(void)params_string(&params, "conversationId", PARAMS_NOT_EMPTY, &id, &size);
	if (!params_refused(&params, call)) {
		if (store_conversation_waiting(gateway->store, id, size))
			read_later(gateway, call,
				   &(struct write){ .kind = READ_CONVERSATION,
						    .conversation = steal_ptr(id),
						    .conversation_size = size });
		else
			get_conversation(gateway, call, id, size);
	}
	params_deinit(&params);
}

static void on_written(const struct outcome *outcome, void *userdata)
{
	struct pending *p = userdata;
	struct kedge_server *server = p->gateway->context.server;
	struct found found = { 0 };
	char text[256];
	struct kedge_rpc_error refusal = { .status = 500, .code = "INTERNAL_ERROR" };

	if (p->kind == WRITE_CLEAR)
		(void)buf_appendf(&p->reply, "{\"cleared\":%s}",
				  outcome->changed ? "true" : "false");
	if (p->kind == WRITE_GLOBALS) {
		show_globals(&found, &outcome->globals);
		(void)buf_append(&p->reply, found.text, strlen(found.text));
	}
	if (outcome->error) {
		(void)snprintf(text, sizeof(text), "The threshold cannot be stored: %.180s",
			       outcome->words);
		refusal.text = kedge_span(text);
		(void)kedge_server_fail(server, p->later, &refusal);
	} else {
		(void)kedge_server_reply(server, p->later, buf_span(&p->reply));
	}
	buf_deinit(&p->reply);
	free(p);
}

/* Hand a write to the worker. @reply is consumed. */
static void write_later(struct gateway *gateway, const struct kedge_call *call, struct write *write,
			struct buf *reply)
{
	struct pending *p = malloc(sizeof(*p));
	int r = -ENOMEM;

	if (p) {
		*p = (struct pending){ gateway, call->later, *reply, write->kind };
		r = store_write(gateway->store, write, on_written, p);
	} else {
		free(write->conversation);
	}
	if (r == 0)
		return;
	free(p);
	buf_deinit(reply);
	(void)kedge_call_refuse(call, 503, TOO_MANY);
}

void gateway_set_global_thresholds(const struct kedge_call *call, void *userdata)
{
	struct write write = { .kind = WRITE_GLOBALS };
	struct buf reply = BUF_INIT;
	struct params params;

	params_init(&params, call);
	for (int i = 0; i < GLOBAL_COUNT; i++)
		write.globals.values[i] = params_choice(&params, global_names[i], PARAMS_OPTIONAL,
							threshold_names, THRESHOLD_COUNT);
	if (!params_refused(&params, call))
		write_later(userdata, call, &write, &reply);
	params_deinit(&params);
}

/* The reply of a set is known before it is written. */
static int append_set(struct buf *b, const struct write *w)
{
	int r = buf_appendf(b, "{\"conversationId\":");

	if (r == 0)
		r = json_append_string(
			b, (struct kedge_span){ w->conversation, w->conversation_size });
	return r < 0 ? r : buf_appendf(b, ",\"threshold\":\"%s\"}", threshold_names[w->threshold]);
}

void gateway_set_conversation_threshold(const struct kedge_call *call, void *userdata)
{
	struct write write = { .kind = WRITE_SET };
	struct buf reply = BUF_INIT;
	struct params params;

	params_init(&params, call);
	(void)params_string(&params, "conversationId", PARAMS_NOT_EMPTY, &write.conversation,
			    &write.conversation_size);
	write.threshold = params_choice(&params, "threshold", PARAMS_REQUIRED, threshold_names,
					THRESHOLD_COUNT);
	if (params_refused(&params, call)) {
		free(write.conversation);
	} else if (append_set(&reply, &write) < 0) {
		free(write.conversation);
		buf_deinit(&reply);
		(void)kedge_call_refuse(call, 500, "out of memory");
	} else {
		write_later(userdata, call, &write, &reply);
	}
	params_deinit(&params);
}

void gateway_clear_conversation_threshold(const struct kedge_call *call, void *userdata)
{
	struct write write = { .kind = WRITE_CLEAR };
	struct buf reply = BUF_INIT;
	struct params params;

	params_init(&params, call);
	(void)params_string(&params, "conversationId", PARAMS_NOT_EMPTY, &write.conversation,
			    &write.conversation_size);
	if (!params_refused(&params, call))
		write_later(userdata, call, &write, &reply);
	params_deinit(&params);
}
