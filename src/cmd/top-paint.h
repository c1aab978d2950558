/*
 * Painting: from one frame to the next by as few bytes as that takes, in sequences that every
 * terminal of today and the VT100 know (ECMA-48: CUP, EL, ED, SGR).
 *
 * What stands on the terminal is remembered, and of each line only what has changed is written:
 * from the first cell that differs to the last one. ncurses does the same, but writes to the
 * terminal after each movement of the cursor, so that a frame is as many packets of ssh as it
 * has changed lines; and each kedge that serves would carry it around.
 */
#pragma once

#include "cmd/top-view.h"

enum top_colours {
	TOP_COLOURS_NONE = 0,
	TOP_COLOURS,
};

enum top_charset {
	TOP_ASCII = 0, /* anything else is shown as '?' */
	TOP_UTF8,
};

struct top_paint {
	enum top_colours colours;
	enum top_charset charset;
	unsigned columns, lines; /* of what is on the terminal */
	struct top_line *on;     /* @lines of them; NULL: nobody knows what is on it */
};

void top_paint_deinit(struct top_paint *paint);

/* Whatever is on the terminal, the next frame is painted as a whole. */
void top_paint_forget(struct top_paint *paint);

/**
 * top_paint_frame() - what to write to get a frame on a terminal of that size
 *
 * Appends nothing where nothing has changed. Return: 0 or -ENOMEM (all is forgotten then).
 */
int top_paint_frame(struct top_paint *paint, const struct top_frame *frame, unsigned columns,
		    unsigned lines, struct buf *out);
