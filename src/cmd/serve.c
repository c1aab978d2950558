/* kedge serve: the product's servers, guarded. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/log.h"
#include "kedge/endpoint.h"
#include "services/service.h"

/* What is in flight may take so long after SIGTERM; a second signal ends it at once. */
#define GRACE_MS 2000

/* --allow-user and --allow-group, each. */
#define ALLOW_MAX 64

struct serve_options {
	const char *name;      /* of the service */
	const char *workspace; /* as given */
	const char *socket;
	const char *anchor_dir;
	int64_t interval_ms;
	mode_t mode;
	uid_t users[ALLOW_MAX];
	gid_t groups[ALLOW_MAX];
	size_t user_count, group_count;
};

struct serve {
	struct serve_options options;
	struct log log;
	const struct service *service;
	void *state;
	struct kedge_server *server;
	uv_loop_t loop;
	uv_signal_t signals[3];
	char workspace[PATH_MAX];
	char *path;
	bool stopping;
};

enum serve_option {
	OPTION_WORKSPACE = 1,
	OPTION_SOCKET,
	OPTION_INTERVAL,
	OPTION_ANCHOR_DIR,
	OPTION_MODE,
	OPTION_ALLOW_USER,
	OPTION_ALLOW_GROUP,
	OPTION_LOG_FORMAT,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FILE,
};

static const struct option longs[] = {
	{ "workspace", required_argument, NULL, OPTION_WORKSPACE },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "interval", required_argument, NULL, OPTION_INTERVAL },
	{ "anchor-dir", required_argument, NULL, OPTION_ANCHOR_DIR },
	{ "mode", required_argument, NULL, OPTION_MODE },
	{ "allow-user", required_argument, NULL, OPTION_ALLOW_USER },
	{ "allow-group", required_argument, NULL, OPTION_ALLOW_GROUP },
	{ "log-format", required_argument, NULL, OPTION_LOG_FORMAT },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "log-file", required_argument, NULL, OPTION_LOG_FILE },
	{ 0 },
};

/* Options. */

static int parse_interval(struct serve *s, const char *text)
{
	int64_t value;

	if (parse_number(text, 0, KEDGE_INTERVAL_MAX_MS, &value) < 0)
		return usage_error("--interval %s: whole milliseconds from 0 (none) to %" PRId64,
				   text, KEDGE_INTERVAL_MAX_MS);
	s->options.interval_ms = value ? value : KEDGE_INTERVAL_NONE;
	return EXIT_OK;
}

static int parse_mode(struct serve *s, const char *text)
{
	size_t n = strlen(text);
	unsigned long mode = strtoul(text, NULL, 8);

	if (n < 3 || n > 4 || strspn(text, "01234567") != n || mode == 0 || mode > 0777)
		return usage_error("--mode %s: three or four octal digits from 0001 to 0777", text);
	s->options.mode = (mode_t)mode;
	return EXIT_OK;
}

static int parse_user(struct serve *s, const char *text)
{
	const struct passwd *user = getpwnam(text);
	int64_t number = user ? (int64_t)user->pw_uid : 0;

	if (s->options.user_count == ALLOW_MAX)
		return usage_error("--allow-user %s: no more than %d may be given", text,
				   ALLOW_MAX);
	if (!user && parse_number(text, 0, UINT32_MAX - 1, &number) < 0)
		return usage_error("--allow-user %s: no such user; a name or a number", text);
	s->options.users[s->options.user_count++] = (uid_t)number;
	return EXIT_OK;
}

static int parse_group(struct serve *s, const char *text)
{
	const struct group *group = getgrnam(text);
	int64_t number = group ? (int64_t)group->gr_gid : 0;

	if (s->options.group_count == ALLOW_MAX)
		return usage_error("--allow-group %s: no more than %d may be given", text,
				   ALLOW_MAX);
	if (!group && parse_number(text, 0, UINT32_MAX - 1, &number) < 0)
		return usage_error("--allow-group %s: no such group; a name or a number", text);
	s->options.groups[s->options.group_count++] = (gid_t)number;
	return EXIT_OK;
}

static int find_word(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

static int parse_log(struct serve *s, int option, const char *text)
{
	int i;

	if (option == OPTION_LOG_FORMAT) {
		i = find_word(text, log_format_names, 2);
		if (i < 0)
			return usage_error("--log-format %s: text or json", text);
		s->log.format = (enum log_format)i;
		return EXIT_OK;
	}
	i = find_word(text, log_level_names, 4);
	if (i < 0)
		return usage_error("--log-level %s: debug, info, warning or error", text);
	s->log.level = (enum kedge_log_level)i;
	return EXIT_OK;
}

static int parse_option(struct serve *s, int option, const char *text)
{
	switch (option) {
	case OPTION_WORKSPACE:
		s->options.workspace = text;
		return EXIT_OK;
	case OPTION_SOCKET:
		s->options.socket = text;
		return EXIT_OK;
	case OPTION_INTERVAL:
		return parse_interval(s, text);
	case OPTION_ANCHOR_DIR:
		s->options.anchor_dir = text;
		return *text == '/' ? EXIT_OK
				    : usage_error("--anchor-dir '%s': an absolute path", text);
	case OPTION_MODE:
		return parse_mode(s, text);
	case OPTION_ALLOW_USER:
		return parse_user(s, text);
	case OPTION_ALLOW_GROUP:
		return parse_group(s, text);
	case OPTION_LOG_FILE:
		s->log.path = text;
		return *text ? EXIT_OK : usage_error("--log-file '': the path of a file");
	default:
		return parse_log(s, option, text);
	}
}

static int parse(struct serve *s, int argc, char **argv)
{
	int c, r;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == '?' || c == ':')
			return usage_error("serve: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		r = parse_option(s, c, optarg);
		if (r != EXIT_OK)
			return r;
	}
	if (argc - optind != 1)
		return usage_error("serve: takes the name of one server: gateway");
	s->options.name = argv[optind];
	s->service = service_find(s->options.name);
	return s->service ? EXIT_OK
			  : usage_error("serve: '%s' is no server; there is: gateway",
					s->options.name);
}

/* The workspace, which must exist: making one where nobody meant it hides a mistake. */
static int find_workspace(struct serve *s)
{
	const char *given = s->options.workspace ? s->options.workspace
						 : getenv("VELLUM_WORKSPACE_DIR");
	const char *home = getenv("HOME");
	char standard[PATH_MAX];
	struct stat st;

	if (!given || !*given) {
		if (s->options.workspace || !home || !*home)
			return usage_error("no workspace: --workspace DIR names one");
		(void)snprintf(standard, sizeof(standard), "%s/.vellum/workspace", home);
		given = standard;
	}
	if (!realpath(given, s->workspace))
		return usage_error("the workspace %s: %s", given, error_words(errno));
	if (stat(s->workspace, &st) < 0 || !S_ISDIR(st.st_mode))
		return usage_error("the workspace %s: it is not a directory", given);
	return EXIT_OK;
}

static int find_path(struct serve *s)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	if (s->options.socket)
		s->path = strdup(s->options.socket);
	else if (kedge_endpoint_resolve(s->options.name, s->workspace, &s->path, NULL, &error) < 0)
		return usage_error("%s", error.text);
	if (!s->path)
		return EXIT_FAILED;
	if (s->path[0] != '/')
		return usage_error("the socket '%s': an absolute path is needed", s->path);
	if (s->path[strlen(s->path) - 1] == '/')
		return usage_error("the socket %s: it ends in no name", s->path);
	return EXIT_OK;
}

/* Callbacks. */

static void on_event(const struct kedge_event *event, void *userdata)
{
	struct serve *s = userdata;

	log_guard_event(&s->log, event);
}

static void on_server_log(enum kedge_server_event event, const char *line, void *userdata)
{
	struct serve *s = userdata;

	log_line(&s->log,
		 event == KEDGE_SERVER_ACCEPT_RECOVERED ? KEDGE_LOG_INFO : KEDGE_LOG_WARNING,
		 "%s: %s", s->path, line);
}

static void on_service_log(enum kedge_log_level level, const char *line, void *userdata)
{
	struct serve *s = userdata;

	log_line(&s->log, level, "%s: %s", s->options.name, line);
}

static void on_stopped(void *userdata)
{
	struct serve *s = userdata;

	s->service->stop(s->state);
	s->state = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(s->signals); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	s->server = kedge_server_free(s->server);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct serve *s = handle->data;

	if (number == SIGHUP) {
		int r = log_reopen(&s->log);

		log_line(&s->log, r < 0 ? KEDGE_LOG_WARNING : KEDGE_LOG_INFO, "log reopened%s%s",
			 r < 0 ? ", not: " : "", r < 0 ? error_words(r) : "");
		return;
	}
	(void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	log_line(&s->log, KEDGE_LOG_INFO, "%s: stopping%s", s->options.name,
		 s->stopping ? " at once" : "");
	kedge_server_stop(s->server, s->stopping ? 0 : GRACE_MS, on_stopped, s);
	s->stopping = true;
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

static int open_server(struct serve *s, struct kedge_error *error)
{
	const struct serve_options *o = &s->options;
	struct kedge_server_options options = {
		.size = sizeof(options),
		.guard = { .interval_ms = o->interval_ms,
			   .anchor_dir = o->anchor_dir,
			   .on_event = on_event,
			   .userdata = s },
		.allow = { o->users, o->user_count, o->groups, o->group_count },
		.on_log = on_server_log,
		.userdata = s,
	};
	struct kedge_listen_options listen = { .size = sizeof(listen), .mode = o->mode };
	struct service_context context = { .loop = &s->loop,
					   .workspace = s->workspace,
					   .log = on_service_log,
					   .log_userdata = s };
	int r = kedge_server_new(&s->server, &s->loop, &options, error);

	if (r == 0)
		r = kedge_ensure_socket_dir(s->path, error);
	if (r == 0)
		r = kedge_server_listen(s->server, s->path, &listen, error);
	context.server = s->server;
	/* Whoever connects meanwhile waits in the queue: the loop does not run yet. */
	if (r == 0)
		r = s->service->start(&context, &s->state, error);
	return r;
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

/* The line to try is to be pasted: this very command, by the name it was called. */
static void announce(const struct serve *s)
{
	printf("%s: listening at %s\ntry: ", s->options.name, s->path);
	print_word(program_invocation_name);
	fputs(" call ", stdout);
	print_word(s->path);
	puts(" get_global_thresholds");
	fflush(stdout);
	(void)sd_notifyf(0, "READY=1\nSTATUS=Listening at %s", s->path);
}

static int serve(struct serve *s)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	int r;

	(void)uv_loop_init(&s->loop);
	r = open_server(s, &error);
	if (r < 0) {
		(void)usage_error("%s", error.text);
		s->server = kedge_server_free(s->server);
	} else {
		watch_signals(s);
		announce(s);
	}
	(void)uv_run(&s->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&s->loop);
	return r < 0 ? status_of(r) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct serve s = { .log = { .level = KEDGE_LOG_INFO } };
	int r = parse(&s, argc, argv);

	if (r == EXIT_OK)
		r = find_workspace(&s);
	if (r == EXIT_OK)
		r = find_path(&s);
	if (r == EXIT_OK && (r = log_open(&s.log)) < 0)
		r = usage_error("--log-file %s: %s", s.log.path, error_words(r));
	if (r == EXIT_OK) {
		raise_descriptors();
		r = serve(&s);
	}
	free(s.path);
	return r;
}

const struct command command_serve = {
	.name = "serve",
	.summary = "run a server whose path cannot be lost",
	.help = "Usage: kedge serve gateway [OPTION]...\n\n"
		"  --workspace DIR     where its data is ($VELLUM_WORKSPACE_DIR, or\n"
		"                      ~/.vellum/workspace); must exist\n"
		"  --socket PATH       instead of the endpoint's own path\n"
		"  --mode MODE         of the socket, octal (0600)\n"
		"  --allow-user U      who may connect besides this user and root; again\n"
		"  --allow-group G     for more. The mode must let them in as well\n"
		"  --interval MS       look at the path each so often (5000); 0: on events only\n"
		"  --anchor-dir DIR    keep the anchor there, on the same mount (.kedge-UID\n"
		"                      beside the socket)\n"
		"  --log-format F      text or json (text)\n"
		"  --log-level L       debug, info, warning or error (info)\n"
		"  --log-file FILE     instead of stderr; opened again on SIGHUP\n\n"
		"SIGTERM and SIGINT finish what is in flight (2 s), and leave nothing behind.\n\n"
		"  kedge serve gateway --workspace ./workspace\n",
	.run = run,
};
