#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cmd/call.h"
#include "cmd/command.h"
#include "wire/json.h"

/* One call on its way. */
struct calling {
	const struct call_options *o;
	struct kedge_client *client;
	struct output output;
	struct progress progress;
	bool streaming; /* an answer in bytes has begun */
	bool over;      /* a subscription has ended */
	int status;     /* the exit status, once that is known */
	int stray;      /* ... of an error that was put to no call; 0: none came */
};

static volatile sig_atomic_t signal_seen;
static struct kedge_client *volatile signalled;

static void on_signal(int number)
{
	signal_seen = number;
	if (signalled)
		(void)kedge_client_cancel(signalled);
}

/* The first one cancels in good order; the second does what signals do. */
static void catch_signals(struct kedge_client *client)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	signalled = client;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaction(numbers[i], &action, NULL);
}

/* A string, or whatever stands there instead, as text for a terminal. */
static void print_text(struct kedge_span words)
{
	char *text = malloc(words.size + 1);
	size_t n = 0;

	if (!text)
		return;
	if (json_kind(words) == JSON_STRING)
		n = json_string_decode(words, text);
	else
		memcpy(text, words.data, n = words.size);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
			text[i] = ' ';
	(void)fwrite(text, 1, n, stderr);
	free(text);
}

/* kedge: TEXT (404 NOT_FOUND) */
static void print_error(const struct kedge_reply *reply)
{
	(void)fputs("kedge: ", stderr);
	print_text(reply->error);
	if (reply->status)
		(void)fprintf(stderr, " (%d", reply->status);
	if (reply->status && reply->error_code.size > 2) {
		(void)fputc(' ', stderr);
		print_text(reply->error_code);
	}
	(void)fputs(reply->status ? ")\n" : "\n", stderr);
	if (reply->error_details.size) {
		(void)fputs("kedge: details: ", stderr);
		print_text(reply->error_details);
		(void)fputc('\n', stderr);
	}
}

static int exit_status_of(const struct kedge_reply *reply)
{
	if (!reply->status)
		return EXIT_SILENT;
	if (reply->status >= 400 && reply->status <= 499)
		return EXIT_USAGE;
	return reply->status >= 500 && reply->status <= 599 ? EXIT_SERVER : EXIT_FAILED;
}

static int cannot_write(const struct calling *c, int error)
{
	const char *where = c->o->output ? c->o->output : "standard output";

	(void)fprintf(stderr, "kedge: cannot write %s: %s\n", where, error_words(error));
	return EXIT_FAILED;
}

/* The number in a content-length header; 0: none. */
static uint64_t length_in(struct kedge_span headers)
{
	struct kedge_span value = json_member(headers, "content-length");
	char text[32] = "";

	if (json_kind(value) == JSON_STRING && value.size - 2 < sizeof(text))
		text[json_string_decode(value, text)] = '\0';
	return strtoull(text, NULL, 10);
}

/* An answer that is one piece of JSON. */
static int print_result(struct calling *c, const struct kedge_reply *reply)
{
	int r;

	if (!reply->result.size && length_in(reply->headers)) {
		(void)fputs("kedge: the answer is bytes, which lines cannot carry: --frames\n",
			    stderr);
		return EXIT_FAILED;
	}
	r = output_open(&c->output, c->o->output);
	if (r == 0 && reply->result.size) {
		(void)output_write(&c->output, reply->result);
		(void)output_write(&c->output, (struct kedge_span){ "\n", 1 });
	}
	if (r == 0)
		r = output_finish(&c->output);
	return r < 0 ? cannot_write(c, r) : EXIT_OK;
}

static void stream_begins(struct calling *c, const struct kedge_reply *reply)
{
	int r = 0;

	c->streaming = true;
	if (c->o->output)
		r = output_open(&c->output, c->o->output);
	c->output.error = r;
	progress_end(&c->progress);
	/* On the terminal that the bytes go to a bar would only be in the way. */
	if (r == 0 && !(c->output.fd == STDOUT_FILENO && isatty(STDOUT_FILENO)))
		progress_begin(&c->progress, length_in(reply->headers));
	if (r < 0)
		(void)kedge_client_cancel(c->client);
}

static void on_reply(const struct kedge_reply *reply, void *userdata)
{
	struct calling *c = userdata;

	if (reply->outcome == KEDGE_OUTCOME_STREAM)
		stream_begins(c, reply);
	else if (reply->outcome != KEDGE_OUTCOME_RESULT)
		c->over = true;
	if (!c->o->follow)
		return;
	/* At once: deliveries may stand right behind it. What ends a subscription comes
	 * here alone. */
	if (reply->outcome == KEDGE_OUTCOME_RESULT) {
		c->status = print_result(c, reply);
	} else if (reply->outcome == KEDGE_OUTCOME_ERROR) {
		print_error(reply);
		c->status = exit_status_of(reply);
	}
}

static void on_chunk(struct kedge_span chunk, void *userdata)
{
	struct calling *c = userdata;

	if (output_write(&c->output, chunk) < 0)
		(void)kedge_client_cancel(c->client);
	progress_move(&c->progress, chunk.size);
}

static void print_member(const char *name, struct kedge_span value)
{
	if (value.size)
		(void)printf(",\"%s\":%.*s", name, (int)value.size, value.data);
}

static void print_event(const char *member, struct kedge_span name, struct kedge_span value)
{
	(void)printf("{\"event\":%.*s", (int)name.size, name.data);
	print_member(member, value);
	(void)puts("}");
	(void)fflush(stdout);
}

static void on_delivery(struct kedge_span name, struct kedge_span payload, void *userdata)
{
	(void)userdata;
	print_event("payload", name, payload);
}

static void on_event(struct kedge_span name, struct kedge_span data, void *userdata)
{
	struct calling *c = userdata;

	if (c->o->follow)
		print_event("data", name, data);
}

static void on_stray(const struct kedge_reply *reply, void *userdata)
{
	struct calling *c = userdata;

	print_error(reply);
	c->stray = exit_status_of(reply);
}

/* The body: what was read already, then the rest of its file. */
static int64_t read_body(void *to, size_t room, void *userdata)
{
	struct calling *c = userdata;
	struct buf *head = (struct buf *)(uintptr_t)&c->o->body;
	size_t ready = buf_size(head) < room ? buf_size(head) : room;
	ssize_t n;

	if (ready) {
		memcpy(to, buf_front(head), ready);
		buf_consume(head, ready);
		n = (ssize_t)ready;
	} else {
		n = read(c->o->body_fd, to, room);
	}
	if (n < 0)
		return errno == EINTR ? -ECANCELED : -errno;
	progress_move(&c->progress, (uint64_t)n);
	return n;
}

static int finish_stream(struct calling *c)
{
	int r = output_finish(&c->output);

	return r < 0 ? cannot_write(c, r) : EXIT_OK;
}

static const char *why_lost(const struct calling *c)
{
	switch (kedge_client_error(c->client)) {
	case -EPROTO:
		return c->o->protocol == KEDGE_PROTOCOL_FRAMES
			       ? "the server does not speak frames: --lines"
			       : "the server does not keep to the protocol";
	case -EMSGSIZE:
		return "the answer is longer than 64 MiB";
	default:
		return c->streaming ? "the server closed the connection in the midst of the answer"
				    : "the server closed the connection without an answer";
	}
}

static int end_without_answer(struct calling *c, const struct kedge_reply *reply)
{
	if (c->output.error)
		return cannot_write(c, c->output.error);
	if (reply->outcome == KEDGE_OUTCOME_CANCELLED)
		return 128 + (signal_seen ? signal_seen : SIGINT);
	if (reply->outcome == KEDGE_OUTCOME_LOST && c->stray)
		return c->stray;
	(void)fprintf(stderr, "kedge: %s\n",
		      reply->outcome == KEDGE_OUTCOME_TIMED_OUT ? "no answer in time"
								: why_lost(c));
	return c->streaming && reply->outcome == KEDGE_OUTCOME_LOST ? EXIT_FAILED : EXIT_SILENT;
}

static int conclude(struct calling *c, const struct kedge_reply *reply)
{
	switch (reply->outcome) {
	case KEDGE_OUTCOME_RESULT:
		return c->o->follow ? c->status : print_result(c, reply);
	case KEDGE_OUTCOME_END:
		return finish_stream(c);
	case KEDGE_OUTCOME_ERROR:
		if (!c->o->follow)
			print_error(reply);
		return exit_status_of(reply);
	default:
		return end_without_answer(c, reply);
	}
}

/* Print what comes, until it ends or somebody has seen enough. */
static int follow(struct calling *c)
{
	int r = 1;

	while (r > 0 && !c->over)
		r = kedge_client_wait(c->client, -1);
	if (r == -ECANCELED)
		return 128 + (signal_seen ? signal_seen : SIGINT);
	if (c->status == EXIT_OK) {
		(void)fputs("kedge: the server closed the connection\n", stderr);
		return EXIT_SILENT;
	}
	return c->status;
}

static int ask(struct calling *c)
{
	const struct call_options *o = c->o;
	struct kedge_ask question = { .method = o->method,
				      .params = o->params,
				      .headers = o->headers,
				      .body_kind = o->body_kind,
				      .body = buf_span(&o->body),
				      .take = KEDGE_TAKE_PIECES,
				      .timeout_ms = o->timeout_ms,
				      .first_chunk_ms = o->timeout_ms,
				      .on_reply = on_reply,
				      .on_chunk = on_chunk,
				      .on_delivery = o->follow ? on_delivery : NULL,
				      .read_body = read_body,
				      .userdata = c };
	struct kedge_reply reply;
	int status, r;

	if (o->body_kind == KEDGE_BODY_STREAMED)
		progress_begin(&c->progress, o->body_bytes);
	r = kedge_client_call(c->client, &question, &reply);
	progress_end(&c->progress);
	if (r < 0) {
		(void)fprintf(stderr, "kedge: cannot ask: %s\n", error_words(r));
		return EXIT_FAILED;
	}
	status = conclude(c, &reply);
	output_abandon(&c->output);
	if (status == EXIT_OK && o->follow && reply.outcome == KEDGE_OUTCOME_RESULT)
		status = follow(c);
	return status;
}

int call_run(struct call_options *o)
{
	struct calling c = { .o = o, .output = { .fd = STDOUT_FILENO } };
	struct kedge_client_options options = { .size = sizeof(options),
						.protocol = o->protocol,
						.handlers = { .on_event = on_event,
							      .on_stray = on_stray },
						.userdata = &c };
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r = kedge_client_connect(&c.client, o->target, &options, &error);
	int status;

	if (r < 0) {
		(void)fprintf(stderr, "kedge: %s\n", error.text);
		return r == -EINVAL ? EXIT_USAGE : EXIT_SILENT;
	}
	catch_signals(c.client);
	status = ask(&c);
	signalled = NULL;
	kedge_client_close(c.client);
	return status;
}
