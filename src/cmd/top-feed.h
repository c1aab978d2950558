/*
 * The feed of `kedge top`: the control sockets of the kedges of this machine, asked without
 * ever waiting for one of them.
 */
#pragma once

#include <poll.h>

#include "base/buf.h"
#include "cmd/top-ui.h"

/* A kedge that has not answered for so long is shown as silent. */
#define TOP_SILENT_MS 5000

/* What happened to a path makes us ask at once, and not more often than that. */
#define TOP_HURRY_MS 200

struct top_peer {
	pid_t pid;
	int fd; /* negative: it is gone */
	struct buf input;
	uint64_t asked_ns;
	bool awaited; /* its status is */
	bool silent;
};

struct top_feed {
	struct top_peer peers[TOP_SOURCES_MAX];
	size_t count;
	bool hurry; /* something happened: ask before the interval is over */
};

void top_feed_deinit(struct top_feed *feed);

/* Connect to newcomers, and ask each that owes no answer. Return: 0; negative: the runtime
 * directory cannot be read. */
int top_feed_ask(struct top_feed *feed, struct top_ui *ui, uint64_t now_ns);

/* Ask for the events of ui->looked_at. */
void top_feed_ask_events(struct top_feed *feed, const struct top_ui *ui);

/* Fill @polls, TOP_SOURCES_MAX of them. Return: how many. */
size_t top_feed_polls(const struct top_feed *feed, struct pollfd *polls);

/* Take in what has come. Return: 0 or -ENOMEM. */
int top_feed_read(struct top_feed *feed, struct top_ui *ui, struct top_moment now);

/* Whether an answer is owed that may still come. */
bool top_feed_waits(const struct top_feed *feed);
