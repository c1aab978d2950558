/*
 * The terminal of `kedge top`: taken over, drawn on, given back. There is one.
 */
#pragma once

#include <signal.h>

#include "cmd/top-paint.h"

/* Whether $TERM names a terminal that can be drawn on. */
bool top_screen_is_possible(void);

/**
 * top_screen_open() - take the terminal over
 *
 * Whatever ends the process from here on, it gives the terminal back: SIGSEGV, SIGABRT
 * and the like do so by themselves, all else by top_screen_close().
 *
 * Return: 0, or -errno as from tcgetattr(3).
 */
int top_screen_open(enum top_colours colours);

/* Give it back. Again: nothing. */
void top_screen_close(void);

/* Give it back for a while, and take it over anew: around SIGTSTP, and after SIGCONT. */
void top_screen_suspend(void);
void top_screen_resume(void);

/* 80 columns and 24 lines where the terminal does not know. */
void top_screen_size(unsigned *ret_columns, unsigned *ret_lines);

/* The next key, or TOP_KEY_NONE: no more. */
int top_screen_key(void);

/**
 * top_screen_show() - show a frame: one write(2), of what has changed
 * @signals: the mask meanwhile, for a terminal that takes nothing must not hold us up. After a
 *           signal all is shown anew by the next frame.
 *
 * Return: 0; -ENOMEM; or as from write(2): the terminal is gone.
 */
int top_screen_show(const struct top_frame *frame, const sigset_t *signals);
