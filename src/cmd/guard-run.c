/* The guard at work: the tender on a libuv loop, its ledger, its control socket. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/time.h"
#include "cmd/account.h"
#include "cmd/command.h"
#include "cmd/guard.h"
#include "sys/clock.h"

/* STATUS for systemd is renewed at most so often. */
#define STATUS_MS 1000

struct guard_process {
	struct guard_options *options;
	struct tender *tender;
	struct account account;
	uv_loop_t loop;
	uv_poll_t poll;
	uv_timer_t timer, status;
	uv_signal_t signals[3];
	/* What happened while paths were taken in is logged when all of them are: a guard
	 * that refuses says why, and nothing else. */
	struct kedge_event *early;
	size_t early_count;
	bool begun, running;
};

static void on_timer(uv_timer_t *timer);
static void on_status(uv_timer_t *timer);

/* Events. */

static int keep_early(struct guard_process *g, const struct kedge_event *event)
{
	struct kedge_event *more, kept = *event;

	kept.path = strdup(event->path);
	kept.detail = strdup(event->detail);
	more = kept.path && kept.detail ? realloc(g->early, (g->early_count + 1) * sizeof(*more))
					: NULL;
	if (!more) {
		free((char *)(uintptr_t)kept.path);
		free((char *)(uintptr_t)kept.detail);
		return -ENOMEM;
	}
	g->early = more;
	g->early[g->early_count++] = kept;
	return 0;
}

/* @log: NULL: they are dropped. */
static void tell_early(struct guard_process *g, struct log *log)
{
	for (size_t i = 0; i < g->early_count; i++) {
		if (log)
			log_guard_event(log, &g->early[i], NULL);
		free((char *)(uintptr_t)g->early[i].path);
		free((char *)(uintptr_t)g->early[i].detail);
	}
	free(g->early);
	g->early = NULL;
	g->early_count = 0;
}

static void on_event(const struct kedge_event *event, const struct process *by, void *userdata)
{
	struct guard_process *g = userdata;

	if (g->begun || keep_early(g, event) < 0)
		account_note(&g->account, event, by);
	else
		account_keep(&g->account, event, by);
	if (g->running && !uv_is_active((uv_handle_t *)&g->status))
		(void)uv_timer_start(&g->status, on_status, STATUS_MS, 0);
}

static void describe(struct buf *b, const char *path, void *userdata)
{
	struct guard_process *g = userdata;
	struct tender_status s;

	if (tender_status(g->tender, path, &s) < 0 || !s.held)
		return;
	(void)buf_appendf(b, ",\"leased\":%s,\"attributed\":%s", s.leased ? "true" : "false",
			  s.attributed ? "true" : "false");
	if (!s.pid)
		return;
	(void)buf_appendf(b, ",\"owner\":{\"pid\":%d,\"uid\":%u,\"holders\":%u,\"comm\":\"",
			  (int)s.pid, s.uid, s.holders);
	/* The kernel lets any byte into a name. */
	for (const char *c = s.comm; *c; c++)
		(void)buf_append(b, *c < 0x20 || *c > 0x7e || strchr("\"\\", *c) ? "?" : c, 1);
	(void)buf_appendf(b, "\"}");
}

/* systemd's STATUS. */

static void say_status(const struct guard_process *g)
{
	size_t well = ledger_paths(g->account.ledger, LEDGER_REACHABLE);
	size_t awaited = ledger_paths(g->account.ledger, LEDGER_AWAITED);
	size_t all = 0;

	for (int i = 0; i < LEDGER_STATE_MAX_; i++)
		all += ledger_paths(g->account.ledger, (enum ledger_state)i);
	(void)sd_notifyf(0,
			 "STATUS=%zu paths: %zu reachable, %zu awaited, %zu otherwise; %" PRIu64
			 " losses",
			 all, well, awaited, all - well - awaited,
			 ledger_count(g->account.ledger, KEDGE_EVENT_LOST));
}

static void on_status(uv_timer_t *timer)
{
	say_status(timer->loop->data);
}

/* Turns. */

static void plan_turn(struct guard_process *g)
{
	int wait_ms = time_until_ms(tender_deadline(g->tender), monotonic_ns());

	if (wait_ms < 0) {
		uv_timer_stop(&g->timer);
		return;
	}
	uv_update_time(&g->loop);
	(void)uv_timer_start(&g->timer, on_timer, (uint64_t)wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct guard_process *g = timer->loop->data;

	tender_process(g->tender);
	plan_turn(g);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	on_timer(&((struct guard_process *)poll->loop->data)->timer);
}

/* The end. */

static void close_all(struct guard_process *g)
{
	uv_handle_t *handles[] = { (uv_handle_t *)&g->poll, (uv_handle_t *)&g->timer,
				   (uv_handle_t *)&g->status };

	g->running = false;
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
		uv_close(handles[i], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(g->signals); i++)
		uv_close((uv_handle_t *)&g->signals[i], NULL);
}

static void stop(struct guard_process *g)
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	log_line(&g->options->log, KEDGE_LOG_INFO,
		 "stopping: daemons and their paths are left as they are");
	account_close(&g->account);
	close_all(g);
	g->tender = tender_free(g->tender);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct guard_process *g = handle->loop->data;
	int r;

	if (number != SIGHUP) {
		stop(g);
		return;
	}
	r = log_reopen(&g->options->log);
	log_line(&g->options->log, r < 0 ? KEDGE_LOG_WARNING : KEDGE_LOG_INFO, "log reopened%s%s",
		 r < 0 ? ", not: " : "", r < 0 ? error_words(r) : "");
}

/* The beginning. */

static void open_loop(struct guard_process *g)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	(void)uv_poll_init(&g->loop, &g->poll, tender_fd(g->tender));
	(void)uv_poll_start(&g->poll, UV_READABLE, on_poll);
	(void)uv_timer_init(&g->loop, &g->timer);
	(void)uv_timer_init(&g->loop, &g->status);
	g->running = true;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		(void)uv_signal_init(&g->loop, &g->signals[i]);
		(void)uv_signal_start(&g->signals[i], on_signal, numbers[i]);
	}
	plan_turn(g);
}

/* Whether a failure to begin is the caller's mistake, or the thing's. */
static int status_of(int error)
{
	switch (error) {
	case -EINVAL:
	case -EEXIST:
	case -ENAMETOOLONG:
	case -EAFNOSUPPORT:
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}

/* All that is wrong is said, and nothing is guarded then. */
static int add_paths(struct guard_process *g)
{
	const struct guard_words *paths = &g->options->paths;
	int status = EXIT_OK;

	for (size_t i = 0; i < paths->count; i++) {
		struct kedge_error error = KEDGE_ERROR_INIT;
		int r = tender_add(g->tender, paths->items[i],
				   g->options->wait ? TENDER_MAY_COME : TENDER_MUST_LISTEN, &error);

		if (r == 0)
			continue;
		usage_complain("%s", error.text);
		if (status_of(r) > status)
			status = status_of(r);
	}
	return status;
}

static void announce(const struct guard_process *g)
{
	int fd = g->options->ready_fd;

	printf("guarding %zu path%s, %zu of them awaited\n", g->options->paths.count,
	       g->options->paths.count == 1 ? "" : "s",
	       ledger_paths(g->account.ledger, LEDGER_AWAITED));
	fflush(stdout);
	(void)sd_notify(0, "READY=1");
	say_status(g);
	if (fd < 0)
		return;
	(void)!write(fd, "\n", 1);
	fd_close(fd);
}

/* A path takes two descriptors, and a process that listens one. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int begin(struct guard_process *g)
{
	const struct guard_options *o = g->options;
	struct tender_options options = {
		.settle_ns = (uint64_t)o->settle_ms * NSEC_PER_MSEC,
		.interval_ns = o->interval_ms ? (uint64_t)o->interval_ms * NSEC_PER_MSEC
					      : TIME_NEVER,
		.anchor_dir = o->anchor_dir,
		.attribution = o->attribution,
		.on_event = on_event,
		.userdata = g,
	};
	int r;

	r = account_init(&g->account, &g->options->log, o->metrics_file);
	if (r == 0)
		r = tender_new(&g->tender, &options);
	if (r < 0) {
		usage_complain("guard: %s", error_words(r));
		return EXIT_FAILED;
	}
	ledger_on_describe(g->account.ledger, describe, g);
	r = add_paths(g);
	if (r == EXIT_OK) {
		g->begun = true;
		tell_early(g, &g->options->log);
		tender_ready(g->tender);
	}
	return r;
}

int guard_run(struct guard_options *o)
{
	struct guard_process g = { .options = o };
	int status, r;

	o->log.path = o->log_file;
	r = log_open(&o->log);
	if (r < 0)
		return usage_error("--log-file %s: %s", o->log_file, error_words(r));
	raise_descriptors();
	(void)uv_loop_init(&g.loop);
	g.loop.data = &g;
	status = begin(&g);
	if (status == EXIT_OK) {
		open_loop(&g);
		account_open(&g.account, &g.loop);
		announce(&g);
		(void)uv_run(&g.loop, UV_RUN_DEFAULT);
	}
	tender_free(g.tender);
	tell_early(&g, NULL);
	(void)uv_loop_close(&g.loop);
	account_deinit(&g.account);
	return status;
}
