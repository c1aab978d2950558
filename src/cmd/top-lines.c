#include "cmd/top-lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/table.h"
#include "services/ledger.h"

/* The owner has room for a name and a pid where the terminal is wide. */
#define OWNER_COLUMNS      16
#define OWNER_COLUMNS_WIDE 24
#define WIDE_COLUMNS       110

/* Of a terminal that has no end: a file. */
#define ENDLESS_COLUMNS 100000

/* A narrow terminal shows fewer columns, and always the path. */
static const struct {
	const char *title;
	int columns;    /* negative: to the left; 0: what is left over */
	unsigned least; /* columns of a terminal that shows it */
} cells[TOP_COLUMN_MAX_] = {
	[TOP_STATE] = { "STATE", -10, 0 },  [TOP_LOSSES] = { "LOSSES", 7, 44 },
	[TOP_OUTAGE] = { "OUTAGE", 7, 50 }, [TOP_CLIENTS] = { "CLIENTS", 8, 60 },
	[TOP_RATE] = { "REQ/S", 6, 66 },    [TOP_OWNER] = { "OWNER", -OWNER_COLUMNS, 76 },
	[TOP_PATH] = { "PATH", 0, 0 },
};

/* Figures. */

void top_view_duration(int64_t ns, char ret[16])
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = {
		{ 86400 * (int64_t)NSEC_PER_SEC, "d" },
		{ 3600 * (int64_t)NSEC_PER_SEC, "h" },
		{ 60 * (int64_t)NSEC_PER_SEC, "m" },
		{ NSEC_PER_SEC, "s" },
		{ NSEC_PER_MSEC, "ms" },
		{ NSEC_PER_USEC, "us" },
		{ 1, "ns" },
	};
	size_t i = 0;
	double value;

	if (ns < 0) {
		strcpy(ret, "-");
		return;
	}
	while (i + 1 < ARRAY_SIZE(units) && ns < units[i].ns)
		i++;
	value = (double)ns / (double)units[i].ns;
	(void)snprintf(ret, 16, value < 9.95 && units[i].ns > 1 ? "%.1f%s" : "%.0f%s", value,
		       units[i].name);
}

void top_view_count(double count, char ret[16])
{
	static const char units[] = "\0kMGTP";
	size_t i = 0;

	if (count < 0) {
		strcpy(ret, "-");
		return;
	}
	if (count < 99999.5) {
		(void)snprintf(ret, 16, "%.0f", count);
		return;
	}
	for (; i + 2 < sizeof(units) && count >= 999.5; i++)
		count /= 1000;
	(void)snprintf(ret, 16, count < 9.95 ? "%.1f%c" : "%.0f%c", count, units[i]);
}

static void rate_words(double rate, char ret[16])
{
	if (rate > 0 && rate < 9.95)
		(void)snprintf(ret, 16, "%.1f", rate);
	else
		top_view_count(rate, ret);
}

static void outage_words(const struct top_row *row, char ret[24])
{
	/* A loss that is younger than its kedge's clock is exact. */
	top_view_duration(row->lost && row->outage_ns < 0 ? 0 : row->outage_ns, ret);
	if (row->lost)
		strcat(ret, "+");
}

/* Lines. */

static unsigned columns_of(const struct top_ui *ui)
{
	return ui->columns ? ui->columns : ENDLESS_COLUMNS;
}

int top_add_line(struct top_frame *frame, const struct top_ui *ui, struct buf *text,
		 enum top_style style)
{
	struct top_line *more = reallocarray(frame->lines, frame->count + 1, sizeof(*more));
	struct top_line *line;
	size_t left = columns_of(ui);
	int r;

	if (!more)
		return -ENOMEM;
	frame->lines = more;
	line = &more[frame->count++];
	*line = (struct top_line){ .style = style };
	r = buf_append(text, "", 1);
	if (r == 0)
		r = append_clean(&line->text, buf_front(text));
	if (r == 0)
		r = buf_append(&line->text, "", 1);
	buf_consume(text, buf_size(text));
	if (r < 0)
		return r;
	for (char *p = buf_front(&line->text); *p; p++)
		if (((unsigned char)*p & 0xC0) != 0x80 && left-- == 0) {
			*p = '\0';
			break;
		}
	return 0;
}

static bool is_in_sight(const struct top_ui *ui, int column)
{
	return columns_of(ui) >= cells[column].least;
}

/* Return: as printf's width: negative: to the left. */
static int width_of(const struct top_ui *ui, int column)
{
	if (column == TOP_OWNER && columns_of(ui) >= WIDE_COLUMNS)
		return -OWNER_COLUMNS_WIDE;
	return cells[column].columns;
}

/* A long name loses its end, and keeps its pid. */
static int append_owner(struct buf *b, const char *owner, int columns)
{
	const char *pid = strrchr(owner, '/');
	int size = (int)strlen(owner), pid_size = pid ? (int)strlen(pid) : 0;

	if (!*owner)
		owner = "-";
	if (size <= columns || pid_size + 2 > columns)
		return buf_appendf(b, "%-*.*s ", columns, columns, owner);
	return buf_appendf(b, "%.*s~%s ", columns - pid_size - 1, owner, pid ? pid : "");
}

/* The end of a path tells more than its beginning. */
static int append_path(struct buf *b, const struct top_ui *ui, const char *path)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_INIT;
	size_t room = columns_of(ui), used = buf_size(b);
	const char *tail;

	if (append_clean(&clean, path) < 0 || buf_append(&clean, "", 1) < 0)
		return -ENOMEM;
	room = room > used + 4 ? room - used : 4;
	tail = text_tail(buf_front(&clean), room);
	if (tail == buf_front(&clean))
		return buf_appendf(b, "%s", tail);
	return buf_appendf(b, "...%s", text_tail(tail, room - 3));
}

static const char *state_word(const struct top_row *row)
{
	if (row->silent)
		return "silent";
	return row->state < 0 ? "?" : ledger_state_names[row->state];
}

static enum top_style state_style(const struct top_row *row)
{
	if (row->silent || row->state < 0 || row->lost)
		return TOP_BAD;
	return row->state == LEDGER_REACHABLE ? TOP_GOOD : TOP_FAIR;
}

static int append_cell(struct buf *b, const struct top_ui *ui, const struct top_row *row,
		       int column)
{
	int width = width_of(ui, column);
	char figure[24] = "";

	switch (column) {
	case TOP_PATH:
		return append_path(b, ui, row->path);
	case TOP_OWNER:
		return append_owner(b, row->owner, -width);
	case TOP_STATE:
		return buf_appendf(b, "%*s ", width, state_word(row));
	case TOP_LOSSES:
		top_view_count((double)row->losses, figure);
		break;
	case TOP_OUTAGE:
		outage_words(row, figure);
		break;
	case TOP_CLIENTS:
		top_view_count((double)row->clients, figure);
		break;
	default:
		rate_words(row->rate, figure);
	}
	return buf_appendf(b, "%*s ", width, figure);
}

int top_add_row(struct top_frame *frame, const struct top_ui *ui, const struct top_row *row,
		enum top_style style)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	struct top_line *line;
	int r = 0;

	for (int i = 0; r == 0 && i < TOP_COLUMN_MAX_; i++)
		if (is_in_sight(ui, i))
			r = append_cell(&b, ui, row, i);
	if (r == 0)
		r = top_add_line(frame, ui, &b, style);
	if (r < 0)
		return r;
	line = &frame->lines[frame->count - 1];
	line->mark_columns = style == TOP_CHOSEN ? 0 : (unsigned)strlen(state_word(row));
	line->mark = state_style(row);
	return 0;
}

/* The column that is sorted by has a mark: v as it comes, ^ the other way round. */
int top_add_heading(struct top_frame *frame, const struct top_ui *ui)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r = 0;

	for (int i = 0; r == 0 && i < TOP_COLUMN_MAX_; i++) {
		int width = width_of(ui, i);
		char title[16];

		if (!is_in_sight(ui, i))
			continue;
		(void)snprintf(title, sizeof(title), "%s%s", cells[i].title,
			       (int)ui->model.sort != i ? ""
			       : ui->model.reverse      ? "^"
							: "v");
		r = buf_appendf(&b, "%*s%s", width, title, width ? " " : "");
	}
	return r < 0 ? r : top_add_line(frame, ui, &b, TOP_HEADING);
}

/* The two lines above. */

static int append_totals(struct buf *b, const struct top_model *m)
{
	int r = buf_appendf(b, "%zu kedge%s, %zu path%s", m->source_count,
			    m->source_count == 1 ? "" : "s", m->total, m->total == 1 ? "" : "s");
	const char *before = ": ";

	for (int i = 0; r == 0 && i < LEDGER_STATE_MAX_; i++) {
		if (!m->in_state[i])
			continue;
		r = buf_appendf(b, "%s%zu %s", before, m->in_state[i], ledger_state_names[i]);
		before = ", ";
	}
	return r < 0 ? r : buf_appendf(b, "; losses: %" PRId64, m->losses);
}

int top_add_title(struct top_frame *frame, const struct top_ui *ui)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	time_t seconds = (time_t)(ui->wall_ms / 1000);
	char clock[16] = "";
	struct tm tm;
	int r;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(clock, sizeof(clock), "%H:%M:%SZ", &tm);
	r = buf_appendf(&b, "%s  ", clock);
	if (r == 0)
		r = append_totals(&b, &ui->model);
	return r < 0 ? r : top_add_line(frame, ui, &b, TOP_PLAIN);
}

static int append_silent(struct buf *b, const struct top_ui *ui)
{
	int r = buf_appendf(b, "no answer from pid");

	for (size_t i = 0; r == 0 && i < ui->silent_count && i < TOP_SILENT_MAX; i++)
		r = buf_appendf(b, " %d", (int)ui->silent[i]);
	return r < 0 ? r : buf_appendf(b, "%s  ", ui->silent_count > TOP_SILENT_MAX ? " ..." : "");
}

/* What is out of the ordinary. */
int top_add_notes(struct top_frame *frame, const struct top_ui *ui)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	const struct top_model *m = &ui->model;
	int r = 0;

	if (!m->source_count && !ui->silent_count && ui->alone)
		r = buf_appendf(&b, "%s", ui->alone);
	if (r == 0 && ui->silent_count)
		r = append_silent(&b, ui);
	if (r == 0 && m->only_unwell)
		r = buf_appendf(&b, "what is not reachable  ");
	if (r == 0 && *m->filter)
		r = buf_appendf(&b, "with \"%s\"  ", m->filter);
	if (r == 0 && m->shown_count < m->total)
		r = buf_appendf(&b, "%zu of %zu shown", m->shown_count, m->total);
	return r < 0 ? r
		     : top_add_line(frame, ui, &b,
				    r == 0 && ui->silent_count ? TOP_BAD : TOP_PLAIN);
}
