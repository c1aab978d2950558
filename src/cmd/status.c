/* kedge status: where the guarded paths of this machine stand. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/control.h"
#include "cmd/reach.h"
#include "cmd/table.h"
#include "wire/json.h"

struct status_options {
	char *path; /* absolute, as guards know it; owned. NULL: all */
	bool json;
};

struct told {
	size_t paths, unwell;
	size_t peers;
	bool begun;
};

static const char *colour_of(struct kedge_span state)
{
	if (json_string_is(state, "reachable"))
		return "\033[32m";
	return json_string_is(state, "awaited") || json_string_is(state, "left-alone")
		       ? "\033[33m"
		       : "\033[1;31m";
}

static void print_row(struct kedge_span path, pid_t pid)
{
	struct kedge_span owner = json_member(path, "owner"), state = json_member(path, "state");
	struct kedge_span losses = json_member(path, "losses");
	struct kedge_span owner_pid = json_member(owner, "pid");
	_cleanup_(freep) char *name = text_of_json(json_member(path, "path"));
	_cleanup_(freep) char *server = text_of_json(json_member(path, "name"));
	_cleanup_(freep) char *word = text_of_json(state);
	_cleanup_(freep) char *comm = text_of_json(json_member(owner, "comm"));
	const char *colour = terminal_has_colours() ? colour_of(state) : "";
	char who[80] = "-";

	if (!name || !word || !comm)
		return;
	if (owner_pid.size)
		(void)snprintf(who, sizeof(who), "%.20s/%.*s", comm, (int)owner_pid.size,
			       owner_pid.data);
	else if (server && *server) /* of the kedge that we ask */
		(void)snprintf(who, sizeof(who), "%.20s", server);
	printf("%s%-10s%s %6.*s  %-20s %-7d %s\n", colour, word, *colour ? "\033[0m" : "",
	       (int)losses.size, losses.data, who, (int)pid, name);
}

static void show_paths(struct kedge_span status, pid_t pid, struct told *told)
{
	struct kedge_span paths = json_member(status, "paths"), path;
	const char *at = NULL;

	while (json_next_element(paths, &at, &path)) {
		if (told->paths++ == 0)
			printf("%-10s %6s  %-20s %-7s %s\n", "STATE", "LOSSES", "OWNER", "GUARD",
			       "PATH");
		told->unwell += !json_string_is(json_member(path, "state"), "reachable");
		print_row(path, pid);
	}
}

static void show_json(struct kedge_span status, pid_t pid, struct told *told)
{
	printf("%s{\"pid\":%d,\"status\":%.*s}", told->begun ? "," : "[", (int)pid,
	       (int)status.size, status.data);
	told->begun = true;
}

static int ask_one(pid_t pid, const struct status_options *o, struct told *told)
{
	_cleanup_(buf_deinit) struct buf params = BUF_INIT, answer = BUF_INIT;
	_cleanup_(fd_closep) int fd = control_connect(pid);
	struct kedge_span status;
	int r = 0;

	/* One that was killed left its socket: it is simply not there. */
	if (fd < 0)
		return fd == -ECONNREFUSED || fd == -ENOENT ? 0 : fd;
	if (o->path) {
		r = buf_appendf(&params, "{\"path\":");
		if (r == 0)
			r = json_append_string(&params, kedge_span(o->path));
		if (r == 0)
			r = buf_append(&params, "}", 2);
	}
	if (r == 0)
		r = control_ask(fd, "sockets_status", o->path ? buf_front(&params) : NULL, &answer);
	if (r < 0)
		return r;
	told->peers++;
	status = buf_span(&answer);
	if (o->json)
		show_json(status, pid, told);
	else
		show_paths(status, pid, told);
	return 0;
}

static int parse(int argc, char **argv, struct status_options *o)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c != 'j')
			return usage_error("status: '%s' is no option", argv[optind - 1]);
		o->json = true;
	}
	if (argc - optind > 1)
		return usage_error("status: takes one PATH at most");
	if (!argv[optind])
		return EXIT_OK;
	if (!*argv[optind])
		return usage_error("status: the path is empty");
	if (*argv[optind] == '@')
		return usage_error("status: '%s' is an abstract name: it has no path to guard",
				   argv[optind]);
	o->path = reach_absolute(argv[optind]);
	return o->path ? EXIT_OK : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	struct status_options o = { 0 };
	struct control_peers peers;
	struct told told = { 0 };
	_cleanup_(freep) char *path = NULL;
	int r = parse(argc, argv, &o), failed = 0;

	if (r != EXIT_OK)
		return r;
	r = control_peers_find(&peers);
	for (size_t i = 0; r == 0 && i < peers.count; i++) {
		int e = ask_one(peers.pids[i], &o, &told);

		if (e < 0)
			usage_complain("pid %d does not answer: %s", (int)peers.pids[i],
				       error_words(e));
		failed |= e < 0;
	}
	control_peers_deinit(&peers);
	path = o.path;
	if (o.json)
		puts(told.begun ? "]" : "[]");
	if (r < 0 && r != -ENOENT)
		usage_complain("the runtime directory: %s", error_words(r));
	else if (!told.peers && !failed && !o.json)
		control_complain_alone();
	else if (o.path && !told.paths && !o.json)
		usage_complain("%s is guarded by no kedge", o.path);
	if (r < 0 || failed || !told.peers || (o.path && !told.paths && !o.json))
		return EXIT_FAILED;
	return told.unwell ? EXIT_FAILED : EXIT_OK;
}

const struct command command_status = {
	.name = "status",
	.summary = "show where the guarded paths stand",
	.help = "Usage: kedge status [--json] [PATH]\n\n"
		"Asks each kedge on this machine that guards, serves or runs: root's where root\n"
		"asks, else those of this user ($XDG_RUNTIME_DIR/kedge).\n\n"
		"  --json   [{\"pid\":N,\"status\":{\"paths\":[...],...}},...]\n\n"
		"States: reachable; repairing, displaced, blocked (lost); left-alone (its own\n"
		"daemon took it away); awaited (nobody listens yet).\n\n"
		"Exit status: 0 all are reachable; 1 one is not, or nobody could be asked.\n\n"
		"  kedge status /run/redis/redis-server.sock\n",
	.run = run,
};
