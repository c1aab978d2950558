/* echo_binary, echo_error, echo_stream: for tests, benches, and whoever writes a client. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "services/assistant/assistant.h"
#include "services/open.h"
#include "services/params.h"
#include "wire/json.h"

#define DELAY_MAX_MS 60000

/* What all streams may keep together: their chunks stand in the request. */
#define ECHO_BYTES_MAX ((size_t)64 << 20)

#define CODE_SIZE_MAX 64

void assistant_echo_binary(const struct kedge_call *call, void *userdata)
{
	struct kedge_span headers = kedge_span("{\"content-type\":\"application/octet-stream\"}");

	(void)userdata;
	(void)kedge_server_reply_body(call->server, call->later, headers, call->body);
}

/* Codes are names: what else a client sends here would stand in JSON as it is. */
static bool is_code(const char *text, size_t size)
{
	return size && size <= CODE_SIZE_MAX &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz"
			    "0123456789_-.") == size;
}

void assistant_echo_error(const struct kedge_call *call, void *userdata)
{
	_cleanup_(freep) char *text = NULL, *code = NULL;
	struct kedge_rpc_error error = { 0 };
	size_t text_size = 0, code_size = 0;
	int64_t status = 500;
	struct params p;

	(void)userdata;
	params_init_optional(&p, call);
	(void)params_string(&p, "error", PARAMS_NOT_EMPTY, &text, &text_size);
	(void)params_integer(&p, "statusCode", PARAMS_REQUIRED, 400, 599, &status);
	if (params_member(&p, "errorCode").size &&
	    params_string(&p, "errorCode", PARAMS_NOT_EMPTY, &code, &code_size) &&
	    !is_code(code, code_size))
		params_note(&p, "errorCode", "invalid_format",
			    "expected at most 64 letters, digits, '_', '-' or '.'");
	error.details = params_member(&p, "errorDetails");
	if (!params_refused(&p, call)) {
		error.text = (struct kedge_span){ text, text_size };
		error.status = (int)status;
		error.code = code;
		(void)kedge_call_fail(call, &error);
	}
	params_deinit(&p);
}

/* Streams. */

struct echo_stream {
	struct open open;
	struct heap_node due; /* while it pauses */
	struct kedge_server *server;
	uint64_t delay_ns;
	struct kedge_span chunks; /* a JSON array; points into text */
	const char *at;           /* in it */
	char *scratch;            /* a chunk, decoded */
	bool blocked;             /* on_writable will come */
	char text[];
};

static void free_stream(struct assistant *a, struct echo_stream *s)
{
	open_remove(&a->echoes, &s->open);
	heap_remove(&a->echo_due, &s->due);
	a->echo_bytes -= s->chunks.size;
	free(s->scratch);
	free(s);
}

static void on_timer(uv_timer_t *timer);

static void plan_timer(struct assistant *a)
{
	const struct heap_node *first = heap_first(&a->echo_due);

	if (!first) {
		(void)uv_timer_stop(a->echo_timer);
		return;
	}
	uv_update_time(a->context.loop);
	(void)uv_timer_start(a->echo_timer, on_timer,
			     (uint64_t)time_until_ms(first->at, uv_hrtime()), 0);
}

/* The next chunk that is not empty. Return: false: no more. */
static bool next_chunk(struct echo_stream *s, struct kedge_span *ret)
{
	struct kedge_span value;

	while (json_next_element(s->chunks, &s->at, &value)) {
		*ret = (struct kedge_span){ s->scratch, json_string_decode(value, s->scratch) };
		if (ret->size)
			return true;
	}
	return false;
}

/* Write until the reader is slow, a pause is due, or all is said. */
static void pump(struct assistant *a, struct echo_stream *s)
{
	struct kedge_span chunk;
	int r = 0;

	while (r == 0 && next_chunk(s, &chunk)) {
		r = kedge_server_stream_write(s->server, s->open.later, chunk);
		s->blocked = r == 1;
		if (r < 0)
			break;
		if (s->delay_ns && heap_set(&a->echo_due, &s->due, uv_hrtime() + s->delay_ns) == 0)
			return;
	}
	if (r == 1)
		return;
	if (r == 0)
		(void)kedge_server_stream_end(s->server, s->open.later);
	free_stream(a, s);
}

static void on_timer(uv_timer_t *timer)
{
	struct assistant *a = timer->data;
	uint64_t now_ns = uv_hrtime();
	struct heap_node *first;

	while ((first = heap_first(&a->echo_due)) && first->at <= now_ns) {
		struct echo_stream *s = container_of(first, struct echo_stream, due);

		heap_remove(&a->echo_due, first);
		if (!s->blocked)
			pump(a, s);
	}
	plan_timer(a);
}

/* While it pauses it goes on by itself. */
void assistant_echo_writable(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct assistant *a = userdata;
	struct open *open = open_find(&a->echoes, later);
	struct echo_stream *s = open ? container_of(open, struct echo_stream, open) : NULL;

	(void)server;
	if (!s)
		return;
	s->blocked = false;
	if (s->due.index != HEAP_NOWHERE)
		return;
	pump(a, s);
	plan_timer(a);
}

void assistant_echo_cancelled(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct assistant *a = userdata;
	struct open *open = open_find(&a->echoes, later);

	(void)server;
	if (open)
		free_stream(a, container_of(open, struct echo_stream, open));
}

/* Room for the longest chunk, which decoding only makes shorter. */
static size_t longest(struct kedge_span chunks)
{
	struct kedge_span value;
	const char *at = NULL;
	size_t size = 1;

	while (json_next_element(chunks, &at, &value))
		size = value.size > size ? value.size : size;
	return size;
}

static struct echo_stream *new_stream(struct assistant *a, const struct kedge_call *call,
				      struct kedge_span chunks, int64_t delay_ms)
{
	struct echo_stream *s = malloc(sizeof(*s) + chunks.size);

	if (!s)
		return NULL;
	*s = (struct echo_stream){ .due = HEAP_NODE_INIT,
				   .server = call->server,
				   .delay_ns = (uint64_t)delay_ms * NSEC_PER_MSEC,
				   .scratch = malloc(longest(chunks)) };
	memcpy(s->text, chunks.data, chunks.size);
	s->chunks = (struct kedge_span){ s->text, chunks.size };
	if (!s->scratch || open_put(&a->echoes, &s->open, call->later) < 0) {
		free(s->scratch);
		free(s);
		return NULL;
	}
	a->echo_bytes += chunks.size;
	return s;
}

static void start_stream(struct assistant *a, const struct kedge_call *call,
			 struct kedge_span chunks, int64_t delay_ms)
{
	struct echo_stream *s = NULL;
	int r;

	if (a->echo_bytes + chunks.size <= ECHO_BYTES_MAX)
		s = new_stream(a, call, chunks, delay_ms);
	if (!s) {
		(void)kedge_call_refuse(call, 503, "More is being echoed than there is room for");
		return;
	}
	r = kedge_server_stream_begin(call->server, call->later, kedge_span("{}"));
	s->blocked = r == 1;
	if (r == 0)
		pump(a, s);
	else if (r < 0)
		free_stream(a, s);
	plan_timer(a);
}

static struct kedge_span take_chunks(struct params *p)
{
	struct kedge_span chunks = params_member(p, "chunks"), value;
	const char *at = NULL;

	if (json_kind(chunks) != JSON_ARRAY && p->object.size)
		params_note(p, "chunks", "invalid_type", "expected a list of strings");
	while (json_kind(chunks) == JSON_ARRAY && json_next_element(chunks, &at, &value))
		if (json_kind(value) != JSON_STRING) {
			params_note(p, "chunks", "invalid_type", "expected a list of strings");
			break;
		}
	return chunks;
}

void assistant_echo_stream(const struct kedge_call *call, void *userdata)
{
	struct kedge_span chunks;
	int64_t delay_ms = 0;
	struct params p;

	params_init_optional(&p, call);
	chunks = take_chunks(&p);
	(void)params_integer(&p, "delayMs", PARAMS_OPTIONAL, 0, DELAY_MAX_MS, &delay_ms);
	if (!params_refused(&p, call))
		start_stream(userdata, call, chunks, delay_ms);
	params_deinit(&p);
}

int echo_open(struct assistant *a)
{
	a->echo_timer = malloc(sizeof(*a->echo_timer));
	if (!a->echo_timer)
		return -ENOMEM;
	(void)uv_timer_init(a->context.loop, a->echo_timer);
	a->echo_timer->data = a;
	return 0;
}

/* The handle outlives the assistant until the loop has closed it. */
static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

void echo_close(struct assistant *a)
{
	/* Their clients have gone, and took them along. */
	map_deinit(&a->echoes);
	heap_deinit(&a->echo_due);
	if (a->echo_timer)
		uv_close((uv_handle_t *)a->echo_timer, on_timer_closed);
	a->echo_timer = NULL;
}
