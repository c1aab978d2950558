#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "api/client.h"
#include "base/time.h"
#include "rpc/caller.h"
#include "sys/clock.h"

/* A body is read on while less than this waits to be sent. */
#define UPLOAD_BYTES ((size_t)256 << 10)
#define READ_BYTES   65536

/* A call that blocks. Lives on the stack: once it is over, or a subscription is
 * acknowledged, the caller knows nothing of it any more. */
struct asking {
	struct kedge_client *client;
	const struct kedge_ask *ask;
	uint64_t number;
	bool over;
	struct kedge_reply reply;
	int error; /* the reply could not be kept, or the body not be read */
};

static uint64_t deadline_in(int timeout_ms, int default_ms)
{
	if (timeout_ms < 0)
		return 0;
	return monotonic_ns() + (uint64_t)(timeout_ms ? timeout_ms : default_ms) * NSEC_PER_MSEC;
}

/* Copy what the spans of a reply point to, so that it outlives the callback. */
static int keep_reply(struct asking *a, const struct kedge_reply *reply)
{
	struct kedge_span *spans[] = { &a->reply.result,     &a->reply.error,
				       &a->reply.error_code, &a->reply.error_details,
				       &a->reply.headers,    &a->reply.body };
	struct buf *kept = &a->client->reply;
	size_t size = 0;

	a->reply = *reply;
	/* The headers came with the beginning of the stream. */
	if (!reply->headers.data)
		a->reply.headers = (struct kedge_span){ buf_front(&a->client->headers),
							buf_size(&a->client->headers) };
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
		size += spans[i]->size;
	buf_consume(kept, buf_size(kept));
	if (buf_reserve(kept, size + 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
		const char *copy = kept->data + kept->end;

		(void)buf_append(kept, spans[i]->data, spans[i]->size);
		if (spans[i]->data)
			spans[i]->data = copy;
	}
	return 0;
}

static void stream_begins(struct asking *a, const struct kedge_reply *reply)
{
	int r = buf_append(&a->client->headers, reply->headers.data, reply->headers.size);

	if (r < 0)
		a->error = r;
}

/* From now on the owner's own callbacks are called, without us. */
static void hand_over(struct asking *a)
{
	struct caller_call *call = caller_find(a->client->caller, a->number);

	assert(call && call->subscribed);
	call->ask = *a->ask;
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct asking *a = userdata;

	if (reply->outcome == KEDGE_OUTCOME_STREAM) {
		stream_begins(a, reply);
	} else {
		int r = keep_reply(a, reply);

		if (r < 0)
			a->error = r;
		a->over = true;
	}
	if (a->ask->on_delivery && reply->outcome == KEDGE_OUTCOME_RESULT)
		hand_over(a);
	if (a->ask->on_reply)
		a->ask->on_reply(reply, a->ask->userdata);
}

static void on_chunk(struct kedge_span chunk, void *userdata)
{
	struct asking *a = userdata;

	if (a->ask->on_chunk)
		a->ask->on_chunk(chunk, a->ask->userdata);
}

static void on_delivery(struct kedge_span name, struct kedge_span payload, void *userdata)
{
	struct asking *a = userdata;

	a->ask->on_delivery(name, payload, a->ask->userdata);
}

/* Read the body on. Return: 0; negative: it cannot be read, or not be sent. */
static int upload(struct asking *a, char *space)
{
	struct kedge_caller *caller = a->client->caller;
	int r = 0;

	while (r == 0 && kedge_caller_output_bytes(caller) < UPLOAD_BYTES) {
		int64_t n = a->ask->read_body(space, READ_BYTES, a->ask->userdata);

		if (n < 0)
			return (int)n;
		if (n == 0)
			r = kedge_caller_upload_end(caller, a->number);
		else
			r = kedge_caller_upload(caller, a->number,
						(struct kedge_span){ space, (size_t)n });
		if (n == 0)
			break;
	}
	return r;
}

/* Once around. Return: 0, or why it cannot go on; -ECANCELED: it is not wanted to. */
static int go_on(struct asking *a, char *space)
{
	struct kedge_client *client = a->client;
	struct kedge_caller *caller = client->caller;
	size_t sent, received;
	int r = 0;

	if (caller->uploading == a->number)
		r = upload(a, space);
	if (r < 0)
		return r;
	r = client_step(client, kedge_caller_deadline(caller), &sent, &received);
	if (r < 0)
		return a->error; /* the connection is gone: we were told */
	if (r == CLIENT_CANCELLED)
		return -ECANCELED;
	/* As long as the server takes something of a long request there is no silence. */
	if (sent && !a->over && !a->client->headers.end)
		r = kedge_caller_set_deadline(
			caller, a->number, deadline_in(a->ask->timeout_ms, KEDGE_CALL_TIMEOUT_MS));
	kedge_caller_expire(caller, monotonic_ns());
	return r == -ENOMEM ? r : a->error;
}

static void blocks(struct asking *a, char *space)
{
	while (!a->over && !a->error)
		a->error = go_on(a, space);
	if (a->error == -ECANCELED)
		a->error = 0;
	/* Nothing may point to us any more. */
	if (!a->over)
		(void)kedge_caller_cancel(a->client->caller, a->number);
	if (a->reply.outcome == KEDGE_OUTCOME_CANCELLED ||
	    a->reply.outcome == KEDGE_OUTCOME_TIMED_OUT)
		client_send_rest(a->client);
}

static int begin(struct asking *a)
{
	struct kedge_ask ask = *a->ask;

	ask.on_reply = on_reply;
	ask.on_chunk = on_chunk;
	ask.on_delivery = ask.on_delivery ? on_delivery : NULL;
	ask.if_lost = KEDGE_IF_LOST_FAIL;
	ask.deadline_ns = deadline_in(ask.timeout_ms, KEDGE_CALL_TIMEOUT_MS);
	ask.userdata = a;
	if (ask.body_kind == KEDGE_BODY_STREAMED && !ask.read_body)
		return -EINVAL;
	return kedge_caller_call(a->client->caller, &ask, &a->number);
}

int kedge_client_call(struct kedge_client *client, const struct kedge_ask *ask,
		      struct kedge_reply *ret_reply)
{
	struct asking a = { .client = client, .ask = ask };
	_cleanup_(freep) char *space = NULL;
	int r;

	if (client->busy)
		return -EBUSY;
	if (client->fd < 0)
		return -ENOTCONN;
	if (ask->body_kind == KEDGE_BODY_STREAMED) {
		space = malloc(READ_BYTES);
		if (!space)
			return -ENOMEM;
	}
	buf_consume(&client->headers, buf_size(&client->headers));
	r = begin(&a);
	if (r < 0)
		return r;
	client->busy = true;
	blocks(&a, space);
	client->busy = false;
	if (a.error)
		return a.error;
	if (ret_reply)
		*ret_reply = a.reply;
	return 0;
}
