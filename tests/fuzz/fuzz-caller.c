/*
 * The client's side: whatever a server sends, by lines or by frames, each call is
 * over once, is told of nothing afterwards, and is told the same however the
 * bytes were cut. The first byte chooses the protocol.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "kedge/client.h"
#include "wire/json.h"

#define CALLS             5
#define MESSAGE_BYTES_MAX 2048

struct talk;

struct call {
	struct talk *talk;
	char letter; /* in the story */
	bool subscribed, streaming, over;
};

struct talk {
	struct kedge_caller *caller;
	struct call calls[CALLS];
	struct buf story; /* what was called back, in order */
};

static void tell(struct talk *t, char what, struct kedge_span bytes)
{
	FUZZ_ASSERT(buf_append(&t->story, &what, 1) == 0);
	FUZZ_ASSERT(buf_append(&t->story, bytes.data, bytes.size) == 0);
}

static void tell_json(struct talk *t, char what, struct kedge_span text)
{
	FUZZ_ASSERT(!text.size || json_is_valid(text, JSON_DEPTH_MAX));
	tell(t, what, text);
}

static void tell_reply(struct talk *t, char what, const struct kedge_reply *reply)
{
	FUZZ_ASSERT(*kedge_outcome_name(reply->outcome) && reply->status >= 0);
	tell_json(t, what, kedge_span(NULL));
	tell_json(t, (char)('0' + reply->outcome), reply->result);
	tell_json(t, 'x', reply->error);
	tell_json(t, 'c', reply->error_code);
	tell_json(t, 'd', reply->error_details);
	tell_json(t, 'h', reply->headers);
	tell(t, 'b', reply->body);
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct call *c = userdata;
	bool acknowledged = c->letter == 'S' && reply->outcome == KEDGE_OUTCOME_RESULT;

	FUZZ_ASSERT(!c->over);
	FUZZ_ASSERT(reply->outcome != KEDGE_OUTCOME_ERROR || reply->error.size);
	FUZZ_ASSERT(reply->outcome != KEDGE_OUTCOME_END || c->streaming);
	if (reply->outcome == KEDGE_OUTCOME_STREAM) {
		FUZZ_ASSERT(!c->streaming);
		c->streaming = true;
	} else if (acknowledged && !c->subscribed) {
		c->subscribed = true;
	} else {
		c->over = true;
	}
	tell_reply(c->talk, c->letter, reply);
}

/* Pieces are cut as reads come: only their bytes belong to the story. */
static void on_chunk(struct kedge_span chunk, void *userdata)
{
	struct call *c = userdata;

	FUZZ_ASSERT(c->streaming && !c->over && chunk.size);
	FUZZ_ASSERT(buf_append(&c->talk->story, chunk.data, chunk.size) == 0);
}

static void on_delivery(struct kedge_span event_name, struct kedge_span payload, void *userdata)
{
	struct call *c = userdata;

	FUZZ_ASSERT(!c->over && json_kind(event_name) == JSON_STRING);
	tell_json(c->talk, 'n', event_name);
	tell_json(c->talk, 'p', payload);
}

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	FUZZ_ASSERT(json_kind(name) == JSON_STRING);
	tell_json(userdata, 'e', name);
	tell_json(userdata, 'v', data);
}

static void on_request(struct kedge_caller *caller, const struct kedge_asked *asked, void *userdata)
{
	struct talk *t = userdata;

	FUZZ_ASSERT(caller == t->caller);
	tell_json(t, 'i', asked->id);
	tell_json(t, 'a', asked->params);
	FUZZ_ASSERT(kedge_caller_reply(caller, asked->id, asked->params) == 0);
}

static void on_stray(const struct kedge_reply *reply, void *userdata)
{
	tell_reply(userdata, '?', reply);
}

/* Return: false: the caller wants no more of this server. */
static bool feed(struct talk *t, const char *data, size_t size, uint64_t random)
{
	while (size > 0) {
		size_t room, n = 1 + fuzz_random(&random) % (random % 2 ? 4 : 1024);
		void *to = kedge_caller_input(t->caller, &room);
		int r;

		FUZZ_ASSERT(to && room);
		n = n < room ? n : room;
		n = n < size ? n : size;
		memcpy(to, data, n);
		r = kedge_caller_received(t->caller, n);
		FUZZ_ASSERT(r == 0 || r == -EPROTO || r == -EMSGSIZE);
		if (r < 0)
			return false;
		data += n;
		size -= n;
	}
	return true;
}

static void ask_all(struct talk *t)
{
	for (size_t i = 0; i < CALLS; i++) {
		struct kedge_ask ask = { .method = "a\"\n",
					 .params = kedge_span(i % 2 ? "[1, 2]" : NULL),
					 .take = i == 1 ? KEDGE_TAKE_PIECES : KEDGE_TAKE_WHOLE,
					 .deadline_ns = i == 0 ? 1000 : 0,
					 .on_reply = on_reply,
					 .on_chunk = on_chunk,
					 .on_delivery = i == 2 ? on_delivery : NULL,
					 .userdata = &t->calls[i] };

		t->calls[i] = (struct call){ .talk = t, .letter = "TPSWX"[i] };
		FUZZ_ASSERT(kedge_caller_call(t->caller, &ask, NULL) == 0);
	}
	FUZZ_ASSERT(kedge_caller_in_flight(t->caller) == CALLS);
}

/* Take what is to be sent: whole messages. */
static void check_output(struct talk *t, enum kedge_protocol protocol)
{
	const void *data;
	size_t size;

	while (kedge_caller_output(t->caller, &data, &size)) {
		const unsigned char *p = data;
		size_t head = protocol == KEDGE_PROTOCOL_FRAMES ? 4 : 0, n;

		FUZZ_ASSERT(size > head && size == kedge_caller_output_bytes(t->caller));
		if (head)
			n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		else
			n = (size_t)((const unsigned char *)memchr(p, '\n', size) - p);
		FUZZ_ASSERT(n <= size - head);
		FUZZ_ASSERT(json_is_valid((struct kedge_span){ (const char *)p + head, n },
					  JSON_DEPTH_MAX));
		kedge_caller_sent(t->caller, head ? head + n : n + 1);
	}
}

static struct buf talk(enum kedge_protocol protocol, const char *data, size_t size, uint64_t random)
{
	struct talk t = { .story = BUF_INIT };
	struct kedge_caller_options options = {
		.size = sizeof(options),
		.protocol = protocol,
		.limits = { .message_bytes_max = MESSAGE_BYTES_MAX },
		.handlers = { .on_event = on_event,
			      .on_request = on_request,
			      .on_stray = on_stray },
		.userdata = &t,
	};

	FUZZ_ASSERT(kedge_caller_new(&t.caller, &options) == 0);
	ask_all(&t);
	check_output(&t, protocol);
	if (feed(&t, data, size, random))
		check_output(&t, protocol);
	kedge_caller_expire(t.caller, 2000);
	FUZZ_ASSERT(kedge_caller_deadline(t.caller) == UINT64_MAX);
	kedge_caller_lost(t.caller);
	for (size_t i = 0; i < CALLS; i++)
		FUZZ_ASSERT(t.calls[i].over);
	FUZZ_ASSERT(kedge_caller_in_flight(t.caller) == 0);
	kedge_caller_free(t.caller);
	return t.story;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum kedge_protocol protocol = size && data[0] % 2 ? KEDGE_PROTOCOL_FRAMES
							   : KEDGE_PROTOCOL_LINES;
	size_t n = size ? size - 1 : 0;
	char *text = fuzz_copy(size ? data + 1 : data, n);
	struct buf one = talk(protocol, text, n, 1), other = talk(protocol, text, n, 2 + size);

	FUZZ_ASSERT(buf_size(&one) == buf_size(&other) && buf_size(&one) > 0);
	FUZZ_ASSERT(memcmp(buf_front(&one), buf_front(&other), buf_size(&one)) == 0);
	buf_deinit(&one);
	buf_deinit(&other);
	free(text);
	return 0;
}
