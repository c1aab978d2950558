#include "services/forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/list.h"
#include "kedge/endpoint.h"
#include "kedge/uvclient.h"
#include "services/open.h"
#include "wire/json.h"

#define CODE_SIZE_MAX 64

/* A server that has methods. */
struct upstream {
	struct list link; /* forward.upstreams */
	struct forward *forward;
	char *prefix, *path;
	size_t prefix_size;
	bool failing; /* one client's connection has told of it: the others need not */
};

/* One client's connection to one of them. */
struct line {
	struct line *next; /* of the same client */
	struct upstream *upstream;
	struct kedge_uvclient *client;
	unsigned blocked; /* streams that wait for the client: nothing is read meanwhile */
};

/* A request that was passed on. */
struct passed {
	struct open open;
	struct line *line;
	struct forward *forward;
	uint64_t number;
	bool streaming, blocked, over;
	struct buf waiting; /* chunks that came while blocked: a size_t, then so many bytes */
};

struct forward {
	struct service_context context;
	const char *own_path;
	enum kedge_protocol protocol;
	struct list upstreams;
	struct map lines; /* client -> struct line, the first of its own */
	struct map open;  /* struct open of struct passed */
	struct kedge_method row;
};

static void on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata);
static void on_writable(struct kedge_server *server, struct kedge_later later, void *userdata);

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
					.on_cancel = on_cancel,
					.on_writable = on_writable };
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
	struct upstream *u = userdata;
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
	struct kedge_uvclient_options options = {
		.size = sizeof(options), .protocol = f->protocol, .on_log = on_log, .userdata = u
	};
	struct line *first = map_get(&f->lines, client), *line = first;

	while (line && line->upstream != u)
		line = line->next;
	if (line)
		return line;
	line = calloc(1, sizeof(*line));
	if (!line)
		return NULL;
	*line = (struct line){ .next = first, .upstream = u };
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

		line->client = kedge_uvclient_free(line->client);
		free(line);
		line = next;
	}
}

/* Answers. */

static void free_passed(struct passed *p)
{
	open_remove(&p->forward->open, &p->open);
	buf_deinit(&p->waiting);
	free(p);
}

/* JSON text of a string into a C string. Return: whether it is a name of some code. */
static bool decode_code(struct kedge_span json, char *to)
{
	size_t size;

	if (json_kind(json) != JSON_STRING || json.size > CODE_SIZE_MAX)
		return false;
	size = json_string_decode(json, to);
	to[size] = '\0';
	return size && strspn(to, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789_-.") == size;
}

static void pass_error(struct passed *p, const struct kedge_reply *reply)
{
	_cleanup_(freep) char *text = malloc(reply->error.size + 1);
	char code[CODE_SIZE_MAX + 1];
	struct kedge_rpc_error error = {
		.text = reply->error,
		.status = reply->status >= 400 && reply->status <= 599 ? reply->status : 500,
		.code = decode_code(reply->error_code, code) ? code : NULL,
		.details = reply->error_details,
	};

	/* One that is no text is passed on as the JSON that it is. */
	if (text && json_kind(reply->error) == JSON_STRING)
		error.text = (struct kedge_span){ text, json_string_decode(reply->error, text) };
	(void)kedge_server_fail(p->forward->context.server, p->open.later, &error);
}

/* No answer came: why not. */
static void pass_failure(struct passed *p, int status, const char *why)
{
	char text[512];
	struct kedge_rpc_error error = { .status = status };

	(void)snprintf(text, sizeof(text), "%.400s: %s", p->line->upstream->path, why);
	error.text = kedge_span(text);
	(void)kedge_server_fail(p->forward->context.server, p->open.later, &error);
}

static void end_stream(struct passed *p)
{
	(void)kedge_server_stream_end(p->forward->context.server, p->open.later);
	free_passed(p);
}

/* While a stream's chunks wait nothing more is read from the server they come from. */
static void set_blocked(struct passed *p, bool blocked)
{
	struct line *line = p->line;

	if (p->blocked == blocked)
		return;
	p->blocked = blocked;
	if (blocked && line->blocked++ == 0)
		kedge_uvclient_pause(line->client);
	if (!blocked && --line->blocked == 0)
		kedge_uvclient_resume(line->client);
}

static void on_chunk(struct kedge_span chunk, void *userdata)
{
	struct passed *p = userdata;
	struct kedge_server *server = p->forward->context.server;

	if (!p->blocked) {
		set_blocked(p, kedge_server_stream_write(server, p->open.later, chunk) == 1);
		return;
	}
	if (buf_reserve(&p->waiting, sizeof(chunk.size) + chunk.size) == 0) {
		(void)buf_append(&p->waiting, &chunk.size, sizeof(chunk.size));
		(void)buf_append(&p->waiting, chunk.data, chunk.size);
		return;
	}
	/* A stream with a gap is worse than one that breaks off. */
	p->over = true;
	(void)kedge_uvclient_cancel(p->line->client, p->number);
}

static void on_writable(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct forward *f = userdata;
	struct open *open = open_find(&f->open, later);
	struct passed *p = open ? container_of(open, struct passed, open) : NULL;
	int r = 0;

	if (!p)
		return;
	while (r == 0 && buf_size(&p->waiting)) {
		struct kedge_span chunk;

		memcpy(&chunk.size, buf_front(&p->waiting), sizeof(chunk.size));
		chunk.data = buf_front(&p->waiting) + sizeof(chunk.size);
		r = kedge_server_stream_write(server, later, chunk);
		buf_consume(&p->waiting, sizeof(chunk.size) + chunk.size);
	}
	if (r != 0)
		return;
	set_blocked(p, false);
	if (p->over)
		end_stream(p);
}

/* A stream is over, however: its end is passed on behind its chunks. */
static void stream_over(struct passed *p)
{
	p->over = true;
	if (!p->blocked)
		end_stream(p);
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct passed *p = userdata;
	struct kedge_server *server = p->forward->context.server;
	struct kedge_later later = p->open.later;

	if (p->streaming) {
		stream_over(p);
		return;
	}
	switch (reply->outcome) {
	case KEDGE_OUTCOME_STREAM:
		p->streaming = true;
		set_blocked(p, kedge_server_stream_begin(server, later, reply->headers) == 1);
		return;
	case KEDGE_OUTCOME_RESULT:
		(void)kedge_server_reply(server, later, reply->result);
		break;
	case KEDGE_OUTCOME_BODY:
		(void)kedge_server_reply_body(server, later, reply->headers, reply->body);
		break;
	case KEDGE_OUTCOME_ERROR:
		pass_error(p, reply);
		break;
	case KEDGE_OUTCOME_TOO_LARGE:
		pass_failure(p, 502, "its answer is too large");
		break;
	case KEDGE_OUTCOME_CANCELLED:
		/* The client knows. */
		break;
	default:
		pass_failure(p, 502, "the connection was lost before the answer");
	}
	free_passed(p);
}

static void on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct forward *f = userdata;
	struct open *open = open_find(&f->open, later);
	struct passed *p = open ? container_of(open, struct passed, open) : NULL;

	(void)server;
	if (!p)
		return;
	/* Nothing waits for room any more. */
	set_blocked(p, false);
	/* One that is over there already is not told of: then it is done here. */
	if (kedge_uvclient_cancel(p->line->client, p->number) < 0)
		free_passed(p);
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
		.on_reply = on_reply,
		.on_chunk = on_chunk,
		.userdata = p,
	};

	return kedge_uvclient_call(p->line->client, &ask, &p->number);
}

static void refuse(struct passed *p, int error)
{
	if (error == -ENOTCONN)
		pass_failure(p, 502, "nobody answers there");
	else if (error == -EBUSY || error == -ENOBUFS)
		pass_failure(p, 503, "too much waits for it");
	else
		pass_failure(p, 500, error_words(error));
}

const struct kedge_method *forward_call(struct forward *f, const struct kedge_call *call)
{
	_cleanup_(freep) char *method = NULL;
	struct upstream *u = find_upstream(f, call->method);
	struct passed *p = u ? calloc(1, sizeof(*p)) : NULL;
	int r;

	if (!u)
		return NULL;
	method = strndup(call->method.data, call->method.size);
	if (p) {
		p->forward = f;
		p->line = find_line(f, call->later.client, u);
	}
	if (!p || !method || !p->line || open_put(&f->open, &p->open, call->later) < 0) {
		free(p);
		(void)kedge_call_refuse(call, 500, "out of memory");
		return &f->row;
	}
	r = pass(p, call, method);
	if (r < 0) {
		refuse(p, r);
		free_passed(p);
	}
	return &f->row;
}
