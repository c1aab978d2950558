#include "cmd/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "cmd/journal.h"
#include "sys/clock.h"
#include "wire/json.h"

#define LINE_MAX_BYTES 1024

const char *const log_level_names[4] = { "debug", "info", "warning", "error" };
const char *const log_format_names[2] = { "text", "json" };

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}

int log_open(struct log *log)
{
	log->fd = log->path ? open_file(log->path) : STDERR_FILENO;
	log->journal = !log->path && log->format == LOG_TEXT && journal_reads(log->fd);
	return log->fd < 0 ? log->fd : 0;
}

int log_reopen(struct log *log)
{
	int fd;

	if (!log->path)
		return 0;
	fd = open_file(log->path);
	if (fd < 0)
		return fd;
	fd_close(log->fd);
	log->fd = fd;
	return 0;
}

static void write_line(const struct log *log, struct buf *b)
{
	(void)buf_append(b, "\n", 1);
	/* A log that cannot be written is no reason to stop serving. */
	(void)!write(log->fd, buf_front(b), buf_size(b));
	buf_deinit(b);
}

static void begin_json(struct buf *b, enum kedge_log_level level, const char *message)
{
	(void)buf_appendf(b, "{\"time\":\"");
	(void)append_utc(b, realtime_ms());
	(void)buf_appendf(b, "\",\"level\":\"%s\",\"message\":", log_level_names[level]);
	(void)json_append_string(b, kedge_span(message));
}

static void begin_text(struct buf *b, enum kedge_log_level level, const char *message)
{
	(void)append_utc(b, realtime_ms());
	(void)buf_appendf(b, " %-7s %s", log_level_names[level], message);
}

void log_line(struct log *log, enum kedge_log_level level, const char *format, ...)
{
	char message[LINE_MAX_BYTES];
	struct buf line = BUF_INIT;
	va_list args;

	if (level < log->level)
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (log->journal && journal_line(level, message) == 0)
		return;
	if (log->format == LOG_JSON) {
		begin_json(&line, level, message);
		(void)buf_append(&line, "}", 1);
	} else {
		begin_text(&line, level, message);
	}
	write_line(log, &line);
}

/* What each kind of event means, and how much it matters. */
static const struct {
	enum kedge_log_level level;
	const char *words;
} kinds[KEDGE_EVENT_MAX_] = {
	[KEDGE_EVENT_LISTENING] = { KEDGE_LOG_INFO, "guarded" },
	[KEDGE_EVENT_LOST] = { KEDGE_LOG_WARNING, "lost" },
	[KEDGE_EVENT_RELINKED] = { KEDGE_LOG_INFO, "linked back, the same listener" },
	[KEDGE_EVENT_REBOUND] = { KEDGE_LOG_WARNING, "re-bound, a new listener" },
	[KEDGE_EVENT_BIND_MOUNTED] = { KEDGE_LOG_INFO, "bind-mounted, the same listener" },
	[KEDGE_EVENT_MODE_RESTORED] = { KEDGE_LOG_INFO, "mode and owner put back" },
	[KEDGE_EVENT_MOVED_ASIDE] = { KEDGE_LOG_WARNING, "what stood there was moved aside" },
	[KEDGE_EVENT_DISPLACED] = { KEDGE_LOG_WARNING,
				    "another listener holds it; waiting until that is gone" },
	[KEDGE_EVENT_BLOCKED] = { KEDGE_LOG_ERROR, "cannot be put back yet" },
	[KEDGE_EVENT_RECOVERED] = { KEDGE_LOG_INFO, "reachable again" },
	[KEDGE_EVENT_ANCHORED] = { KEDGE_LOG_INFO, "anchor made again" },
	[KEDGE_EVENT_DEGRADED] = { KEDGE_LOG_WARNING, "guarded with less" },
	[KEDGE_EVENT_RETIRED] = { KEDGE_LOG_INFO, "a retired listener was closed" },
	[KEDGE_EVENT_NOTICED] = { KEDGE_LOG_WARNING, "mode or owner was changed" },
	[KEDGE_EVENT_STOPPED] = { KEDGE_LOG_INFO, "no longer guarded" },
	[KEDGE_EVENT_FOLLOWED] = { KEDGE_LOG_INFO, "another listener took over, and is guarded" },
	[KEDGE_EVENT_LEFT_ALONE] = { KEDGE_LOG_INFO, "taken away by its own daemon, left alone" },
	[KEDGE_EVENT_WITHDRAWN] = { KEDGE_LOG_INFO, "its listener is gone, the path is removed" },
	[KEDGE_EVENT_AWAITED] = { KEDGE_LOG_INFO, "nobody listens; waiting for a listener" },
};

/* 850 ns, 48 us, 1.5 ms, 12.3 s */
static void append_duration(struct buf *b, uint64_t ns)
{
	if (ns < 1000)
		(void)buf_appendf(b, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		(void)buf_appendf(b, "%" PRIu64 " us", ns / 1000);
	else if (ns < UINT64_C(1000000000))
		(void)buf_appendf(b, "%.1f ms", (double)ns / 1e6);
	else
		(void)buf_appendf(b, "%.1f s", (double)ns / 1e9);
}

static void describe_actor(struct buf *b, const struct log_actor *by)
{
	if (*by->comm)
		(void)buf_appendf(b, ", by %s (pid %" PRId64 ", user %" PRId64 "%s%s)", by->comm,
				  by->pid, by->uid, *by->exe ? ", " : "", by->exe);
	else
		(void)buf_appendf(b, ", by pid %" PRId64 ", which is gone", by->pid);
}

static void describe(struct buf *b, const struct kedge_event *e, const struct log_actor *by)
{
	(void)buf_appendf(b, "%s: %s", *e->path ? e->path : "guard", kinds[e->kind].words);
	if (e->kind == KEDGE_EVENT_LOST || e->kind == KEDGE_EVENT_BLOCKED)
		(void)buf_appendf(b, " (%s)", kedge_cause_name(e->cause));
	if (by)
		describe_actor(b, by);
	if (e->error)
		(void)buf_appendf(b, ": %s", error_words(e->error));
	if (*e->detail)
		(void)buf_appendf(b, ": %s", e->detail);
	if (e->kind == KEDGE_EVENT_RECOVERED && *e->path) {
		(void)buf_append(b, " after ", 7);
		append_duration(b, e->outage_ns);
	}
	if (e->swallowed)
		(void)buf_appendf(b, ", %" PRIu32 " more reports swallowed", e->swallowed);
	(void)buf_append(b, "", 1);
}

static void append_actor(struct buf *b, const struct log_actor *by)
{
	(void)buf_appendf(b, ",\"by\":{\"pid\":%" PRId64, by->pid);
	if (by->uid >= 0)
		(void)buf_appendf(b, ",\"uid\":%" PRId64, by->uid);
	(void)buf_appendf(b, ",\"comm\":");
	(void)json_append_string(b, kedge_span(by->comm));
	(void)buf_appendf(b, ",\"exe\":");
	(void)json_append_string(b, kedge_span(by->exe));
	(void)buf_append(b, "}", 1);
}

static void append_fields(struct buf *b, const struct kedge_event *e, const struct log_actor *by)
{
	(void)buf_appendf(b, ",\"event\":\"%s\",\"path\":", kedge_event_name(e->kind));
	(void)json_append_string(b, kedge_span(e->path));
	(void)buf_appendf(b, ",\"cause\":\"%s\",\"generation\":%" PRIu64,
			  kedge_cause_name(e->cause), e->generation);
	if (e->error)
		(void)buf_appendf(b, ",\"error\":\"%s\"", error_name(e->error));
	if (e->kind == KEDGE_EVENT_RECOVERED)
		(void)buf_appendf(b, ",\"outageNs\":%" PRIu64 ",\"swallowed\":%" PRIu32,
				  e->outage_ns, e->swallowed);
	if (by)
		append_actor(b, by);
	(void)buf_append(b, "}", 1);
}

void log_guard_event(struct log *log, const struct kedge_event *event, const struct log_actor *by)
{
	enum kedge_log_level level = kinds[event->kind].level;
	struct buf words = BUF_INIT, line = BUF_INIT;

	if (level < log->level)
		return;
	describe(&words, event, by);
	if (log->journal && journal_event(level, buf_front(&words), event, by) == 0) {
		buf_deinit(&words);
		return;
	}
	if (log->format == LOG_JSON) {
		begin_json(&line, level, buf_front(&words));
		append_fields(&line, event, by);
	} else {
		begin_text(&line, level, buf_front(&words));
	}
	write_line(log, &line);
	buf_deinit(&words);
}
