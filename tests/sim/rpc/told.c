/*
 * What clients are told, and whether it is what should be.
 */
#include <string.h>

#include "base/time.h"
#include "talk.h"

/* The job that an answer names, which must be an answer to this. */
static struct job *job_of(const struct deal *d, struct kedge_span text, const char *name)
{
	unsigned i = text_number(text, name);
	struct job *j = i < world.job_count ? &world.jobs[i] : NULL;

	if (!j || j->deal != d || j->serial != d->client->serial)
		sim_fail("deal %u has an answer of another: %.*s", deal_index(d), (int)text.size,
			 text.data);
	return j;
}

static struct job *job_of_headers(const struct deal *d, struct kedge_span headers)
{
	return job_of(d, headers, "{\"job\":\"");
}

static void check_answer(const struct deal *d, const struct job *j, enum answer wanted)
{
	if (j->answer != wanted)
		sim_fail("deal %u has an answer of another kind", deal_index(d));
}

/* By lines: the envelope of a binary answer. */
static void check_bare(const struct deal *d, const struct job *j, struct kedge_span headers)
{
	if (d->client->protocol != KEDGE_PROTOCOL_LINES ||
	    (j->answer != ANSWER_BODY && j->answer != ANSWER_STREAM) ||
	    text_number(headers, "\"content-length\":\"") != j->bytes)
		sim_fail("deal %u has an envelope without bytes", deal_index(d));
}

static void check_result(struct deal *d, const struct kedge_reply *reply)
{
	const struct job *j;

	if (!reply->result.size) {
		check_bare(d, job_of_headers(d, reply->headers), reply->headers);
		return;
	}
	j = job_of(d, reply->result, "{\"job\":");
	check_answer(d, j, ANSWER_RESULT);
	if (reply->result.size < j->bytes ||
	    !memmem(reply->result.data, reply->result.size, pad_text, j->bytes))
		sim_fail("the answer to deal %u has changed", deal_index(d));
	d->subscribed = d->kind == KIND_SUBSCRIBE;
	d->job = &world.jobs[j - world.jobs];
}

/* Its body was longer than the server takes. */
static bool is_too_large(const struct deal *d)
{
	size_t most = world.profile.limits.message_bytes_max;

	return d->body_kind != KEDGE_BODY_NONE &&
	       (d->body_kind == KEDGE_BODY_WHOLE || d->collected ? d->body_bytes : d->piece_max) >
		       most;
}

static void check_error(struct deal *d, const struct kedge_reply *reply)
{
	const struct job *j;

	if (reply->status == 413 && is_too_large(d))
		return;
	/* A stream that failed before anybody saw it. */
	if (reply->status == 500 && memmem(reply->error.data, reply->error.size, "half way", 8))
		return;
	j = job_of(d, reply->error, "\"job ");
	if (d->subscribed) {
		if (!j->unsubscribed || d->deliveries != j->delivered)
			sim_fail("deal %u had %u deliveries of %u", deal_index(d), d->deliveries,
				 j->delivered);
		return;
	}
	check_answer(d, j, ANSWER_ERROR);
	if (reply->status != 400 + (int)((unsigned)(j - world.jobs) % 100))
		sim_fail("deal %u fails with %d", deal_index(d), reply->status);
}

static void check_body(struct deal *d, const struct kedge_reply *reply)
{
	const struct job *j = job_of_headers(d, reply->headers);

	check_answer(d, j, ANSWER_BODY);
	if (reply->body.size != j->bytes ||
	    memcmp(reply->body.data, pattern((unsigned)(j - world.jobs), 0), j->bytes) != 0)
		sim_fail("the body that answers deal %u has changed", deal_index(d));
}

static void check_stream(struct deal *d, const struct kedge_reply *reply)
{
	if (d->streaming)
		sim_fail("deal %u streams twice", deal_index(d));
	d->job = job_of_headers(d, reply->headers);
	check_answer(d, d->job,
		     d->take == KEDGE_TAKE_PIECES && d->job->answer == ANSWER_BODY ? ANSWER_BODY
										   : ANSWER_STREAM);
	if (d->job->answer == ANSWER_STREAM && !d->job->overtakes) {
		if (d->job->begun < d->client->stream_seen)
			sim_fail("the stream of deal %u comes too late", deal_index(d));
		d->client->stream_seen = d->job->begun;
	}
	d->streaming = true;
	d->deadline_ns = d->first_chunk_ms > 0
				 ? world.now_ns + (uint64_t)d->first_chunk_ms * NSEC_PER_MSEC
				 : 0;
}

static void check_end(struct deal *d, const struct kedge_reply *reply)
{
	(void)reply;
	if (!d->streaming || job_is_open(d->job))
		sim_fail("the stream of deal %u ends before its time", deal_index(d));
	if (d->got != d->job->bytes)
		sim_fail("the stream of deal %u brings %zu bytes of %zu", deal_index(d), d->got,
			 d->job->bytes);
}

static void check_timed_out(struct deal *d, const struct kedge_reply *reply)
{
	(void)reply;
	if (!d->deadline_ns || d->deadline_ns > world.now_ns || d->subscribed)
		sim_fail("deal %u is timed out before its time", deal_index(d));
}

static void check_lost(struct deal *d, const struct kedge_reply *reply)
{
	struct client *c = d->client;

	(void)reply;
	if (!c->losing)
		sim_fail("deal %u is lost, and the connection is not", deal_index(d));
	if (!c->excused && !(c->half && d->subscribed))
		sim_fail("deal %u is lost without cause", deal_index(d));
}

static void check_cancelled(struct deal *d, const struct kedge_reply *reply)
{
	(void)reply;
	if (!d->cancelled)
		sim_fail("deal %u is cancelled, and nobody has asked for it", deal_index(d));
}

static void check_too_large(struct deal *d, const struct kedge_reply *reply)
{
	const struct job *j = job_of_headers(d, reply->headers);

	if (j->bytes <= d->client->limits.message_bytes_max || !j->bytes)
		sim_fail("deal %u: %zu bytes are too many", deal_index(d), j->bytes);
}

static void (*const checks[KEDGE_OUTCOME_MAX_])(struct deal *, const struct kedge_reply *) = {
	[KEDGE_OUTCOME_RESULT] = check_result,
	[KEDGE_OUTCOME_ERROR] = check_error,
	[KEDGE_OUTCOME_BODY] = check_body,
	[KEDGE_OUTCOME_STREAM] = check_stream,
	[KEDGE_OUTCOME_END] = check_end,
	[KEDGE_OUTCOME_TIMED_OUT] = check_timed_out,
	[KEDGE_OUTCOME_LOST] = check_lost,
	[KEDGE_OUTCOME_CANCELLED] = check_cancelled,
	[KEDGE_OUTCOME_TOO_LARGE] = check_too_large,
};

void deal_close(struct deal *d)
{
	d->over = true;
	d->client->open--;
	if (d->client->uploading == d)
		d->client->uploading = NULL;
}

/* It may be a lie: only what the caller counts by is looked at. */
static void believe(struct deal *d, const struct kedge_reply *reply)
{
	if (reply->outcome == KEDGE_OUTCOME_STREAM && d->streaming)
		sim_fail("deal %u streams twice", deal_index(d));
	d->streaming |= reply->outcome == KEDGE_OUTCOME_STREAM;
	d->subscribed |= reply->outcome == KEDGE_OUTCOME_RESULT && d->kind == KIND_SUBSCRIBE;
}

/* What was read before the connection was given up is forgotten with it. */
static void check_connection(const struct client *c)
{
	if (c->gave_up)
		sim_fail("client %d is told of a connection that it gave up", c->index);
}

void told_reply(const struct kedge_reply *reply, void *userdata)
{
	struct deal *d = userdata;
	bool subscribed = d->subscribed;

	if (d->over)
		sim_fail("deal %u is answered twice", deal_index(d));
	trace("  deal %u: %s", deal_index(d), kedge_outcome_name(reply->outcome));
	d->given_up = reply->outcome == KEDGE_OUTCOME_TIMED_OUT ||
		      reply->outcome == KEDGE_OUTCOME_CANCELLED;
	if (!d->given_up && reply->outcome != KEDGE_OUTCOME_LOST)
		check_connection(d->client);
	if (d->client->lied)
		believe(d, reply);
	else
		checks[reply->outcome](d, reply);
	if (reply->outcome == KEDGE_OUTCOME_RESULT && d->subscribed && !subscribed)
		trouble_meddle();
	else if (reply->outcome != KEDGE_OUTCOME_STREAM)
		deal_close(d);
	trouble_meddle();
}

void told_chunk(struct kedge_span chunk, void *userdata)
{
	struct deal *d = userdata;

	check_connection(d->client);
	if (d->client->lied)
		return;
	if (!d->streaming || d->over)
		sim_fail("deal %u has a chunk out of turn", deal_index(d));
	if (memcmp(chunk.data, pattern((unsigned)(d->job - world.jobs), d->got), chunk.size) != 0)
		sim_fail("a chunk of deal %u's stream has changed", deal_index(d));
	d->got += chunk.size;
	if (d->got > d->job->bytes)
		sim_fail("deal %u has more than was written", deal_index(d));
	/* The first piece came in time. */
	d->deadline_ns = 0;
	trouble_meddle();
}

void told_delivery(struct kedge_span event_name, struct kedge_span payload, void *userdata)
{
	struct deal *d = userdata;

	check_connection(d->client);
	if (d->client->lied)
		return;
	if (d->over || !d->subscribed || event_name.size != strlen("\"delivery\""))
		sim_fail("deal %u has a delivery out of turn", deal_index(d));
	if (text_number(payload, "{\"n\":") != d->deliveries)
		sim_fail("deal %u misses delivery %u", deal_index(d), d->deliveries);
	d->deliveries++;
	trouble_meddle();
}

void told_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct client *c = userdata;

	check_connection(c);
	if (c->lied)
		return;
	if (name.size != strlen("\"tick\\n\"") || text_number(data, "{\"n\":") != c->pushes_seen)
		sim_fail("client %d misses event %u", c->index, c->pushes_seen);
	c->pushes_seen++;
	trouble_meddle();
}
