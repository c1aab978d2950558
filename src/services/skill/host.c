/* What a skill may ask of its host: the log, the configuration, names and places. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/params.h"
#include "services/skill/skill.h"
#include "wire/compact.h"

/* A log line is cut there: what a skill says is for people. */
#define LINE_BYTES_MAX 900

static void append_printable(struct buf *line, const char *text, size_t size)
{
	size_t before = buf_size(line);

	if (buf_append(line, text, size) < 0)
		return;
	/* One message, one line. */
	for (char *c = buf_front(line) + before; c < buf_front(line) + buf_size(line); c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
}

static void write_log(const struct skill *skill, enum kedge_log_level level, struct buf *line)
{
	if (buf_size(line) > LINE_BYTES_MAX)
		line->end = line->start + LINE_BYTES_MAX;
	if (buf_append(line, "", 1) == 0)
		skill->context.log(level, buf_front(line), skill->context.log_userdata);
}

void host_log(const struct kedge_call *call, void *userdata)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	const struct skill *skill = userdata;
	_cleanup_(freep) char *message = NULL;
	_cleanup_(freep) char *name = NULL;
	size_t message_size, name_size = 0;
	struct buf line = BUF_INIT;
	struct kedge_span meta;
	struct params params;
	int level;

	params_init(&params, call);
	level = params_choice(&params, "level", PARAMS_REQUIRED, levels, ARRAY_SIZE(levels));
	(void)params_string(&params, "msg", PARAMS_MAY_BE_EMPTY, &message, &message_size);
	(void)params_string(&params, "name", PARAMS_MAY_BE_ABSENT, &name, &name_size);
	meta = params_any(&params, "meta", PARAMS_OPTIONAL);
	if (!params_refused(&params, call)) {
		if (name_size) {
			append_printable(&line, name, name_size);
			(void)buf_append(&line, ": ", 2);
		}
		append_printable(&line, message, message_size);
		if (meta.size) {
			(void)buf_append(&line, " ", 1);
			append_printable(&line, meta.data, meta.size);
		}
		write_log(skill, (enum kedge_log_level)level, &line);
		(void)kedge_call_reply(call, kedge_span("{\"ok\":true}"));
	}
	buf_deinit(&line);
	params_deinit(&params);
}

/* The element of a list that a decimal number names, or nothing. */
static struct kedge_span element(struct kedge_span list, const char *number)
{
	struct kedge_span value = { NULL, 0 };
	const char *at = NULL;
	unsigned long index;
	char *end;

	if (!isdigit((unsigned char)*number) || (*number == '0' && number[1]))
		return value;
	index = strtoul(number, &end, 10);
	if (*end)
		return value;
	for (unsigned long i = 0; json_next_element(list, &at, &value); i++)
		if (i == index)
			return value;
	return (struct kedge_span){ NULL, 0 };
}

/* Go down a dotted path, which is cut up on the way. Return: the value, or nothing. */
static struct kedge_span descend(struct kedge_span value, char *path)
{
	for (char *name; (name = strsep(&path, ".")) && value.size;)
		value = json_kind(value) == JSON_ARRAY ? element(value, name)
						       : json_member(value, name);
	return value;
}

/* A broken file is told once, and once more when it is mended. */
static struct kedge_span read_document(const struct skill *skill, struct document *d)
{
	struct kedge_span text;
	char line[PATH_MAX + 96];
	int news;

	text = document_text(d, &news);
	if (news) {
		(void)snprintf(line, sizeof(line), "%s: %s", d->path,
			       news > 0 ? "it cannot be read; the last good text is kept"
					: "it can be read again");
		skill->context.log(news > 0 ? KEDGE_LOG_WARNING : KEDGE_LOG_INFO, line,
				   skill->context.log_userdata);
	}
	return text;
}

/* Leading white space off, so that a value begins with its first byte. */
static struct kedge_span trim_front(struct kedge_span text)
{
	const char *begin = json_skip_space(text.data, text.data + text.size);

	return (struct kedge_span){ begin, text.size - (size_t)(begin - text.data) };
}

void host_config_get_section(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	_cleanup_(freep) char *path = NULL;
	struct buf reply = BUF_INIT;
	struct kedge_span value;
	struct params params;
	size_t size;

	params_init(&params, call);
	(void)params_string(&params, "path", PARAMS_MAY_BE_EMPTY, &path, &size);
	if (!params_refused(&params, call)) {
		value = read_document(skill, &skill->config);
		value = value.size && strlen(path) == size ? descend(trim_front(value), path)
							   : (struct kedge_span){ NULL, 0 };
		if (!value.size)
			value = kedge_span("null");
		skill_reply(call, &reply, json_append_compact(&reply, value));
	}
	params_deinit(&params);
}

void host_config_is_feature_flag_enabled(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	_cleanup_(freep) char *key = NULL;
	struct params params;
	size_t size;

	params_init(&params, call);
	(void)params_string(&params, "key", PARAMS_MAY_BE_EMPTY, &key, &size);
	if (!params_refused(&params, call))
		(void)kedge_call_reply(
			call,
			kedge_span(flags_get(skill->flags, key, size) == 1 ? "true" : "false"));
	params_deinit(&params);
}

/* What follows the first "**Name:**" that has something behind it on its line. */
static struct kedge_span find_name(struct kedge_span text)
{
	static const char mark[] = "**Name:**";
	const char *p = text.data, *end = p + text.size;

	while (p && p < end && (p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1))) {
		const char *stop;

		p += sizeof(mark) - 1;
		stop = memchr(p, '\n', (size_t)(end - p));
		if (!stop)
			stop = end;
		while (p < stop && isspace((unsigned char)*p))
			p++;
		while (stop > p && isspace((unsigned char)stop[-1]))
			stop--;
		if (p < stop)
			return (struct kedge_span){ p, (size_t)(stop - p) };
	}
	return (struct kedge_span){ NULL, 0 };
}

void host_identity_get_assistant_name(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	struct kedge_span text = read_document(skill, &skill->identity);
	struct kedge_span name = text.size ? find_name(text) : text;
	struct buf reply = BUF_INIT;

	skill_reply(call, &reply,
		    name.size ? json_append_string(&reply, name) : buf_append(&reply, "null", 4));
}

static void reply_text(const struct kedge_call *call, const char *text, size_t size)
{
	struct buf reply = BUF_INIT;

	skill_reply(call, &reply, json_append_string(&reply, (struct kedge_span){ text, size }));
}

void host_platform_workspace_dir(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;

	reply_text(call, skill->context.workspace, strlen(skill->context.workspace));
}

void host_platform_vellum_root(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	const char *workspace = skill->context.workspace;
	const char *slash = strrchr(workspace, '/');

	/* The workspace is absolute and normal: its parent is what stands before its name. */
	reply_text(call, workspace, slash == workspace ? 1 : (size_t)(slash - workspace));
}

void host_platform_runtime_mode(const struct kedge_call *call, void *userdata)
{
	const char *value = getenv("IS_CONTAINERIZED");
	const char *mode = value && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
				   ? "docker"
				   : "bare-metal";

	(void)userdata;
	reply_text(call, mode, strlen(mode));
}
