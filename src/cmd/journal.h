/*
 * The journal: where systemd's journal reads our stderr, events go to it with
 * their fields, so that `journalctl KEDGE_EVENT=lost` finds them.
 */
#pragma once

#include <stdbool.h>

#include "cmd/log.h"

/* Whether @fd is what $JOURNAL_STREAM says the journal reads. */
bool journal_reads(int fd);

/* Return: 0; negative: the journal does not take it, and @fd is to be written to. */
int journal_line(enum kedge_log_level level, const char *message);

/* The same with the event's fields: KEDGE_EVENT, KEDGE_PATH, KEDGE_CAUSE, KEDGE_BY_COMM, ... */
int journal_event(enum kedge_log_level level, const char *message, const struct kedge_event *event,
		  const struct log_actor *by);
