#include "cmd/settings.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/config.h"
#include "cmd/values.h"

/* What is in flight may take so long after SIGTERM; a second signal ends it at once. */
#define GRACE_DEFAULT_MS  2000
#define ANSWER_DEFAULT_MS 30000

/* What kedge/conn.h takes where nothing is said. */
#define OUTPUT_BYTES_MAX_DEFAULT (INT64_C(64) << 20)

/* The file. */

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < settings_row_count; i++)
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	return NULL;
}

void settings_list_services(char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	for (size_t i = 0; i < service_count && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", services[i]->name);
}

/* The settings that a section is about; NULL: there is no such section. */
static struct server_settings *find_section(struct settings *s, const char *name)
{
	if (!*name || strcmp(name, "general") == 0)
		return &s->general;
	for (size_t i = 0; i < service_count; i++)
		if (strcmp(services[i]->name, name) == 0)
			return &s->servers[i];
	return NULL;
}

static int wrong_section(const struct config_item *item, struct kedge_error *error)
{
	char list[128];

	settings_list_services(list, sizeof(list));
	return error_set(error, -EINVAL, "%s:%u: [%s] is no section; there are general, %s",
			 item->file, item->line, item->section, list);
}

int settings_take_item(const struct config_item *item, void *userdata, struct kedge_error *error)
{
	struct settings *s = userdata;
	struct assignment a = { .settings = s, .target = find_section(s, item->section) };
	char where[256];

	if (!a.target)
		return wrong_section(item, error);
	if (!item->key)
		return 0;
	a.setting = find_setting(item->key);
	if (!a.setting)
		return error_set(error, -EINVAL,
				 "%s:%u: '%s' is no key; they are the options of kedge serve "
				 "--help without the '--'",
				 item->file, item->line, item->key);
	if (a.setting->scope == SCOPE_PROCESS && a.target != &s->general)
		return error_set(error, -EINVAL,
				 "%s:%u: '%s' concerns all servers: it stands above the sections",
				 item->file, item->line, item->key);
	(void)snprintf(where, sizeof(where), "%s:%u: %s", item->file, item->line, item->key);
	a.where = where;
	a.value = settings_keep(s, item->value);
	if (!a.value)
		return error_set(error, -ENOMEM, "out of memory");
	return settings_assign(&a, SOURCE_FILE, error);
}

/* The command line. */

enum {
	FLAG_CONFIG = 1,
	FLAG_CHECK,
	FLAG_SETTINGS, /* the first of the table's: FLAG_SETTINGS + row + ROWS_MAX * (1 + server) */
	LONGS_MAX = SETTINGS_ROWS_MAX * (SERVICES_MAX + 1) + 3,
	LONG_NAME_MAX = 64,
};

struct flags {
	struct option longs[LONGS_MAX];
	char names[LONGS_MAX][LONG_NAME_MAX];
	size_t count;
};

static void add_flag(struct flags *f, const char *server, const char *name, int value)
{
	char *text = f->names[f->count];

	(void)snprintf(text, LONG_NAME_MAX, "%s%s%s", server, *server ? "-" : "", name);
	f->longs[f->count++] = (struct option){
		text, value == FLAG_CHECK ? no_argument : required_argument, NULL, value
	};
}

static void list_flags(struct flags *f)
{
	add_flag(f, "", "config", FLAG_CONFIG);
	add_flag(f, "", "check-config", FLAG_CHECK);
	for (int i = 0; i < (int)settings_row_count; i++) {
		add_flag(f, "", settings_table[i].name, FLAG_SETTINGS + i);
		for (int k = 0; settings_table[i].scope == SCOPE_SERVER && k < (int)service_count;
		     k++)
			add_flag(f, services[k]->name, settings_table[i].name,
				 FLAG_SETTINGS + i + SETTINGS_ROWS_MAX * (1 + k));
	}
}

static int take_flag(struct settings *s, int flag, const char *name, const char *value,
		     struct kedge_error *error)
{
	int row = (flag - FLAG_SETTINGS) % SETTINGS_ROWS_MAX;
	int server = (flag - FLAG_SETTINGS) / SETTINGS_ROWS_MAX - 1;
	char where[LONG_NAME_MAX + 2];
	struct assignment a = { .settings = s,
				.target = server < 0 ? &s->general : &s->servers[server],
				.setting = &settings_table[row],
				.where = where,
				.value = value };

	(void)snprintf(where, sizeof(where), "--%s", name);
	return settings_assign(&a, SOURCE_FLAG, error);
}

static int take_flags(struct settings *s, int argc, char **argv, struct kedge_error *error)
{
	_cleanup_(freep) struct flags *flags = calloc(1, sizeof(*flags));
	int c, index = 0, r;

	if (!flags)
		return error_set(error, -ENOMEM, "out of memory");
	list_flags(flags);
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", flags->longs, &index)) != -1) {
		if (c == '?' || c == ':')
			return error_set(error, -EINVAL,
					 "serve: '%s' is no option, or lacks its value",
					 argv[optind - 1]);
		if (c == FLAG_CONFIG && !*optarg)
			return error_set(error, -EINVAL, "--config '': the path of a file");
		if (c == FLAG_CONFIG)
			s->config_file = optarg;
		else if (c == FLAG_CHECK)
			s->mode = SETTINGS_CHECK;
		else if ((r = take_flag(s, c, flags->longs[index].name, optarg, error)) < 0)
			return r;
	}
	return 0;
}

/* What is to be served, and whether it fits together. */

static int choose(struct settings *s, const struct service *service)
{
	for (size_t i = 0; i < s->chosen_count; i++)
		if (s->chosen[i] == service)
			return 0;
	s->chosen[s->chosen_count++] = service;
	return 0;
}

static int choose_services(struct settings *s, char **names, struct kedge_error *error)
{
	char list[128];

	settings_list_services(list, sizeof(list));
	if (!*names && s->mode != SETTINGS_CHECK)
		return error_set(error, -EINVAL, "serve: which server? One or more of %s; or all",
				 list);
	for (; *names; names++) {
		const struct service *service = service_find(*names);

		if (strcmp(*names, "all") != 0 && !service)
			return error_set(error, -EINVAL,
					 "serve: '%s' is no server; there are %s; or all", *names,
					 list);
		if (service)
			(void)choose(s, service);
		for (size_t i = 0; !service && i < service_count; i++)
			(void)choose(s, services[i]);
	}
	return 0;
}

void settings_deinit(struct settings *settings)
{
	for (size_t i = 0; i < settings->text_count; i++)
		free(settings->texts[i]);
	free(settings->texts);
	settings->texts = NULL;
	settings->text_count = 0;
}

static const struct server_settings *find_server(const struct settings *s,
						 const struct service *service)
{
	for (size_t i = 0; i < service_count; i++)
		if (services[i] == service)
			return &s->servers[i];
	return &s->general;
}

void settings_of(const struct settings *settings, const struct service *service,
		 struct server_settings *ret)
{
	const struct server_settings *own = find_server(settings, service);

	*ret = settings->general;
	for (size_t i = 0; i < settings_row_count; i++)
		if (settings_table[i].scope == SCOPE_SERVER && (own->given & (UINT32_C(1) << i)))
			memcpy((char *)ret + settings_table[i].offset,
			       (const char *)own + settings_table[i].offset,
			       settings_table[i].size);
}

/* Closed before it is paused: a client that reads slowly would lose its connection for nothing. */
static int check_output(const struct settings *settings, const struct service *service,
			struct kedge_error *error)
{
	struct server_settings own;
	int64_t max;

	settings_of(settings, service, &own);
	max = own.output_bytes_max ? own.output_bytes_max : OUTPUT_BYTES_MAX_DEFAULT;
	if (own.output_bytes_high <= max)
		return 0;
	return error_set(error, -EINVAL,
			 "%s: output-bytes-high %" PRId64
			 ": at most output-bytes-max, which is %" PRId64,
			 service->name, own.output_bytes_high, max);
}

int settings_read(struct settings *settings, int argc, char **argv, struct kedge_error *error)
{
	int r;

	settings->grace_ms = GRACE_DEFAULT_MS;
	settings->answer_ms = ANSWER_DEFAULT_MS;
	settings->log.level = KEDGE_LOG_INFO;
	r = take_flags(settings, argc, argv, error);
	if (r == 0)
		r = choose_services(settings, argv + optind, error);
	if (r == 0 && settings->config_file)
		r = config_read(settings->config_file, settings_take_item, settings, error);
	if (r == 0 && settings->mode == SETTINGS_CHECK && !settings->config_file)
		r = error_set(error, -EINVAL, "serve: --check-config needs a --config FILE");
	if (r == 0 && settings->general.socket && settings->chosen_count > 1)
		r = error_set(error, -EINVAL,
			      "--socket %s: one path for %zu servers; give --NAME-socket for each",
			      settings->general.socket, settings->chosen_count);
	for (size_t k = 0; r == 0 && k < service_count; k++)
		r = check_output(settings, services[k], error);
	return r;
}
