#include "cmd/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

static const char blanks[] = " \t\r";

int config_load(const char *file, struct buf *ret)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT;
	_cleanup_(fd_closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;
		int r = buf_reserve(&text, 4096);

		if (r < 0)
			return r;
		n = read(fd, text.data + text.end, text.capacity - text.end - 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		text.end += n > 0 ? (size_t)n : 0;
		if (buf_size(&text) > CONFIG_BYTES_MAX)
			return -EFBIG;
		if (n == 0)
			break;
	}
	text.data[text.end] = '\0';
	*ret = text;
	text = (struct buf)BUF_INIT;
	return 0;
}

const char *config_words(int error)
{
	return error == -EFBIG ? "more than 1 MiB is no configuration" : error_words(error);
}

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, blanks);
	for (n = strlen(text); n && strchr(blanks, text[n - 1]); n--)
		;
	text[n] = '\0';
	return text;
}

static bool is_comment(const char *text)
{
	return *text == '#' || *text == ';';
}

/* Text in quotes; in double ones \" and \\ stand for " and \. Return: behind it, or NULL. */
static char *unquote(char *text)
{
	char quote = *text, *to = text, *from = text + 1;

	for (; *from && *from != quote; from++) {
		if (quote == '"' && *from == '\\') {
			from++;
			if (*from != '"' && *from != '\\')
				return NULL;
		}
		*to++ = *from;
	}
	if (!*from)
		return NULL;
	*to = '\0';
	return from + 1;
}

/* A value without what follows it. Return: NULL, or what is wrong. */
static const char *clean_value(char *value)
{
	if (*value == '"' || *value == '\'') {
		char *rest = unquote(value);

		if (!rest)
			return "the quotes are not closed, or \\ stands before another "
			       "character than \" and \\";
		rest += strspn(rest, blanks);
		return *rest && !is_comment(rest) ? "something stands behind the quotes" : NULL;
	}
	if (*value == '[')
		return "there are no lists; give the key again for each value";
	for (char *p = value; *p; p++)
		if (is_comment(p) && p > value && strchr(blanks, p[-1])) {
			*p = '\0';
			break;
		}
	(void)trim(value);
	return *value ? NULL : "no value; an empty one is written \"\"";
}

/* Take one line apart. Return: NULL, or what is wrong with it. */
static const char *take_apart(char *line, struct config_item *item)
{
	char *end, *value;

	if (*line == '[') {
		end = strchr(line, ']');
		if (!end)
			return "a section is written [NAME]";
		value = end + 1 + strspn(end + 1, blanks);
		if (*value && !is_comment(value))
			return "something stands behind the section";
		*end = '\0';
		item->section = trim(line + 1);
		item->key = item->value = NULL;
		return NULL;
	}
	value = strchr(line, '=');
	if (!value || value == line)
		return "neither KEY = VALUE nor [SECTION]";
	*value++ = '\0';
	item->key = trim(line);
	item->value = trim(value);
	return clean_value((char *)(uintptr_t)item->value);
}

static int take_lines(char *text, struct config_item *item, config_item_fn *fn, void *userdata,
		      struct kedge_error *error)
{
	for (char *next; text; text = next) {
		const char *wrong;
		int r;

		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		item->line++;
		text = trim(text);
		if (!*text || is_comment(text))
			continue;
		wrong = take_apart(text, item);
		if (wrong)
			return error_set(error, -EINVAL, "%s:%u: %s", item->file, item->line,
					 wrong);
		r = fn(item, userdata, error);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_parse(const char *file, char *text, size_t size, config_item_fn *fn, void *userdata,
		 struct kedge_error *error)
{
	struct config_item item = { .file = file, .section = "" };

	assert(text[size] == '\0');
	if (strlen(text) != size)
		return error_set(error, -EINVAL, "%s: a NUL is in it; it is no text", file);
	return take_lines(text, &item, fn, userdata, error);
}

int config_read(const char *file, config_item_fn *fn, void *userdata, struct kedge_error *error)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT;
	int r = config_load(file, &text);

	if (r < 0)
		return error_set(error, r, "%s: %s", file, config_words(r));
	return config_parse(file, buf_front(&text), buf_size(&text), fn, userdata, error);
}
