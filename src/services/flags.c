#include "services/flags.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "services/document.h"
#include "services/flagstext.h"

#define FLAGS_FILE "feature-flags.json"

/* A file that is larger is a mistake. */
#define FLAGS_BYTES_MAX (1 << 20)

/* Editors write in several steps: read when there has been quiet for so long. */
#define FLAGS_QUIET_MS 20

/* Where the directory cannot be watched, the file is looked at so often. */
#define FLAGS_POLL_MS 1000

struct flags {
	struct flags_options options;
	char path[PATH_MAX];
	json_t *values; /* an object */
	char *text;     /* the same as text */
	bool broken;
	bool changed;        /* the file, since it was read */
	struct stat watched; /* the directory */
	uv_fs_event_t watch;
	uv_fs_poll_t poll;
	uv_timer_t quiet;
	unsigned handles;
};

static json_t *load(const char *path, struct kedge_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int r = document_load(path, FLAGS_BYTES_MAX, &text, &size);

	if (r == -ENOENT)
		return json_object();
	if (r < 0) {
		(void)error_set(error, r, "%s",
				r == -EINVAL ? "it is not a regular file" : error_words(r));
		return NULL;
	}
	return flags_parse(text, size, error);
}

/* Take new values. Return: 1: they differ; 0: they are the same; -ENOMEM. */
static int adopt(struct flags *f, json_t *values)
{
	char *text = json_dumps(values, JSON_COMPACT);
	int differ;

	if (!text)
		return -ENOMEM;
	differ = !f->text || strcmp(text, f->text) != 0;
	json_decref(f->values);
	free(f->text);
	f->values = json_incref(values);
	f->text = text;
	return differ;
}

static void report_broken(struct flags *f, const char *why)
{
	if (!f->broken)
		f->options.on_broken(why, f->options.userdata);
	f->broken = true;
}

static void reload(struct flags *f)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	json_t *values = load(f->path, &error);
	int r;

	if (!values) {
		report_broken(f, error.text);
		return;
	}
	r = adopt(f, values);
	json_decref(values);
	if (r >= 0 && f->broken) {
		f->broken = false;
		f->options.on_mended(f->options.userdata);
	}
	if (r == 1)
		f->options.on_change(f->options.userdata);
}

static void on_event(uv_fs_event_t *watch, const char *name, int events, int status);
static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now);

static bool is_watched(const struct flags *f)
{
	struct stat now;

	return stat(f->options.workspace, &now) == 0 && now.st_dev == f->watched.st_dev &&
	       now.st_ino == f->watched.st_ino && uv_is_active((const uv_handle_t *)&f->watch);
}

/*
 * Watch the directory that is at the path: a watch goes with its directory, where that
 * is removed or moved. Where there is none the file is polled until there is one.
 */
static void rearm(struct flags *f)
{
	(void)uv_fs_event_stop(&f->watch);
	if (stat(f->options.workspace, &f->watched) == 0 &&
	    uv_fs_event_start(&f->watch, on_event, f->options.workspace, 0) == 0 && is_watched(f))
		(void)uv_fs_poll_stop(&f->poll);
	else if (!uv_is_active((uv_handle_t *)&f->poll))
		(void)uv_fs_poll_start(&f->poll, on_poll, f->path, FLAGS_POLL_MS);
}

/* Whoever holds a directory open keeps its end from being told: so it is looked at. */
static void on_quiet(uv_timer_t *timer)
{
	struct flags *f = timer->data;
	bool lost = !is_watched(f);

	/* Watched first, so that a change in between is not missed. */
	if (lost)
		rearm(f);
	if (lost || f->changed)
		reload(f);
	f->changed = false;
}

static void on_event(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct flags *f = watch->data;

	(void)events;
	if (status < 0 || !name || strcmp(name, FLAGS_FILE) == 0)
		f->changed = true;
	/* Other files change all the time, and must not put off what is to be read. */
	else if (uv_is_active((uv_handle_t *)&f->quiet))
		return;
	(void)uv_timer_start(&f->quiet, on_quiet, FLAGS_QUIET_MS, 0);
}

static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now)
{
	(void)status;
	(void)before;
	(void)now;
	rearm(poll->data);
	reload(poll->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct flags *f = handle->data;

	if (--f->handles)
		return;
	json_decref(f->values);
	free(f->text);
	free(f);
}

static void watch(struct flags *f, uv_loop_t *loop)
{
	(void)uv_timer_init(loop, &f->quiet);
	(void)uv_fs_event_init(loop, &f->watch);
	(void)uv_fs_poll_init(loop, &f->poll);
	f->quiet.data = f->watch.data = f->poll.data = f;
	f->handles = 3;
	rearm(f);
	uv_unref((uv_handle_t *)&f->watch);
	uv_unref((uv_handle_t *)&f->poll);
	uv_unref((uv_handle_t *)&f->quiet);
}

int flags_open(struct flags **ret, uv_loop_t *loop, const struct flags_options *options)
{
	struct flags *f = calloc(1, sizeof(*f));
	struct kedge_error error = KEDGE_ERROR_INIT;
	json_t *values;

	if (!f)
		return -ENOMEM;
	f->options = *options;
	(void)snprintf(f->path, sizeof(f->path), "%s/" FLAGS_FILE, options->workspace);
	/* Watched first, so that a change in between is not missed. */
	watch(f, loop);
	values = load(f->path, &error);
	if (!values) {
		report_broken(f, error.text);
		values = json_object();
	}
	if (!values || adopt(f, values) < 0) {
		json_decref(values);
		flags_close(f);
		return -ENOMEM;
	}
	json_decref(values);
	*ret = f;
	return 0;
}

void flags_look(struct flags *f)
{
	if (!uv_is_active((uv_handle_t *)&f->quiet))
		(void)uv_timer_start(&f->quiet, on_quiet, FLAGS_QUIET_MS, 0);
}

struct flags *flags_close(struct flags *f)
{
	if (!f)
		return NULL;
	uv_close((uv_handle_t *)&f->watch, on_closed);
	uv_close((uv_handle_t *)&f->poll, on_closed);
	uv_close((uv_handle_t *)&f->quiet, on_closed);
	return NULL;
}

struct kedge_span flags_all(const struct flags *f)
{
	return kedge_span(f->text);
}

int flags_get(const struct flags *f, const char *name, size_t size)
{
	json_t *value = strlen(name) == size ? json_object_get(f->values, name) : NULL;

	return value ? json_is_true(value) : -ENOENT;
}
