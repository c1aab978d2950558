/*
 * What a user of `kedge top` is at: the page, what is typed, how far it is scrolled. Keys go in,
 * and what top-view.h draws comes of it. No terminal is needed for either.
 */
#pragma once

#include "cmd/top-model.h"

/* Printable keys are themselves; these are the others. */
enum top_key {
	TOP_KEY_NONE = 0,
	TOP_KEY_UP = 256,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_LEFT,
	TOP_KEY_RIGHT,
	TOP_KEY_ENTER,
	TOP_KEY_ESCAPE,
	TOP_KEY_BACKSPACE,
};

enum top_page {
	TOP_PAGE_PATHS = 0,
	TOP_PAGE_EVENTS, /* one path, and what happened to it */
	TOP_PAGE_HELP,
};

/* Lines above and below what scrolls. */
#define TOP_HEAD_LINES        3
#define TOP_EVENTS_HEAD_LINES 5
#define TOP_FOOT_LINES        1

/* Events of a path that are asked for. */
#define TOP_EVENTS_MAX 200

/* Kedges that are named where they do not answer. */
#define TOP_SILENT_MAX 8

struct top_ui {
	struct top_model model;
	enum top_page page;
	bool typing;  /* a filter */
	size_t first; /* line of the page that stands below its head */
	unsigned columns, lines;
	struct top_choice looked_at; /* of TOP_PAGE_EVENTS */
	char **events;               /* of it, the newest first, a line each */
	size_t event_count;
	pid_t silent[TOP_SILENT_MAX]; /* kedges that do not answer */
	size_t silent_count;          /* maybe more than are named */
	int64_t wall_ms;
	const char *alone; /* said where no kedge is there; borrowed */
};

/* What is left to do after a key. */
enum top_wish {
	TOP_WISH_NOTHING = 0,
	TOP_WISH_EVENTS, /* ask for those of looked_at */
	TOP_WISH_END,
};

void top_ui_deinit(struct top_ui *ui);

/* A key was pressed. Return: enum top_wish, or -ENOMEM. */
int top_ui_press(struct top_ui *ui, int key);

/* @events: the result of sockets_events; valid JSON. Return: 0 or -ENOMEM. */
int top_ui_take_events(struct top_ui *ui, struct kedge_span events);

/* Lines that scroll on the present page, 1 at least. */
size_t top_ui_body(const struct top_ui *ui);

/* The keys, a line each, as help shows them; ends with NULL. */
extern const char *const top_ui_help[];
