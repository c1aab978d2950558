/* Requests that end without their handler. */
#include "rpc/answer.h"
#include "rpc/output.h"
#include "wire/json.h"

/* What the client sees of a request that is given up; a stream of it is at its end. Return: as
 * message_end(). */
static int tell(struct kedge_conn *conn, struct ticket_slot *slot,
		const struct kedge_rpc_error *error)
{
	struct message m;

	if (slot->stream && !stream_forget(conn, slot))
		return stream_finish(conn, slot);
	if (!error)
		return 0;
	m = message_begin(conn);
	return message_end(conn, &m, answer_error(m.to, slot->id, error));
}

/* Take a request off the list. Return: its tag. */
static void *take_off(struct kedge_conn *conn, struct ticket_slot *slot)
{
	void *tag = slot->tag;

	tickets_drop(&conn->tickets, slot);
	return tag;
}

static void tell_handler(struct kedge_conn *conn, uint64_t ticket, void *tag)
{
	if (conn->handlers.on_cancel)
		conn->handlers.on_cancel(conn, ticket, tag, conn->userdata);
}

void cancel_request(struct kedge_conn *conn, struct ticket_slot *slot,
		    const struct kedge_rpc_error *error)
{
	uint64_t ticket = slot->ticket;
	void *tag;

	(void)tell(conn, slot, error);
	tag = take_off(conn, slot);
	tell_handler(conn, ticket, tag);
	stream_turn(conn);
}

/* The open request with this id; of several the last. */
static struct ticket_slot *find_by_id(const struct kedge_conn *conn, struct kedge_span id)
{
	struct ticket_slot *found = NULL;

	if (!id.size)
		return NULL;
	for (uint32_t i = 0; i < conn->tickets.capacity; i++) {
		struct ticket_slot *slot = tickets_at(&conn->tickets, i);

		if (slot->ticket && (!found || slot->ticket > found->ticket) &&
		    json_scalar_equal(slot->id, id))
			found = slot;
	}
	return found;
}

static const struct kedge_rpc_error cancelled = { .text = { "Cancelled", 9 },
						  .status = 499,
						  .code = "CANCELLED" };

/* All that is said comes before the handler hears of it and before the next stream opens:
 * the client ends its side right behind "$cancel" and waits for just these answers. */
void cancel_asked(struct kedge_conn *conn, struct kedge_span id, struct kedge_span params)
{
	struct ticket_slot *slot = find_by_id(conn, json_member(params, "targetId"));
	uint64_t ticket = slot ? slot->ticket : 0;
	struct message m;
	void *tag = NULL;

	if (slot) {
		(void)tell(conn, slot, &cancelled);
		tag = take_off(conn, slot);
	}
	if (!conn->dead) {
		m = message_begin(conn);
		(void)message_end(conn, &m, answer_result(m.to, id, kedge_span("null")));
	}
	if (slot) {
		tell_handler(conn, ticket, tag);
		stream_turn(conn);
	}
}
