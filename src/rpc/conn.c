/* A connection's life, its limits, and whose turn it is. */
#include "rpc/conn-internal.h"

#include <assert.h>
#include <errno.h>

#include "base/debug.h"
#include "wire/json.h"

#define MESSAGE_BYTES_DEFAULT ((size_t)16 << 20)
#define DEPTH_DEFAULT         128u
#define IN_FLIGHT_DEFAULT     1024u
#define OUTPUT_HIGH_DEFAULT   ((size_t)1 << 20)
#define OUTPUT_MAX_DEFAULT    ((size_t)64 << 20)

/* Room that kedge_conn_input() offers at least: some hundred small requests. */
#define INPUT_ROOM_BYTES 16384

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

static bool limits_are_good(const struct kedge_conn_limits *l)
{
	return l->depth_max <= JSON_DEPTH_MAX && l->in_flight_max <= TICKETS_MAX;
}

/* NULL is no prefix, and good. */
static bool prefix_is_good(const char *prefix)
{
	size_t n = prefix ? strlen(prefix) : 0;

	if (prefix && (n == 0 || n > KEDGE_CALL_PREFIX_MAX))
		return false;
	for (size_t i = 0; i < n; i++)
		if (prefix[i] < ' ' || prefix[i] > '~' || prefix[i] == '"' || prefix[i] == '\\')
			return false;
	return true;
}

static bool options_are_good(const struct kedge_conn_options *o)
{
	return o && o->size >= sizeof(*o) && o->handlers.on_request &&
	       (!o->handlers.on_upload || o->handlers.on_body) &&
	       (o->protocol == KEDGE_PROTOCOL_LINES || o->protocol == KEDGE_PROTOCOL_FRAMES) &&
	       prefix_is_good(o->call_prefix);
}

int kedge_conn_new(struct kedge_conn **ret_conn, const struct kedge_conn_options *options)
{
	struct kedge_conn_limits limits;
	struct kedge_conn *conn;

	if (!options_are_good(options))
		return -EINVAL;
	limits = with_defaults(&options->limits);
	if (!limits_are_good(&limits))
		return -EINVAL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->limits = limits;
	conn->handlers = options->handlers;
	conn->userdata = options->userdata;
	conn->protocol = options->protocol;
	conn->spares = options->spares;
	conn->in.state = conn->protocol == KEDGE_PROTOCOL_LINES ? INPUT_LINE : INPUT_FIRST_BYTE;
	list_init(&conn->waiting);
	if (options->call_prefix)
		strcpy(conn->call_prefix, options->call_prefix);
	*ret_conn = conn;
	return 0;
}

static void cancel_all(struct kedge_conn *conn)
{
	for (uint32_t i = 0; i < conn->tickets.capacity; i++) {
		struct ticket_slot *slot = tickets_at(&conn->tickets, i);

		if (!slot->ticket)
			continue;
		stream_drop(conn, slot);
		if (conn->handlers.on_cancel)
			conn->handlers.on_cancel(conn, slot->ticket, slot->tag, conn->userdata);
	}
}

struct kedge_conn *kedge_conn_free(struct kedge_conn *conn)
{
	if (!conn)
		return NULL;
	assert(!conn->processing);
	conn->dead = true;
	cancel_all(conn);
	tickets_deinit(&conn->tickets);
	map_deinit(&conn->calls);
	buf_deinit(&conn->in.buf);
	buf_deinit(&conn->body.envelope);
	buf_deinit(&conn->body.collected);
	buf_deinit(&conn->out);
	buf_deinit(&conn->behind);
	free(conn);
	return NULL;
}

int conn_die(struct kedge_conn *conn, int error)
{
	/* What came in stays: a handler may be looking at it right now. */
	conn->dead = true;
	buf_deinit(&conn->out);
	buf_deinit(&conn->behind);
	return error;
}

/* The request whose body is being passed on. */
static struct ticket_slot *uploading(const struct kedge_conn *conn)
{
	if (conn->body.fate != BODY_PASS || !input_is_inside(conn))
		return NULL;
	return conn_find(conn, conn->body.ticket);
}

/* Whether anything may come in that is still of interest to a connection that drains. */
static bool waits_for_input(const struct kedge_conn *conn)
{
	return !conn->draining || conn->calls.count || uploading(conn);
}

/* ... where it drains, or a body is being passed on. */
static bool may_process_meanwhile(const struct kedge_conn *conn)
{
	struct ticket_slot *slot = uploading(conn);

	return waits_for_input(conn) && !(slot && slot->held);
}

static inline bool may_process(const struct kedge_conn *conn)
{
	if (conn->dead)
		return false;
	if ((conn->draining || conn->body.fate == BODY_PASS) && !may_process_meanwhile(conn))
		return false;
	/* A body makes no answers, and what is open may need it to come to an end. */
	if (input_is_inside(conn))
		return true;
	return conn->tickets.count < conn->limits.in_flight_max &&
	       buf_size(&conn->out) + buf_size(&conn->behind) <= conn->limits.output_bytes_high;
}

void conn_process(struct kedge_conn *conn)
{
	struct buf *in = &conn->in.buf;

	debug_assert(!conn->telling);
	if (conn->processing)
		return;
	conn->processing = true;
	while (may_process(conn)) {
		if (input_step(conn))
			continue;
		if (conn->eof)
			input_end(conn);
		break;
	}
	conn->processing = false;
	/* Of a connection that drains it stays: an answer that is yet to be asked for is found
	 * behind it, and half a message has its other half still to come. */
	if (conn->dead)
		buf_consume(in, buf_size(in));
	if (conn->spares)
		spare_give_back(in, &conn->spares->in);
	buf_trim(in, CONN_IDLE_BYTES);
}

void *kedge_conn_input(struct kedge_conn *conn, size_t *ret_room)
{
	struct buf *in = &conn->in.buf;

	if (conn->spares)
		spare_borrow(in, &conn->spares->in);
	if (conn->dead || buf_reserve(in, INPUT_ROOM_BYTES) < 0)
		return NULL;
	*ret_room = in->capacity - in->end;
	return in->data + in->end;
}

int kedge_conn_received(struct kedge_conn *conn, size_t n)
{
	assert(n <= conn->in.buf.capacity - conn->in.buf.end);
	conn->in.buf.end += n;
	conn->fed = true;
	conn_process(conn);
	conn->fed = false;
	return conn->dead ? -ENOMEM : 0;
}

void kedge_conn_received_eof(struct kedge_conn *conn)
{
	conn->eof = true;
	conn->fed = true;
	conn_process(conn);
	conn->fed = false;
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
	if (conn->spares && buf_size(&conn->out) == 0)
		spares_give_back_out(conn->spares, &conn->out);
	buf_trim(&conn->out, CONN_IDLE_BYTES);
	conn->fed = true;
	stream_resume(conn);
	conn_process(conn);
	conn->fed = false;
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
	if (conn->dead)
		return true;
	/* An answer that this side waits for cannot come any more once the other has ended. */
	if (!conn->eof && (!conn->draining || conn->calls.count))
		return false;
	/* What came in has been gone through by then, or is not wanted. */
	return conn->tickets.count == 0 && buf_size(&conn->out) == 0;
}

int kedge_conn_hold(struct kedge_conn *conn, uint64_t ticket)
{
	struct ticket_slot *slot = conn_find(conn, ticket);

	if (!slot)
		return -ESTALE;
	slot->held = true;
	return 0;
}

int kedge_conn_release(struct kedge_conn *conn, uint64_t ticket)
{
	struct ticket_slot *slot = conn_find(conn, ticket);

	if (!slot)
		return -ESTALE;
	slot->held = false;
	conn_process(conn);
	return 0;
}

void kedge_conn_drain(struct kedge_conn *conn)
{
	conn->draining = true;
	/* A request is complete with its body, and so this one did not come any more. */
	if (conn->body.fate != BODY_PASS)
		conn->body.fate = BODY_SKIP;
	conn_process(conn);
}
