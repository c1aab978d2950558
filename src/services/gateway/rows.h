/*
 * The rows of the gateway's tables: the statements that read and write them.
 */
#pragma once

#include <sqlite3.h>

#include "services/gateway/store.h"

enum statement {
	SELECT_VERSION = 0, /* changes with each write of another connection */
	SELECT_GLOBALS,
	SELECT_CONVERSATION,
	SELECT_COUNT,
};

extern const char *const rows_selects[SELECT_COUNT];

/* By the kinds of writes. */
#define WRITE_COUNT (WRITE_CLEAR + 1)

extern const char *const rows_writes[WRITE_COUNT];

/* Columns that hold nothing, or no threshold, have the defaults. Return: 0, or -EIO. */
int rows_read_globals(sqlite3_stmt *statement, struct globals *ret);

/* Return: an index into threshold_names; -ENOENT: none; -EIO. */
int rows_read_conversation(sqlite3_stmt *statement, const char *id, size_t size);

/* The parameters of a write's statement. Borrowed: @w stays until it is reset. */
void rows_bind(sqlite3_stmt *statement, const struct write *w);
