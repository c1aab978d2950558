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
#include "services/gateway/rows.h"

/* Writes that may wait for the disk. */
#define WRITES_MAX 65536

struct job {
	struct list link;
	struct write write;
	store_done_fn *done;
	void *userdata;
	struct outcome outcome;
};

struct store {
	uv_loop_t *loop;
	char *path;
	void (*on_moved)(void *userdata);
	void *userdata;
	sqlite3 *reader, *writer; /* NULL: the file is gone, and no other was opened yet */
	sqlite3_stmt *read[SELECT_COUNT];
	sqlite3_stmt *write[WRITE_COUNT];
	sqlite3_stmt *behind[SELECT_COUNT]; /* the writer's own, for reads that wait their turn */
	struct globals globals;             /* as last read, while @globals_good */
	bool globals_good;
	uint64_t checked_ms; /* loop time at which other processes' writes were looked for */
	uint64_t placed_ms;  /* ... at which the reader's file was looked for at its path ... */
	bool in_place;       /* ... and found */
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

/* Its two connections: each belongs to its thread. */

static void finalize(sqlite3_stmt **statements, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sqlite3_finalize(statements[i]);
		statements[i] = NULL;
	}
}

static void close_writer(struct store *s)
{
	finalize(s->write, WRITE_COUNT);
	finalize(s->behind, SELECT_COUNT);
	s->writer = db_close(s->writer);
}

static int open_writer(struct store *s, struct kedge_error *error)
{
	const struct db_statements write = { rows_writes, WRITE_COUNT, s->write };
	const struct db_statements behind = { rows_selects, SELECT_COUNT, s->behind };
	int r = db_open(&s->writer, s->path, error);

	if (r == 0)
		r = db_migrate(s->writer, &write, s->path, error);
	return r < 0 ? r : db_prepare(s->writer, &behind, s->path, error);
}

static void close_reader(struct store *s)
{
	finalize(s->read, SELECT_COUNT);
	s->reader = db_close(s->reader);
}

static int open_reader(struct store *s, struct kedge_error *error)
{
	const struct db_statements read = { rows_selects, SELECT_COUNT, s->read };
	int r = db_open(&s->reader, s->path, error);

	return r < 0 ? r : db_prepare(s->reader, &read, s->path, error);
}

/* Reading. */

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
		if (rows_read_globals(s->read[SELECT_GLOBALS], &s->globals) < 0) {
			*ret_words = sqlite3_errmsg(s->reader);
			return -EIO;
		}
		s->globals_good = true;
	}
	*ret = s->globals;
	return 0;
}

int store_conversation(struct store *s, const char *id, size_t size, const char **ret_words)
{
	int r = rows_read_conversation(s->read[SELECT_CONVERSATION], id, size);

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

/*
 * Whether what is read is what stands at the path: whoever removes or moves the
 * workspace takes the file along, and an answer out of it would be of no use to
 * the next server. Looked at once a millisecond of loop time.
 */
static bool is_in_place(struct store *s)
{
	uint64_t now = uv_now(s->loop);

	if (now != s->placed_ms) {
		s->placed_ms = now;
		s->in_place = s->reader && !db_has_moved(s->reader);
	}
	return s->in_place;
}

bool store_globals_waiting(struct store *s)
{
	return s->waiting_globals > 0 || !is_in_place(s);
}

bool store_conversation_waiting(struct store *s, const char *id, size_t size)
{
	/* Two ids of one hash make a reader wait in vain, and no more than that. */
	return map_get(&s->waiting_by_id, map_hash(id, size)) != NULL || !is_in_place(s);
}

/* Writing, on the worker's thread. */

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

	rows_bind(statement, &job->write);
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
		r = rows_read_globals(s->behind[SELECT_GLOBALS], &o->globals);
		break;
	case READ_CONVERSATION:
		o->threshold = rows_read_conversation(s->behind[SELECT_CONVERSATION],
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

static void fail_batch(struct list *batch, const struct kedge_error *error)
{
	list_for_each (it, batch) {
		struct job *job = list_entry(it, struct job, link);

		job->outcome.error = error->code;
		(void)snprintf(job->outcome.words, sizeof(job->outcome.words), "%.150s",
			       error->text);
	}
}

/* The file went from its path: what is written goes to the one that is there, or is made. */
static int follow(struct store *s, struct kedge_error *error)
{
	int r;

	if (s->writer && !db_has_moved(s->writer))
		return 0;
	close_writer(s);
	r = open_writer(s, error);
	if (r < 0)
		close_writer(s);
	return r;
}

/* One transaction for all that waits. What is not committed has failed as a whole. */
static void run_transaction(struct store *s, struct list *batch)
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

static void run_batch(struct store *s, struct list *batch)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	if (follow(s, &error) < 0)
		fail_batch(batch, &error);
	else
		run_transaction(s, batch);
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

/* The worker has been at the path: what it found there is read from now on. */
static void follow_writer(struct store *s)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	if (s->reader && !db_has_moved(s->reader))
		return;
	close_reader(s);
	if (open_reader(s, &error) < 0)
		close_reader(s);
	else if (s->on_moved)
		s->on_moved(s->userdata);
	s->placed_ms = 0;
}

static void on_done(uv_async_t *async)
{
	struct store *s = async->data;
	struct list done = LIST_INIT(done);
	bool followed = false;
	struct list *it;

	(void)pthread_mutex_lock(&s->lock);
	move_all(&s->done, &done);
	(void)pthread_mutex_unlock(&s->lock);
	s->globals_good = false;
	while ((it = list_first(&done))) {
		struct job *job = list_entry(it, struct job, link);

		list_unlink(it);
		/* Once for all that are done: it is a stat(2). */
		if (!job->outcome.error && !followed) {
			follow_writer(s);
			followed = true;
		}
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
	close_reader(s);
	close_writer(s);
}

static void on_closed(uv_handle_t *handle)
{
	struct store *s = handle->data;

	free(s->path);
	free(s);
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
	s->path = strdup(path);
	r = s->path ? open_writer(s, error) : error_set(error, -ENOMEM, "out of memory");
	if (r == 0)
		r = open_reader(s, error);
	if (r == 0)
		r = uv_async_init(loop, &s->async, on_done);
	if (r < 0) {
		close_dbs(s);
		free(s->path);
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

void store_on_moved(struct store *s, void (*fn)(void *userdata), void *userdata)
{
	s->on_moved = fn;
	s->userdata = userdata;
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
