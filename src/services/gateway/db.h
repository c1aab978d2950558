/*
 * The gateway's database file: opened, recognised, brought to the present schema.
 *
 * Nothing is written before the file has shown that it is a database we know: what is
 * broken, or of a newer kedge, is told of and left as it is.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "kedge/error.h"

/* The negative errno value that is nearest to a result of SQLite's; 0 for its good ones. */
int db_errno(int sqlite);

/* Open, or make, the file. @ret is to be closed also on failure. Return: 0; negative: @error has
 * words. */
int db_open(sqlite3 **ret, const char *path, struct kedge_error *error);

/* Whether the file is no longer at the path that it was opened by. One stat(2). */
bool db_has_moved(sqlite3 *db);

/* NULL is allowed. What has come to the path of a file that was moved is left alone.
 * Return: NULL. */
sqlite3 *db_close(sqlite3 *db);

/* Statements for long use: @ret has room for as many as there is text. */
struct db_statements {
	const char *const *sql;
	size_t count;
	sqlite3_stmt **ret;
};

/* Check what is there, make what is missing, and prepare what is to be @used: where that
 * fits other tables than there are, they stay as they are. Return: as above. */
int db_migrate(sqlite3 *db, const struct db_statements *used, const char *path,
	       struct kedge_error *error);

/* Return: as above. */
int db_prepare(sqlite3 *db, const struct db_statements *statements, const char *path,
	       struct kedge_error *error);
