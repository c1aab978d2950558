/* What this side asks of the other. */
#include <errno.h>
#include <inttypes.h>

#include "base/debug.h"
#include "rpc/answer.h"
#include "rpc/output.h"
#include "wire/envelope.h"

/* Calls that may wait for an answer at a time. */
#define CALLS_MAX 65536

/* What has more digits may not fit in 64 bits, and was never reached. */
#define CALL_DIGITS_MAX 19

bool calls_own_id(const struct kedge_conn *conn, struct kedge_span id)
{
	return json_string_starts(id, conn->call_prefix);
}

/* The number in an id that begins with our prefix; 0: we made no such id. */
static uint64_t call_number(const struct kedge_conn *conn, struct kedge_span id)
{
	/* Each byte may have been sent as an escape of six. */
	char text[2 + 6 * (KEDGE_CALL_PREFIX_MAX + CALL_DIGITS_MAX)];
	size_t n, i = strlen(conn->call_prefix);
	uint64_t number = 0;

	if (id.size > sizeof(text))
		return 0;
	n = json_string_decode(id, text);
	if (n - i > CALL_DIGITS_MAX || n == i || text[i] == '0')
		return 0;
	for (; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	return number;
}

void calls_take_answer(struct kedge_conn *conn, const struct envelope *e)
{
	struct kedge_conn_answer answer = {
		.number = call_number(conn, e->members[MEMBER_ID]),
		.failed = e->members[MEMBER_ERROR].size > 0,
		.result = e->members[MEMBER_RESULT],
		.error = e->members[MEMBER_ERROR],
		.error_code = e->members[MEMBER_ERROR_CODE],
		.error_details = e->members[MEMBER_ERROR_DETAILS],
		.status = envelope_status(e),
	};

	if (map_remove(&conn->calls, answer.number) && conn->handlers.on_answer)
		conn->handlers.on_answer(conn, &answer, conn->userdata);
}

int kedge_conn_call(struct kedge_conn *conn, const char *method, struct kedge_span params,
		    uint64_t *ret_number)
{
	uint64_t number = conn->call_serial + 1;
	struct message m;
	int r;

	if (conn->dead)
		return -ENOBUFS;
	if (!*conn->call_prefix)
		return -EINVAL;
	if (conn->calls.count >= CALLS_MAX)
		return -EBUSY;
	debug_assert(!params.size || json_is_valid(params, JSON_DEPTH_MAX));
	r = map_put(&conn->calls, number, conn);
	if (r < 0)
		return conn_die(conn, r);
	conn->call_serial = number;
	if (ret_number)
		*ret_number = number;
	m = message_begin(conn);
	return message_end(
		conn, &m, answer_call(m.to, conn->call_prefix, number, kedge_span(method), params));
}

void kedge_conn_forget(struct kedge_conn *conn, uint64_t number)
{
	(void)map_remove(&conn->calls, number);
}
