/*
 * A connection that speaks lines, fed with anything, cut anywhere: one answer
 * for each line that is not blank, every answer a line of JSON, and the same
 * answers however the bytes were cut. The first bytes choose limits and cuts.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "kedge/conn.h"
#include "wire/json.h"

#define HEAD_BYTES    5
#define PENDING_MAX   64
#define IN_FLIGHT_MAX 8

/* When a handler answers. */
enum manner { AT_ONCE, LATER };

struct talk {
	struct kedge_conn *conn;
	enum manner manner;
	struct buf out;
	uint64_t pending[PENDING_MAX];
	size_t pending_count;
	size_t cancelled;
};

static void answer(struct kedge_conn *conn, uint64_t ticket, struct kedge_span params)
{
	static const struct kedge_rpc_error error = { .text = { "no \"such\"\n", 10 },
						      .status = 404,
						      .code = "NOT_FOUND" };

	if (ticket % 3 == 0)
		FUZZ_ASSERT(kedge_conn_fail(conn, ticket, &error) == 0);
	else
		FUZZ_ASSERT(kedge_conn_reply(conn, ticket, params) == 0);
	FUZZ_ASSERT(kedge_conn_reply(conn, ticket, params) < 0);
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	struct talk *t = userdata;

	FUZZ_ASSERT(request->ticket && request->method.size);
	FUZZ_ASSERT(json_is_valid(request->id, JSON_DEPTH_MAX));
	FUZZ_ASSERT(!request->params.size || json_is_valid(request->params, JSON_DEPTH_MAX));
	FUZZ_ASSERT(!request->headers.size || json_is_valid(request->headers, JSON_DEPTH_MAX));
	if (t->manner == AT_ONCE) {
		answer(conn, request->ticket, request->params);
		return;
	}
	FUZZ_ASSERT(t->pending_count < PENDING_MAX);
	t->pending[t->pending_count++] = request->ticket;
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct talk *t = userdata;

	FUZZ_ASSERT(conn == t->conn && ticket && !tag);
	t->cancelled++;
}

/* Take what is to be sent, in pieces of any size. */
static void send_some(struct talk *t, uint64_t *random)
{
	const void *data;
	size_t size, n;

	while (kedge_conn_output(t->conn, &data, &size)) {
		FUZZ_ASSERT(size > 0 && kedge_conn_output_bytes(t->conn) == size);
		n = 1 + fuzz_random(random) % size;
		FUZZ_ASSERT(buf_append(&t->out, data, n) == 0);
		kedge_conn_sent(t->conn, n);
	}
}

/* Whatever waits is answered, the latest first: one answer may let more requests in. */
static void settle(struct talk *t, uint64_t *random)
{
	do {
		while (t->pending_count > 0)
			answer(t->conn, t->pending[--t->pending_count],
			       (struct kedge_span){ NULL, 0 });
		send_some(t, random);
	} while (t->pending_count > 0);
}

static void feed(struct talk *t, const char *data, size_t size, uint64_t *random)
{
	while (size > 0) {
		size_t room, n = 1 + fuzz_random(random) % (*random % 2 ? 4 : 1024);
		void *to = kedge_conn_input(t->conn, &room);

		FUZZ_ASSERT(to && room);
		n = n < room ? n : room;
		n = n < size ? n : size;
		memcpy(to, data, n);
		FUZZ_ASSERT(kedge_conn_received(t->conn, n) == 0);
		data += n;
		size -= n;
		if (!kedge_conn_wants_input(t->conn))
			settle(t, random);
		FUZZ_ASSERT(kedge_conn_wants_input(t->conn));
	}
}

static void open_talk(struct talk *t, const uint8_t *head, enum manner manner)
{
	struct kedge_conn_options options = {
		.size = sizeof(options),
		.limits = { .message_bytes_max = 64 + (size_t)head[0] * 4,
			    .depth_max = 1 + head[1] % 40u,
			    .in_flight_max = 1 + head[2] % IN_FLIGHT_MAX,
			    .output_bytes_high = 1 + (size_t)head[3] * 8 },
		.handlers = { .on_request = on_request, .on_cancel = on_cancel },
		.userdata = t,
	};

	*t = (struct talk){ .manner = manner };
	FUZZ_ASSERT(kedge_conn_new(&t->conn, &options) == 0);
}

/* One whole talk. Return: what was said, to be freed by the caller. */
static struct buf talk(const uint8_t *head, const char *data, size_t size, enum manner manner,
		       uint64_t random)
{
	struct talk t;

	open_talk(&t, head, manner);
	feed(&t, data, size, &random);
	kedge_conn_received_eof(t.conn);
	settle(&t, &random);
	FUZZ_ASSERT(kedge_conn_is_finished(t.conn));
	FUZZ_ASSERT(kedge_conn_in_flight(t.conn) == 0);
	kedge_conn_free(t.conn);
	FUZZ_ASSERT(t.cancelled == 0);
	return t.out;
}

/* The client goes away half way: each request without an answer is cancelled once. */
static void broken_off(const uint8_t *head, const char *data, size_t size, uint64_t random)
{
	struct talk t;
	size_t in_flight;

	open_talk(&t, head, LATER);
	feed(&t, data, size / 2, &random);
	in_flight = kedge_conn_in_flight(t.conn);
	kedge_conn_free(t.conn);
	FUZZ_ASSERT(in_flight == t.pending_count && t.cancelled == in_flight);
	buf_deinit(&t.out);
}

static bool is_blank(const char *p, const char *end)
{
	while (p < end)
		if (*p == ' ' || *p == '\t' || *p == '\r')
			p++;
		else if (end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
			p += 3;
		else
			return false;
	return true;
}

/* How many answers a stream deserves. */
static size_t count_messages(const char *data, size_t size, size_t limit)
{
	const char *newline;
	size_t count = 0;

	for (; (newline = memchr(data, '\n', size));
	     size -= (size_t)(newline + 1 - data), data = newline + 1)
		count += (size_t)(newline - data) > limit || !is_blank(data, newline);
	return count;
}

static size_t count_answers(const struct buf *out)
{
	const char *p = buf_front(out), *newline;
	size_t size = buf_size(out), count = 0;

	for (; size && (newline = memchr(p, '\n', size)); count++) {
		struct kedge_span line = { p, (size_t)(newline - p) };

		FUZZ_ASSERT(json_is_valid(line, JSON_DEPTH_MAX));
		FUZZ_ASSERT(json_kind(line) == JSON_OBJECT && json_member(line, "id").size);
		size -= line.size + 1;
		p = newline + 1;
	}
	FUZZ_ASSERT(size == 0);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one, other, later;
	size_t wanted;
	char *text;

	if (size < HEAD_BYTES)
		return 0;
	text = fuzz_copy(data + HEAD_BYTES, size - HEAD_BYTES);
	size -= HEAD_BYTES;
	wanted = count_messages(text, size, 64 + (size_t)data[0] * 4);
	one = talk(data, text, size, AT_ONCE, 1);
	other = talk(data, text, size, AT_ONCE, 2 + data[4]);
	later = talk(data, text, size, LATER, 3 + data[4]);
	FUZZ_ASSERT(count_answers(&one) == wanted && count_answers(&later) == wanted);
	FUZZ_ASSERT(buf_size(&one) == buf_size(&other));
	FUZZ_ASSERT(buf_size(&one) == 0 ||
		    memcmp(buf_front(&one), buf_front(&other), buf_size(&one)) == 0);
	broken_off(data, text, size, 4 + data[4]);
	buf_deinit(&one);
	buf_deinit(&other);
	buf_deinit(&later);
	free(text);
	return 0;
}
