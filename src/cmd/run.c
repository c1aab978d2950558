/*
 * kedge run: hold the listeners, and let a command serve them.
 *
 * One command at a time: a restart stops the old one and then starts the new
 * one, so that a daemon which locks its data can be restarted. Nobody is
 * refused meanwhile, for the listener is ours; clients wait in its queue.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/streak.h"
#include "base/time.h"
#include "cmd/account.h"
#include "cmd/child.h"
#include "cmd/command.h"
#include "cmd/held.h"
#include "cmd/log.h"
#include "sys/clock.h"
#include "wire/json.h"

/* A command that ran so long is believed to work: its next start is not held back. */
#define STEADY_NS (10 * NSEC_PER_SEC)

/* The longest pause before a restart. */
#define RESTART_MAX_NS (5 * NSEC_PER_SEC)

#define STOP_TIMEOUT_S     10
#define STOP_TIMEOUT_S_MAX 86400

enum run_phase {
	RUN_RUNNING = 0,
	RUN_STOPPING, /* SIGTERM was sent; the next one is started when it is gone */
	RUN_PAUSING,  /* before a restart, until @until_ns */
	RUN_ENDING,   /* asked to end: its exit status is ours */
	RUN_ENDED,
};

struct run {
	struct held held;
	struct log log;
	struct account account;
	uv_loop_t loop; /* of the account alone */
	char *const *argv;
	const char *anchor_dir, *metrics_file, *next_name;
	mode_t mode;
	bool restart;
	int64_t stop_timeout_ms;
	enum run_phase phase;
	pid_t pid;
	uint64_t started_ns, until_ns; /* TIME_NEVER: nothing is to be done at a time */
	struct backoff backoff;
	int signals, status;
};

static void on_event(const struct kedge_event *event, void *userdata)
{
	account_note(&((struct run *)userdata)->account, event, NULL);
}

/* Starting and stopping. */

static void pause_before_restart(struct run *run)
{
	if (monotonic_ns() - run->started_ns >= STEADY_NS)
		run->backoff = (struct backoff)BACKOFF_INIT;
	run->phase = RUN_PAUSING;
	run->until_ns = monotonic_ns() + backoff_next_ns(&run->backoff, RESTART_MAX_NS);
}

/* Return: 0, or why it could not be started. */
static int start(struct run *run)
{
	_cleanup_(freep) char *names = NULL;
	int fds[HELD_FDS_MAX];
	int count = run->held.count ? held_descriptors(&run->held, fds, &names) : 0;
	pid_t pid = count < 0 ? count : child_start(run->argv, fds, count, names);

	run->started_ns = monotonic_ns();
	run->until_ns = TIME_NEVER;
	if (pid < 0) {
		log_line(&run->log, KEDGE_LOG_ERROR, "%s: cannot be started: %s", run->argv[0],
			 error_words(pid));
		return pid;
	}
	run->pid = pid;
	run->phase = RUN_RUNNING;
	log_line(&run->log, KEDGE_LOG_INFO, "%s: started, pid %d, %d listeners", run->argv[0], pid,
		 count);
	return 0;
}

static void start_again(struct run *run)
{
	if (start(run) < 0)
		pause_before_restart(run);
}

static void stop_to_restart(struct run *run)
{
	if (run->phase == RUN_PAUSING) {
		start_again(run);
	} else if (run->phase == RUN_RUNNING) {
		(void)kill(run->pid, SIGTERM);
		run->phase = RUN_STOPPING;
		run->until_ns = monotonic_ns() + (uint64_t)run->stop_timeout_ms * NSEC_PER_MSEC;
	}
}

static void on_exit_of_child(struct run *run, int wait_status)
{
	bool stopped = run->phase == RUN_STOPPING;

	run->pid = 0;
	run->status = child_status(wait_status);
	run->until_ns = TIME_NEVER;
	if (run->phase == RUN_ENDING || (!stopped && !run->restart)) {
		run->phase = RUN_ENDED;
		return;
	}
	if (stopped) {
		start_again(run);
		return;
	}
	pause_before_restart(run);
	log_line(&run->log, KEDGE_LOG_WARNING, "%s: ended with %d; clients wait", run->argv[0],
		 run->status);
}

static void reap(struct run *run)
{
	int wait_status;
	pid_t pid;

	/* As process 1 of a container we get orphans too. */
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		if (pid == run->pid)
			on_exit_of_child(run, wait_status);
}

/* What the time has come for. */
static void on_time(struct run *run)
{
	if (monotonic_ns() < run->until_ns)
		return;
	run->until_ns = TIME_NEVER;
	if (run->phase == RUN_PAUSING) {
		start_again(run);
	} else if (run->pid) {
		log_line(&run->log, KEDGE_LOG_WARNING, "%s: does not end, pid %d: killed",
			 run->argv[0], run->pid);
		(void)kill(run->pid, SIGKILL);
	}
}

/* A listener that was bound anew reaches a command only when it starts. */
static void on_new_listener(struct run *run)
{
	if (!run->held.changed || run->phase != RUN_RUNNING)
		return;
	run->held.changed = false;
	if (run->restart)
		stop_to_restart(run);
	log_line(&run->log, KEDGE_LOG_WARNING,
		 run->restart ? "%s: restarted for the new listener"
			      : "%s: does not serve the new listener; SIGHUP restarts it",
		 run->argv[0]);
}

/* Signals. */

static void end(struct run *run, const struct signalfd_siginfo *signal)
{
	if (!run->pid) {
		run->phase = RUN_ENDED;
		return;
	}
	/* What the terminal sent (Ctrl-C), it sent to the command as well. */
	if (signal->ssi_code != SI_KERNEL)
		(void)kill(run->pid, (int)signal->ssi_signo);
	if (run->phase != RUN_ENDING)
		run->until_ns = monotonic_ns() + (uint64_t)run->stop_timeout_ms * NSEC_PER_MSEC;
	run->phase = RUN_ENDING;
}

static void on_signal(struct run *run, const struct signalfd_siginfo *signal)
{
	switch (signal->ssi_signo) {
	case SIGCHLD:
		reap(run);
		break;
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		end(run, signal);
		break;
	case SIGHUP:
		stop_to_restart(run);
		break;
	default:
		if (run->pid)
			(void)kill(run->pid, (int)signal->ssi_signo);
	}
}

static int open_signals(struct run *run)
{
	static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT,  SIGQUIT,
				       SIGHUP,  SIGUSR1, SIGUSR2, SIGWINCH };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaddset(&set, numbers[i]);
	/* Ignored by who started us, SIGCHLD would take exit statuses away. */
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signals < 0 ? -errno : 0;
}

/* The account. */

/* Who serves the path, for kedge status. */
static void describe(struct buf *b, const char *path, void *userdata)
{
	const struct run *run = userdata;
	struct kedge_path_status status = { .size = sizeof(status) };
	const char *slash = strrchr(run->argv[0], '/');

	if (kedge_guard_status(run->held.guard, path, &status) == 0)
		(void)buf_appendf(b,
				  ",\"generation\":%" PRIu64 ",\"relinks\":%" PRIu64
				  ",\"rebinds\":%" PRIu64 ",\"retired\":%" PRIu32,
				  status.generation, status.relinks, status.rebinds,
				  status.retired);
	if (!run->pid)
		return;
	(void)buf_appendf(b, ",\"owner\":{\"pid\":%d,\"comm\":", (int)run->pid);
	(void)json_append_string(b, kedge_span(slash ? slash + 1 : run->argv[0]));
	(void)buf_append(b, "}", 1);
}

/* Nothing to be asked about is no reason to be asked. */
static void open_account(struct run *run)
{
	(void)uv_loop_init(&run->loop);
	ledger_on_describe(run->account.ledger, describe, run);
	if (run->held.count)
		account_open(&run->account, &run->loop);
}

static void close_account(struct run *run)
{
	account_close(&run->account);
	(void)uv_run(&run->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&run->loop);
}

/* The loop. */

/* A loop without anything that lives says 0. */
static int account_timeout_ms(struct run *run)
{
	uv_update_time(&run->loop);
	return uv_loop_alive(&run->loop) ? uv_backend_timeout(&run->loop) : -1;
}

static int timeout_ms(struct run *run)
{
	uint64_t deadline_us, guard_ns;
	int account_ms = account_timeout_ms(run), ms;

	(void)kedge_guard_deadline(run->held.guard, &deadline_us);
	guard_ns = time_from_usec(deadline_us);
	ms = time_until_ms(guard_ns < run->until_ns ? guard_ns : run->until_ns, monotonic_ns());
	return ms < 0 || (account_ms >= 0 && account_ms < ms) ? account_ms : ms;
}

static void supervise(struct run *run)
{
	while (run->phase != RUN_ENDED) {
		struct pollfd fds[] = { { .fd = run->signals, .events = POLLIN },
					{ .fd = kedge_guard_fd(run->held.guard), .events = POLLIN },
					{ .fd = uv_backend_fd(&run->loop), .events = POLLIN } };
		struct signalfd_siginfo signal;

		(void)poll(fds, ARRAY_SIZE(fds), timeout_ms(run));
		while (run->phase != RUN_ENDED &&
		       read(run->signals, &signal, sizeof(signal)) == sizeof(signal))
			on_signal(run, &signal);
		(void)kedge_guard_process(run->held.guard);
		(void)uv_run(&run->loop, UV_RUN_NOWAIT);
		on_new_listener(run);
		on_time(run);
	}
}

/* Options. */

enum run_option {
	OPTION_LISTEN = 1,
	OPTION_NAME,
	OPTION_MODE,
	OPTION_RESTART,
	OPTION_STOP_TIMEOUT,
	OPTION_ANCHOR_DIR,
	OPTION_METRICS,
};

static int parse_mode(struct run *run, const char *text)
{
	size_t n = strlen(text);
	unsigned long mode = strtoul(text, NULL, 8);

	if (n < 3 || n > 4 || strspn(text, "01234567") != n || mode == 0 || mode > 0777)
		return usage_error("--mode %s: three or four octal digits from 0001 to 0777", text);
	run->mode = (mode_t)mode;
	return EXIT_OK;
}

static int parse_listen(struct run *run, const char *path)
{
	const char *name = run->next_name;
	int r;

	if (*path != '/')
		return usage_error("--listen '%s': an absolute path", path);
	r = held_add(&run->held, path, name);
	run->next_name = NULL;
	if (r == -E2BIG)
		return usage_error("--listen %s: no more than %d may be given", path,
				   HELD_PATHS_MAX);
	if (r < 0)
		return usage_error(name ? "--name '%s': 1 to %d characters without ':'"
					: "--listen '%s': its last component is no name of 1 to %d "
					  "characters without ':'; give one with --name",
				   name ? name : path, HELD_NAME_MAX);
	return EXIT_OK;
}

static int parse_option(struct run *run, int option, const char *text)
{
	switch (option) {
	case OPTION_LISTEN:
		return parse_listen(run, text);
	case OPTION_NAME:
		run->next_name = text;
		return EXIT_OK;
	case OPTION_MODE:
		return parse_mode(run, text);
	case OPTION_RESTART:
		run->restart = true;
		return EXIT_OK;
	case OPTION_STOP_TIMEOUT:
		return parse_seconds(text, STOP_TIMEOUT_S_MAX, &run->stop_timeout_ms) == 0
			       ? EXIT_OK
			       : usage_error("--stop-timeout %s: seconds from 0 to %d", text,
					     STOP_TIMEOUT_S_MAX);
	case OPTION_METRICS:
		run->metrics_file = text;
		return *text == '/'
			       ? EXIT_OK
			       : usage_error("--metrics-textfile '%s': an absolute path", text);
	default:
		run->anchor_dir = text;
		return *text == '/' ? EXIT_OK
				    : usage_error("--anchor-dir '%s': an absolute path", text);
	}
}

static int parse(struct run *run, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "listen", required_argument, NULL, OPTION_LISTEN },
		{ "name", required_argument, NULL, OPTION_NAME },
		{ "mode", required_argument, NULL, OPTION_MODE },
		{ "restart", no_argument, NULL, OPTION_RESTART },
		{ "stop-timeout", required_argument, NULL, OPTION_STOP_TIMEOUT },
		{ "anchor-dir", required_argument, NULL, OPTION_ANCHOR_DIR },
		{ "metrics-textfile", required_argument, NULL, OPTION_METRICS },
		{ 0 },
	};
	int c, r;

	opterr = 0;
	/* '+': what stands behind the command is the command's. */
	while ((c = getopt_long(argc, argv, "+:", longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage_error("run: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		r = parse_option(run, c, optarg);
		if (r != EXIT_OK)
			return r;
	}
	if (run->next_name)
		return usage_error("--name '%s': stands before the --listen that it names",
				   run->next_name);
	if (optind == argc)
		return usage_error("run: takes a command: kedge run --listen PATH -- CMD");
	run->argv = argv + optind;
	return EXIT_OK;
}

static int run_command(int argc, char **argv)
{
	static struct run run = { .log = { .level = KEDGE_LOG_INFO },
				  .stop_timeout_ms = STOP_TIMEOUT_S * 1000,
				  .until_ns = TIME_NEVER };
	struct kedge_listen_options listen = { .size = sizeof(listen) };
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r = parse(&run, argc, argv);

	if (r != EXIT_OK)
		return r;
	(void)log_open(&run.log);
	if (account_init(&run.account, &run.log, run.metrics_file) < 0)
		return EXIT_FAILED;
	run.held.on_event = on_event;
	run.held.userdata = &run;
	listen.mode = run.mode;
	r = held_listen(&run.held, run.anchor_dir, &listen, &error);
	if (r < 0) {
		(void)fprintf(stderr, "kedge: %s\n", error.text);
		account_deinit(&run.account);
		return EXIT_FAILED;
	}
	open_account(&run);
	r = open_signals(&run);
	if (r == 0)
		r = start(&run);
	if (r == 0)
		supervise(&run);
	else
		run.status = child_failure_status(r);
	close_account(&run);
	held_release(&run.held);
	account_deinit(&run.account);
	fd_close(run.signals);
	return run.status;
}

const struct command command_run = {
	.name = "run",
	.summary = "hold guarded listeners, and let a command serve them",
	.help = "Usage: kedge run [OPTION]... [--] CMD [ARG]...\n\n"
		"  --listen PATH     listen there, guarded; again for more. CMD gets them from\n"
		"                    descriptor 3 on (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES)\n"
		"  --name NAME       of the next --listen, instead of its last component\n"
		"  --mode MODE       of the sockets, octal (0600)\n"
		"  --restart         start CMD again when it ends (pauses of 10 ms to 5 s)\n"
		"  --stop-timeout S  SIGKILL so long after SIGTERM (10)\n"
		"  --anchor-dir DIR  keep the anchors there (.kedge-UID beside each socket)\n"
		"  --metrics-textfile FILE  write figures for Prometheus there, each 15 s\n\n"
		"SIGHUP restarts CMD: SIGTERM, then, when it is gone, the new one. Nobody is\n"
		"refused, clients wait in the queue. SIGTERM, SIGINT, SIGQUIT and SIGUSR1/2 are\n"
		"passed on. A listener that had to be bound anew is passed first at the next\n"
		"start, which --restart brings about at once, and the old ones behind.\n"
		"NOTIFY_SOCKET is left to CMD: NotifyAccess=all in a unit.\n\n"
		"Exit status: CMD's; 128+N: by signal N; 126, 127: it cannot be started.\n\n"
		"  kedge run --listen /run/x/x.sock --restart -- node server.js\n",
	.run = run_command,
};
