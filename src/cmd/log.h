/*
 * The command's log: a line a happening, as text or as JSON, on stderr or in a
 * file that is opened again on demand.
 */
#pragma once

#include <stdbool.h>

#include "kedge/guard.h"
#include "kedge/watchdog.h"

enum log_format {
	LOG_TEXT = 0,
	LOG_JSON,
};

struct log {
	enum log_format format;
	enum kedge_log_level level; /* what is below is left out */
	const char *path;           /* NULL: stderr */
	int fd;
	bool journal; /* the journal reads @fd, and is given fields */
};

extern const char *const log_level_names[4];
extern const char *const log_format_names[2];

/* Open the file, if there is one. Return: 0 or -errno. */
int log_open(struct log *log);

/* Open it anew, after somebody moved it away. On failure the old one is used on. */
int log_reopen(struct log *log);

void log_line(struct log *log, enum kedge_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Who did what an event tells of. */
struct log_actor {
	int64_t pid;
	int64_t uid; /* -1: it was gone before it could be asked */
	const char *comm, *exe;
};

/* What happened to a path, in words for a person, or in fields for a machine. @by: NULL:
 * nobody knows. */
void log_guard_event(struct log *log, const struct kedge_event *event, const struct log_actor *by);
