#include "cmd/top-ui.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/happened.h"
#include "cmd/table.h"
#include "wire/json.h"

const char *const top_ui_help[] = {
	"Up Down, j k       the path before, the next one",
	"PageUp PageDown    a page; Space is PageDown too",
	"Home End, g G      the first path, the last",
	"Enter              what happened to the path; again, or Esc: back",
	"< >, Left Right    sort by the column before, the next one",
	"1 ... 7            sort by that column: 1 is STATE, 7 is PATH",
	"r                  the other way round",
	"/                  show paths and owners with a text in them",
	"Esc                show all again",
	"u                  only what is not reachable; again: all",
	"?, h               this page; any key: back",
	"q                  leave",
	"",
	"STATE    lost: repairing; displaced: by another listener; blocked",
	"         left-alone: its own daemon took it away; awaited: nobody listens yet",
	"         silent: its kedge does not answer, and this is how it was",
	"OUTAGE   how long the last loss took; with +: is taking",
	"CLIENTS  connections at present    REQ/S  requests a second, of kedge serve",
	NULL,
};

static void forget_events(struct top_ui *ui)
{
	for (size_t i = 0; i < ui->event_count; i++)
		free(ui->events[i]);
	free(ui->events);
	ui->events = NULL;
	ui->event_count = 0;
}

void top_ui_deinit(struct top_ui *ui)
{
	forget_events(ui);
	free(ui->looked_at.path);
	top_model_deinit(&ui->model);
	*ui = (struct top_ui){ 0 };
}

size_t top_ui_body(const struct top_ui *ui)
{
	unsigned head = ui->page == TOP_PAGE_EVENTS ? TOP_EVENTS_HEAD_LINES : TOP_HEAD_LINES;
	unsigned taken = head + TOP_FOOT_LINES;

	return ui->lines > taken ? ui->lines - taken : 1;
}

/* One event as its line. */
static char *event_line(struct kedge_span event)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	if (happened_append(&b, event, HAPPENED_WITHOUT_PATH) < 0 || buf_append(&b, "", 1) < 0)
		return NULL;
	return strdup(buf_front(&b));
}

static void reverse_events(struct top_ui *ui)
{
	for (size_t i = 0; i < ui->event_count / 2; i++) {
		char **other = &ui->events[ui->event_count - 1 - i], *line = ui->events[i];

		ui->events[i] = *other;
		*other = line;
	}
}

int top_ui_take_events(struct top_ui *ui, struct kedge_span events)
{
	struct kedge_span event;
	const char *at = NULL;

	forget_events(ui);
	ui->events = calloc(TOP_EVENTS_MAX, sizeof(*ui->events));
	if (!ui->events)
		return -ENOMEM;
	while (json_kind(events) == JSON_ARRAY && ui->event_count < TOP_EVENTS_MAX &&
	       json_next_element(events, &at, &event)) {
		char *line = event_line(event);

		if (!line)
			return -ENOMEM;
		ui->events[ui->event_count++] = line;
	}
	reverse_events(ui);
	return 0;
}

/* Scrolling. */

static size_t limited(size_t value, size_t most)
{
	return value < most ? value : most;
}

/* Where a key leads from @at, among @count lines. */
static size_t moved(size_t at, int key, size_t page, size_t count)
{
	size_t last = count ? count - 1 : 0;

	switch (key) {
	case TOP_KEY_UP:
		return at - limited(1, at);
	case TOP_KEY_DOWN:
		return limited(at + 1, last);
	case TOP_KEY_PAGE_UP:
		return at - limited(page, at);
	case TOP_KEY_PAGE_DOWN:
		return limited(at + page, last);
	case TOP_KEY_HOME:
		return 0;
	case TOP_KEY_END:
		return last;
	default:
		return limited(at, last);
	}
}

/* Letters for those who have no such keys. */
static int plain_key(int key)
{
	static const struct {
		int letter, key;
	} letters[] = {
		{ 'k', TOP_KEY_UP },   { 'j', TOP_KEY_DOWN }, { ' ', TOP_KEY_PAGE_DOWN },
		{ 'g', TOP_KEY_HOME }, { 'G', TOP_KEY_END },
	};

	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (letters[i].letter == key)
			return letters[i].key;
	return key;
}

/* What single keys of the list do. */

static int turn_page(struct top_ui *ui, enum top_page page)
{
	ui->page = page;
	ui->first = 0;
	return TOP_WISH_NOTHING;
}

static int do_events(struct top_ui *ui, int key)
{
	const struct top_row *row = top_model_chosen(&ui->model);

	(void)key;
	if (!row)
		return TOP_WISH_NOTHING;
	free(ui->looked_at.path);
	ui->looked_at = (struct top_choice){ row->guard, strdup(row->path) };
	forget_events(ui);
	if (!ui->looked_at.path)
		return -ENOMEM;
	(void)turn_page(ui, TOP_PAGE_EVENTS);
	return TOP_WISH_EVENTS;
}

static int do_help(struct top_ui *ui, int key)
{
	(void)key;
	return turn_page(ui, TOP_PAGE_HELP);
}

static int do_filter(struct top_ui *ui, int key)
{
	(void)key;
	ui->typing = true;
	return TOP_WISH_NOTHING;
}

static int do_show_all(struct top_ui *ui, int key)
{
	(void)key;
	ui->model.filter[0] = '\0';
	ui->model.only_unwell = false;
	return top_model_arrange(&ui->model);
}

static int do_unwell(struct top_ui *ui, int key)
{
	(void)key;
	ui->model.only_unwell = !ui->model.only_unwell;
	return top_model_arrange(&ui->model);
}

static int do_reverse(struct top_ui *ui, int key)
{
	(void)key;
	ui->model.reverse = !ui->model.reverse;
	return top_model_arrange(&ui->model);
}

static int do_sort(struct top_ui *ui, int key)
{
	int column = (int)ui->model.sort;

	if (key >= '1' && key < '1' + TOP_COLUMN_MAX_)
		column = key - '1';
	else if (key == '<' || key == TOP_KEY_LEFT)
		column += TOP_COLUMN_MAX_ - 1;
	else
		column++;
	ui->model.sort = (enum top_column)(column % TOP_COLUMN_MAX_);
	return top_model_arrange(&ui->model);
}

static int do_end(struct top_ui *ui, int key)
{
	(void)ui;
	(void)key;
	return TOP_WISH_END;
}

static const struct {
	int first, last;
	int (*press)(struct top_ui *ui, int key);
} list_keys[] = {
	{ 'q', 'q', do_end },
	{ '?', '?', do_help },
	{ 'h', 'h', do_help },
	{ '/', '/', do_filter },
	{ 'u', 'u', do_unwell },
	{ 'r', 'r', do_reverse },
	{ '<', '<', do_sort },
	{ '>', '>', do_sort },
	{ '1', '0' + TOP_COLUMN_MAX_, do_sort },
	{ TOP_KEY_LEFT, TOP_KEY_RIGHT, do_sort },
	{ TOP_KEY_ENTER, TOP_KEY_ENTER, do_events },
	{ TOP_KEY_ESCAPE, TOP_KEY_ESCAPE, do_show_all },
};

/* The pages. */

static int press_list(struct top_ui *ui, int key)
{
	for (size_t i = 0; i < ARRAY_SIZE(list_keys); i++)
		if (key >= list_keys[i].first && key <= list_keys[i].last)
			return list_keys[i].press(ui, key);
	top_model_choose(&ui->model, moved(ui->model.at, plain_key(key), top_ui_body(ui),
					   ui->model.shown_count));
	return TOP_WISH_NOTHING;
}

static int press_events(struct top_ui *ui, int key)
{
	size_t page = top_ui_body(ui);
	/* The last page is full. */
	size_t stops = ui->event_count > page ? ui->event_count - page + 1 : 1;

	if (key == 'q' || key == TOP_KEY_ESCAPE || key == TOP_KEY_ENTER || key == TOP_KEY_LEFT)
		return turn_page(ui, TOP_PAGE_PATHS);
	ui->first = moved(ui->first, plain_key(key), page, stops);
	return TOP_WISH_NOTHING;
}

static int press_filter(struct top_ui *ui, int key)
{
	char *filter = ui->model.filter;
	size_t n = strlen(filter);

	if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE)
		ui->typing = false;
	if (key == TOP_KEY_ESCAPE)
		filter[0] = '\0';
	else if (key == TOP_KEY_BACKSPACE && n > 0)
		filter[n - 1] = '\0';
	else if (key >= ' ' && key < 0x7f && n + 1 < TOP_FILTER_BYTES)
		memcpy(filter + n, (char[]){ (char)key, '\0' }, 2);
	return top_model_arrange(&ui->model);
}

int top_ui_press(struct top_ui *ui, int key)
{
	if (ui->typing)
		return press_filter(ui, key);
	switch (ui->page) {
	case TOP_PAGE_HELP:
		return turn_page(ui, TOP_PAGE_PATHS);
	case TOP_PAGE_EVENTS:
		return press_events(ui, key);
	default:
		return press_list(ui, key);
	}
}
