#include "kedge/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/answer.h"
#include "rpc/tickets.h"
#include "wire/envelope.h"

#define MESSAGE_BYTES_DEFAULT ((size_t)16 << 20)
#define DEPTH_DEFAULT         128
#define IN_FLIGHT_DEFAULT     1024
#define OUTPUT_HIGH_DEFAULT   ((size_t)1 << 20)
#define OUTPUT_MAX_DEFAULT    ((size_t)64 << 20)

/* Room that kedge_conn_input() offers at least: some hundred small requests. */
#define INPUT_ROOM_BYTES 16384

/* Memory that an idle connection keeps. */
#define IDLE_BYTES 32768

struct kedge_conn {
	struct kedge_conn_limits limits;
	struct kedge_conn_handlers handlers;
	void *userdata;
	struct buf in, out;
	struct tickets tickets;
	size_t searched; /* bytes at the front of @in that hold no newline */
	size_t skipped;  /* bytes of an oversized line that were thrown away */
	bool skipping;   /* ... of which the end has not come yet */
	bool processing; /* going through messages: answers given meanwhile start no second round */
	bool eof;        /* nothing more comes in */
	bool draining;   /* nothing more is wanted */
	bool dead;       /* no memory, or too much output: to be closed at once */
};

static const struct kedge_span id_unknown = { "\"unknown\"", 9 };

static size_t or_default(size_t value, size_t standard)
{
	return value ? value : standard;
}

static struct kedge_conn_limits with_defaults(const struct kedge_conn_limits *l)
{
	return (struct kedge_conn_limits){
		.message_bytes_max = or_default(l->message_bytes_max, MESSAGE_BYTES_DEFAULT),
		.depth_max = l->depth_max ? l->depth_max : DEPTH_DEFAULT,
		.in_flight_max = l->in_flight_max ? l->in_flight_max : IN_FLIGHT_DEFAULT,
		.output_bytes_high = or_default(l->output_bytes_high, OUTPUT_HIGH_DEFAULT),
		.output_bytes_max = or_default(l->output_bytes_max, OUTPUT_MAX_DEFAULT),
	};
}

int kedge_conn_new(struct kedge_conn **ret_conn, const struct kedge_conn_options *options)
{
	struct kedge_conn_limits limits;
	struct kedge_conn *conn;

	if (!options || options->size < sizeof(*options) || !options->handlers.on_request)
		return -EINVAL;
	limits = with_defaults(&options->limits);
	if (limits.depth_max > JSON_DEPTH_MAX || limits.in_flight_max > TICKETS_MAX)
		return -EINVAL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->limits = limits;
	conn->handlers = options->handlers;
	conn->userdata = options->userdata;
	*ret_conn = conn;
	return 0;
}

struct kedge_conn *kedge_conn_free(struct kedge_conn *conn)
{
	if (!conn)
		return NULL;
	assert(!conn->processing);
	conn->dead = true;
	for (uint32_t i = 0; conn->handlers.on_cancel && i < conn->tickets.capacity; i++)
		if (conn->tickets.slots[i].ticket)
			conn->handlers.on_cancel(conn, conn->tickets.slots[i].ticket,
						 conn->userdata);
	tickets_deinit(&conn->tickets);
	buf_deinit(&conn->in);
	buf_deinit(&conn->out);
	free(conn);
	return NULL;
}

static int die(struct kedge_conn *conn, int error)
{
	/* What came in stays: a handler may be looking at it right now. */
	conn->dead = true;
	buf_deinit(&conn->out);
	return error;
}

/* A line was appended to the output: is it still within bounds? */
static int appended(struct kedge_conn *conn, size_t before, int r)
{
	if (r < 0)
		return die(conn, r);
	if (buf_size(&conn->out) > conn->limits.output_bytes_max)
		return die(conn, -ENOBUFS);
	if (before == 0 && !conn->processing && conn->handlers.on_output)
		conn->handlers.on_output(conn, conn->userdata);
	return 0;
}

/* Refuse a message that has no ticket. */
static void refuse(struct kedge_conn *conn, struct kedge_span id, const char *text, int status)
{
	struct kedge_rpc_error error = { .text = kedge_span(text),
					 .status = status,
					 .code = status_code(status) };
	size_t before = buf_size(&conn->out);

	(void)appended(conn, before, answer_error(&conn->out, id, &error));
}

static void refuse_large(struct kedge_conn *conn, size_t size)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "Message too large: %zu bytes, limit %zu", size,
		       conn->limits.message_bytes_max);
	refuse(conn, id_unknown, text, 413);
}

/* Resolve the escapes of the method where it stands: the buffer is ours. */
static struct kedge_span decode_method(struct kedge_span string)
{
	char *text = (char *)(uintptr_t)string.data;

	if (!memchr(string.data, '\\', string.size))
		return (struct kedge_span){ string.data + 1, string.size - 2 };
	return (struct kedge_span){ text, json_string_decode(string, text) };
}

static void dispatch(struct kedge_conn *conn, const struct envelope *e)
{
	struct kedge_request request = { .id = e->members[MEMBER_ID],
					 .method = decode_method(e->members[MEMBER_METHOD]),
					 .params = e->members[MEMBER_PARAMS],
					 .headers = e->members[MEMBER_HEADERS] };
	struct ticket_slot *slot;

	request.ticket = tickets_take(&conn->tickets, request.id);
	if (!request.ticket) {
		(void)die(conn, -ENOMEM);
		return;
	}
	conn->handlers.on_request(conn, &request, conn->userdata);
	/* Not answered yet: its id must outlive the message. */
	slot = conn->dead ? NULL : tickets_find(&conn->tickets, request.ticket);
	if (slot && tickets_keep(slot) < 0)
		(void)die(conn, -ENOMEM);
}

static void take_message(struct kedge_conn *conn, struct kedge_span text)
{
	struct kedge_span id, method;
	struct envelope e;

	switch (envelope_scan(text, conn->limits.depth_max, &e)) {
	case ENVELOPE_NOT_JSON:
		refuse(conn, id_unknown, "Invalid JSON", 400);
		return;
	case ENVELOPE_NOT_OBJECT:
	case ENVELOPE_OK:
		break;
	}
	id = e.members[MEMBER_ID];
	method = e.members[MEMBER_METHOD];
	if (!envelope_id_counts(id) || json_kind(method) != JSON_STRING || method.size == 2)
		refuse(conn, json_kind(id) == JSON_STRING ? id : id_unknown,
		       "Missing 'id' or 'method' field", 400);
	else
		dispatch(conn, &e);
}

/* White space of a line as JavaScript's trim() has it, as far as a client sends it. */
static struct kedge_span trim(const char *p, const char *end)
{
	for (;;) {
		p = json_skip_space(p, end);
		if (end - p < 3 || memcmp(p, "\xEF\xBB\xBF", 3) != 0)
			break;
		p += 3;
	}
	for (;;) {
		while (end > p && strchr(" \t\r\n", end[-1]) && end[-1])
			end--;
		if (end - p < 3 || memcmp(end - 3, "\xEF\xBB\xBF", 3) != 0)
			break;
		end -= 3;
	}
	return (struct kedge_span){ p, (size_t)(end - p) };
}

static void take_line(struct kedge_conn *conn, const char *line, size_t size)
{
	struct kedge_span text;

	if (size > conn->limits.message_bytes_max) {
		refuse_large(conn, size);
		return;
	}
	text = trim(line, line + size);
	if (text.size)
		take_message(conn, text);
}

static bool may_process(const struct kedge_conn *conn)
{
	return !conn->dead && !conn->draining && conn->tickets.count < conn->limits.in_flight_max &&
	       buf_size(&conn->out) <= conn->limits.output_bytes_high;
}

/* Throw away what came of a line that is too long; its end may be among it. */
static bool skip_line(struct kedge_conn *conn, const char *newline)
{
	size_t n = newline ? (size_t)(newline - buf_front(&conn->in)) : buf_size(&conn->in);

	conn->skipped += n;
	buf_consume(&conn->in, newline ? n + 1 : n);
	conn->searched = 0;
	conn->skipping = !newline;
	if (newline) {
		refuse_large(conn, conn->skipped);
		conn->skipped = 0;
	}
	return newline != NULL;
}

/* No newline yet. Return: false: nothing more to be done. */
static bool wait_for_end(struct kedge_conn *conn)
{
	conn->searched = buf_size(&conn->in);
	if (conn->searched > conn->limits.message_bytes_max)
		return skip_line(conn, NULL);
	/* A line that the stream ended in is nobody's message. */
	if (conn->eof)
		buf_consume(&conn->in, buf_size(&conn->in));
	return false;
}

static bool process_one(struct kedge_conn *conn)
{
	char *front = buf_front(&conn->in);
	char *newline = NULL;
	size_t size;

	if (buf_size(&conn->in) > conn->searched)
		newline = memchr(front + conn->searched, '\n',
				 buf_size(&conn->in) - conn->searched);
	if (conn->skipping)
		return skip_line(conn, newline);
	if (!newline)
		return wait_for_end(conn);
	size = (size_t)(newline - front);
	conn->searched = 0;
	take_line(conn, front, size);
	buf_consume(&conn->in, size + 1);
	return true;
}

static void process(struct kedge_conn *conn)
{
	if (conn->processing)
		return;
	conn->processing = true;
	while (may_process(conn) && process_one(conn))
		;
	conn->processing = false;
	if (conn->draining || conn->dead)
		buf_consume(&conn->in, buf_size(&conn->in));
	buf_trim(&conn->in, IDLE_BYTES);
}

void *kedge_conn_input(struct kedge_conn *conn, size_t *ret_room)
{
	if (conn->dead || buf_reserve(&conn->in, INPUT_ROOM_BYTES) < 0)
		return NULL;
	*ret_room = conn->in.capacity - conn->in.end;
	return conn->in.data + conn->in.end;
}

int kedge_conn_received(struct kedge_conn *conn, size_t n)
{
	assert(n <= conn->in.capacity - conn->in.end);
	conn->in.end += n;
	process(conn);
	return conn->dead ? -ENOMEM : 0;
}

void kedge_conn_received_eof(struct kedge_conn *conn)
{
	conn->eof = true;
	process(conn);
}

bool kedge_conn_wants_input(const struct kedge_conn *conn)
{
	return !conn->eof && may_process(conn);
}

bool kedge_conn_output(struct kedge_conn *conn, const void **ret_data, size_t *ret_size)
{
	if (conn->dead || buf_size(&conn->out) == 0)
		return false;
	*ret_data = buf_front(&conn->out);
	*ret_size = buf_size(&conn->out);
	return true;
}

void kedge_conn_sent(struct kedge_conn *conn, size_t n)
{
	if (conn->dead)
		return;
	buf_consume(&conn->out, n);
	buf_trim(&conn->out, IDLE_BYTES);
	process(conn);
}

size_t kedge_conn_output_bytes(const struct kedge_conn *conn)
{
	return buf_size(&conn->out);
}

unsigned kedge_conn_in_flight(const struct kedge_conn *conn)
{
	return conn->tickets.count;
}

bool kedge_conn_is_finished(const struct kedge_conn *conn)
{
	return conn->dead || ((conn->eof || conn->draining) && conn->tickets.count == 0 &&
			      buf_size(&conn->in) == 0 && buf_size(&conn->out) == 0);
}

/* An answer went out: go on with what had to wait for it. */
static int answered(struct kedge_conn *conn, struct ticket_slot *slot, size_t before, int r)
{
	tickets_drop(&conn->tickets, slot);
	r = appended(conn, before, r);
	if (r == 0 && buf_size(&conn->in))
		process(conn);
	return r;
}

int kedge_conn_reply(struct kedge_conn *conn, uint64_t ticket, struct kedge_span result)
{
	struct ticket_slot *slot = conn->dead ? NULL : tickets_find(&conn->tickets, ticket);
	size_t before = buf_size(&conn->out);

	if (!slot)
		return -ESTALE;
	assert(!result.size || json_is_valid(result, JSON_DEPTH_MAX));
	return answered(conn, slot, before, answer_result(&conn->out, slot->id, result));
}

int kedge_conn_fail(struct kedge_conn *conn, uint64_t ticket, const struct kedge_rpc_error *error)
{
	struct ticket_slot *slot = conn->dead ? NULL : tickets_find(&conn->tickets, ticket);
	size_t before = buf_size(&conn->out);

	if (!slot)
		return -ESTALE;
	return answered(conn, slot, before, answer_error(&conn->out, slot->id, error));
}

int kedge_conn_push(struct kedge_conn *conn, const char *name, struct kedge_span data)
{
	size_t before = buf_size(&conn->out);

	if (conn->dead)
		return -ENOBUFS;
	return appended(conn, before, answer_event(&conn->out, kedge_span(name), data));
}

void kedge_conn_drain(struct kedge_conn *conn)
{
	conn->draining = true;
	process(conn);
}
