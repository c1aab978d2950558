/*
 * sockets_events: what happened to the paths, a JSON line each, as a stream. With
 * `follow` it goes on with what happens from now on. Each reader has a place of its
 * own in the ledger's ring, so a slow one costs nothing; one that is so slow that
 * the ring has passed it sees the numbers jump.
 */
#include <errno.h>
#include <string.h>

#include "services/assistant/assistant.h"
#include "services/open.h"
#include "services/params.h"
#include "wire/json.h"

struct follower {
	struct open open;
	struct list link; /* assistant.following */
	struct kedge_server *server;
	uint64_t seen;    /* number of the last event that was looked at */
	int64_t since_ms; /* older ones are left out */
	bool follow;
	bool blocked; /* on_writable will come */
};

static void free_follower(struct assistant *a, struct follower *f)
{
	open_remove(&a->followers, &f->open);
	list_unlink(&f->link);
	free(f);
}

static int write_event(struct follower *f, const struct ledger_event *event)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r = ledger_append_event(&b, event);

	if (r == 0)
		r = buf_append(&b, "\n", 1);
	if (r < 0)
		return r;
	return kedge_server_stream_write(f->server, f->open.later, buf_span(&b));
}

/* Write what the follower has not seen yet. It may be gone afterwards. */
static void pump(struct assistant *a, struct follower *f)
{
	const struct ledger *ledger = a->context.shared->ledger;
	uint64_t first, last;
	int r = 0;

	ledger_range(ledger, &first, &last);
	if (f->seen + 1 < first)
		f->seen = first - 1;
	while (r == 0 && f->seen < last) {
		const struct ledger_event *event = ledger_event_at(ledger, ++f->seen);

		if (event->time_ms >= f->since_ms)
			r = write_event(f, event);
	}
	f->blocked = r == 1;
	if (r == 0 && !f->follow)
		(void)kedge_server_stream_end(f->server, f->open.later);
	if (r < 0 || (r == 0 && !f->follow))
		free_follower(a, f);
}

static void on_note(const struct ledger_event *event, void *userdata)
{
	struct assistant *a = userdata;

	(void)event;
	list_for_each_safe (it, &a->following) {
		struct follower *f = list_entry(it, struct follower, link);

		if (!f->blocked)
			pump(a, f);
	}
}

static struct follower *find(struct assistant *a, struct kedge_later later)
{
	struct open *open = open_find(&a->followers, later);

	return open ? container_of(open, struct follower, open) : NULL;
}

void assistant_events_writable(struct kedge_server *server, struct kedge_later later,
			       void *userdata)
{
	struct assistant *a = userdata;
	struct follower *f = find(a, later);

	(void)server;
	if (f)
		pump(a, f);
}

void assistant_events_cancelled(struct kedge_server *server, struct kedge_later later,
				void *userdata)
{
	struct assistant *a = userdata;
	struct follower *f = find(a, later);

	(void)server;
	if (f)
		free_follower(a, f);
}

/* Query parameters come as JSON values, or as texts as they stood in a URL. */

static bool take_flag(struct params *p, const char *name)
{
	struct kedge_span value = params_member(p, name);

	if (json_kind(value) == JSON_TRUE || json_string_is(value, "true") ||
	    json_string_is(value, "1") || json_string_is(value, ""))
		return true;
	if (value.size && json_kind(value) != JSON_FALSE && json_kind(value) != JSON_NULL &&
	    !json_string_is(value, "false") && !json_string_is(value, "0"))
		params_note(p, name, "invalid_type", "expected true or false");
	return false;
}

static void take_since(struct params *p, int64_t *ret)
{
	struct kedge_span value = params_member(p, "since"), digits;

	if (json_kind(value) != JSON_STRING) {
		(void)params_integer(p, "since", PARAMS_OPTIONAL, 0, INT64_MAX, ret);
		return;
	}
	/* The digits of a string are a number by themselves. */
	digits = (struct kedge_span){ value.data + 1, value.size - 2 };
	if (json_kind(digits) != JSON_NUMBER || !params_number(digits, ret) || *ret < 0)
		params_note(p, "since", "invalid_type",
			    "expected ms since the epoch, a whole number");
}

static void start(struct assistant *a, const struct kedge_call *call, const struct follower *what)
{
	struct kedge_span headers = kedge_span("{\"content-type\":\"application/x-ndjson\"}");
	struct follower *f = malloc(sizeof(*f));
	int r;

	if (f)
		*f = *what;
	if (!f || open_put(&a->followers, &f->open, call->later) < 0) {
		free(f);
		(void)kedge_call_refuse(call, 500, "out of memory");
		return;
	}
	list_init(&f->link);
	list_append(&a->following, &f->link);
	r = kedge_server_stream_begin(f->server, f->open.later, headers);
	f->blocked = r == 1;
	if (r == 0)
		pump(a, f);
	else if (r < 0)
		free_follower(a, f);
}

void assistant_sockets_events(const struct kedge_call *call, void *userdata)
{
	struct follower f = { .server = call->server };
	struct params p;

	params_init_optional(&p, call);
	if (params_member(&p, "queryParams").size)
		params_take(&p, "queryParams");
	f.follow = take_flag(&p, "follow");
	take_since(&p, &f.since_ms);
	if (!params_refused(&p, call))
		start(userdata, call, &f);
	params_deinit(&p);
}

void events_open(struct assistant *a)
{
	list_init(&a->following);
	a->listener = (struct ledger_listener){ .fn = on_note, .userdata = a };
	ledger_listen(a->context.shared->ledger, &a->listener);
}

/* Nobody waits for events that never come, when the server stops. */
void events_end(struct assistant *a)
{
	list_for_each_safe (it, &a->following) {
		struct follower *f = list_entry(it, struct follower, link);

		(void)kedge_server_stream_end(f->server, f->open.later);
		free_follower(a, f);
	}
}

void events_close(struct assistant *a)
{
	ledger_unlisten(&a->listener);
	map_deinit(&a->followers);
}
