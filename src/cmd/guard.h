/* kedge guard: its options, and the process that they start. */
#pragma once

#include <stdbool.h>

#include "api/tender.h"
#include "guard/tend.h"
#include "cmd/log.h"

/* A settle time beyond a minute is a mistake in units. */
#define GUARD_SETTLE_MAX_MS 60000

struct guard_words {
	char **items;
	size_t count;
};

struct guard_options {
	struct guard_words paths;  /* owned, all of these */
	struct guard_words all_of; /* pids and units, until they are resolved */
	char *anchor_dir;
	char *metrics_file;
	int64_t settle_ms;
	int64_t interval_ms;
	int ready_fd; /* -1: none */
	bool wait;
	enum tender_attribution attribution;
	struct log log;
	char *log_file;
};

/* The options, by their long names; a configuration file knows those with @in_file. */
enum guard_key {
	GUARD_PATH = 1,
	GUARD_ALL_OF,
	GUARD_ANCHOR_DIR,
	GUARD_VAULT,
	GUARD_SETTLE,
	GUARD_INTERVAL,
	GUARD_WAIT,
	GUARD_ATTRIBUTION,
	GUARD_METRICS,
	GUARD_LOG_FORMAT,
	GUARD_LOG_LEVEL,
	GUARD_LOG_FILE,
	GUARD_READY_FD, /* the command line's alone, from here on */
	GUARD_CONFIG,
	GUARD_CHECK,
};

/**
 * guard_set() - take one option in
 * @where: how to call it in a complaint: "--settle", "FILE:3: settle"
 *
 * Return: EXIT_OK, or EXIT_USAGE after a complaint.
 */
int guard_set(struct guard_options *o, enum guard_key key, const char *where, const char *value);

/**
 * guard_take_config() - take the options of a configuration file in
 * @file: how to call it in a complaint
 * @text: @size bytes and a NUL; cut up on the way
 *
 * Return: as guard_set().
 */
int guard_take_config(struct guard_options *o, const char *file, char *text, size_t size);

/* The same with what is in a file. */
int guard_read_config(struct guard_options *o, const char *file);

/* Add the paths that a process, or the processes of a unit, listen at. Return: EXIT_OK,
 * EXIT_USAGE, EXIT_FAILED. */
int guard_resolve(struct guard_options *o);

void guard_options_deinit(struct guard_options *o);

int guard_add_word(struct guard_words *words, const char *text);

/* Guard, until a signal. Return: the exit status. */
int guard_run(struct guard_options *o);
