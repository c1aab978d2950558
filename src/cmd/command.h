/*
 * Commands: main.c has the table, each sub-command a file.
 */
#pragma once

#include <stdint.h>

/* Exit statuses: of wire.md for `call`, and of usage errors for all. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,   /* also: the server refused with a 4xx */
	EXIT_SERVER = 3,  /* the server failed with a 5xx */
	EXIT_SILENT = 10, /* nothing answered, or without a status */
};

struct command {
	const char *name;
	const char *summary;
	const char *help; /* fits a screen: 40 lines of 80 columns */
	/* argv[0] is the sub-command's name. Return: the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct command command_serve, command_call, command_ls, command_check, command_wait,
	command_rescue, command_run, command_guard, command_status, command_events, command_top;

/* Say what is wrong on stderr, one line. */
void usage_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and the value is EXIT_USAGE: `return usage_error(...)`. */
#define usage_error(...) (usage_complain(__VA_ARGS__), EXIT_USAGE)

/* A whole number from @low to @high. Return: 0, or -EINVAL. */
int parse_number(const char *text, int64_t low, int64_t high, int64_t *ret);

/* Seconds from 0 to @max_s, with a fraction or without. Return: 0, or -EINVAL. */
int parse_seconds(const char *text, int64_t max_s, int64_t *ret_ms);
