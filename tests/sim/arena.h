/*
 * Memory of what is simulated: taken from one block, given back all at once, so
 * that a process can be dropped at any moment. Each free() overwrites what it
 * frees; small blocks are not used again within a history.
 *
 * The linker sends the calls of the code that is simulated here (--wrap).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whose memory it is. */
struct holder {
	long allocations;
	size_t bytes;
};

/* Everything is free again. */
void arena_reset(void);

/* The holder is gone, with all it held. */
void arena_forget(struct holder *holder);

/* What each world has of its own. */

/* Whose code runs at this moment; NULL: nobody's of whom anything is counted. */
struct holder *arena_user(void);

/* Whether this call is to fail. */
bool arena_refuses(void);

/* The block is used up. */
void arena_is_exhausted(void);
