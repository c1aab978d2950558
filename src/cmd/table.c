#include "cmd/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "wire/json.h"
#include "wire/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* The length of the character at @p; 0: it is no valid one. */
static size_t character_size(const char *p, const char *end)
{
	return (unsigned char)*p < 0x80 ? 1 : utf8_sequence(p, end);
}

/* Copy @text; each bad byte becomes @bad, and so does a control character if @controls. */
enum controls {
	CONTROLS_KEPT,
	CONTROLS_REPLACED,
};

static int append_valid(struct buf *b, const char *text, const char *bad, enum controls controls)
{
	const char *end = text + strlen(text);
	int r = 0;

	while (text < end && r == 0) {
		size_t n = character_size(text, end);
		unsigned char c = (unsigned char)*text;
		/* C0, DEL, and C1 in its UTF-8 form (terminals obey that too). */
		bool control = c < 0x20 || c == 0x7f ||
			       (c == 0xC2 && n == 2 && (unsigned char)text[1] < 0xA0);

		if (n && !(control && controls == CONTROLS_REPLACED))
			r = buf_append(b, text, n);
		else
			r = buf_append(b, bad, strlen(bad));
		text += n ? n : 1;
	}
	return r;
}

int append_clean(struct buf *b, const char *text)
{
	return append_valid(b, text, "?", CONTROLS_REPLACED);
}

int append_json_text(struct buf *b, const char *text)
{
	_cleanup_(buf_deinit) struct buf valid = BUF_INIT;
	int r = append_valid(&valid, text, REPLACEMENT, CONTROLS_KEPT);

	if (r < 0)
		return r;
	return json_append_string(b, (struct kedge_span){ buf_size(&valid) ? buf_front(&valid) : "",
							  buf_size(&valid) });
}

char *text_of_json(struct kedge_span string)
{
	char *text = malloc(string.size + 1);
	size_t n = 0;

	if (text && json_kind(string) == JSON_STRING)
		n = json_string_decode(string, text);
	if (text)
		text[n] = '\0';
	return text;
}

unsigned terminal_columns(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

bool terminal_has_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

size_t text_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

const char *text_tail(const char *text, size_t columns)
{
	size_t n = text_columns(text);

	for (; n > columns && *text; n--)
		do
			text++;
		while (((unsigned char)*text & 0xC0) == 0x80);
	return text;
}
