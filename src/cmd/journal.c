#include "cmd/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/buf.h"
#include "base/error.h"

#define FIELDS_MAX 16

static const int priorities[] = { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR };

bool journal_reads(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

int journal_line(enum kedge_log_level level, const char *message)
{
	return sd_journal_send("MESSAGE=%s", message, "PRIORITY=%i", priorities[level], NULL);
}

/* Fields, all in one buffer: where each ends is kept, since the buffer moves as it grows. */
struct fields {
	struct buf text;
	size_t ends[FIELDS_MAX];
	int count;
};

static void add(struct fields *f, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(struct fields *f, const char *name, const char *format, ...)
{
	char value[4096];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (f->count == FIELDS_MAX || !*value || buf_appendf(&f->text, "%s=%s", name, value) < 0)
		return;
	f->ends[f->count++] = buf_size(&f->text);
}

static void add_actor(struct fields *f, const struct log_actor *by)
{
	add(f, "KEDGE_BY_PID", "%" PRId64, by->pid);
	if (by->uid >= 0)
		add(f, "KEDGE_BY_UID", "%" PRId64, by->uid);
	add(f, "KEDGE_BY_COMM", "%s", by->comm);
	add(f, "KEDGE_BY_EXE", "%s", by->exe);
}

static int send_fields(const struct fields *f)
{
	struct iovec parts[FIELDS_MAX];
	size_t begin = 0;

	for (int i = 0; i < f->count; i++) {
		parts[i] = (struct iovec){ buf_front(&f->text) + begin, f->ends[i] - begin };
		begin = f->ends[i];
	}
	return sd_journal_sendv(parts, f->count);
}

int journal_event(enum kedge_log_level level, const char *message, const struct kedge_event *e,
		  const struct log_actor *by)
{
	struct fields f = { .text = BUF_INIT };
	int r;

	add(&f, "MESSAGE", "%s", message);
	add(&f, "PRIORITY", "%d", priorities[level]);
	add(&f, "KEDGE_EVENT", "%s", kedge_event_name(e->kind));
	add(&f, "KEDGE_PATH", "%s", e->path);
	add(&f, "KEDGE_DETAIL", "%s", e->detail);
	if (e->cause != KEDGE_CAUSE_NONE)
		add(&f, "KEDGE_CAUSE", "%s", kedge_cause_name(e->cause));
	if (e->error)
		add(&f, "KEDGE_ERROR", "%s", error_name(e->error));
	if (e->kind == KEDGE_EVENT_RECOVERED)
		add(&f, "KEDGE_OUTAGE_NS", "%" PRIu64, e->outage_ns);
	if (by)
		add_actor(&f, by);
	r = send_fields(&f);
	buf_deinit(&f.text);
	return r;
}
