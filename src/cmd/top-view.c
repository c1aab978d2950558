#include "cmd/top-view.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/top-lines.h"
#include "services/ledger.h"

void top_frame_deinit(struct top_frame *frame)
{
	for (size_t i = 0; i < frame->count; i++)
		buf_deinit(&frame->lines[i].text);
	free(frame->lines);
	*frame = (struct top_frame){ 0 };
}

static int add_text(struct top_frame *frame, const struct top_ui *ui, const char *text,
		    enum top_style style)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	if (buf_append(&b, text, strlen(text)) < 0)
		return -ENOMEM;
	return top_add_line(frame, ui, &b, style);
}

/* Empty lines up to the last one, and the keys there. */
static int add_foot(struct top_frame *frame, const struct top_ui *ui, const char *keys)
{
	int r = 0;

	while (r == 0 && frame->count + TOP_FOOT_LINES < ui->lines)
		r = add_text(frame, ui, "", TOP_PLAIN);
	return r < 0 ? r : add_text(frame, ui, keys, TOP_HEADING);
}

/* The paths. */

static int add_prompt(struct top_frame *frame, const struct top_ui *ui)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r = buf_appendf(&b, "show paths and owners with: %s_   Enter keeps it, Esc drops it",
			    ui->model.filter);
	_cleanup_(freep) char *text = NULL;

	if (r == 0)
		r = buf_append(&b, "", 1);
	text = r == 0 ? strdup(buf_front(&b)) : NULL;
	return text ? add_foot(frame, ui, text) : -ENOMEM;
}

/* The chosen row is to be in sight, and no line is to be empty that need not be. */
static void scroll_to_choice(struct top_ui *ui)
{
	size_t body = top_ui_body(ui), at = ui->model.at, count = ui->model.shown_count;

	if (ui->first + body > count)
		ui->first = count > body ? count - body : 0;
	if (at < ui->first)
		ui->first = at;
	if (at >= ui->first + body)
		ui->first = at - body + 1;
}

static int draw_paths(struct top_ui *ui, struct top_frame *frame)
{
	const struct top_model *m = &ui->model;
	int r = top_add_title(frame, ui);

	scroll_to_choice(ui);
	if (r == 0)
		r = top_add_notes(frame, ui);
	if (r == 0)
		r = top_add_heading(frame, ui);
	for (size_t i = ui->first; r == 0 && i < m->shown_count && i < ui->first + top_ui_body(ui);
	     i++)
		r = top_add_row(frame, ui, m->shown[i], i == m->at ? TOP_CHOSEN : TOP_PLAIN);
	if (r < 0)
		return r;
	if (ui->typing)
		return add_prompt(frame, ui);
	return add_foot(frame, ui,
			"q leave  ? help  Enter events  / filter  u unwell  < > sort  r reverse");
}

/* One path. */

static const struct top_row *find_looked_at(const struct top_ui *ui)
{
	const struct top_model *m = &ui->model;

	for (size_t i = 0; i < m->source_count; i++)
		for (size_t k = 0; k < m->sources[i].count; k++) {
			const struct top_row *row = &m->sources[i].rows[k];

			if (row->guard == ui->looked_at.guard &&
			    strcmp(row->path, ui->looked_at.path) == 0)
				return row;
		}
	return NULL;
}

static int add_figures(struct top_frame *frame, const struct top_ui *ui, const struct top_row *row)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	char whole[16];
	int r;

	if (!row)
		return add_text(frame, ui, "no longer guarded", TOP_BAD);
	top_view_duration(row->losses > 0 ? row->outage_total_ns : TOP_UNKNOWN, whole);
	r = buf_appendf(&b, "guarded by pid %d; out of reach in all: %s", (int)row->guard, whole);
	return r < 0 ? r : top_add_line(frame, ui, &b, TOP_PLAIN);
}

static int draw_events(struct top_ui *ui, struct top_frame *frame)
{
	const struct top_row *row = find_looked_at(ui);
	int r = add_text(frame, ui, ui->looked_at.path, TOP_PLAIN);

	if (r == 0)
		r = add_figures(frame, ui, row);
	if (r == 0)
		r = top_add_heading(frame, ui);
	if (r == 0)
		r = row ? top_add_row(frame, ui, row, TOP_PLAIN)
			: add_text(frame, ui, "", TOP_PLAIN);
	if (r == 0)
		r = add_text(frame, ui, "TIME                     EVENT", TOP_HEADING);
	for (size_t i = ui->first; r == 0 && i < ui->event_count && i < ui->first + top_ui_body(ui);
	     i++)
		r = add_text(frame, ui, ui->events[i], TOP_PLAIN);
	return r < 0 ? r : add_foot(frame, ui, "q back  Up Down PageUp PageDown: older, newer");
}

/* Help. */

static int draw_help(struct top_ui *ui, struct top_frame *frame)
{
	int r = add_text(frame, ui, "kedge top", TOP_HEADING);

	for (size_t i = 0; r == 0 && top_ui_help[i] && frame->count + 1 < ui->lines; i++)
		r = add_text(frame, ui, top_ui_help[i], TOP_PLAIN);
	return r < 0 ? r : add_foot(frame, ui, "any key: back");
}

int top_view_draw(struct top_ui *ui, struct top_frame *ret)
{
	static int (*const pages[])(struct top_ui * ui, struct top_frame * frame) = {
		[TOP_PAGE_PATHS] = draw_paths,
		[TOP_PAGE_EVENTS] = draw_events,
		[TOP_PAGE_HELP] = draw_help,
	};
	struct top_frame frame = { 0 };
	int r = pages[ui->page](ui, &frame);

	if (r < 0) {
		top_frame_deinit(&frame);
		return r;
	}
	*ret = frame;
	return 0;
}

int top_view_table(const struct top_ui *ui, struct top_frame *ret)
{
	struct top_frame frame = { 0 };
	int r = top_add_heading(&frame, ui);

	for (size_t i = 0; r == 0 && i < ui->model.shown_count; i++)
		r = top_add_row(&frame, ui, ui->model.shown[i], TOP_PLAIN);
	if (r < 0) {
		top_frame_deinit(&frame);
		return r;
	}
	*ret = frame;
	return 0;
}
