/* kedge call: ask a server one thing. */
#include "cmd/call.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cmd/command.h"
#include "wire/json.h"
#include "wire/utf8.h"

#define TIMEOUT_S_MAX 86400
#define PARAMS_MAX    ((size_t)64 << 20)
#define READ_BYTES    65536

/* What was typed, before it is looked at together. */
struct typed {
	const char *params, *body;
	int64_t timeout_s;
	struct buf headers; /* members of a JSON object, each with a comma in front */
	int protocol;       /* an enum kedge_protocol, or -1: not said */
};

/* Read on until @max bytes are there or the end. Return: 1: the end; 0: there is more;
 * -errno. */
static int read_some(int fd, struct buf *b, size_t max)
{
	while (buf_size(b) < max) {
		size_t room = max - buf_size(b) < READ_BYTES ? max - buf_size(b) : READ_BYTES;
		ssize_t n;

		if (buf_reserve(b, room) < 0)
			return -ENOMEM;
		n = read(fd, b->data + b->end, room);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 1;
		if (n > 0)
			b->end += (size_t)n;
	}
	return 0;
}

static int take_params(const char *text, struct buf *input, struct kedge_span *ret)
{
	*ret = kedge_span(text);
	if (strcmp(text, "-") == 0) {
		int r = read_some(STDIN_FILENO, input, PARAMS_MAX);

		if (r < 0)
			return usage_error(
				"call: the params cannot be read from standard input: %s",
				error_words(r));
		if (r == 0)
			return usage_error("call: the params are longer than %zu bytes",
					   PARAMS_MAX - 1);
		*ret = buf_span(input);
	}
	if (!ret->data || !json_is_valid(*ret, JSON_DEPTH_MAX))
		return usage_error("call: the params are not JSON: %.*s",
				   (int)(ret->size < 60 ? ret->size : 60),
				   ret->data ? ret->data : "");
	return EXIT_OK;
}

/* A body that ends soon goes as a whole, as every server takes it; else in chunks. */
static int take_body(const char *path, struct call_options *o)
{
	struct stat st;
	int r;

	o->body_fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	r = o->body_fd < 0 ? -errno : read_some(o->body_fd, &o->body, CALL_BODY_WHOLE_MAX + 1);
	if (r < 0)
		return usage_error("--raw-body %s: %s", path, error_words(r));
	o->body_kind = r == 1 ? KEDGE_BODY_WHOLE : KEDGE_BODY_STREAMED;
	if (fstat(o->body_fd, &st) == 0 && S_ISREG(st.st_mode))
		o->body_bytes = (uint64_t)st.st_size;
	return EXIT_OK;
}

/* NAME:VALUE as a member; names are in lower case on the wire. */
static int add_header(struct typed *t, const char *text)
{
	const char *colon = strchr(text, ':');
	struct kedge_span name = { text, colon ? (size_t)(colon - text) : 0 };
	struct kedge_span value;
	char lower[64];

	if (!name.size || name.size >= sizeof(lower))
		return usage_error("--header %s: takes NAME:VALUE, the name up to %zu bytes", text,
				   sizeof(lower) - 1);
	for (size_t i = 0; i < name.size; i++)
		lower[i] = (char)tolower((unsigned char)name.data[i]);
	lower[name.size] = '\0';
	name.data = lower;
	if (strcmp(lower, "content-length") == 0 || strcmp(lower, "transfer-encoding") == 0)
		return usage_error("--header %s: kedge says that by itself, see --raw-body", text);
	value = kedge_span(colon + 1 + strspn(colon + 1, " "));
	if (buf_append(&t->headers, ",", 1) < 0 || json_append_string(&t->headers, name) < 0 ||
	    buf_append(&t->headers, ":", 1) < 0 || json_append_string(&t->headers, value) < 0)
		return EXIT_FAILED;
	return EXIT_OK;
}

enum { OPT_TIMEOUT = 1, OPT_OUTPUT, OPT_BODY, OPT_HEADER, OPT_FRAMES, OPT_LINES, OPT_FOLLOW };

static const struct option longs[] = {
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "raw-body", required_argument, NULL, OPT_BODY },
	{ "header", required_argument, NULL, OPT_HEADER },
	{ "frames", no_argument, NULL, OPT_FRAMES },
	{ "lines", no_argument, NULL, OPT_LINES },
	{ "follow", no_argument, NULL, OPT_FOLLOW },
	{ 0 },
};

static int take_option(int c, struct call_options *o, struct typed *t)
{
	switch (c) {
	case OPT_TIMEOUT:
		if (parse_number(optarg, 1, TIMEOUT_S_MAX, &t->timeout_s) < 0)
			return usage_error("--timeout %s: whole seconds from 1 to %d", optarg,
					   TIMEOUT_S_MAX);
		return EXIT_OK;
	case OPT_OUTPUT:
		o->output = strcmp(optarg, "-") == 0 ? NULL : optarg;
		return *optarg ? EXIT_OK : usage_error("--output: the name is empty");
	case OPT_BODY:
		t->body = optarg;
		return EXIT_OK;
	case OPT_HEADER:
		return add_header(t, optarg);
	case OPT_FRAMES:
		t->protocol = KEDGE_PROTOCOL_FRAMES;
		return EXIT_OK;
	case OPT_LINES:
		t->protocol = KEDGE_PROTOCOL_LINES;
		return EXIT_OK;
	case OPT_FOLLOW:
		o->follow = true;
		return EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

/* The one endpoint that speaks frames, by its name or by the name of its socket. */
static enum kedge_protocol usual_protocol(const char *target)
{
	const char *slash = strrchr(target, '/');
	const char *name = slash ? "assistant.sock" : "assistant";

	return strcmp(slash ? slash + 1 : target, name) == 0 ? KEDGE_PROTOCOL_FRAMES
							     : KEDGE_PROTOCOL_LINES;
}

static int parse(int argc, char **argv, struct call_options *o, struct typed *t)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		int r = c == '?' || c == ':'
				? usage_error("call: '%s' is no option, or lacks its value",
					      argv[optind - 1])
				: take_option(c, o, t);

		if (r != EXIT_OK)
			return r;
	}
	if (argc - optind < 2 || argc - optind > 3)
		return usage_error("call: takes SOCKET-OR-NAME METHOD [PARAMS-JSON|-]");
	o->target = argv[optind];
	o->method = argv[optind + 1];
	t->params = argv[optind + 2];
	o->timeout_ms = (int)t->timeout_s * 1000;
	o->protocol = t->protocol < 0 ? usual_protocol(o->target)
				      : (enum kedge_protocol)t->protocol;
	if (!utf8_is_valid(o->method, strlen(o->method)))
		return usage_error("call: the method '%s' is not UTF-8", o->method);
	return *o->method ? EXIT_OK : usage_error("call: the method is empty");
}

static int take_together(struct call_options *o, struct typed *t, struct buf *input)
{
	bool binary = t->body || buf_size(&t->headers);
	int r = EXIT_OK;

	if (binary && o->protocol != KEDGE_PROTOCOL_FRAMES)
		return usage_error("call: %s needs --frames: lines have no place for it",
				   t->body ? "--raw-body" : "--header");
	if (t->params && t->body && strcmp(t->params, "-") == 0 && strcmp(t->body, "-") == 0)
		return usage_error("call: params and --raw-body cannot both be standard input");
	if (t->params)
		r = take_params(t->params, input, &o->params);
	if (r == EXIT_OK && t->body)
		r = take_body(t->body, o);
	if (r == EXIT_OK && buf_size(&t->headers)) {
		*buf_front(&t->headers) = '{';
		if (buf_append(&t->headers, "}", 1) < 0)
			return EXIT_FAILED;
		o->headers = buf_span(&t->headers);
	}
	return r;
}

static int run(int argc, char **argv)
{
	_cleanup_(buf_deinit) struct buf input = BUF_INIT;
	struct call_options o = { .body_fd = -EBADF };
	struct typed t = { .protocol = -1 };
	int r = parse(argc, argv, &o, &t);

	if (r == EXIT_OK)
		r = take_together(&o, &t, &input);
	if (r == EXIT_OK)
		r = call_run(&o);
	if (o.body_fd > STDERR_FILENO)
		fd_close(o.body_fd);
	buf_deinit(&o.body);
	buf_deinit(&t.headers);
	return r;
}

const struct command command_call = {
	.name = "call",
	.summary = "ask a server one thing",
	.help = "Usage: kedge call [OPTION]... SOCKET-OR-NAME METHOD [PARAMS-JSON|-]\n\n"
		"  SOCKET-OR-NAME    a path (with a '/'), or an endpoint's name: gateway\n"
		"  PARAMS-JSON       JSON text; '-' reads it from standard input\n"
		"  --timeout S       seconds for the answer (60) or a stream's first byte (30)\n"
		"  --output FILE     write the answer to FILE, whole or not at all\n"
		"  --raw-body FILE|- send a body with the request (frames)\n"
		"  --header NAME:VALUE  send a header with the request (frames)\n"
		"  --frames, --lines how to speak: frames to 'assistant' and to a path that\n"
		"                    ends in /assistant.sock, else lines\n"
		"  --follow          print what the server sends on, a JSON line each, until\n"
		"                    Ctrl-C or the stream's end\n\n"
		"Ctrl-C cancels the call. A bar shows how far a body or stream is, where\n"
		"standard error is a terminal.\n\n"
		"Exit status: 0 answered; 2 refused (4xx), or wrong usage; 3 the server failed\n"
		"(5xx); 10 nothing answered, or without a status; 130 cancelled; 1 otherwise.\n\n"
		"  kedge call gateway get_conversation_threshold '{\"conversationId\":\"c1\"}'\n"
		"  kedge call assistant-skill host.events.subscribe '{\"filter\":{}}' --follow\n",
	.run = run,
};
