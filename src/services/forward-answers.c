/* What comes back for a request that was passed on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "services/forwarding.h"
#include "wire/json.h"

struct passed *passed_find(const struct forward *f, struct kedge_later later)
{
	struct open *open = open_find(&f->open, later);

	return open ? container_of(open, struct passed, open) : NULL;
}

void passed_free(struct passed *p)
{
	if (!p->subscribed)
		open_remove(&p->forward->open, &p->open);
	list_unlink(&p->link);
	free(p->id);
	free(p->method);
	buf_deinit(&p->waiting);
	free(p);
}

/* JSON text of a string into a C string. Return: whether it is a name of some code. */
static bool decode_code(struct kedge_span json, char *to)
{
	size_t size;

	if (json_kind(json) != JSON_STRING || json.size >= FORWARD_CODE_SIZE)
		return false;
	size = json_string_decode(json, to);
	to[size] = '\0';
	return size && strspn(to, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789_-.") == size;
}

struct kedge_rpc_error passed_error(const struct kedge_reply *reply, char *code, char **ret_text)
{
	struct kedge_rpc_error error = {
		.text = reply->error,
		.status = reply->status >= 400 && reply->status <= 599 ? reply->status : 500,
		.code = decode_code(reply->error_code, code) ? code : NULL,
		.details = reply->error_details,
	};

	/* One that is no text is passed on as the JSON that it is. */
	*ret_text = json_kind(reply->error) == JSON_STRING ? malloc(reply->error.size) : NULL;
	if (*ret_text)
		error.text = (struct kedge_span){ *ret_text,
						  json_string_decode(reply->error, *ret_text) };
	return error;
}

static void pass_error(struct passed *p, const struct kedge_reply *reply)
{
	char code[FORWARD_CODE_SIZE];
	_cleanup_(freep) char *text = NULL;
	struct kedge_rpc_error error = passed_error(reply, code, &text);

	(void)kedge_server_fail(p->forward->context.server, p->open.later, &error);
}

/* No answer came: why not. */
void passed_fail(struct passed *p, int status, const char *why)
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
	passed_free(p);
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

void passed_on_chunk(struct kedge_span chunk, void *userdata)
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

void passed_on_writable(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct passed *p = passed_find(userdata, later);
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

void passed_on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct passed *p = userdata;
	struct kedge_server *server = p->forward->context.server;
	struct kedge_later later = p->open.later;

	if (p->streaming || p->subscribed) {
		if (p->subscribed)
			subscription_ended(p, reply);
		else
			stream_over(p);
		return;
	}
	switch (reply->outcome) {
	case KEDGE_OUTCOME_STREAM:
		p->streaming = true;
		set_blocked(p, kedge_server_stream_begin(server, later, reply->headers) == 1);
		return;
	case KEDGE_OUTCOME_RESULT:
		if (p->id) {
			subscription_begin(p, reply);
			return;
		}
		(void)kedge_server_reply(server, later, reply->result);
		break;
	case KEDGE_OUTCOME_BODY:
		(void)kedge_server_reply_body(server, later, reply->headers, reply->body);
		break;
	case KEDGE_OUTCOME_ERROR:
		pass_error(p, reply);
		break;
	case KEDGE_OUTCOME_TOO_LARGE:
		passed_fail(p, 502, "its answer is too large");
		break;
	case KEDGE_OUTCOME_CANCELLED:
		/* The client knows. */
		break;
	default:
		passed_fail(p, 502, "the connection was lost before the answer");
	}
	passed_free(p);
}

void passed_on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct passed *p = passed_find(userdata, later);

	(void)server;
	if (!p)
		return;
	/* Nothing waits for room any more. */
	set_blocked(p, false);
	if (p->uploading) {
		upload_break_off(p);
		return;
	}
	/* One that is over there already is not told of: then it is done here. */
	if (kedge_uvclient_cancel(p->line->client, p->number) < 0)
		passed_free(p);
}
