/* kedge events: what happened to the guarded paths of this machine. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/control.h"
#include "cmd/happened.h"
#include "sys/clock.h"
#include "wire/json.h"

/* Kedges that are followed at a time. */
#define PEERS_MAX 64

/* Who starts later is looked for so often while following. */
#define NEWCOMERS_MS 1000

struct events_options {
	int64_t since_ms; /* 0: all that are kept */
	bool follow, json;
};

struct peer {
	pid_t pid;
	int fd; /* -1: not followed (any more) */
	struct buf input;
};

struct follow {
	struct peer peers[PEERS_MAX];
	size_t count;
};

static void print_event(struct kedge_span event, pid_t guard, const struct events_options *o)
{
	_cleanup_(buf_deinit) struct buf line = BUF_INIT;

	if (o->json) {
		printf("{\"guard\":%d,%.*s\n", (int)guard, (int)event.size - 1, event.data + 1);
		return;
	}
	if (happened_append(&line, event, HAPPENED_WITH_PATH) == 0)
		printf("%.*s\n", (int)buf_size(&line), buf_front(&line));
}

/* What one has kept, up to now. */
static int show_kept(int fd, pid_t pid, const struct events_options *o)
{
	_cleanup_(buf_deinit) struct buf answer = BUF_INIT;
	struct kedge_span event;
	const char *at = NULL;
	char params[64];
	int r;

	(void)snprintf(params, sizeof(params), "{\"since\":%" PRId64 "}", o->since_ms);
	r = control_ask(fd, "sockets_events", params, &answer);
	if (r < 0)
		return r;
	while (json_next_element(buf_span(&answer), &at, &event))
		print_event(event, pid, o);
	return 0;
}

static bool is_followed(const struct follow *f, pid_t pid)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->peers[i].pid == pid && f->peers[i].fd >= 0)
			return true;
	return false;
}

static struct peer *free_peer(struct follow *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->peers[i].fd < 0)
			return &f->peers[i];
	return f->count < PEERS_MAX ? &f->peers[f->count++] : NULL;
}

/* Meet those that are not followed yet. Return: how many could not be asked. */
static int meet_peers(struct follow *f, const struct events_options *o, size_t *ret_met)
{
	struct control_peers peers;
	int failed = 0;

	if (control_peers_find(&peers) < 0)
		return 1;
	for (size_t i = 0; i < peers.count; i++) {
		int fd = is_followed(f, peers.pids[i]) ? -EEXIST : control_connect(peers.pids[i]);
		struct peer *peer;

		if (fd < 0) {
			failed += fd != -EEXIST && fd != -ECONNREFUSED && fd != -ENOENT;
			continue;
		}
		(*ret_met)++;
		if (show_kept(fd, peers.pids[i], o) < 0)
			failed++;
		peer = o->follow ? free_peer(f) : NULL;
		if (peer)
			*peer = (struct peer){ .pid = peers.pids[i], .fd = fd };
		else
			fd_close(fd);
	}
	control_peers_deinit(&peers);
	return failed;
}

static void read_peer(struct peer *peer, const struct events_options *o)
{
	_cleanup_(buf_deinit) struct buf line = BUF_INIT;
	int r;

	while ((r = control_read_line(peer->fd, &peer->input, &line, 0)) == 0) {
		struct kedge_span text = buf_span(&line);

		if (json_is_valid(text, JSON_DEPTH_MAX) &&
		    json_string_is(json_member(text, "event"), "sockets_event"))
			print_event(json_member(text, "data"), peer->pid, o);
	}
	fflush(stdout);
	if (r == -ETIMEDOUT)
		return;
	peer->fd = fd_close(peer->fd);
	buf_deinit(&peer->input);
}

/* Until the reader of our output is gone, or a signal comes. */
static int follow(struct follow *f, struct events_options *o)
{
	struct pollfd polls[PEERS_MAX + 1];
	size_t met = 0;

	while (!ferror(stdout)) {
		for (size_t i = 0; i < f->count; i++)
			polls[i] = (struct pollfd){ .fd = f->peers[i].fd, .events = POLLIN };
		/* A pipe that nobody reads from any more. */
		polls[f->count] = (struct pollfd){ .fd = STDOUT_FILENO };
		(void)poll(polls, f->count + 1, NEWCOMERS_MS);
		if (polls[f->count].revents & (POLLERR | POLLHUP))
			return EXIT_OK;
		for (size_t i = 0; i < f->count; i++)
			if (f->peers[i].fd >= 0 && polls[i].revents)
				read_peer(&f->peers[i], o);
		o->since_ms = 0;
		(void)meet_peers(f, o, &met);
		fflush(stdout);
	}
	return EXIT_FAILED;
}

/* 90s, 10m, 2h, 3d: so long ago; @SECONDS: since the epoch. Return: 0 or -EINVAL. */
static int parse_since(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	size_t n = strlen(text);
	char number[24];
	int64_t value;

	if (text[0] == '@') {
		if (parse_number(text + 1, 0, INT64_C(1) << 36, &value) < 0)
			return -EINVAL;
		*ret_ms = value * 1000;
		return 0;
	}
	if (n < 2 || n > sizeof(number))
		return -EINVAL;
	memcpy(number, text, n - 1);
	number[n - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (text[n - 1] != units[i].unit)
			continue;
		if (parse_number(number, 0, 1000000, &value) < 0)
			return -EINVAL;
		*ret_ms = realtime_ms() - value * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

static int parse(int argc, char **argv, struct events_options *o)
{
	static const struct option longs[] = { { "follow", no_argument, NULL, 'f' },
					       { "since", required_argument, NULL, 's' },
					       { "json", no_argument, NULL, 'j' },
					       { 0 } };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":f", longs, NULL)) != -1) {
		if (c == 'f')
			o->follow = true;
		else if (c == 'j')
			o->json = true;
		else if (c != 's')
			return usage_error("events: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		else if (parse_since(optarg, &o->since_ms) < 0)
			return usage_error("--since '%s': as 90s, 10m, 2h, 3d, or @SECONDS since "
					   "the epoch",
					   optarg);
	}
	return argc == optind ? EXIT_OK : usage_error("events: takes no arguments");
}

static int run(int argc, char **argv)
{
	static struct follow f;
	struct events_options o = { 0 };
	size_t met = 0;
	int failed, r = parse(argc, argv, &o);

	if (r != EXIT_OK)
		return r;
	failed = meet_peers(&f, &o, &met);
	fflush(stdout);
	if (failed)
		usage_complain("%d of them could not be asked", failed);
	if (o.follow)
		return follow(&f, &o);
	if (!met && !failed)
		control_complain_alone();
	return failed || !met ? EXIT_FAILED : EXIT_OK;
}

const struct command command_events = {
	.name = "events",
	.summary = "show what happened to the guarded paths",
	.help = "Usage: kedge events [--follow] [--since T] [--json]\n\n"
		"Asks each kedge on this machine that guards, serves or runs (as kedge status\n"
		"does) for the events that it keeps: the last 4096.\n\n"
		"  --follow    go on with what happens from now on, also of who starts later\n"
		"  --since T   not older than 90s, 10m, 2h, 3d, or @SECONDS since the epoch\n"
		"  --json      a JSON object a line\n\n"
		"  kedge events --since 1h\n"
		"  kedge events --follow --json | jq 'select(.event == \"lost\")'\n",
	.run = run,
};
