/*
 * kedge top: whatever a control socket answers and a terminal sends, each frame fits the terminal,
 * and nothing in it moves the cursor.
 *
 * The text before the first NUL is the result of sockets_status, and of sockets_events; it is
 * believed only where it is JSON. What follows are the columns, the lines, and the bytes of keys.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/time.h"
#include "cmd/table.h"
#include "cmd/top-keys.h"
#include "cmd/top-paint.h"
#include "wire/json.h"

static void check_line(const struct top_line *line, const struct top_ui *ui)
{
	const char *text = buf_front(&line->text);

	FUZZ_ASSERT(strlen(text) < buf_size(&line->text));
	FUZZ_ASSERT(text_columns(text) <= ui->columns);
	for (const char *p = text; *p; p++)
		FUZZ_ASSERT((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void show(struct top_ui *ui, struct top_paint *paint)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT, again = BUF_INIT;
	struct top_frame frame;

	FUZZ_ASSERT(top_view_draw(ui, &frame) == 0);
	for (size_t i = 0; i < frame.count; i++)
		check_line(&frame.lines[i], ui);
	FUZZ_ASSERT(top_paint_frame(paint, &frame, ui->columns, ui->lines, &out) == 0);
	/* Once painted, it stands there. */
	FUZZ_ASSERT(top_paint_frame(paint, &frame, ui->columns, ui->lines, &again) == 0);
	FUZZ_ASSERT(buf_size(&again) == 0);
	top_frame_deinit(&frame);
}

/* Return: false: the user has left. */
static bool press(struct top_ui *ui, int key, struct kedge_span told)
{
	int wish = key == TOP_KEY_NONE ? TOP_WISH_NOTHING : top_ui_press(ui, key);

	FUZZ_ASSERT(wish >= 0);
	if (wish == TOP_WISH_EVENTS)
		FUZZ_ASSERT(top_ui_take_events(ui, told) == 0);
	return wish != TOP_WISH_END;
}

static void press_all(struct top_ui *ui, struct top_paint *paint, const char *bytes, size_t size,
		      struct kedge_span told)
{
	int key;

	while (size > 0) {
		size_t n = top_keys_next(bytes, size, TOP_KEYS_END, &key);

		FUZZ_ASSERT(n > 0 && n <= size);
		if (!press(ui, key, told))
			return;
		show(ui, paint);
		bytes += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t told_size = nul ? (size_t)(nul - data) : size;
	struct kedge_span told = { (const char *)data, told_size };
	struct top_moment now = { NSEC_PER_SEC, 1000 };
	struct top_paint paint = { .charset = TOP_UTF8 };
	struct top_ui ui = { .columns = 80, .lines = 24 };

	if (!json_is_valid(told, JSON_DEPTH_MAX))
		told = kedge_span("{}");
	FUZZ_ASSERT(top_model_take(&ui.model, 1, told, now) == 0);
	FUZZ_ASSERT(top_model_arrange(&ui.model) == 0);
	if (size > told_size + 3) {
		ui.columns = 1 + data[told_size + 1];
		ui.lines = 1 + data[told_size + 2] % 64;
		press_all(&ui, &paint, (const char *)data + told_size + 3, size - told_size - 3,
			  told);
	}
	show(&ui, &paint);
	top_paint_deinit(&paint);
	top_ui_deinit(&ui);
	return 0;
}
