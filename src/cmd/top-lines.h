/*
 * Lines of the view of `kedge top`; top-view.c makes pages of them. Each function appends one
 * line to the frame. Return: 0 or -ENOMEM.
 */
#pragma once

#include "cmd/top-view.h"

/* What was written to @text, made harmless and as short as it has to be. @text is emptied. */
int top_add_line(struct top_frame *frame, const struct top_ui *ui, struct buf *text,
		 enum top_style style);

/* The time, and how all paths are. */
int top_add_title(struct top_frame *frame, const struct top_ui *ui);

/* What is left out, and who does not answer. */
int top_add_notes(struct top_frame *frame, const struct top_ui *ui);

/* The columns' names; the one that is sorted by has a mark. */
int top_add_heading(struct top_frame *frame, const struct top_ui *ui);

int top_add_row(struct top_frame *frame, const struct top_ui *ui, const struct top_row *row,
		enum top_style style);
