#include "services/gateway/rows.h"

#include <errno.h>
#include <string.h>

const char *const threshold_names[THRESHOLD_COUNT] = { "none", "low", "medium", "high" };
const char *const global_names[GLOBAL_COUNT] = { "interactive", "autonomous", "headless" };

/* What holds where nothing is stored: medium, low, none. */
static const struct globals globals_default = { { 2, 1, 0 } };

const char *const rows_selects[SELECT_COUNT] = {
	[SELECT_VERSION] = "PRAGMA data_version",
	[SELECT_GLOBALS] = "SELECT interactive, autonomous, headless"
			   " FROM auto_approve_thresholds WHERE id = 1",
	[SELECT_CONVERSATION] = "SELECT threshold FROM conversation_threshold_overrides"
				" WHERE conversation_id = ?1",
};

const char *const rows_writes[WRITE_COUNT] = {
	[WRITE_GLOBALS] =
		"INSERT INTO auto_approve_thresholds(id, interactive, autonomous, headless)"
		" VALUES(1, coalesce(?1, 'medium'), coalesce(?2, 'low'), coalesce(?3, 'none'))"
		" ON CONFLICT(id) DO UPDATE SET interactive = coalesce(?1, interactive),"
		" autonomous = coalesce(?2, autonomous), headless = coalesce(?3, headless)",
	[WRITE_SET] = "INSERT INTO conversation_threshold_overrides"
		      "(conversation_id, threshold, updated_at) VALUES(?1, ?2, "
		      "strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
		      " ON CONFLICT(conversation_id) DO UPDATE SET"
		      " threshold = excluded.threshold, updated_at = excluded.updated_at",
	[WRITE_CLEAR] = "DELETE FROM conversation_threshold_overrides WHERE conversation_id = ?1",
};

static int threshold_index(const unsigned char *name)
{
	for (int i = 0; name && i < THRESHOLD_COUNT; i++)
		if (strcmp((const char *)name, threshold_names[i]) == 0)
			return i;
	return -1;
}

int rows_read_globals(sqlite3_stmt *statement, struct globals *ret)
{
	int r = sqlite3_step(statement);

	*ret = globals_default;
	for (int i = 0; r == SQLITE_ROW && i < GLOBAL_COUNT; i++) {
		int index = threshold_index(sqlite3_column_text(statement, i));

		if (index >= 0)
			ret->values[i] = index;
	}
	(void)sqlite3_reset(statement);
	return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : -EIO;
}

int rows_read_conversation(sqlite3_stmt *statement, const char *id, size_t size)
{
	int r, index = -ENOENT;

	(void)sqlite3_bind_text64(statement, 1, id, size, SQLITE_STATIC, SQLITE_UTF8);
	r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		index = threshold_index(sqlite3_column_text(statement, 0));
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		return -EIO;
	return index < 0 ? -ENOENT : index;
}

void rows_bind(sqlite3_stmt *statement, const struct write *w)
{
	if (w->kind == WRITE_GLOBALS) {
		for (int i = 0; i < GLOBAL_COUNT; i++)
			if (w->globals.values[i] >= 0)
				(void)sqlite3_bind_text(statement, i + 1,
							threshold_names[w->globals.values[i]], -1,
							SQLITE_STATIC);
		return;
	}
	(void)sqlite3_bind_text64(statement, 1, w->conversation, w->conversation_size,
				  SQLITE_STATIC, SQLITE_UTF8);
	if (w->kind == WRITE_SET)
		(void)sqlite3_bind_text(statement, 2, threshold_names[w->threshold], -1,
					SQLITE_STATIC);
}
