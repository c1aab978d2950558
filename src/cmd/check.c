/* kedge check: could a client connect? */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/reach.h"
#include "cmd/table.h"

#define TIMEOUT_MS_DEFAULT 5000
#define TIMEOUT_S_MAX      86400

struct check_options {
	const char *method; /* NULL: none is called */
	int64_t timeout_ms;
};

static void report(const char *path, const struct reach *reach)
{
	_cleanup_(buf_deinit) struct buf line = BUF_INIT;

	(void)append_clean(&line, path);
	(void)buf_append(&line, ": ", 2);
	reach_explain(path, reach, &line);
	(void)buf_append(&line, "\n", 1);
	(void)fwrite(buf_front(&line), 1, buf_size(&line),
		     reach->kind == REACH_OK ? stdout : stderr);
	(void)fflush(stdout);
}

/* Ask as `kedge call` does. A path without '/' would be a name to it. */
static int call(const char *path, const struct check_options *o)
{
	_cleanup_(freep) char *target = NULL;
	char seconds[32];
	char *argv[] = { (char[]){ "call" },
			 (char[]){ "--timeout" },
			 seconds,
			 (char[]){ "--" },
			 NULL,
			 NULL,
			 NULL };

	(void)snprintf(seconds, sizeof(seconds), "%lld", (long long)(o->timeout_ms + 999) / 1000);
	if (asprintf(&target, "%s%s", strchr(path, '/') ? "" : "./", path) < 0)
		return EXIT_FAILED;
	argv[4] = target;
	argv[5] = strdup(o->method);
	/* getopt(3) begins anew at 0. */
	optind = 0;
	if (argv[5] && command_call.run(ARRAY_SIZE(argv) - 1, argv) == EXIT_OK) {
		free(argv[5]);
		return EXIT_OK;
	}
	free(argv[5]);
	(void)fprintf(stderr, "kedge: the server is there, and does not answer the call\n");
	return EXIT_FAILED;
}

static int check(const char *path, const struct check_options *o)
{
	struct reach reach = reach_try(path, o->timeout_ms);

	report(path, &reach);
	if (reach.kind != REACH_OK)
		return EXIT_FAILED;
	return o->method ? call(path, o) : EXIT_OK;
}

static int parse(int argc, char **argv, struct check_options *o)
{
	static const struct option longs[] = { { "call", required_argument, NULL, 'c' },
					       { "timeout", required_argument, NULL, 't' },
					       { 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == 'c')
			o->method = optarg;
		else if (c != 't')
			return usage_error("check: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		else if (parse_seconds(optarg, TIMEOUT_S_MAX, &o->timeout_ms) < 0 ||
			 o->timeout_ms == 0)
			return usage_error("--timeout %s: seconds, more than 0 and at most %d",
					   optarg, TIMEOUT_S_MAX);
	}
	if (o->method && !*o->method)
		return usage_error("--call '': the name of a method");
	if (optind == argc)
		return usage_error("check: takes PATH...");
	for (int i = optind; i < argc; i++) {
		if (!*argv[i])
			return usage_error("check: the path is empty");
		if (o->method && *argv[i] == '@')
			return usage_error(
				"--call: '%s' is an abstract name; only paths are called", argv[i]);
	}
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct check_options o = { .timeout_ms = TIMEOUT_MS_DEFAULT };
	int r = parse(argc, argv, &o), first = optind;

	if (r != EXIT_OK)
		return r;
	for (int i = first; i < argc; i++)
		if (check(argv[i], &o) != EXIT_OK)
			r = EXIT_FAILED;
	return r;
}

const struct command command_check = {
	.name = "check",
	.summary = "could a client connect? if not, why",
	.help = "Usage: kedge check [--timeout S] [--call METHOD] PATH...\n\n"
		"Connects to each socket as a client would, and closes the connection. Nothing is\n"
		"sent, so it is fit for a health check. Where it fails, the reason is named: the\n"
		"component of the path that is missing or may not be searched, what stands there\n"
		"instead, that nobody listens, and who still listens on what was there.\n\n"
		"  PATH           of a stream, seqpacket or datagram socket; @NAME: an abstract\n"
		"                 name (./@NAME is a path)\n"
		"  --call METHOD  send a request as well, as kedge call does; print the result\n"
		"  --timeout S    wait so long for room in the queue, and for the answer (5)\n\n"
		"Exit status: 0 a client could connect to all of them, and was answered; 1 not\n"
		"so; 2 wrong usage.\n\n"
		"  kedge check /run/redis/redis.sock\n"
		"  kedge check --call health --timeout 2 /run/x/gateway.sock\n",
	.run = run,
};
