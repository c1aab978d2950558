/*
 * The table of settings: a row each, and how their values are read.
 */
#pragma once

#include "cmd/settings.h"

#define SETTINGS_ROWS_MAX 32

/* A value on its way into the settings. */
struct assignment {
	struct settings *settings;
	struct server_settings *target;
	const struct setting *setting;
	const char *where; /* "--mode", "FILE:3: mode" */
	const char *value;
};

typedef int assign_fn(const struct assignment *a, struct kedge_error *error);

enum scope {
	SCOPE_PROCESS = 0, /* one value for all */
	SCOPE_SERVER,      /* for each server, if wanted */
};

struct setting {
	const char *name;
	assign_fn *assign;
	size_t offset, size; /* in struct server_settings, or struct settings */
	int64_t low, high;   /* of numbers */
	enum scope scope;
	enum { ONCE = 0, LIST } how_often;
};

extern const struct setting settings_table[];
extern const size_t settings_row_count;

/* From whom a value comes. */
enum source {
	SOURCE_FLAG = 0,
	SOURCE_FILE,
};

/* Take a value in, where it counts. Return: 0, or -EINVAL with @error filled. */
int settings_assign(const struct assignment *a, enum source source, struct kedge_error *error);

/* A copy of a text that lives as long as the settings. NULL: out of memory. */
char *settings_keep(struct settings *s, const char *text);
