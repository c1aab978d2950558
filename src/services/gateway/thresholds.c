#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/gateway/gateway.h"
#include "services/params.h"
#include "wire/json.h"

/* A write that is on its way to the disk, and who waits for it. */
struct pending {
	struct gateway *gateway;
	struct kedge_later later;
	struct buf reply; /* what to say when it is committed */
	enum write_kind kind;
};

static struct kedge_span span_of(const struct buf *b)
{
	return (struct kedge_span){ buf_front(b), buf_size(b) };
}

static void refuse_words(const struct kedge_call *call, const char *words)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "The thresholds cannot be read: %.200s", words);
	(void)kedge_call_refuse(call, 500, text);
}

static int append_globals(struct buf *b, const struct globals *g)
{
	return buf_appendf(b, "{\"interactive\":\"%s\",\"autonomous\":\"%s\",\"headless\":\"%s\"}",
			   threshold_names[g->values[0]], threshold_names[g->values[1]],
			   threshold_names[g->values[2]]);
}

void gateway_get_global_thresholds(const struct kedge_call *call, void *userdata)
{
	struct gateway *gateway = userdata;
	struct globals globals;
	const char *words;
	char text[128];
	int n;

	if (store_globals(gateway->store, &globals, &words) < 0) {
		refuse_words(call, words);
		return;
	}
	n = snprintf(text, sizeof(text),
		     "{\"interactive\":\"%s\",\"autonomous\":\"%s\",\"headless\":\"%s\"}",
		     threshold_names[globals.values[0]], threshold_names[globals.values[1]],
		     threshold_names[globals.values[2]]);
	(void)kedge_call_reply(call, (struct kedge_span){ text, (size_t)n });
}

void gateway_get_conversation_threshold(const struct kedge_call *call, void *userdata)
{
	struct gateway *gateway = userdata;
	_cleanup_(freep) char *id = NULL;
	struct params params;
	const char *words;
	char text[64];
	size_t size;
	int index, n;

	params_init(&params, call);
	(void)params_string(&params, "conversationId", PARAMS_NOT_EMPTY, &id, &size);
	if (!params_refused(&params, call)) {
		index = store_conversation(gateway->store, id, size, &words);
		n = index >= 0 ? snprintf(text, sizeof(text), "{\"threshold\":\"%s\"}",
					  threshold_names[index])
			       : snprintf(text, sizeof(text), "null");
		if (index < 0 && index != -ENOENT)
			refuse_words(call, words);
		else
			(void)kedge_call_reply(call, (struct kedge_span){ text, (size_t)n });
	}
	params_deinit(&params);
}

/* What set_global_thresholds answers is what holds after it. */
static void append_new_globals(struct pending *p)
{
	struct globals globals;
	const char *words;

	if (store_globals(p->gateway->store, &globals, &words) == 0)
		(void)append_globals(&p->reply, &globals);
}

static void on_written(int error, const char *words, int changed, void *userdata)
{
	struct pending *p = userdata;
	struct kedge_server *server = p->gateway->context.server;
	char text[256];
	struct kedge_rpc_error refusal = { .status = 500, .code = "INTERNAL_ERROR" };

	if (!error && p->kind == WRITE_CLEAR)
		(void)buf_appendf(&p->reply, "{\"cleared\":%s}", changed ? "true" : "false");
	if (!error && p->kind == WRITE_GLOBALS)
		append_new_globals(p);
	if (error) {
		(void)snprintf(text, sizeof(text), "The threshold cannot be stored: %.180s", words);
		refusal.text = kedge_span(text);
		(void)kedge_server_fail(server, p->later, &refusal);
	} else {
		(void)kedge_server_reply(server, p->later, span_of(&p->reply));
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
	(void)kedge_call_refuse(call, 503, "Too many writes are waiting for the disk");
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
