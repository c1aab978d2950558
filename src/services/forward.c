#include "services/forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "kedge/endpoint.h"
#include "services/forwarding.h"
#include "wire/json.h"

int forward_new(struct forward **ret_forward, const struct service_context *context,
		const char *own_path, enum kedge_protocol protocol, struct kedge_error *error)
{
	struct forward *f = calloc(1, sizeof(*f));

	if (!f)
		return error_set(error, -ENOMEM, "out of memory");
	f->context = *context;
	f->own_path = own_path;
	f->protocol = protocol;
	list_init(&f->upstreams);
	f->row = (struct kedge_method){ .userdata = f,
					.on_body = upload_on_body,
					.on_cancel = passed_on_cancel,
					.on_writable = passed_on_writable };
	*ret_forward = f;
	return 0;
}

static void free_upstream(struct upstream *u)
{
	list_unlink(&u->link);
	free(u->prefix);
	free(u->path);
	free(u);
}

struct forward *forward_free(struct forward *f)
{
	struct list *it;

	if (!f)
		return NULL;
	while ((it = list_first(&f->upstreams)))
		free_upstream(list_entry(it, struct upstream, link));
	map_deinit(&f->lines);
	map_deinit(&f->open);
	free(f);
	return NULL;
}

static int find_path(const struct forward *f, const char *socket, char **ret_path,
		     struct kedge_error *error)
{
	if (!strchr(socket, '/'))
		return kedge_endpoint_resolve(socket, f->context.workspace, ret_path, NULL, error);
	*ret_path = strdup(socket);
	return *ret_path ? 0 : error_set(error, -ENOMEM, "out of memory");
}

int forward_add(struct forward *f, const char *prefix, const char *socket,
		struct kedge_error *error)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return error_set(error, -ENOMEM, "out of memory");
	list_init(&u->link);
	u->forward = f;
	u->prefix = strdup(prefix);
	u->prefix_size = strlen(prefix);
	r = u->prefix ? find_path(f, socket, &u->path, error)
		      : error_set(error, -ENOMEM, "out of memory");
	if (r == 0 && strcmp(u->path, f->own_path) == 0)
		r = error_set(error, -EINVAL, "forward %s=%s: that is this server itself", prefix,
			      socket);
	if (r < 0) {
		free_upstream(u);
		return r;
	}
	list_append(&f->upstreams, &u->link);
	return 0;
}

/* Connections. */

static void on_log(enum kedge_uvclient_event event, const char *text, void *userdata)
{
	const struct line *line = userdata;
	struct upstream *u = line->upstream;
	const struct service_context *c = &u->forward->context;
	bool failed = event == KEDGE_UVCLIENT_FAILED;
	char words[512];

	if (u->failing == failed)
		return;
	u->failing = failed;
	(void)snprintf(words, sizeof(words), "forwarding %.100s: %.380s", u->prefix, text);
	c->log(failed ? KEDGE_LOG_WARNING : KEDGE_LOG_INFO, words, c->log_userdata);
}

/* The client's connection to that server, made where there is none yet. */
static struct line *find_line(struct forward *f, uint64_t client, struct upstream *u)
{
	struct kedge_uvclient_options options = { .size = sizeof(options),
						  .protocol = f->protocol,
						  .on_writable = upload_on_writable,
						  .on_log = on_log };
	struct line *first = map_get(&f->lines, client), *line = first;

	while (line && line->upstream != u)
		line = line->next;
	if (line)
		return line;
	line = calloc(1, sizeof(*line));
	if (!line)
		return NULL;
	*line = (struct line){ .next = first, .upstream = u };
	list_init(&line->subscriptions);
	options.userdata = line;
	if (kedge_uvclient_new(&line->client, f->context.loop, u->path, &options, NULL) < 0) {
		free(line);
		return NULL;
	}
	if (map_put(&f->lines, client, line) < 0) {
		line->client = kedge_uvclient_free(line->client);
		free(line);
		return NULL;
	}
	return line;
}

void forward_client_closed(struct forward *f, uint64_t client)
{
	/* What it had asked was cancelled before. */
	for (struct line *line = map_remove(&f->lines, client); line;) {
		struct line *next = line->next;
		struct list *it;

		while ((it = list_first(&line->subscriptions)))
			subscription_drop(list_entry(it, struct passed, link));
		line->client = kedge_uvclient_free(line->client);
		free(line);
		line = next;
	}
}

/* Requests. */

static struct upstream *find_upstream(const struct forward *f, struct kedge_span method)
{
	struct upstream *best = NULL;

	list_for_each (it, &f->upstreams) {
		struct upstream *u = list_entry(it, struct upstream, link);

		if (method.size >= u->prefix_size &&
		    memcmp(method.data, u->prefix, u->prefix_size) == 0 &&
		    (!best || u->prefix_size > best->prefix_size))
			best = u;
	}
	/* A name with a NUL in it can be passed on to nobody. */
	return memchr(method.data, '\0', method.size) ? NULL : best;
}

static int pass(struct passed *p, const struct kedge_call *call, const char *method)
{
	_cleanup_(buf_deinit) struct buf params = BUF_INIT;
	bool frames = p->forward->protocol == KEDGE_PROTOCOL_FRAMES;
	struct kedge_ask ask = {
		.method = method,
		.params = call->params,
		.headers = frames ? call->headers : (struct kedge_span){ NULL, 0 },
		.body_kind = call->body_kind,
		.body = call->body,
		/* How long to wait is for whoever asked to say. */
		.timeout_ms = KEDGE_TIMEOUT_NONE,
		.first_chunk_ms = KEDGE_TIMEOUT_NONE,
		.on_reply = passed_on_reply,
		.on_chunk = passed_on_chunk,
		.on_delivery = p->id ? subscription_on_delivery : NULL,
		.userdata = p,
	};

	if (!frames && subscription_close(p->line, call, &params) < 0)
		return -ENOMEM;
	if (buf_size(&params))
		ask.params = buf_span(&params);
	p->uploading = call->body_kind == KEDGE_BODY_STREAMED;
	return kedge_uvclient_call(p->line->client, &ask, &p->number);
}

static void refuse(struct passed *p, const struct kedge_call *call, int error)
{
	bool quoted = *call->id.data == '"';
	size_t size = call->id.size - (quoted ? 2 : 0);
	char text[128];

	if (error == -EEXIST) {
		(void)snprintf(text, sizeof(text), "Stream id already active: %.*s",
			       size < 64 ? (int)size : 64, call->id.data + quoted);
		(void)kedge_call_refuse(call, 400, text);
	} else if (error == -ENOTCONN) {
		passed_fail(p, 502, "nobody answers there");
	} else if (error == -EBUSY || error == -ENOBUFS) {
		passed_fail(p, 503, "too much waits for it");
	} else {
		passed_fail(p, 500, error_words(error));
	}
}

/* What a subscription needs beyond its request. Return: 0; -ENOMEM; -EEXIST: it is there. */
static int note_subscription(struct passed *p, const struct kedge_call *call, const char *method)
{
	if (!forward_is_subscribe(p->forward, method))
		return 0;
	if (subscription_find(p->line, call->id))
		return -EEXIST;
	p->id = strndup(call->id.data, call->id.size);
	p->method = strdup(method);
	return p->id && p->method ? 0 : -ENOMEM;
}

static struct passed *new_passed(struct forward *f, const struct kedge_call *call,
				 struct upstream *u)
{
	struct passed *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->link);
	p->forward = f;
	p->client = call->later.client;
	p->line = find_line(f, p->client, u);
	if (!p->line || open_put(&f->open, &p->open, call->later) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

const struct kedge_method *forward_call(struct forward *f, const struct kedge_call *call)
{
	struct upstream *u = find_upstream(f, call->method);
	_cleanup_(freep) char *method = NULL;
	struct passed *p;
	int r;

	if (!u)
		return NULL;
	method = strndup(call->method.data, call->method.size);
	p = method ? new_passed(f, call, u) : NULL;
	if (!p) {
		(void)kedge_call_refuse(call, 500, "out of memory");
		return &f->row;
	}
	r = note_subscription(p, call, method);
	if (r == 0)
		r = pass(p, call, method);
	if (r < 0) {
		refuse(p, call, r);
		passed_free(p);
	}
	return &f->row;
}
