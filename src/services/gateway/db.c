#include "services/gateway/db.h"

#include <errno.h>

#include "base/error.h"
#include "services/gateway/vfs.h"

/* How long another process's transaction is waited for. A client waits 5 s for its answer,
 * and is to see ours. */
#define BUSY_MS 4000

/* Of the tables below. Version 0 is a database that the product made before kedge. */
#define SCHEMA_VERSION 1

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS auto_approve_thresholds("
	" id INTEGER PRIMARY KEY, interactive TEXT, autonomous TEXT, headless TEXT);"
	"CREATE TABLE IF NOT EXISTS conversation_threshold_overrides("
	" conversation_id TEXT PRIMARY KEY, threshold TEXT NOT NULL, updated_at TEXT);"
	"PRAGMA user_version=1;";

int db_errno(int sqlite)
{
	switch (sqlite & 0xFF) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_ERROR: /* our statements do not fit its tables */
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int db_error(sqlite3 *db, const char *path, struct kedge_error *error)
{
	int r = db_errno(sqlite3_errcode(db));

	return error_set(error, r ? r : -EIO, "the database %s: %s; it was left as it is", path,
			 sqlite3_errmsg(db));
}

int db_open(sqlite3 **ret, const char *path, struct kedge_error *error)
{
	if (sqlite3_open_v2(path, ret,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    vfs_name()) != SQLITE_OK)
		return db_error(*ret, path, error);
	(void)sqlite3_busy_timeout(*ret, BUSY_MS);
	return 0;
}

bool db_has_moved(sqlite3 *db)
{
	int moved = 0;

	return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	       moved;
}

sqlite3 *db_close(sqlite3 *db)
{
	int keep = 1;

	/* The last connection removes the log by its name, which may be another file's now. */
	if (db && db_has_moved(db))
		(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
	sqlite3_close(db);
	return NULL;
}

/* The first column of the first row, as a number. */
static int query_number(sqlite3 *db, const char *sql, int *ret)
{
	sqlite3_stmt *statement = NULL;
	int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return r == SQLITE_ROW ? 0 : -EIO;
}

/* Make the tables, where they are not there, in the transaction that is open. */
static int make_tables(sqlite3 *db, const struct db_statements *used, const char *path,
		       struct kedge_error *error)
{
	if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return db_error(db, path, error);
	return db_prepare(db, used, path, error);
}

/*
 * What the product made before us may have other tables of these names. That shows when
 * the statements are prepared, and then nothing of the transaction stays.
 */
static int upgrade(sqlite3 *db, const struct db_statements *used, const char *path,
		   struct kedge_error *error)
{
	int r;

	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return db_error(db, path, error);
	r = make_tables(db, used, path, error);
	if (r == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		r = db_error(db, path, error);
	if (r < 0 && !sqlite3_get_autocommit(db))
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* Nothing is written before the file has shown that it is a database we know. */
int db_migrate(sqlite3 *db, const struct db_statements *used, const char *path,
	       struct kedge_error *error)
{
	int version, count, r;

	if (query_number(db, "SELECT count(*) FROM sqlite_master", &count) < 0 ||
	    query_number(db, "PRAGMA user_version", &version) < 0)
		return db_error(db, path, error);
	if (version > SCHEMA_VERSION)
		return error_set(error, -EINVAL,
				 "the database %s has schema version %d, this kedge knows %d", path,
				 version, SCHEMA_VERSION);
	r = version == SCHEMA_VERSION ? db_prepare(db, used, path, error)
				      : upgrade(db, used, path, error);
	if (r == 0 && sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL,
				   NULL, NULL) != SQLITE_OK)
		r = db_error(db, path, error);
	return r;
}

int db_prepare(sqlite3 *db, const struct db_statements *statements, const char *path,
	       struct kedge_error *error)
{
	for (size_t i = 0; i < statements->count; i++)
		if (sqlite3_prepare_v3(db, statements->sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &statements->ret[i], NULL) != SQLITE_OK)
			return db_error(db, path, error);
	return 0;
}
