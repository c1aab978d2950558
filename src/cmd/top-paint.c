#include "cmd/top-paint.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/table.h"

void top_paint_forget(struct top_paint *p)
{
	for (unsigned i = 0; p->on && i < p->lines; i++)
		buf_deinit(&p->on[i].text);
	free(p->on);
	p->on = NULL;
}

void top_paint_deinit(struct top_paint *p)
{
	top_paint_forget(p);
	*p = (struct top_paint){ 0 };
}

static const char *sgr_of(const struct top_paint *p, enum top_style style)
{
	static const char *const plain[TOP_STYLE_MAX_] = {
		[TOP_PLAIN] = "\033[m", [TOP_HEADING] = "\033[0;7m", [TOP_CHOSEN] = "\033[0;7m",
		[TOP_GOOD] = "\033[m",  [TOP_FAIR] = "\033[0;4m",    [TOP_BAD] = "\033[0;1m",
	};
	static const char *const coloured[TOP_STYLE_MAX_] = {
		[TOP_GOOD] = "\033[0;32m",
		[TOP_FAIR] = "\033[0;33m",
		[TOP_BAD] = "\033[0;1;31m",
	};

	return p->colours == TOP_COLOURS && coloured[style] ? coloured[style] : plain[style];
}

/* The byte at which a column begins. */
static size_t byte_at(const char *text, size_t column)
{
	const char *p = text;

	for (; *p && column > 0; column--)
		do
			p++;
		while (((unsigned char)*p & 0xC0) == 0x80);
	return (size_t)(p - text);
}

static bool is_bar(enum top_style style)
{
	return style == TOP_HEADING || style == TOP_CHOSEN;
}

/* A line as it is to stand there: no wider than the terminal, a bar from edge to edge, and of
 * characters that it has. Blanks at the end of any other line are what is there anyway. */
static int prepare_line(const struct top_paint *p, const struct top_line *from,
			struct top_line *ret)
{
	const char *text = from ? buf_front(&from->text) : "";
	size_t size = byte_at(text, p->columns), columns = text_columns(text);
	int r = 0;

	*ret = from ? *from : (struct top_line){ 0 };
	ret->text = (struct buf)BUF_INIT;
	for (size_t i = 0; r == 0 && i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (p->charset == TOP_UTF8 || c < 0x80)
			r = buf_append(&ret->text, &text[i], 1);
		else if ((c & 0xC0) != 0x80)
			r = buf_append(&ret->text, "?", 1);
	}
	if (is_bar(ret->style))
		for (; r == 0 && columns < p->columns; columns++)
			r = buf_append(&ret->text, " ", 1);
	while (!is_bar(ret->style) && ret->text.end > ret->text.start &&
	       ret->text.data[ret->text.end - 1] == ' ')
		ret->text.end--;
	return r < 0 ? r : buf_append(&ret->text, "", 1);
}

/* Columns [from, to) that have to be written, and whether to clear what is behind them. */
struct stretch {
	size_t from, to;
	bool clear;
};

static bool same_cell(const char *a, const char *b)
{
	size_t n = byte_at(a, 1);

	return n == byte_at(b, 1) && memcmp(a, b, n) == 0;
}

static struct stretch find_changes(const struct top_line *old, const struct top_line *new)
{
	const char *a = buf_front(&old->text), *b = buf_front(&new->text);
	size_t a_columns = text_columns(a), b_columns = text_columns(b);
	struct stretch s = { 0, b_columns, a_columns > b_columns };

	if (old->style != new->style || old->mark_columns != new->mark_columns ||
	    old->mark != new->mark)
		return s;
	while (s.from < b_columns && s.from < a_columns &&
	       same_cell(a + byte_at(a, s.from), b + byte_at(b, s.from)))
		s.from++;
	while (a_columns == b_columns && s.to > s.from &&
	       same_cell(a + byte_at(a, s.to - 1), b + byte_at(b, s.to - 1)))
		s.to--;
	return s;
}

static int write_columns(const struct top_paint *p, const struct top_line *line, size_t from,
			 size_t to, enum top_style style, struct buf *out)
{
	const char *text = buf_front(&line->text), *sgr = sgr_of(p, style);
	size_t first = byte_at(text, from);

	if (from >= to)
		return 0;
	if (buf_append(out, sgr, strlen(sgr)) < 0)
		return -ENOMEM;
	return buf_append(out, text + first, byte_at(text, to) - first);
}

static int write_line(const struct top_paint *p, unsigned y, const struct top_line *line,
		      struct stretch s, struct buf *out)
{
	size_t mark = line->mark_columns, marked_to = s.to < mark ? s.to : mark;
	int r;

	if (s.from >= s.to && !s.clear)
		return 0;
	r = buf_appendf(out, "\033[%u;%zuH", y + 1, s.from + 1);
	if (r == 0)
		r = write_columns(p, line, s.from, marked_to, line->mark, out);
	if (r == 0)
		r = write_columns(p, line, s.from > mark ? s.from : mark, s.to, line->style, out);
	/* What is cleared takes the present colour along. */
	return r == 0 && s.clear ? buf_appendf(out, "\033[m\033[K") : r;
}

/* A terminal of which nothing is known, or that has another size now, is blank. */
static int begin_anew(struct top_paint *p, unsigned columns, unsigned lines, struct buf *out)
{
	if (p->on && p->columns == columns && p->lines == lines)
		return 0;
	top_paint_forget(p);
	p->columns = columns;
	p->lines = lines;
	p->on = calloc(lines ? lines : 1, sizeof(*p->on));
	for (unsigned i = 0; p->on && i < lines; i++)
		if (buf_append(&p->on[i].text, "", 1) < 0)
			return -ENOMEM;
	return p->on ? buf_appendf(out, "\033[m\033[2J") : -ENOMEM;
}

int top_paint_frame(struct top_paint *p, const struct top_frame *frame, unsigned columns,
		    unsigned lines, struct buf *out)
{
	int r = begin_anew(p, columns, lines, out);

	for (unsigned y = 0; r == 0 && y < lines; y++) {
		struct top_line line;

		r = prepare_line(p, y < frame->count ? &frame->lines[y] : NULL, &line);
		if (r == 0)
			r = write_line(p, y, &line, find_changes(&p->on[y], &line), out);
		buf_deinit(&p->on[y].text);
		p->on[y] = line;
	}
	if (r < 0)
		top_paint_forget(p);
	return r;
}
