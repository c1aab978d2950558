/* kedge guard: keep the sockets of daemons reachable that know nothing of kedge. */
#include "cmd/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/command.h"

static const struct option longs[] = {
	{ "all-of", required_argument, NULL, GUARD_ALL_OF },
	{ "anchor-dir", required_argument, NULL, GUARD_ANCHOR_DIR },
	{ "vault", required_argument, NULL, GUARD_VAULT },
	{ "settle", required_argument, NULL, GUARD_SETTLE },
	{ "interval", required_argument, NULL, GUARD_INTERVAL },
	{ "wait", no_argument, NULL, GUARD_WAIT },
	{ "attribution", required_argument, NULL, GUARD_ATTRIBUTION },
	{ "metrics-textfile", required_argument, NULL, GUARD_METRICS },
	{ "log-format", required_argument, NULL, GUARD_LOG_FORMAT },
	{ "log-level", required_argument, NULL, GUARD_LOG_LEVEL },
	{ "log-file", required_argument, NULL, GUARD_LOG_FILE },
	{ "ready-fd", required_argument, NULL, GUARD_READY_FD },
	{ "config", required_argument, NULL, GUARD_CONFIG },
	{ "check-config", no_argument, NULL, GUARD_CHECK },
	{ 0 },
};

int guard_add_word(struct guard_words *words, const char *text)
{
	char **more = realloc(words->items, (words->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	words->items = more;
	words->items[words->count] = strdup(text);
	if (!words->items[words->count])
		return -ENOMEM;
	words->count++;
	return 0;
}

static void drop_words(struct guard_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
}

void guard_options_deinit(struct guard_options *o)
{
	drop_words(&o->paths);
	drop_words(&o->all_of);
	free(o->anchor_dir);
	free(o->metrics_file);
	free(o->log_file);
}

static int set_number(int64_t *to, const char *where, const char *value, int64_t high)
{
	if (parse_number(value, 0, high, to) < 0)
		return usage_error("%s '%s': whole milliseconds from 0 to %" PRId64, where, value,
				   high);
	return EXIT_OK;
}

/* One of @count words. Return: EXIT_OK, and its index in *to. */
static int set_choice(int *to, const char *where, const char *value, const char *const *words,
		      int count)
{
	char all[128] = "";

	for (int i = 0; i < count; i++)
		if (strcmp(value, words[i]) == 0) {
			*to = i;
			return EXIT_OK;
		}
	for (int i = 0; i < count; i++) {
		strcat(all, i ? ", " : "");
		strcat(all, words[i]);
	}
	return usage_error("%s '%s': one of %s", where, value, all);
}

static int set_absolute(char **to, const char *where, const char *value)
{
	char *copy;

	if (*value != '/')
		return usage_error("%s '%s': an absolute path", where, value);
	copy = strdup(value);
	if (!copy)
		return EXIT_FAILED;
	/* A trailing '/' says nothing, but would hide the last component. */
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	free(*to);
	*to = copy;
	return EXIT_OK;
}

static int set_log(struct guard_options *o, enum guard_key key, const char *where,
		   const char *value)
{
	int choice = 0, r;

	if (key == GUARD_LOG_FORMAT) {
		r = set_choice(&choice, where, value, log_format_names, 2);
		o->log.format = (enum log_format)choice;
		return r;
	}
	r = set_choice(&choice, where, value, log_level_names, 4);
	o->log.level = (enum kedge_log_level)choice;
	return r;
}

/* `yes` in a file; on the command line the option alone. */
static int set_wait(struct guard_options *o, const char *where, const char *value)
{
	static const char *const words[] = { "no", "yes" };
	int choice = 1;
	int r = value ? set_choice(&choice, where, value, words, 2) : EXIT_OK;

	o->wait = choice == 1;
	return r;
}

static int set_ready(struct guard_options *o, const char *where, const char *value)
{
	int64_t fd;

	if (parse_number(value, 0, INT_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)
		return usage_error("%s '%s': the number of an open descriptor", where, value);
	o->ready_fd = (int)fd;
	return EXIT_OK;
}

int guard_set(struct guard_options *o, enum guard_key key, const char *where, const char *value)
{
	static const char *const attributions[] = { "auto", "off" };
	int choice = 0, r;

	switch (key) {
	case GUARD_PATH:
		if (!*value)
			return usage_error("guard: the path is empty");
		return guard_add_word(&o->paths, value) < 0 ? EXIT_FAILED : EXIT_OK;
	case GUARD_ALL_OF:
		return guard_add_word(&o->all_of, value) < 0 ? EXIT_FAILED : EXIT_OK;
	case GUARD_ANCHOR_DIR:
	case GUARD_VAULT:
		return set_absolute(&o->anchor_dir, where, value);
	case GUARD_SETTLE:
		return set_number(&o->settle_ms, where, value, GUARD_SETTLE_MAX_MS);
	case GUARD_INTERVAL:
		return set_number(&o->interval_ms, where, value, KEDGE_INTERVAL_MAX_MS);
	case GUARD_WAIT:
		return set_wait(o, where, value);
	case GUARD_ATTRIBUTION:
		r = set_choice(&choice, where, value, attributions, 2);
		o->attribution = (enum tender_attribution)choice;
		return r;
	case GUARD_METRICS:
		return set_absolute(&o->metrics_file, where, value);
	case GUARD_LOG_FILE:
		return set_absolute(&o->log_file, where, value);
	case GUARD_READY_FD:
		return set_ready(o, where, value);
	default:
		return set_log(o, key, where, value);
	}
}

static int parse(struct guard_options *o, int argc, char **argv, const char **ret_config,
		 bool *ret_check)
{
	int c, index = 0, r = EXIT_OK;
	char where[64];

	opterr = 0;
	while (r == EXIT_OK && (c = getopt_long(argc, argv, ":", longs, &index)) != -1) {
		if (c == '?' || c == ':')
			return usage_error("guard: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		(void)snprintf(where, sizeof(where), "--%s", longs[index].name);
		if (c == GUARD_CHECK)
			*ret_check = true;
		else if (c == GUARD_CONFIG)
			*ret_config = optarg;
		else
			r = guard_set(o, (enum guard_key)c, where, optarg);
	}
	for (int i = optind; r == EXIT_OK && i < argc; i++)
		r = guard_set(o, GUARD_PATH, "", argv[i]);
	return r;
}

/* The file first: what the command line says overrides it. */
static int read_all(struct guard_options *o, int argc, char **argv, bool *ret_check)
{
	const char *config = NULL;
	struct guard_options line = *o;
	int r = parse(&line, argc, argv, &config, ret_check);

	guard_options_deinit(&line);
	if (r != EXIT_OK)
		return r;
	if (*ret_check && !config)
		return usage_error("--check-config: --config FILE names the file");
	if (config)
		r = guard_read_config(o, config);
	optind = 1;
	return r == EXIT_OK ? parse(o, argc, argv, &config, ret_check) : r;
}

static int run(int argc, char **argv)
{
	struct guard_options o = { .settle_ms = TEND_SETTLE_DEFAULT_NS / NSEC_PER_MSEC,
				   .interval_ms = KEDGE_INTERVAL_DEFAULT_MS,
				   .ready_fd = -1,
				   .log = { .level = KEDGE_LOG_INFO } };
	bool check = false;
	int r = read_all(&o, argc, argv, &check);

	if (r == EXIT_OK && o.paths.count == 0 && o.all_of.count == 0)
		r = usage_error("guard: nothing to guard: give a PATH, --all-of or --config");
	if (r == EXIT_OK && check) {
		printf("%zu paths, %zu processes or units: well\n", o.paths.count, o.all_of.count);
	} else if (r == EXIT_OK) {
		r = guard_resolve(&o);
		if (r == EXIT_OK)
			r = guard_run(&o);
	}
	guard_options_deinit(&o);
	return r;
}

const struct command command_guard = {
	.name = "guard",
	.summary = "keep the sockets of other daemons reachable",
	.help = "Usage: kedge guard [OPTION]... PATH...\n\n"
		"  --all-of PID|UNIT   every path that it listens at now; again for more\n"
		"  --config FILE       read options and paths; --check-config only checks\n"
		"  --wait              await paths where nobody listens yet\n"
		"  --anchor-dir DIR, --vault DIR   keep anchors there (.kedge-UID beside each\n"
		"                      socket); on the same mount, it outlives the directory\n"
		"  --settle MS         wait so long where it is not known who took a path away\n"
		"                      (10); more where a daemon listens on after its unlink\n"
		"  --attribution A     auto: ask the kernel who did it, as root; off: do not\n"
		"  --interval MS       look at all paths so often (5000); 0: on events only\n"
		"  --metrics-textfile FILE  write figures for Prometheus there, each 15 s\n"
		"  --ready-fd N        a line end is written to it when all is guarded\n"
		"  --log-format F --log-level L --log-file FILE   as in kedge serve\n\n"
		"What its own daemon takes away is left alone; a new listener is followed; what\n"
		"was put back is removed when its listener is gone. See kedge status, events.\n\n"
		"  kedge guard /run/redis/redis-server.sock\n",
	.run = run,
};
