/*
 * The guard's configuration, a file as cmd/config.h reads it, with the names of its options.
 * And --all-of, which becomes paths.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "cmd/config.h"
#include "cmd/guard.h"
#include "cmd/survey.h"
#include "sys/procfs.h"

/* Whether a key may be given once only. */
enum config_times {
	CONFIG_ONCE = 0,
	CONFIG_OFTEN,
};

static const struct {
	const char *name;
	enum guard_key key;
	enum config_times times;
} keys[] = {
	{ "path", GUARD_PATH, CONFIG_OFTEN },
	{ "all-of", GUARD_ALL_OF, CONFIG_OFTEN },
	{ "anchor-dir", GUARD_ANCHOR_DIR, CONFIG_ONCE },
	{ "settle", GUARD_SETTLE, CONFIG_ONCE },
	{ "interval", GUARD_INTERVAL, CONFIG_ONCE },
	{ "wait", GUARD_WAIT, CONFIG_ONCE },
	{ "attribution", GUARD_ATTRIBUTION, CONFIG_ONCE },
	{ "metrics-textfile", GUARD_METRICS, CONFIG_ONCE },
	{ "log-format", GUARD_LOG_FORMAT, CONFIG_ONCE },
	{ "log-level", GUARD_LOG_LEVEL, CONFIG_ONCE },
	{ "log-file", GUARD_LOG_FILE, CONFIG_ONCE },
};

struct guard_file {
	struct guard_options *options;
	unsigned seen[ARRAY_SIZE(keys)]; /* the line where it stood */
};

static int set_key(struct guard_file *f, const struct config_item *item)
{
	char where[512];

	(void)snprintf(where, sizeof(where), "%.300s:%u: %.100s", item->file, item->line,
		       item->key);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(item->key, keys[i].name) != 0)
			continue;
		if (f->seen[i] && keys[i].times == CONFIG_ONCE)
			return usage_error("%s: given already in line %u", where, f->seen[i]);
		f->seen[i] = item->line;
		if (!*item->value)
			return usage_error("%s: it has no value", where);
		if (keys[i].key == GUARD_PATH && *item->value != '/')
			return usage_error("%s '%s': an absolute path", where, item->value);
		return guard_set(f->options, keys[i].key, where, item->value);
	}
	return usage_error("%s: no such key; kedge guard --help lists the options", where);
}

/* Options complain by themselves: then all is said, and the file is read no further. */
static int take_item(const struct config_item *item, void *userdata, struct kedge_error *error)
{
	if (!item->key)
		return error_set(error, -EINVAL,
				 "%s:%u: [%s]: there are no sections in a guard's file", item->file,
				 item->line, item->section);
	return set_key(userdata, item) == EXIT_OK ? 0 : -ECANCELED;
}

int guard_take_config(struct guard_options *o, const char *file, char *text, size_t size)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct guard_file f = { .options = o };
	int r = config_parse(file, text, size, take_item, &f, &error);

	if (r < 0 && r != -ECANCELED)
		usage_complain("%s", error.text);
	return r < 0 ? EXIT_USAGE : EXIT_OK;
}

int guard_read_config(struct guard_options *o, const char *file)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT;
	int r = config_load(file, &text);

	if (r < 0)
		return usage_error("--config %s: %s", file, config_words(r));
	return guard_take_config(o, file, buf_front(&text), buf_size(&text));
}

/* Processes that are meant by a word of --all-of. */
struct pids {
	pid_t *items;
	size_t count;
};

static bool is_among(const struct pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->count; i++)
		if (pids->items[i] == pid)
			return true;
	return false;
}

static int add_pid(struct pids *pids, pid_t pid)
{
	pid_t *more = realloc(pids->items, (pids->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	pids->items = more;
	pids->items[pids->count++] = pid;
	return 0;
}

/* Whether the process is in the unit's control group, or below it. */
static bool is_of_unit(const char *pid, const char *unit)
{
	char path[64], line[4096], name[300];
	bool found = false;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/cgroup", pid);
	(void)snprintf(name, sizeof(name), "/%.280s", unit);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = procfs_cgroup_is_in(line, name);
	if (file)
		(void)fclose(file);
	return found;
}

static int find_unit(struct pids *pids, const char *word)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char unit[300];
	int r = 0;

	(void)snprintf(unit, sizeof(unit), "%.280s%s", word, strchr(word, '.') ? "" : ".service");
	while (proc && r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_of_unit(entry->d_name, unit))
			r = add_pid(pids, atoi(entry->d_name));
	if (proc)
		closedir(proc);
	return r;
}

static int find_processes(struct pids *pids, const char *word)
{
	int64_t pid;
	char path[64];

	if (strspn(word, "0123456789") != strlen(word)) {
		if (find_unit(pids, word) == 0 && pids->count)
			return EXIT_OK;
		usage_complain("--all-of %s: no such process or unit is running", word);
		return EXIT_FAILED;
	}
	if (parse_number(word, 1, INT_MAX, &pid) < 0)
		return usage_error("--all-of '%s': the number of a process, or a unit", word);
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (access(path, F_OK) < 0) {
		usage_complain("--all-of %s: no such process: it is gone", word);
		return EXIT_FAILED;
	}
	return add_pid(pids, (pid_t)pid) < 0 ? EXIT_FAILED : EXIT_OK;
}

/* A path that was given by name as well is guarded once. */
static bool is_given(const struct guard_options *o, const char *path)
{
	for (size_t i = 0; i < o->paths.count; i++)
		if (strcmp(o->paths.items[i], path) == 0)
			return true;
	return false;
}

static int add_surveyed(struct guard_options *o, const struct survey *s, const struct surveyed *it,
			const struct pids *pids, size_t *ret_found)
{
	const struct owner *owners;
	char path[PATH_MAX];
	size_t n;

	if (it->state == SURVEY_ABSTRACT || it->path[0] != '/')
		return 0;
	owners = owners_of(&s->owners, it->socket.socket_inode, &n);
	for (size_t i = 0; i < n; i++) {
		if (!is_among(pids, owners[i].pid))
			continue;
		(*ret_found)++;
		/* As its owner sees it: from outside its root another way leads there. */
		if (!it->foreign_root)
			(void)snprintf(path, sizeof(path), "%s", it->path);
		else if (snprintf(path, sizeof(path), "/proc/%d/root%s", (int)owners[i].pid,
				  it->path) >= PATH_MAX)
			return -ENAMETOOLONG;
		return is_given(o, path) ? 0 : guard_add_word(&o->paths, path);
	}
	return 0;
}

static int resolve_word(struct guard_options *o, const struct survey *s, const char *word)
{
	_cleanup_(freep) pid_t *items = NULL;
	struct pids pids = { 0 };
	size_t found = 0;
	int r = find_processes(&pids, word);

	items = pids.items;
	if (r != EXIT_OK)
		return r;
	for (size_t i = 0; i < s->count; i++)
		if (add_surveyed(o, s, &s->items[i], &pids, &found) < 0)
			return EXIT_FAILED;
	if (found)
		return EXIT_OK;
	usage_complain("--all-of %s: it listens at no path%s", word,
		       geteuid() == 0 ? "" : " that we can see: run as root, or as its user");
	return EXIT_FAILED;
}

int guard_resolve(struct guard_options *o)
{
	struct survey s = SURVEY_INIT;
	int r = EXIT_OK, e;

	if (o->all_of.count == 0)
		return EXIT_OK;
	e = survey_take(SURVEY_MACHINE, &s);
	if (e < 0) {
		usage_complain("--all-of: the sockets of the machine cannot be listed: %s",
			       error_words(e));
		return EXIT_FAILED;
	}
	for (size_t i = 0; r == EXIT_OK && i < o->all_of.count; i++)
		r = resolve_word(o, &s, o->all_of.items[i]);
	survey_deinit(&s);
	return r;
}
