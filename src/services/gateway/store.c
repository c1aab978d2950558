#include "services/gateway/store.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "services/gateway/db.h"

/* Writes that may wait for the disk. */
#define WRITES_MAX 65536

const char *const threshold_names[THRESHOLD_COUNT] = { "none", "low", "medium", "high" };
const char *const global_names[GLOBAL_COUNT] = { "interactive", "autonomous", "headless" };

/* What holds where nothing is stored: medium, low, none. */
static const struct globals globals_default = { { 2, 1, 0 } };

enum statement {
	SELECT_VERSION = 0,
	SELECT_GLOBALS,
	SELECT_CONVERSATION,
	SELECT_COUNT,
};

static const char *const selects[SELECT_COUNT] = {
	[SELECT_VERSION] = "PRAGMA data_version",
	[SELECT_GLOBALS] = "SELECT interactive, autonomous, headless"
			   " FROM auto_approve_thresholds WHERE id = 1",
	[SELECT_CONVERSATION] = "SELECT threshold FROM conversation_threshold_overrides"
				" WHERE conversation_id = ?1",
};

static const char *const writes[] = {
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

struct job {
	struct list link;
	struct write write;
	store_done_fn *done;
	void *userdata;
	struct outcome outcome;
};

struct store {
	uv_loop_t *loop;
	sqlite3 *reader, *writer;
	sqlite3_stmt *read[SELECT_COUNT];
	sqlite3_stmt *write[ARRAY_SIZE(writes)];
	sqlite3_stmt *behind[SELECT_COUNT]; /* the writer's own, for reads that wait their turn */
	struct globals globals;             /* as last read, while @globals_good */
	bool globals_good;
	uint64_t checked_ms; /* loop time at which other processes' writes were looked for */
	int data_version;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queued, done; /* struct job */
	size_t waiting;
	size_t waiting_globals;   /* ... of which so many write the globals */
	struct map waiting_by_id; /* hash of a conversation -> how many write it */
	bool closing;
	uv_async_t async;
};

/* Reading. */

static int threshold_index(const unsigned char *name)
{
	for (int i = 0; name && i < THRESHOLD_COUNT; i++)
		if (strcmp((const char *)name, threshold_names[i]) == 0)
			return i;
	return -1;
}

static int read_globals(sqlite3_stmt *statement, struct globals *ret)
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

/* Another process may write as well: ask for that once a millisecond of loop time. */
static void check_version(struct store *s)
{
	uint64_t now = uv_now(s->loop);
	int version = -1;

	if (s->globals_good && now == s->checked_ms)
		return;
	s->checked_ms = now;
	if (sqlite3_step(s->read[SELECT_VERSION]) == SQLITE_ROW)
		version = sqlite3_column_int(s->read[SELECT_VERSION], 0);
	(void)sqlite3_reset(s->read[SELECT_VERSION]);
	if (version != s->data_version)
		s->globals_good = false;
	s->data_version = version;
}

int store_globals(struct store *s, struct globals *ret, const char **ret_words)
{
	check_version(s);
	if (!s->globals_good) {
		if (read_globals(s->read[SELECT_GLOBALS], &s->globals) < 0) {
			*ret_words = sqlite3_errmsg(s->reader);
			return -EIO;
		}
		s->globals_good = true;
	}
	*ret = s->globals;
	return 0;
}

/* Return: an index; -ENOENT: none; -EIO. */
static int read_conversation(sqlite3_stmt *statement, const char *id, size_t size)
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

int store_conversation(struct store *s, const char *id, size_t size, const char **ret_words)
{
	int r = read_conversation(s->read[SELECT_CONVERSATION], id, size);

	if (r == -EIO)
		*ret_words = sqlite3_errmsg(s->reader);
	return r;
}

/* What is on its way to the disk. */

static uint64_t write_key(const struct write *w)
{
	return map_hash(w->conversation, w->conversation_size);
}

/* One more write of a conversation waits, or one less. Return: 0, or -ENOMEM. */
static int count_write(struct store *s, const struct write *w, intptr_t by)
{
	intptr_t count;

	switch (w->kind) {
	case READ_GLOBALS:
	case READ_CONVERSATION:
		return 0;
	case WRITE_GLOBALS:
		s->waiting_globals += (size_t)by;
		return 0;
	default:
		count = (intptr_t)map_get(&s->waiting_by_id, write_key(w)) + by;
		if (count > 0)
			return map_put(&s->waiting_by_id, write_key(w), (void *)count);
		(void)map_remove(&s->waiting_by_id, write_key(w));
		return 0;
	}
}

bool store_globals_waiting(const struct store *s)
{
	return s->waiting_globals > 0;
}

bool store_conversation_waiting(const struct store *s, const char *id, size_t size)
{
	/* Two ids of one hash make a reader wait in vain, and no more than that. */
	return map_get(&s->waiting_by_id, map_hash(id, size)) != NULL;
}

/* Writing, on the worker's thread. */

static void bind_write(sqlite3_stmt *statement, const struct write *w)
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

static void job_failed(struct job *job, sqlite3 *db)
{
	int r = db_errno(sqlite3_errcode(db));

	job->outcome.error = r ? r : -EIO;
	(void)snprintf(job->outcome.words, sizeof(job->outcome.words), "%s", sqlite3_errmsg(db));
}

static bool run_write(struct store *s, struct job *job)
{
	sqlite3_stmt *statement = s->write[job->write.kind];
	int r;

	bind_write(statement, &job->write);
	r = sqlite3_step(statement);
	if (r == SQLITE_DONE)
		job->outcome.changed = sqlite3_changes(s->writer);
	else
		job_failed(job, s->writer);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return r == SQLITE_DONE;
}

static void run_job(struct store *s, struct job *job)
{
	struct outcome *o = &job->outcome;
	int r = 0;

	switch (job->write.kind) {
	case WRITE_GLOBALS:
		if (!run_write(s, job))
			return;
		/* fall through */
	case READ_GLOBALS:
		r = read_globals(s->behind[SELECT_GLOBALS], &o->globals);
		break;
	case READ_CONVERSATION:
		o->threshold = read_conversation(s->behind[SELECT_CONVERSATION],
						 job->write.conversation,
						 job->write.conversation_size);
		r = o->threshold == -EIO ? -EIO : 0;
		break;
	default:
		(void)run_write(s, job);
	}
	if (r < 0)
		job_failed(job, s->writer);
}

/* One transaction for all that waits. What is not committed has failed as a whole. */
static void run_batch(struct store *s, struct list *batch)
{
	bool begun = sqlite3_exec(s->writer, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
	bool committed = false;

	list_for_each (it, batch) {
		struct job *job = list_entry(it, struct job, link);

		/* A full disk ends the transaction by itself. */
		if (begun && !sqlite3_get_autocommit(s->writer))
			run_job(s, job);
	}
	if (begun && !sqlite3_get_autocommit(s->writer))
		committed = sqlite3_exec(s->writer, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	if (committed)
		return;
	list_for_each (it, batch)
		if (!list_entry(it, struct job, link)->outcome.error)
			job_failed(list_entry(it, struct job, link), s->writer);
	if (!sqlite3_get_autocommit(s->writer))
		(void)sqlite3_exec(s->writer, "ROLLBACK", NULL, NULL, NULL);
}

static void move_all(struct list *from, struct list *to)
{
	struct list *it;

	while ((it = list_first(from))) {
		list_unlink(it);
		list_append(to, it);
	}
}

static void *work(void *userdata)
{
	struct store *s = userdata;
	struct list batch = LIST_INIT(batch);

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		while (list_empty(&s->queued) && !s->closing)
			(void)pthread_cond_wait(&s->work, &s->lock);
		if (list_empty(&s->queued))
			break;
		move_all(&s->queued, &batch);
		(void)pthread_mutex_unlock(&s->lock);
		run_batch(s, &batch);
		(void)pthread_mutex_lock(&s->lock);
		move_all(&batch, &s->done);
		if (!s->closing)
			(void)uv_async_send(&s->async);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void job_free(struct job *job)
{
	free(job->write.conversation);
	free(job);
}

static void on_done(uv_async_t *async)
{
	struct store *s = async->data;
	struct list done = LIST_INIT(done);
	struct list *it;

	(void)pthread_mutex_lock(&s->lock);
	move_all(&s->done, &done);
	(void)pthread_mutex_unlock(&s->lock);
	s->globals_good = false;
	while ((it = list_first(&done))) {
		struct job *job = list_entry(it, struct job, link);

		list_unlink(it);
		s->waiting--;
		(void)count_write(s, &job->write, -1);
		if (s->waiting == 0)
			uv_unref((uv_handle_t *)&s->async);
		job->done(&job->outcome, job->userdata);
		job_free(job);
	}
}

int store_write(struct store *s, const struct write *write, store_done_fn *done, void *userdata)
{
	struct job *job = s->waiting < WRITES_MAX ? calloc(1, sizeof(*job)) : NULL;

	if (!job) {
		free(write->conversation);
		return s->waiting < WRITES_MAX ? -ENOMEM : -ENOBUFS;
	}
	*job = (struct job){ .write = *write, .done = done, .userdata = userdata };
	if (count_write(s, write, 1) < 0) {
		job_free(job);
		return -ENOMEM;
	}
	if (s->waiting++ == 0)
		uv_ref((uv_handle_t *)&s->async);
	(void)pthread_mutex_lock(&s->lock);
	list_append(&s->queued, &job->link);
	(void)pthread_cond_signal(&s->work);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

/* Opening and closing. */

static void close_dbs(struct store *s)
{
	for (size_t i = 0; i < SELECT_COUNT; i++) {
		sqlite3_finalize(s->read[i]);
		sqlite3_finalize(s->behind[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		sqlite3_finalize(s->write[i]);
	sqlite3_close(s->reader);
	sqlite3_close(s->writer);
}

static int open_dbs(struct store *s, const char *path, struct kedge_error *error)
{
	const struct db_statements write = { writes, ARRAY_SIZE(writes), s->write };
	const struct db_statements read = { selects, SELECT_COUNT, s->read };
	const struct db_statements behind = { selects, SELECT_COUNT, s->behind };
	int r = db_open(&s->writer, path, error);

	if (r == 0)
		r = db_migrate(s->writer, &write, path, error);
	if (r == 0)
		r = db_open(&s->reader, path, error);
	if (r == 0)
		r = db_prepare(s->reader, &read, path, error);
	if (r == 0)
		r = db_prepare(s->writer, &behind, path, error);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int store_open(struct store **ret, uv_loop_t *loop, const char *path, struct kedge_error *error)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(error, -ENOMEM, "out of memory");
	s->loop = loop;
	list_init(&s->queued);
	list_init(&s->done);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->work, NULL);
	r = open_dbs(s, path, error);
	if (r == 0)
		r = uv_async_init(loop, &s->async, on_done);
	if (r < 0) {
		close_dbs(s);
		free(s);
		return r;
	}
	s->async.data = s;
	uv_unref((uv_handle_t *)&s->async);
	if (pthread_create(&s->thread, NULL, work, s) != 0) {
		s->closing = true;
		close_dbs(s);
		uv_close((uv_handle_t *)&s->async, on_closed);
		return error_set(error, -EAGAIN, "no thread for the database");
	}
	*ret = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	struct list *it;

	(void)pthread_mutex_lock(&s->lock);
	s->closing = true;
	(void)pthread_cond_signal(&s->work);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->thread, NULL);
	while ((it = list_first(&s->done))) {
		list_unlink(it);
		job_free(list_entry(it, struct job, link));
	}
	close_dbs(s);
	map_deinit(&s->waiting_by_id);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_cond_destroy(&s->work);
	uv_close((uv_handle_t *)&s->async, on_closed);
	return NULL;
}
