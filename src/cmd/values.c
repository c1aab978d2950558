#include "cmd/values.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"

/* A day, for times; larger ones are mistakes in units. */
#define TIME_MAX_MS INT64_C(86400000)

#define BYTES_MAX (INT64_C(1) << 40)

static assign_fn assign_text, assign_path, assign_number, assign_interval, assign_mode, assign_user,
	assign_group, assign_forward, assign_log_format, assign_log_level, assign_log;

#define OF_SERVER(member)                                                                          \
	offsetof(struct server_settings, member), sizeof(((struct server_settings *)0)->member)
#define OF_PROCESS(member) offsetof(struct settings, member), sizeof(((struct settings *)0)->member)

const struct setting settings_table[] = {
	{ "workspace", assign_text, OF_PROCESS(workspace) },
	{ "grace-ms", assign_number, OF_PROCESS(grace_ms), 0, TIME_MAX_MS },
	{ "answer-ms", assign_number, OF_PROCESS(answer_ms), 1, TIME_MAX_MS },
	{ "log-format", assign_log_format, OF_PROCESS(log) },
	{ "log-level", assign_log_level, OF_PROCESS(log) },
	{ "log-file", assign_log, OF_PROCESS(log) },
	{ "metrics-textfile", assign_path, OF_PROCESS(metrics_file) },
	{ "socket", assign_text, OF_SERVER(socket), 0, 0, SCOPE_SERVER },
	{ "anchor-dir", assign_path, OF_SERVER(anchor_dir), 0, 0, SCOPE_SERVER },
	{ "interval", assign_interval, OF_SERVER(interval_ms), 0, 0, SCOPE_SERVER },
	{ "mode", assign_mode, OF_SERVER(mode), 0, 0, SCOPE_SERVER },
	{ "allow-user", assign_user, OF_SERVER(users), 0, 0, SCOPE_SERVER, LIST },
	{ "allow-group", assign_group, OF_SERVER(groups), 0, 0, SCOPE_SERVER, LIST },
	{ "forward", assign_forward, OF_SERVER(forward), 0, 0, SCOPE_SERVER, LIST },
	{ "clients-max", assign_number, OF_SERVER(clients_max), 1, 1000000, SCOPE_SERVER },
	{ "message-bytes-max", assign_number, OF_SERVER(message_bytes_max), 64, 0x7affffff,
	  SCOPE_SERVER },
	{ "depth-max", assign_number, OF_SERVER(depth_max), 1, 1024, SCOPE_SERVER },
	{ "in-flight-max", assign_number, OF_SERVER(in_flight_max), 1, 1000000, SCOPE_SERVER },
	{ "output-bytes-high", assign_number, OF_SERVER(output_bytes_high), 1, BYTES_MAX,
	  SCOPE_SERVER },
	{ "output-bytes-max", assign_number, OF_SERVER(output_bytes_max), 1, BYTES_MAX,
	  SCOPE_SERVER },
	{ "first-byte-ms", assign_number, OF_SERVER(first_byte_ms), 0, TIME_MAX_MS, SCOPE_SERVER },
	{ "idle-ms", assign_number, OF_SERVER(idle_ms), 0, TIME_MAX_MS, SCOPE_SERVER },
	{ "stalled-ms", assign_number, OF_SERVER(stalled_ms), 0, TIME_MAX_MS, SCOPE_SERVER },
};

const size_t settings_row_count = ARRAY_SIZE(settings_table);

_Static_assert(ARRAY_SIZE(settings_table) <= SETTINGS_ROWS_MAX, "a bit for each setting");

/* Values. */

static void *place_of(const struct assignment *a)
{
	char *base = a->setting->scope == SCOPE_SERVER ? (char *)a->target : (char *)a->settings;

	return base + a->setting->offset;
}

static int assign_text(const struct assignment *a, struct kedge_error *error)
{
	if (!*a->value)
		return error_set(error, -EINVAL, "%s '': must not be empty", a->where);
	*(const char **)place_of(a) = a->value;
	return 0;
}

static int assign_path(const struct assignment *a, struct kedge_error *error)
{
	if (*a->value != '/')
		return error_set(error, -EINVAL, "%s '%s': an absolute path", a->where, a->value);
	return assign_text(a, error);
}

static int assign_number(const struct assignment *a, struct kedge_error *error)
{
	int64_t low = a->setting->low, high = a->setting->high;

	if (parse_number(a->value, low, high, place_of(a)) < 0)
		return error_set(error, -EINVAL,
				 "%s %s: a whole number from %" PRId64 " to %" PRId64, a->where,
				 a->value, low, high);
	return 0;
}

static int assign_interval(const struct assignment *a, struct kedge_error *error)
{
	int64_t value;

	if (parse_number(a->value, 0, KEDGE_INTERVAL_MAX_MS, &value) < 0)
		return error_set(error, -EINVAL,
				 "%s %s: whole milliseconds from 0 (none) to %" PRId64, a->where,
				 a->value, KEDGE_INTERVAL_MAX_MS);
	a->target->interval_ms = value ? value : KEDGE_INTERVAL_NONE;
	return 0;
}

static int assign_mode(const struct assignment *a, struct kedge_error *error)
{
	size_t n = strlen(a->value);
	unsigned long mode = strtoul(a->value, NULL, 8);

	if (n < 3 || n > 4 || strspn(a->value, "01234567") != n || mode == 0 || mode > 0777)
		return error_set(error, -EINVAL,
				 "%s %s: three or four octal digits from 0001 to 0777", a->where,
				 a->value);
	a->target->mode = (int64_t)mode;
	return 0;
}

static int add_id(const struct assignment *a, bool found, int64_t id, const char *what,
		  struct kedge_error *error)
{
	struct id_list *list = place_of(a);

	if (list->count == ALLOW_MAX)
		return error_set(error, -EINVAL, "%s %s: no more than %d may be given", a->where,
				 a->value, ALLOW_MAX);
	if (!found && parse_number(a->value, 0, UINT32_MAX - 1, &id) < 0)
		return error_set(error, -EINVAL, "%s %s: no such %s; a name or a number", a->where,
				 a->value, what);
	list->ids[list->count++] = (uint32_t)id;
	return 0;
}

static int assign_user(const struct assignment *a, struct kedge_error *error)
{
	const struct passwd *user = getpwnam(a->value);

	return add_id(a, user, user ? (int64_t)user->pw_uid : 0, "user", error);
}

static int assign_group(const struct assignment *a, struct kedge_error *error)
{
	const struct group *group = getgrnam(a->value);

	return add_id(a, group, group ? (int64_t)group->gr_gid : 0, "group", error);
}

static int find_word(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

static int assign_log_format(const struct assignment *a, struct kedge_error *error)
{
	int i = find_word(a->value, log_format_names, 2);

	if (i < 0)
		return error_set(error, -EINVAL, "%s %s: text or json", a->where, a->value);
	a->settings->log.format = (enum log_format)i;
	return 0;
}

static int assign_log_level(const struct assignment *a, struct kedge_error *error)
{
	int i = find_word(a->value, log_level_names, 4);

	if (i < 0)
		return error_set(error, -EINVAL, "%s %s: debug, info, warning or error", a->where,
				 a->value);
	a->settings->log.level = (enum kedge_log_level)i;
	return 0;
}

static int assign_log(const struct assignment *a, struct kedge_error *error)
{
	if (!*a->value)
		return error_set(error, -EINVAL, "%s '': the path of a file", a->where);
	a->settings->log.path = a->value;
	return 0;
}

char *settings_keep(struct settings *s, const char *text)
{
	char **texts = realloc(s->texts, (s->text_count + 1) * sizeof(char *));

	if (!texts)
		return NULL;
	s->texts = texts;
	s->texts[s->text_count] = strdup(text);
	return s->texts[s->text_count] ? s->texts[s->text_count++] : NULL;
}

static int assign_forward(const struct assignment *a, struct kedge_error *error)
{
	struct forward_list *list = &a->target->forward;
	char *prefix = settings_keep(a->settings, a->value);
	char *equals = prefix ? strchr(prefix, '=') : NULL;

	if (!prefix)
		return error_set(error, -ENOMEM, "out of memory");
	if (!equals || equals == prefix || !equals[1])
		return error_set(error, -EINVAL,
				 "%s '%s': PREFIX=SOCKET, e.g. host.memory.=/run/x/memory.sock",
				 a->where, a->value);
	if (list->count == FORWARD_MAX)
		return error_set(error, -EINVAL, "%s %s: no more than %d may be given", a->where,
				 a->value, FORWARD_MAX);
	*equals = '\0';
	list->rules[list->count++] = (struct forward_rule){ prefix, equals + 1 };
	return 0;
}

int settings_assign(const struct assignment *a, enum source source, struct kedge_error *error)
{
	bool server = a->setting->scope == SCOPE_SERVER;
	uint32_t *given = server ? &a->target->given : &a->settings->given;
	uint32_t *by_flag = server ? &a->target->by_flag : &a->settings->by_flag;
	uint32_t bit = UINT32_C(1) << (a->setting - settings_table);

	/* Checked all the same, so that a file's mistake is found whatever the flags are. */
	if (source == SOURCE_FILE && (*by_flag & bit)) {
		struct server_settings nobodys = { 0 };
		struct settings nothing = { 0 };
		struct assignment checked = *a;
		int r;

		checked.settings = &nothing;
		checked.target = &nobodys;
		r = a->setting->assign(&checked, error);
		settings_deinit(&nothing);
		return r;
	}
	if (source == SOURCE_FILE && (*given & bit) && a->setting->how_often == ONCE)
		return error_set(error, -EINVAL, "%s: was given before", a->where);
	*given |= bit;
	if (source == SOURCE_FLAG)
		*by_flag |= bit;
	return a->setting->assign(a, error);
}
