/*
 * The account a kedge gives of its paths: a ledger that is fed with events, answers for it
 * on the control socket (kedge status, kedge events), and Prometheus's file.
 *
 * Without a control socket paths are guarded all the same; the process only cannot be
 * asked. That is said once.
 */
#pragma once

#include <uv.h>

#include "base/streak.h"
#include "cmd/log.h"
#include "services/ledger.h"

struct process;

struct account {
	struct ledger *ledger;
	struct log *log;          /* borrowed */
	const char *metrics_file; /* borrowed; NULL: none is written */
	struct kedge_server *control;
	uv_timer_t metrics;
	struct streak metrics_streak;
	bool opened;
};

/* Return: 0 or -ENOMEM. */
int account_init(struct account *a, struct log *log, const char *metrics_file);

/* Take an event to the log and the ledger. @by: who did it; NULL: nobody knows. */
void account_note(struct account *a, const struct kedge_event *event, const struct process *by);

/* To the ledger alone. */
void account_keep(struct account *a, const struct kedge_event *event, const struct process *by);

/* Be asked from now on, and write the file. Neither keeps what @loop serves waiting. */
void account_open(struct account *a, uv_loop_t *loop);

/* The end of it: handles are closed in the loop's next rounds. Again: nothing. */
void account_close(struct account *a);

/* After the loop. */
void account_deinit(struct account *a);
