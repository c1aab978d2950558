/*
 * The view of `kedge top`: lines of text with what is to stand out, drawn by top-screen.h or
 * printed. Everything is said by words; colours only help.
 */
#pragma once

#include "base/buf.h"
#include "cmd/top-ui.h"

enum top_style {
	TOP_PLAIN = 0,
	TOP_HEADING,
	TOP_CHOSEN,
	TOP_GOOD, /* reachable */
	TOP_FAIR, /* it is not, and that is no fault */
	TOP_BAD,
	TOP_STYLE_MAX_,
};

struct top_line {
	struct buf text; /* valid UTF-8 without control characters, a NUL behind it */
	enum top_style style;
	unsigned mark_columns; /* so many of the first columns have @mark instead */
	enum top_style mark;
};

struct top_frame {
	struct top_line *lines;
	size_t count;
};

void top_frame_deinit(struct top_frame *frame);

/**
 * top_view_draw() - the present page, ui->lines lines of at most ui->columns columns
 * @ret: freed with top_frame_deinit()
 *
 * Scrolls so that the chosen row is in sight. Return: 0 or -ENOMEM.
 */
int top_view_draw(struct top_ui *ui, struct top_frame *ret);

/* All paths as a table without end: heading and rows, of at most ui->columns columns (0: as
 * many as it takes). Return: 0 or -ENOMEM. */
int top_view_table(const struct top_ui *ui, struct top_frame *ret);

/* "850ns", "4.2ms", "12s", "3m": 6 columns at most. */
void top_view_duration(int64_t ns, char ret[16]);

/* "12", "99999", "123k", "4.5M": 5 columns at most. */
void top_view_count(double count, char ret[16]);
