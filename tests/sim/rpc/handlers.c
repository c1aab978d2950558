/*
 * What the server's handlers do with a request: at once, later, never; with the others of
 * its connection and of others in any order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rpc/conn-internal.h"
#include "talk.h"
#include "world.h"

/* What an answer has beside what a handler says: names, id, braces, a stream that waits. */
#define ENVELOPE_BYTES_MAX 512

const char *const kind_names[KIND_MAX_] = { "now",    "later",  "fail",      "body",
					    "stream", "upload", "subscribe", "any" };

bool job_is_open(const struct job *j)
{
	return j->state == JOB_OPEN || j->state == JOB_STREAMING;
}

static unsigned index_of(const struct job *j)
{
	return (unsigned)(j - world.jobs);
}

static void job_close(struct job *j, enum job_state state)
{
	j->state = state;
	j->seat->open--;
}

int seat_result(struct seat *s, int r, size_t size)
{
	const struct kedge_conn_limits *l = &world.profile.limits;

	if (r >= 0 || r == -EAGAIN)
		return r;
	if (r == -ENOBUFS && !s->tainted &&
	    (!world.profile.output_is_tight ||
	     s->waiting_before + size + ENVELOPE_BYTES_MAX <= l->output_bytes_max))
		sim_fail("%zu bytes more than %zu are refused", size, s->waiting_before);
	if (r == -ENOMEM && !s->tainted)
		sim_fail("there is no memory, and there was enough");
	if (r != -ENOBUFS && r != -ENOMEM)
		sim_fail("a call on a connection says %d", r);
	seat_taint(s);
	return r;
}

/* Whether the connection can be told: else it died, and tells of the end when it is freed. */
static bool may_tell(struct job *j)
{
	if (!j->seat->conn->dead)
		return true;
	(void)seat_result(j->seat, -ENOBUFS, SIZE_MAX / 2);
	return false;
}

/* The job is done with, whether its answer could be kept or not. Told before the call: in it
 * the next request has its turn, whose handler may look for work. */
static bool job_answers(struct job *j)
{
	if (may_tell(j))
		job_close(j, JOB_ANSWERED);
	return j->state == JOB_ANSWERED;
}

static size_t some_bytes(void)
{
	static const size_t sizes[] = { 10, 0, 1, 100, 1000, 3000, 9000, 70000, CLIENT_BYTES_MAX };
	static const unsigned weights[] = { 20, 6, 4, 10, 6, 4, 2, 1, 3 };
	size_t most = sizes[choose_weighted(weights, 9)];

	if (most == CLIENT_BYTES_MAX)
		return most + choose(3) - 1;
	return most > 1 ? choose((unsigned)most + 1) : most;
}

/* {"job":N,"pad":"..."} in up to three parts. */
static void answer_result(struct job *j)
{
	static const unsigned weights[] = { 20, 4, 2 };
	char front[48];
	unsigned way = choose_weighted(weights, 3);
	size_t pad = way ? choose(way == 1 ? 200 : 3000) : 0;
	int n = snprintf(front, sizeof(front), "{\"job\":%u,\"pad\":\"", index_of(j));
	struct kedge_span parts[3] = { { front, (size_t)n }, { pad_text, pad }, { "\"}", 2 } };
	char whole[4096];
	struct kedge_span text = { whole, 0 };
	int r;

	if (!job_answers(j))
		return;
	j->answer = ANSWER_RESULT;
	j->bytes = pad;
	if (choose(2)) {
		r = ON_SEAT(j->seat, kedge_conn_reply_parts(j->seat->conn, j->ticket, parts, 3));
	} else {
		text.size = (size_t)snprintf(whole, sizeof(whole), "%s%.*s\"}", front, (int)pad,
					     pad_text);
		r = ON_SEAT(j->seat, kedge_conn_reply(j->seat->conn, j->ticket, text));
	}
	(void)seat_result(j->seat, r, pad + 64);
}

static void answer_error(struct job *j)
{
	/* What is no UTF-8 is mended. */
	static const char *const ends[] = { "", "\"\\", "\xC3\xA4\xFF", "\xE2\x82" };
	char text[64];
	struct kedge_rpc_error error = { .status = 400 + (int)(index_of(j) % 100) };
	int r;

	(void)snprintf(text, sizeof(text), "job %u\n%s", index_of(j), ends[choose(4)]);
	error.text = kedge_span(text);
	if (choose(3) == 2)
		error.details = kedge_span("[{\"path\":[]}]");
	if (!job_answers(j))
		return;
	j->answer = ANSWER_ERROR;
	r = ON_SEAT(j->seat, kedge_conn_fail(j->seat->conn, j->ticket, &error));
	(void)seat_result(j->seat, r, 256);
}

static struct kedge_span headers_text(const struct job *j, char *to, size_t room)
{
	(void)snprintf(
		to, room,
		"{\"job\":\"%u\",\"content-length\":\"7\",\"transfer-encoding\":\"chunked\"}",
		index_of(j));
	return kedge_span(to);
}

static void answer_body(struct job *j)
{
	char headers[96];
	int r;

	if (!job_answers(j))
		return;
	j->answer = ANSWER_BODY;
	j->bytes = some_bytes();
	r = ON_SEAT(j->seat,
		    kedge_conn_reply_body(
			    j->seat->conn, j->ticket, headers_text(j, headers, sizeof(headers)),
			    (struct kedge_span){ pattern(index_of(j), 0), j->bytes }));
	(void)seat_result(j->seat, r, j->bytes);
}

static void answer_stream(struct job *j)
{
	char headers[96];
	int r;

	if (!may_tell(j))
		return;
	j->answer = ANSWER_STREAM;
	j->left = some_bytes();
	r = ON_SEAT(j->seat, kedge_conn_stream_begin(j->seat->conn, j->ticket,
						     headers_text(j, headers, sizeof(headers))));
	if (seat_result(j->seat, r, 256) >= 0) {
		j->state = JOB_STREAMING;
		j->blocked = r == 1;
		j->begun = ++j->seat->begun;
	}
}

static void job_answer(struct job *j)
{
	static void (*const any[])(struct job *) = { answer_result, answer_error, answer_body,
						     answer_stream };
	static void (*const of[KIND_MAX_])(struct job *) = {
		[KIND_NOW] = answer_result,    [KIND_LATER] = answer_result,
		[KIND_FAIL] = answer_error,    [KIND_BODY] = answer_body,
		[KIND_STREAM] = answer_stream, [KIND_SUBSCRIBE] = answer_result,
	};

	trace("  job %u is answered", index_of(j));
	if (of[j->kind])
		of[j->kind](j);
	else
		any[choose(4)](j);
}

/* Its end: as it should be, or half way. */
static void stream_end(struct job *j)
{
	static const struct kedge_rpc_error error = { .text = { "half way", 8 }, .status = 500 };
	int r;

	if (!job_answers(j))
		return;
	/* Without a chunk it need not wait for its turn. */
	j->overtakes = j->blocked && !j->bytes;
	if (j->left && choose(2)) {
		/* One that nobody has seen yet is refused instead. */
		r = ON_SEAT(j->seat, kedge_conn_fail(j->seat->conn, j->ticket, &error));
	} else {
		r = ON_SEAT(j->seat, kedge_conn_stream_end(j->seat->conn, j->ticket));
	}
	(void)seat_result(j->seat, r, 256);
}

static void stream_write(struct job *j, size_t n)
{
	struct kedge_span chunk = { pattern(index_of(j), j->bytes), n };
	int r;

	if (!may_tell(j))
		return;
	r = ON_SEAT(j->seat, kedge_conn_stream_write(j->seat->conn, j->ticket, chunk));
	if (seat_result(j->seat, r, n) == 0 || r == 1) {
		j->bytes += n;
		j->left -= n;
	}
	j->blocked = r == 1 || r == -EAGAIN;
}

static void stream_go_on(struct job *j)
{
	static const unsigned weights[] = { 8, 4, 2, 1 };
	static const size_t most[] = { 0, 90, 1, 4000 };
	unsigned way = choose_weighted(weights, 4);
	size_t n = most[way] ? choose((unsigned)most[way]) + 1 : j->left;

	if (j->blocked && choose(6) != 5)
		return;
	if (!j->left || choose(24) == 23)
		stream_end(j);
	else
		stream_write(j, n < j->left ? n : j->left);
}

static void hold(struct job *j)
{
	int r;

	if (!may_tell(j))
		return;
	j->held = !j->held;
	r = j->held ? ON_SEAT(j->seat, kedge_conn_hold(j->seat->conn, j->ticket))
		    : ON_SEAT(j->seat, kedge_conn_release(j->seat->conn, j->ticket));
	(void)seat_result(j->seat, r, 0);
}

bool job_act(struct job *j)
{
	if (!job_is_open(j) || !seat_by_serial(j))
		return false;
	if (j->streamed && !j->complete && choose(3))
		hold(j);
	else if (j->state == JOB_OPEN)
		job_answer(j);
	else
		stream_go_on(j);
	return true;
}

bool job_finish(struct job *j)
{
	if (!job_is_open(j) || !seat_by_serial(j) || j->seat->doomed)
		return false;
	if (j->held && may_tell(j)) {
		hold(j);
		return true;
	}
	/* The connection it is on died: it is told of when that is seen to. */
	if (kedge_conn_is_finished(j->seat->conn) || j->blocked)
		return false;
	if (j->streamed && !j->complete && j->seat->eof)
		sim_fail("job %u waits for a body that will not come", index_of(j));
	if (j->streamed && !j->complete)
		return false;
	if (j->state == JOB_OPEN)
		job_answer(j);
	else if (j->left)
		stream_write(j, j->left);
	else
		stream_end(j);
	return true;
}

struct job *job_pick(void)
{
	unsigned recent = world.job_count < 24 ? world.job_count : 24;

	return recent ? &world.jobs[world.job_count - 1 - choose(recent)] : NULL;
}

void job_answer_again(const struct job *j)
{
	const struct seat *s = seat_by_serial(j);

	if (!s || job_is_open(j))
		return;
	if (ON_SEAT(j->seat, kedge_conn_reply(s->conn, j->ticket, kedge_span("0"))) != -ESTALE ||
	    ON_SEAT(j->seat, kedge_conn_stream_end(s->conn, j->ticket)) != -ESTALE ||
	    ON_SEAT(j->seat, kedge_conn_release(s->conn, j->ticket)) != -ESTALE)
		sim_fail("job %u is answered twice", index_of(j));
}

void jobs_gone(const struct seat *s)
{
	for (unsigned i = 0; i < world.job_count; i++)
		if (job_is_open(&world.jobs[i]) && seat_by_serial(&world.jobs[i]) == s)
			sim_fail("job %u is not told that its client is gone", i);
	if (s->open)
		sim_fail("seat %d: %u requests too many", (int)(s - world.seats), s->open);
}

/* What the connection calls. */

/* The deal that a request belongs to, by its params; they are as they were sent. */
static struct deal *deal_of(const struct seat *s, const struct kedge_request *q)
{
	static char params[PARAMS_BYTES_MAX];
	char id[32];
	struct deal *d;
	size_t size;
	int n;

	if (world.profile.prefix && (q->id.data[0] != '"' || memcmp(q->id.data, "\"d:", 3) == 0))
		sim_fail("a request has an id that it may not have");
	if (s->client->temper != TEMPER_CALLER)
		return NULL;
	d = deal_by_params(q->params);
	if (!d || d->client != s->client)
		sim_fail("a request is nobody's: %.*s", (int)q->params.size, q->params.data);
	size = deal_params(d, params);
	n = snprintf(id, sizeof(id), "\"%s%llu\"", CALL_PREFIX, (unsigned long long)d->number);
	if (q->params.size != size || memcmp(q->params.data, params, size) != 0)
		sim_fail("the params of deal %u have changed", deal_index(d));
	if (q->id.size != (size_t)n || memcmp(q->id.data, id, (size_t)n) != 0)
		sim_fail("the id of deal %u has changed", deal_index(d));
	if (q->method.size != strlen(kind_names[d->kind]) ||
	    memcmp(q->method.data, kind_names[d->kind], q->method.size) != 0)
		sim_fail("the method of deal %u has changed", deal_index(d));
	return d;
}

static void check_body(const struct deal *d, const struct kedge_request *q)
{
	bool frames = world.profile.protocol == KEDGE_PROTOCOL_FRAMES &&
		      d->client->protocol == KEDGE_PROTOCOL_FRAMES;
	enum kedge_body wanted = frames ? d->body_kind : KEDGE_BODY_NONE;

	if (wanted == KEDGE_BODY_STREAMED && d->collected)
		wanted = KEDGE_BODY_WHOLE;
	if (q->body_kind != wanted)
		sim_fail("deal %u has a body of another kind", deal_index(d));
	if (wanted == KEDGE_BODY_WHOLE &&
	    (q->body.size != d->body_bytes ||
	     memcmp(q->body.data, pattern(deal_index(d) + DEAL_PATTERNS, 0), q->body.size) != 0))
		sim_fail("the body of deal %u has changed", deal_index(d));
	if (wanted == KEDGE_BODY_WHOLE && q->body.size > world.profile.limits.message_bytes_max)
		sim_fail("deal %u has a body of %zu bytes", deal_index(d), q->body.size);
}

static struct job *job_new(struct seat *s, const struct kedge_request *q)
{
	struct job *j = &world.jobs[world.job_count];

	if (world.job_count == JOBS_MAX)
		sim_fail("there are more than %d jobs", JOBS_MAX);
	world.job_count++;
	*j = (struct job){ .deal = deal_of(s, q),
			   .seat = s,
			   .serial = s->serial,
			   .ticket = q->ticket,
			   .kind = KIND_ANY,
			   .streamed = q->body_kind == KEDGE_BODY_STREAMED };
	if (j->deal) {
		j->kind = j->deal->kind;
		check_body(j->deal, q);
	}
	s->open++;
	return j;
}

/* At a limit no request is taken; but a body that had begun was read on. */
static void check_limits(const struct seat *s, const struct kedge_request *q)
{
	size_t waiting = buf_size(&s->conn->out) + buf_size(&s->conn->behind);

	if (q->body_kind == KEDGE_BODY_NONE && waiting > world.profile.limits.output_bytes_high)
		sim_fail("seat %d takes a request, and %zu bytes wait to be sent",
			 (int)(s - world.seats), waiting);
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *q, void *userdata)
{
	struct seat *s = userdata;
	struct job *j = job_new(s, q);

	trace("  seat %d: %.*s is job %u", (int)(s - world.seats), (int)q->method.size,
	      q->method.data, index_of(j));
	check_limits(s, q);
	if (conn_find(conn, q->ticket)->held || kedge_conn_tag(conn, q->ticket))
		sim_fail("job %u begins with what another has left", index_of(j));
	if (kedge_conn_set_tag(conn, q->ticket, j) < 0 || kedge_conn_tag(conn, q->ticket) != j ||
	    kedge_conn_request_id(conn, q->ticket).size != q->id.size)
		sim_fail("a request is stale when it comes");
	if (j->kind == KIND_NOW || choose(3) == 2)
		(void)job_act(j);
	trouble_meddle();
}

/* Whether the other side may have given it up, or is gone. */
static bool may_be_cancelled(const struct job *j)
{
	const struct seat *s = j->seat;
	const struct deal *d = j->deal;

	return !d || d->over || s->doomed || s->client->serial != s->serial || s->eof ||
	       (j->streamed && d->piece_max > world.profile.limits.message_bytes_max);
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct job *j = tag;

	if (!j || j->seat != userdata || j->ticket != ticket || !job_is_open(j))
		sim_fail("what is cancelled is not open");
	if (!may_be_cancelled(j) && !j->seat->tainted)
		sim_fail("job %u is cancelled, and nobody has asked for it", index_of(j));
	trace("  job %u is cancelled", index_of(j));
	job_close(j, JOB_CANCELLED);
	if (kedge_conn_stream_end(conn, ticket) != -ESTALE)
		sim_fail("a cancelled ticket is good");
	if (!j->seat->doomed)
		trouble_meddle();
}

static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *q,
				   void *userdata)
{
	struct deal *d = deal_of(userdata, q);
	bool collect = choose(2);

	(void)conn;
	if (d)
		d->collected = collect;
	return collect ? KEDGE_UPLOAD_COLLECT : KEDGE_UPLOAD_STREAM;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	struct job *j = tag;

	(void)conn;
	if (!j || j->seat != userdata || j->ticket != ticket || !job_is_open(j))
		sim_fail("a piece of a body is nobody's");
	if (j->held || j->complete)
		sim_fail("job %u gets a piece, and it is %s", index_of(j),
			 j->held ? "held" : "complete");
	if (j->deal && memcmp(piece.data, pattern(deal_index(j->deal) + DEAL_PATTERNS, j->arrived),
			      piece.size) != 0)
		sim_fail("a piece of deal %u's body has changed", deal_index(j->deal));
	j->arrived += piece.size;
	j->complete = piece.size == 0;
	if (j->complete && j->deal && j->arrived != j->deal->body_bytes && !j->deal->over)
		sim_fail("deal %u's body ends after %zu bytes of %zu", deal_index(j->deal),
			 j->arrived, j->deal->body_bytes);
	if (choose(3) == 2)
		(void)job_act(j);
	trouble_meddle();
}

static void on_writable(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	struct job *j = tag;

	(void)conn;
	if (!j || j->seat != userdata || j->ticket != ticket || j->state != JOB_STREAMING)
		sim_fail("the stream of nobody may be written to");
	if (!j->blocked)
		sim_fail("job %u is woken, and was not asleep", index_of(j));
	j->blocked = false;
	if (choose(2))
		stream_go_on(j);
	trouble_meddle();
}

static void on_answer(struct kedge_conn *conn, const struct kedge_conn_answer *answer,
		      void *userdata)
{
	(void)conn;
	talk_answered(userdata, answer);
	trouble_meddle();
}

void handlers_fill(struct kedge_conn_handlers *h)
{
	*h = (struct kedge_conn_handlers){ .on_request = on_request,
					   .on_cancel = on_cancel,
					   .on_upload = on_upload,
					   .on_body = on_body,
					   .on_writable = on_writable,
					   .on_answer = on_answer };
}
