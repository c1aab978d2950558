/*
 * What clients ask, and whether what becomes of it is what should.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "rpc/conn-internal.h"
#include "talk.h"

unsigned deal_index(const struct deal *d)
{
	return (unsigned)(d - world.deals);
}

size_t deal_params(const struct deal *d, char *to)
{
	int n = snprintf(to, PARAMS_BYTES_MAX, "{\"deal\":%u,\"pad\":\"", deal_index(d));

	memcpy(to + n, pad_text, d->pad);
	memcpy(to + n + d->pad, "\"}", 2);
	return (size_t)n + d->pad + 2;
}

struct deal *deal_by_params(struct kedge_span params)
{
	unsigned i = text_number(params, "{\"deal\":");

	return i < world.deal_count ? &world.deals[i] : NULL;
}

/* Answer the server, or refuse. */
static void answer(struct client *c, struct errand *e)
{
	static const struct kedge_rpc_error error = { .text = { "no", 2 }, .status = 404 };
	struct client *before = client_enter(c);
	char id[48], text[48];
	int r;

	(void)snprintf(id, sizeof(id), "\"%s%llu\"", world.profile.prefix,
		       (unsigned long long)e->number);
	(void)snprintf(text, sizeof(text), "{\"errand\":%u}", (unsigned)(e - world.errands));
	e->failing = choose(4) == 3;
	r = e->failing ? kedge_caller_fail(c->caller, kedge_span(id), &error)
		       : kedge_caller_reply(c->caller, kedge_span(id), kedge_span(text));
	client_leave(before);
	e->replied = r == 0;
	if (r < 0 && r != -ENOBUFS && r != -ENOMEM)
		sim_fail("an answer to the server says %d", r);
}

static void on_request(struct kedge_caller *caller, const struct kedge_asked *asked, void *userdata)
{
	struct client *c = userdata;
	unsigned i = text_number(asked->params, "{\"errand\":");
	struct errand *e = i < ERRANDS_MAX ? &world.errands[i] : NULL;

	(void)caller;
	if (c->lied)
		return;
	if (!e || e->seat->client != c || e->serial != c->serial || e->seen)
		sim_fail("client %d is asked what is another's", c->index);
	e->seen = true;
	if (!c->half && choose(2))
		answer(c, e);
	trouble_meddle();
}

bool ask_answer_kept(struct client *c)
{
	if (!c->wire || c->half)
		return false;
	for (unsigned i = 0; i < world.errand_count; i++) {
		struct errand *e = &world.errands[i];

		if (e->seen && !e->replied && e->serial == c->serial && e->seat->client == c) {
			answer(c, e);
			return true;
		}
	}
	return false;
}

static void on_stray(const struct kedge_reply *reply, void *userdata)
{
	const struct client *c = userdata;

	if (!c->lied)
		sim_fail("client %d is told of an error of nobody's: %.*s", c->index,
			 (int)reply->error.size, reply->error.data);
}

void asks_fill(struct kedge_caller_handlers *h)
{
	*h = (struct kedge_caller_handlers){ .on_event = told_event,
					     .on_request = on_request,
					     .on_stray = on_stray };
}

/* Asking. */

/* About the limit of a message, now and then. */
static size_t some_body(void)
{
	static const unsigned weights[] = { 12, 4, 2, 2, 2, 1 };
	size_t most = world.profile.limits.message_bytes_max;

	most = most < PATTERN_MAX - 4096 ? most : PATTERN_MAX - 4096;
	switch (choose_weighted(weights, 6)) {
	case 0:
		return choose(100);
	case 1:
		return 0;
	case 2:
		return most - choose(2);
	case 3:
		return most + 1 + choose(64);
	case 4:
		return choose(30000) % (most + 1);
	default:
		return choose(3000) % (most + 1);
	}
}

/* Params that the server takes, with what is around them. */
static size_t some_pad(void)
{
	static const unsigned weights[] = { 12, 3, 1 };
	static const size_t sizes[] = { 30, 160, PAD_BYTES_MAX };
	size_t most = world.profile.limits.message_bytes_max - 250;
	size_t n = choose((unsigned)sizes[choose_weighted(weights, 3)]);

	return n < most ? n : most;
}

static void fill_deal(struct deal *d, struct client *c)
{
	static const unsigned weights[KIND_MAX_] = { 10, 10, 4, 8, 10, 8, 4, 6 };
	bool framed = c->protocol == KEDGE_PROTOCOL_FRAMES;

	*d = (struct deal){ .client = c, .kind = (enum kind)choose_weighted(weights, KIND_MAX_) };
	d->pad = some_pad();
	if (framed && d->kind == KIND_UPLOAD)
		d->body_kind = KEDGE_BODY_STREAMED;
	else if (framed && choose(4) == 3)
		d->body_kind = KEDGE_BODY_WHOLE;
	if (d->body_kind == KEDGE_BODY_WHOLE)
		d->body_bytes = some_body();
	d->take = choose(3) == 2 ? KEDGE_TAKE_PIECES : KEDGE_TAKE_WHOLE;
	if (d->body_kind != KEDGE_BODY_STREAMED && choose(4) == 3)
		d->if_lost = KEDGE_IF_LOST_RESEND;
	if (choose(4) == 3)
		d->deadline_ns = world.now_ns + 1 + choose(2000) * NSEC_PER_MSEC;
	d->first_chunk_ms = choose(4) == 3 ? 500 : KEDGE_TIMEOUT_NONE;
}

/* Why a call may be refused at once. */
static bool may_refuse(const struct client *c, const struct deal *d, int r)
{
	if (r == -ENOMEM)
		return c->excused || !c->wire;
	if (r == -EBUSY)
		return c->open >= c->limits.calls_max ||
		       (c->uploading && d->body_kind == KEDGE_BODY_STREAMED);
	return r == -ENOBUFS && c->limits.output_bytes_max < 65536;
}

void ask_something(struct client *c)
{
	static char params[PARAMS_BYTES_MAX];
	struct deal *d = &world.deals[world.deal_count];
	struct client *before;
	struct kedge_ask ask;
	int r;

	if (!c->caller || c->half || c->stopping || world.deal_count == DEALS_MAX)
		return;
	fill_deal(d, c);
	ask = (struct kedge_ask){
		.method = kind_names[d->kind],
		.params = { params, deal_params(d, params) },
		.body_kind = d->body_kind,
		.body = { pattern(deal_index(d) + DEAL_PATTERNS, 0), d->body_bytes },
		.take = d->take,
		.if_lost = d->if_lost,
		.deadline_ns = d->deadline_ns,
		.first_chunk_ms = d->first_chunk_ms,
		.on_reply = told_reply,
		.on_chunk = told_chunk,
		.on_delivery = d->kind == KIND_SUBSCRIBE ? told_delivery : NULL,
		.userdata = d,
	};
	if (c->protocol == KEDGE_PROTOCOL_FRAMES && choose(6) == 5)
		ask.headers = kedge_span("{\"x\":\"y\"}");
	world.deal_count++;
	before = client_enter(c);
	r = kedge_caller_call(c->caller, &ask, &d->number);
	client_leave(before);
	if (r < 0) {
		d->over = true;
		if (!may_refuse(c, d, r))
			sim_fail("client %d may not ask: %d", c->index, r);
		return;
	}
	trace("  client %d asks \"%s\": deal %u, number %llu", c->index, ask.method, deal_index(d),
	      (unsigned long long)d->number);
	c->open++;
	if (d->body_kind == KEDGE_BODY_STREAMED)
		c->uploading = d;
}

static void end_upload(struct client *c, struct deal *d)
{
	struct client *before = client_enter(c);
	int r = kedge_caller_upload_end(c->caller, d->number);

	client_leave(before);
	if (r < 0 && r != -ENOMEM)
		sim_fail("the end of deal %u's body says %d", deal_index(d), r);
	if (c->uploading == d)
		c->uploading = NULL;
}

void ask_upload(struct client *c, bool end)
{
	static const unsigned weights[] = { 10, 2, 2 };
	static const unsigned sizes[] = { 300, 20, 6000 };
	struct deal *d = c->uploading;
	struct client *before;
	size_t n;
	int r;

	if (!d)
		return;
	n = choose(sizes[choose_weighted(weights, 3)]);
	if (end || d->body_bytes + n > PATTERN_MAX - 4096 || choose(6) == 5) {
		end_upload(c, d);
		return;
	}
	before = client_enter(c);
	r = kedge_caller_upload(
		c->caller, d->number,
		(struct kedge_span){ pattern(deal_index(d) + DEAL_PATTERNS, d->body_bytes), n });
	client_leave(before);
	if (r < 0 && r != -ENOMEM && r != -ENOBUFS)
		sim_fail("a piece of deal %u's body says %d", deal_index(d), r);
	if (r < 0)
		return;
	d->body_bytes += n;
	d->piece_max = n > d->piece_max ? n : d->piece_max;
}

/* One that is open, at random. */
static struct deal *pick_open(const struct client *c)
{
	unsigned n = c->open ? choose(c->open) : 0;

	if (!c->caller || !c->open)
		return NULL;
	for (unsigned i = world.deal_count; i-- > 0;)
		if (world.deals[i].client == c && !world.deals[i].over && n-- == 0)
			return &world.deals[i];
	return NULL;
}

void ask_cancel(struct client *c)
{
	struct deal *d = pick_open(c);
	struct client *before;
	int r;

	if (!d)
		return;
	trace("  client %d cancels deal %u", c->index, deal_index(d));
	d->cancelled = true;
	before = client_enter(c);
	r = kedge_caller_cancel(c->caller, d->number);
	client_leave(before);
	if (r < 0 || !d->over)
		sim_fail("deal %u cannot be cancelled: %d", deal_index(d), r);
}

void ask_forget(struct client *c)
{
	struct deal *d = pick_open(c);
	struct client *before;
	int r;

	if (!d)
		return;
	trace("  client %d forgets deal %u", c->index, deal_index(d));
	deal_close(d);
	before = client_enter(c);
	r = kedge_caller_forget(c->caller, d->number);
	client_leave(before);
	if (r < 0)
		sim_fail("deal %u cannot be forgotten: %d", deal_index(d), r);
}
