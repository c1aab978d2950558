/* kedge serve: the product's servers, guarded, in one process and on one loop. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/served.h"
#include "kedge/endpoint.h"

struct serve {
	struct settings settings;
	struct service_shared shared;
	struct account account;
	struct served served[SERVICES_MAX];
	size_t served_count, running;
	uv_loop_t loop;
	uv_signal_t signals[3];
	char *workspace; /* absolute; as the clients have its text */
	bool stopping;
};

/* What is in it is named by paths that are cut at PATH_MAX. */
#define WORKSPACE_BYTES_MAX (PATH_MAX - 64)

/* The workspace, which must exist: making one where nobody meant it hides a mistake. */
static int find_workspace(struct serve *s)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct stat st;

	if (kedge_endpoint_workspace(s->settings.workspace, &s->workspace, &error) < 0)
		return usage_error("%s", error.text);
	if (strlen(s->workspace) > WORKSPACE_BYTES_MAX)
		return usage_error(
			"the workspace %.100s...: %zu bytes, no more than %d are allowed",
			s->workspace, strlen(s->workspace), WORKSPACE_BYTES_MAX);
	if (stat(s->workspace, &st) < 0)
		return usage_error("the workspace %s: %s", s->workspace, error_words(errno));
	if (!S_ISDIR(st.st_mode))
		return usage_error("the workspace %s: it is not a directory", s->workspace);
	return EXIT_OK;
}

/* Stopping. */

static void on_stopped(void *userdata)
{
	struct serve *s = userdata;

	if (--s->running > 0)
		return;
	account_close(&s->account);
	for (size_t i = 0; i < ARRAY_SIZE(s->signals); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
}

static void reopen_log(struct serve *s)
{
	int r = log_reopen(&s->settings.log);

	log_line(&s->settings.log, r < 0 ? KEDGE_LOG_WARNING : KEDGE_LOG_INFO, "log reopened%s%s",
		 r < 0 ? ", not: " : "", r < 0 ? error_words(r) : "");
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct serve *s = handle->data;
	unsigned grace_ms = s->stopping ? 0 : (unsigned)s->settings.grace_ms;

	if (number == SIGHUP) {
		reopen_log(s);
		return;
	}
	(void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	log_line(&s->settings.log, KEDGE_LOG_INFO, "stopping%s", s->stopping ? " at once" : "");
	s->stopping = true;
	for (size_t i = 0; i < s->served_count; i++)
		served_stop(&s->served[i], grace_ms);
}

/* Starting. */

static void watch_signals(struct serve *s)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	_Static_assert(ARRAY_SIZE(numbers) == ARRAY_SIZE(((struct serve *)0)->signals),
		       "a handle for each signal");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		(void)uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		(void)uv_signal_start(&s->signals[i], on_signal, numbers[i]);
		uv_unref((uv_handle_t *)&s->signals[i]);
	}
}

/* A descriptor for each client, and three for a guarded path. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Whether a failure to start is the caller's mistake, or the world's. */
static int status_of(int error)
{
	switch (error) {
	case -EADDRINUSE:
	case -EBUSY:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ENOSPC:
	case -EIO:
		return EXIT_FAILED;
	default:
		return EXIT_USAGE;
	}
}

/* A word as a shell reads it: in quotes only where it needs them. */
static void print_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+:@%";

	if (*word && word[strspn(word, plain)] == '\0') {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (const char *c = word; *c; c++)
		fputs(*c == '\'' ? "'\\''" : (char[]){ *c, '\0' }, stdout);
	putchar('\'');
}

/* The lines to try are to be pasted: this very command, by the name it was called. */
static void announce(const struct serve *s)
{
	for (size_t i = 0; i < s->served_count; i++) {
		const struct served *one = &s->served[i];

		printf("%s: listening at %s\ntry: ", one->service->name, one->path);
		print_word(program_invocation_name);
		fputs(" call ", stdout);
		print_word(one->path);
		printf(" %s\n", one->service->example);
	}
	fflush(stdout);
	(void)sd_notifyf(0, "READY=1\nSTATUS=Listening: %zu socket%s", s->served_count,
			 s->served_count == 1 ? "" : "s");
}

/* Every path is known before the first one is made. */
static int prepare(struct serve *s, struct kedge_error *error)
{
	for (size_t i = 0; i < s->settings.chosen_count; i++) {
		struct served *one = &s->served[i];
		int r;

		*one = (struct served){ .service = s->settings.chosen[i],
					.log = &s->settings.log,
					.account = &s->account,
					.shared = &s->shared,
					.loop = &s->loop,
					.workspace = s->workspace,
					.on_stopped = on_stopped,
					.userdata = s };
		s->served_count++;
		settings_of(&s->settings, one->service, &one->settings);
		r = served_find_path(one, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* All listen, or none does. */
static int open_all(struct serve *s, struct kedge_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->served_count; i++)
		r = served_open(&s->served[i], error);
	for (size_t i = 0; r < 0 && i < s->served_count; i++)
		served_close(&s->served[i]);
	return r;
}

static int serve(struct serve *s)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r = prepare(s, &error);

	(void)uv_loop_init(&s->loop);
	s->shared.started_ns = uv_hrtime();
	s->shared.answer_ms = (unsigned)s->settings.answer_ms;
	if (r == 0)
		r = open_all(s, &error);
	if (r < 0) {
		(void)usage_error("%s", error.text);
	} else {
		s->running = s->served_count;
		watch_signals(s);
		account_open(&s->account, &s->loop);
		announce(s);
	}
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < s->served_count; i++)
		served_close(&s->served[i]);
	(void)uv_loop_close(&s->loop);
	return r < 0 ? status_of(r) : EXIT_OK;
}

static int check(const struct serve *s)
{
	printf("%s: right\n", s->settings.config_file);
	return EXIT_OK;
}

static int out_of_memory(void)
{
	(void)usage_error("out of memory");
	return EXIT_FAILED;
}

static int run_with(struct serve *s)
{
	struct log *log = &s->settings.log;
	int r = find_workspace(s);

	if (r != EXIT_OK)
		return r;
	if ((r = log_open(log)) < 0)
		return usage_error("--log-file %s: %s", log->path, error_words(r));
	if (account_init(&s->account, log, s->settings.metrics_file) < 0)
		return out_of_memory();
	s->shared.ledger = s->account.ledger;
	ledger_on_describe(s->shared.ledger, service_describe_path, &s->shared);
	ledger_on_metrics(s->shared.ledger, service_append_metrics, &s->shared);
	raise_descriptors();
	r = serve(s);
	account_deinit(&s->account);
	return r;
}

static int run(int argc, char **argv)
{
	_cleanup_(freep) struct serve *s = calloc(1, sizeof(*s));
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r;

	if (!s)
		return out_of_memory();
	if (settings_read(&s->settings, argc, argv, &error) < 0)
		r = usage_error("%s", error.text);
	else if (s->settings.mode == SETTINGS_CHECK)
		r = check(s);
	else
		r = run_with(s);
	settings_deinit(&s->settings);
	free(s->workspace);
	return r;
}

const struct command command_serve = {
	.name = "serve",
	.summary = "run servers whose paths cannot be lost",
	.help = "Usage: kedge serve all|NAME... [OPTION]...\n"
		"Names: gateway, assistant, assistant-skill (or skill); all in one process.\n\n"
		"  --config FILE        options as KEY = VALUE, sections [general], [NAME]\n"
		"  --check-config       say whether that file is right, and end\n"
		"  --workspace DIR      where their data is ($VELLUM_WORKSPACE_DIR, or\n"
		"                       ~/.vellum/workspace); must exist\n"
		"  --log-format F, --log-level L, --log-file FILE\n"
		"                       text or json (text); debug, info, warning or error\n"
		"                       (info); opened again on SIGHUP (stderr)\n"
		"  --metrics-textfile FILE  write figures for Prometheus there, each 15 s\n"
		"  --grace-ms MS        for what is in flight at SIGTERM and SIGINT (2000)\n"
		"  --answer-ms MS       for a skill to answer what it is asked (30000)\n\n"
		"For all servers, or as --NAME-OPTION for one of them:\n"
		"  --socket PATH        instead of the endpoint's own path\n"
		"  --mode MODE          of the socket, octal (0600)\n"
		"  --allow-user U, --allow-group G   who may connect besides this user and\n"
		"                       root; again for more. The mode must let them in, too\n"
		"  --interval MS        look at the path so often (5000); 0: on events only\n"
		"  --anchor-dir DIR     keep the anchor there, on the same mount (.kedge-UID\n"
		"                       beside the socket)\n"
		"  --forward PREFIX=SOCKET   pass methods with that prefix on; again for more\n"
		"  --clients-max N      connections (10000)\n"
		"  --message-bytes-max N, --depth-max N, --in-flight-max N\n"
		"                       of a message, of requests on a connection (16 MiB,\n"
		"                       128, 1024)\n"
		"  --output-bytes-high N, --output-bytes-max N\n"
		"                       waiting for a client: pause it, close it (1, 64 MiB)\n"
		"  --first-byte-ms MS, --idle-ms MS, --stalled-ms MS\n"
		"                       close clients that send nothing, ask nothing, take\n"
		"                       nothing for so long (0: never)\n\n"
		"  kedge serve all --workspace ./workspace --assistant-mode 0660\n",
	.run = run,
};
