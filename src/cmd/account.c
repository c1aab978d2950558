#include "cmd/account.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/control.h"
#include "sys/clock.h"
#include "sys/process.h"

/* Prometheus scrapes each 15 s by default. */
#define METRICS_MS 15000

int account_init(struct account *a, struct log *log, const char *metrics_file)
{
	*a = (struct account){ .ledger = ledger_new(0), .log = log, .metrics_file = metrics_file };
	return a->ledger ? 0 : -ENOMEM;
}

void account_deinit(struct account *a)
{
	a->ledger = ledger_free(a->ledger);
}

void account_keep(struct account *a, const struct kedge_event *event, const struct process *by)
{
	struct ledger_actor actor = { 0 };

	if (by)
		actor = (struct ledger_actor){ by->pid, by->uid, by->comm, by->exe };
	ledger_note(a->ledger, event, by ? &actor : NULL, realtime_ms());
}

void account_note(struct account *a, const struct kedge_event *event, const struct process *by)
{
	struct log_actor who = { 0 };

	account_keep(a, event, by);
	if (by)
		who = (struct log_actor){ by->pid, by->uid == (uid_t)-1 ? -1 : (int64_t)by->uid,
					  by->comm, by->exe };
	log_guard_event(a->log, event, by ? &who : NULL);
}

/* Whole or not at all: a scraper never sees half a file. */
static int write_whole(const char *path, const struct buf *text)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char next[PATH_MAX];
	int r = 0;

	if (snprintf(next, sizeof(next), "%s.%d", path, (int)getpid()) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, buf_front(text), buf_size(text)) != (ssize_t)buf_size(text))
		r = -EIO;
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(next);
	return r;
}

static void write_metrics(struct account *a)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r;

	if (!a->metrics_file)
		return;
	r = ledger_append_metrics(&b, a->ledger);
	if (r == 0)
		r = write_whole(a->metrics_file, &b);
	if (r < 0 && streak_fail(&a->metrics_streak, uv_hrtime(), r) == STREAK_REPORT)
		log_line(a->log, KEDGE_LOG_WARNING, "--metrics-textfile %s: %s", a->metrics_file,
			 error_words(r));
	if (r == 0 && streak_recover(&a->metrics_streak, uv_hrtime(), NULL, NULL))
		log_line(a->log, KEDGE_LOG_INFO, "--metrics-textfile %s: written again",
			 a->metrics_file);
}

static void on_metrics(uv_timer_t *timer)
{
	write_metrics(timer->data);
}

static void open_metrics(struct account *a, uv_loop_t *loop)
{
	(void)uv_timer_init(loop, &a->metrics);
	a->metrics.data = a;
	uv_unref((uv_handle_t *)&a->metrics);
	if (a->metrics_file)
		(void)uv_timer_start(&a->metrics, on_metrics, METRICS_MS, METRICS_MS);
	write_metrics(a);
}

void account_open(struct account *a, uv_loop_t *loop)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	open_metrics(a, loop);
	a->opened = true;
	a->control = control_open(loop, &error);
	if (a->control && ledger_serve(a->ledger, a->control) < 0)
		(void)error_set(&error, -ENOMEM, "out of memory");
	if (error.code)
		log_line(a->log, error.code == -EOPNOTSUPP ? KEDGE_LOG_INFO : KEDGE_LOG_WARNING,
			 "kedge status and kedge events cannot ask us: %s", error.text);
}

void account_close(struct account *a)
{
	if (!a->opened)
		return;
	a->opened = false;
	write_metrics(a);
	ledger_serve_end(a->ledger);
	a->control = kedge_server_free(a->control);
	uv_close((uv_handle_t *)&a->metrics, NULL);
}
