#include "rpc/caller.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "wire/json.h"

static bool prefix_is_valid(const char *prefix)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.:_-";
	size_t size = strlen(prefix);

	/* After a digit the number could not be told from it. */
	return size <= KEDGE_ID_PREFIX_MAX && strspn(prefix, allowed) == size &&
	       (size == 0 || prefix[size - 1] < '0' || prefix[size - 1] > '9');
}

static int take_options(struct kedge_caller *c, const struct kedge_caller_options *o)
{
	const char *prefix = o->id_prefix ? o->id_prefix : "";

	if (o->size != sizeof(*o) || o->limits.depth_max > JSON_DEPTH_MAX ||
	    o->limits.message_bytes_max > CALLER_FRAME_MAX ||
	    o->limits.output_bytes_max > SIZE_MAX / 4 || !prefix_is_valid(prefix) ||
	    (o->protocol != KEDGE_PROTOCOL_LINES && o->protocol != KEDGE_PROTOCOL_FRAMES))
		return -EINVAL;
	c->protocol = o->protocol;
	c->limits = o->limits;
	c->handlers = o->handlers;
	c->userdata = o->userdata;
	strcpy(c->prefix, prefix);
	return 0;
}

int kedge_caller_new(struct kedge_caller **ret_caller, const struct kedge_caller_options *options)
{
	static const struct kedge_caller_options defaults = { .size = sizeof(defaults) };
	struct kedge_caller *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = take_options(c, options ? options : &defaults);
	if (r < 0) {
		free(c);
		return r;
	}
	if (!c->limits.message_bytes_max)
		c->limits.message_bytes_max = CALLER_MESSAGE_MAX;
	if (!c->limits.depth_max)
		c->limits.depth_max = JSON_DEPTH_MAX;
	if (!c->limits.output_bytes_max)
		c->limits.output_bytes_max = CALLER_OUTPUT_MAX;
	if (!c->limits.calls_max)
		c->limits.calls_max = CALLER_CALLS_MAX;
	list_init(&c->calls);
	*ret_caller = c;
	return 0;
}

struct caller_call *caller_find(const struct kedge_caller *c, uint64_t number)
{
	return map_get(&c->by_id, number);
}

static void drop_kept(struct kedge_caller *c, struct caller_call *call)
{
	free(call->kept);
	call->kept = NULL;
	c->kept_bytes -= call->kept_size;
	call->kept_size = 0;
}

/* Take a call out of all books. */
static void unbook(struct kedge_caller *c, struct caller_call *call)
{
	map_remove(&c->by_id, call->number);
	heap_remove(&c->deadlines, &call->timer);
	list_unlink(&call->link);
	drop_kept(c, call);
	c->count--;
	if (c->uploading == call->number)
		caller_close_upload(c);
}

void caller_end(struct kedge_caller *c, struct caller_call *call, const struct kedge_reply *reply)
{
	unbook(c, call);
	if (call->ask.on_reply)
		call->ask.on_reply(reply, call->ask.userdata);
	free(call);
}

void caller_answered(struct kedge_caller *c, struct caller_call *call)
{
	heap_remove(&c->deadlines, &call->timer);
}

static int check_ask(const struct kedge_caller *c, const struct kedge_ask *ask)
{
	bool binary = ask->headers.size || ask->body_kind != KEDGE_BODY_NONE;

	if (!ask->method || !*ask->method || (binary && c->protocol != KEDGE_PROTOCOL_FRAMES))
		return -EINVAL;
	if (ask->body_kind == KEDGE_BODY_STREAMED && ask->if_lost == KEDGE_IF_LOST_RESEND)
		return -EINVAL;
	if (ask->params.size && !json_is_valid(ask->params, JSON_DEPTH_MAX))
		return -EINVAL;
	if (ask->headers.size && (!json_is_valid(ask->headers, JSON_DEPTH_MAX) ||
				  json_kind(ask->headers) != JSON_OBJECT))
		return -EINVAL;
	if (c->count >= c->limits.calls_max ||
	    (c->uploading && ask->body_kind == KEDGE_BODY_STREAMED))
		return -EBUSY;
	return 0;
}

static int book(struct kedge_caller *c, struct caller_call *call, uint64_t deadline_ns)
{
	int r = map_put(&c->by_id, call->number, call);

	if (r == 0 && deadline_ns)
		r = heap_set(&c->deadlines, &call->timer, deadline_ns);
	if (r < 0) {
		map_remove(&c->by_id, call->number);
		return r;
	}
	list_append(&c->calls, &call->link);
	c->count++;
	return 0;
}

int kedge_caller_call(struct kedge_caller *c, const struct kedge_ask *ask, uint64_t *ret_number)
{
	struct caller_call *call;
	int r = check_ask(c, ask);

	if (r < 0)
		return r;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct caller_call){ .timer = HEAP_NODE_INIT, .number = ++c->serial, .ask = *ask };
	list_init(&call->link);
	r = book(c, call, ask->deadline_ns);
	if (r < 0) {
		free(call);
		return r;
	}
	r = caller_write_request(c, call, ask);
	if (r < 0) {
		unbook(c, call);
		free(call);
		return r;
	}
	if (ask->body_kind == KEDGE_BODY_STREAMED)
		c->uploading = call->number;
	if (ret_number)
		*ret_number = call->number;
	return 0;
}

/* Give up: the owner is told why, the server that it need not go on. */
static void give_up(struct kedge_caller *c, struct caller_call *call, enum kedge_outcome why)
{
	uint64_t number = call->number;
	uint64_t connection = c->losses;

	/* An upload must have ended before the cancel can be sent. */
	caller_end(c, call, &(struct kedge_reply){ .outcome = why });
	if (c->losses == connection)
		caller_write_cancel(c, number);
}

int kedge_caller_cancel(struct kedge_caller *c, uint64_t number)
{
	struct caller_call *call = caller_find(c, number);

	if (!call)
		return -ESTALE;
	give_up(c, call, KEDGE_OUTCOME_CANCELLED);
	return 0;
}

int kedge_caller_forget(struct kedge_caller *c, uint64_t number)
{
	struct caller_call *call = caller_find(c, number);

	if (!call)
		return -ESTALE;
	unbook(c, call);
	free(call);
	return 0;
}

uint64_t kedge_caller_deadline(const struct kedge_caller *c)
{
	const struct heap_node *first = heap_first(&c->deadlines);

	return first ? first->at : TIME_NEVER;
}

int kedge_caller_set_deadline(struct kedge_caller *c, uint64_t number, uint64_t deadline_ns)
{
	struct caller_call *call = caller_find(c, number);

	if (!call)
		return -ESTALE;
	if (deadline_ns)
		return heap_set(&c->deadlines, &call->timer, deadline_ns);
	heap_remove(&c->deadlines, &call->timer);
	return 0;
}

void kedge_caller_expire(struct kedge_caller *c, uint64_t now_ns)
{
	struct heap_node *first;

	while ((first = heap_first(&c->deadlines)) && first->at <= now_ns)
		give_up(c, container_of(first, struct caller_call, timer), KEDGE_OUTCOME_TIMED_OUT);
}

/* Forget everything that belongs to the connection and to no call. */
static void forget_bytes(struct kedge_caller *c)
{
	buf_deinit(&c->in);
	buf_deinit(&c->out);
	buf_deinit(&c->behind);
	buf_deinit(&c->headers);
	c->searched = 0;
	c->rest = 0;
	c->expect = CALLER_EXPECT_MESSAGE;
	c->uploading = 0;
	c->failed = 0;
	c->losses++;
}

void kedge_caller_lost(struct kedge_caller *c)
{
	struct list before = LIST_INIT(before), failed = LIST_INIT(failed);
	struct list *it;

	forget_bytes(c);
	while ((it = list_first(&c->calls))) {
		list_unlink(it);
		list_append(&before, it);
	}
	while ((it = list_first(&before))) {
		struct caller_call *call = list_entry(it, struct caller_call, link);
		bool again = call->kept && !call->streaming && caller_write_kept(c, call) == 0;

		call->subscribed = call->subscribed && !again;
		list_unlink(it);
		list_append(again ? &c->calls : &failed, it);
	}
	/* Only now: what callbacks ask comes behind what is sent again. */
	while ((it = list_first(&failed)))
		caller_end(c, list_entry(it, struct caller_call, link),
			   &(struct kedge_reply){ .outcome = KEDGE_OUTCOME_LOST });
}

struct kedge_caller *kedge_caller_free(struct kedge_caller *c)
{
	if (!c)
		return NULL;
	c->limits.calls_max = 0; /* no new ones from the callbacks */
	list_for_each (it, &c->calls)
		drop_kept(c, list_entry(it, struct caller_call, link));
	kedge_caller_lost(c);
	assert(list_empty(&c->calls) && c->count == 0 && c->kept_bytes == 0);
	buf_deinit(&c->out);
	buf_deinit(&c->id);
	map_deinit(&c->by_id);
	heap_deinit(&c->deadlines);
	free(c);
	return NULL;
}

size_t kedge_caller_in_flight(const struct kedge_caller *c)
{
	return c->count;
}

uint64_t kedge_caller_dropped(const struct kedge_caller *c)
{
	return c->dropped;
}
