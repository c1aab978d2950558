#include "rpc/caller.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "wire/envelope.h"

#define CALLER_ROOM_BYTES 65536

struct call {
	struct list link;
	struct heap_node timer;
	uint64_t number;
	caller_answer_fn *callback;
	void *userdata;
};

void caller_init(struct caller *c, caller_event_fn *on_event, void *userdata)
{
	*c = (struct caller){ .on_event = on_event, .userdata = userdata };
	list_init(&c->calls);
}

static void call_end(struct caller *c, struct call *call, const struct caller_answer *answer)
{
	map_remove(&c->by_id, call->number);
	heap_remove(&c->deadlines, &call->timer);
	list_unlink(&call->link);
	c->count--;
	call->callback(answer, call->userdata);
	free(call);
}

void caller_lost(struct caller *c)
{
	struct list waiting = LIST_INIT(waiting);
	struct list *it;

	buf_deinit(&c->in);
	buf_deinit(&c->out);
	c->searched = 0;
	c->fatal = false;
	c->losses++;
	/* Calls made from the callbacks belong to the next connection. */
	while ((it = list_first(&c->calls))) {
		list_unlink(it);
		list_append(&waiting, it);
	}
	while ((it = list_first(&waiting)))
		call_end(c, list_entry(it, struct call, link),
			 &(struct caller_answer){ .outcome = CALLER_LOST });
}

void caller_deinit(struct caller *c)
{
	caller_lost(c);
	assert(list_empty(&c->calls));
	buf_deinit(&c->out);
	map_deinit(&c->by_id);
	heap_deinit(&c->deadlines);
}

static int write_request(struct caller *c, uint64_t number, const char *method,
			 struct kedge_span params)
{
	int r = buf_appendf(&c->out, "{\"id\":\"%" PRIu64 "\",\"method\":", number);

	if (r == 0)
		r = json_append_string(&c->out, kedge_span(method));
	if (r == 0 && params.size)
		r = buf_append(&c->out, ",\"params\":", 10);
	if (r == 0)
		r = buf_append(&c->out, params.data, params.size);
	return r < 0 ? r : buf_append(&c->out, "}\n", 2);
}

static int call_index(struct caller *c, struct call *call, uint64_t deadline_ns)
{
	int r = map_put(&c->by_id, call->number, call);

	if (r == 0 && deadline_ns != TIME_NEVER)
		r = heap_set(&c->deadlines, &call->timer, deadline_ns);
	if (r < 0)
		map_remove(&c->by_id, call->number);
	return r;
}

int caller_call(struct caller *c, const char *method, struct kedge_span params,
		uint64_t deadline_ns, caller_answer_fn *callback, void *userdata)
{
	size_t before = buf_size(&c->out);
	struct call *call;
	int r;

	if (c->count >= CALLER_CALLS_MAX)
		return -EBUSY;
	if (before + params.size > CALLER_OUTPUT_MAX)
		return -ENOBUFS;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct call){ .timer = HEAP_NODE_INIT,
			       .number = ++c->serial,
			       .callback = callback,
			       .userdata = userdata };
	r = write_request(c, call->number, method, params);
	if (r == 0)
		r = call_index(c, call, deadline_ns);
	if (r < 0) {
		c->out.end = c->out.start + before;
		free(call);
		return r;
	}
	list_append(&c->calls, &call->link);
	c->count++;
	return 0;
}

/* The number in an id of ours, "17"; 0: it is not one. */
static uint64_t id_number(struct kedge_span id)
{
	uint64_t number = 0;

	if (json_kind(id) != JSON_STRING || id.size < 3 || id.size > 21 || id.data[1] == '0')
		return 0;
	for (size_t i = 1; i < id.size - 1; i++) {
		if (id.data[i] < '0' || id.data[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(id.data[i] - '0');
	}
	return number;
}

static int small_number(struct kedge_span value)
{
	int number = 0;

	if (json_kind(value) != JSON_NUMBER || value.size > 5)
		return 0;
	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] < '0' || value.data[i] > '9')
			return 0;
		number = number * 10 + (value.data[i] - '0');
	}
	return number;
}

static bool is_truthy(struct kedge_span value)
{
	return envelope_id_counts(value);
}

static void take_answer(struct caller *c, const struct envelope *e)
{
	struct call *call = map_get(&c->by_id, id_number(e->members[MEMBER_ID]));
	struct caller_answer answer = { .result = e->members[MEMBER_RESULT],
					.error = e->members[MEMBER_ERROR],
					.code = e->members[MEMBER_ERROR_CODE],
					.details = e->members[MEMBER_ERROR_DETAILS],
					.status = small_number(e->members[MEMBER_STATUS_CODE]) };

	if (!call) {
		c->dropped++;
		return;
	}
	answer.outcome = is_truthy(answer.error) ? CALLER_ERROR : CALLER_RESULT;
	call_end(c, call, &answer);
}

static void take_line(struct caller *c, struct kedge_span line)
{
	const char *end = line.data + line.size;
	struct envelope e;

	if (json_skip_space(line.data, end) == end)
		return;
	if (envelope_scan(line, JSON_DEPTH_MAX, &e) != ENVELOPE_OK)
		c->dropped++;
	else if (e.members[MEMBER_ID].size)
		take_answer(c, &e);
	else if (json_kind(e.members[MEMBER_EVENT]) == JSON_STRING && c->on_event)
		c->on_event(e.members[MEMBER_EVENT], e.members[MEMBER_DATA], c->userdata);
	else
		c->dropped++;
}

void *caller_input(struct caller *c, size_t *ret_room)
{
	if (buf_reserve(&c->in, CALLER_ROOM_BYTES) < 0)
		return NULL;
	*ret_room = c->in.capacity - c->in.end;
	return c->in.data + c->in.end;
}

/* Go through the whole lines of @in. Return: whether the connection is still the same. */
static bool take_lines(struct caller *c, struct buf *in)
{
	uint64_t connection = c->losses;
	char *newline;

	while ((newline = memchr(buf_front(in) + c->searched, '\n', buf_size(in) - c->searched))) {
		size_t size = (size_t)(newline - buf_front(in));

		c->searched = 0;
		take_line(c, (struct kedge_span){ buf_front(in), size });
		if (c->losses != connection)
			return false;
		buf_consume(in, size + 1);
	}
	return true;
}

void caller_received(struct caller *c, size_t n)
{
	struct buf in = c->in;

	in.end += n;
	/* Taken out while callbacks run: one of them may give the connection up. */
	c->in = (struct buf)BUF_INIT;
	if (!take_lines(c, &in)) {
		buf_deinit(&in);
		return;
	}
	c->searched = buf_size(&in);
	c->fatal |= buf_size(&in) > CALLER_MESSAGE_MAX;
	buf_trim(&in, CALLER_ROOM_BYTES);
	c->in = in;
}

bool caller_output(struct caller *c, const void **ret_data, size_t *ret_size)
{
	*ret_data = buf_front(&c->out);
	*ret_size = buf_size(&c->out);
	return *ret_size > 0;
}

void caller_sent(struct caller *c, size_t n)
{
	buf_consume(&c->out, n);
}

uint64_t caller_deadline(const struct caller *c)
{
	const struct heap_node *first = heap_first(&c->deadlines);

	return first ? first->at : TIME_NEVER;
}

void caller_expire(struct caller *c, uint64_t now_ns)
{
	struct heap_node *first;

	while ((first = heap_first(&c->deadlines)) && first->at <= now_ns)
		call_end(c, container_of(first, struct call, timer),
			 &(struct caller_answer){ .outcome = CALLER_TIMED_OUT });
}
