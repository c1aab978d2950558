/*
 * Ways in which a path gets lost; bench programs do each as a stranger would. PATH is "DIR/NAME",
 * and DIR is the program's own.
 */
#pragma once

#include <stddef.h>

struct lose_way {
	const char *name, *what;
	/* Return: 0, or -1 with errno. */
	int (*lose)(const char *path);
};

/* unlink, rename, rmtree (the directory with all in it), replace (by a socket where nobody
 * listens). */
extern const struct lose_way lose_ways[];
extern const size_t lose_way_count;

/* A way by its name, or NULL. */
const struct lose_way *lose_find(const char *name);

/* Remove what renames left beside the path. */
void lose_tidy(const char *path);

/* Remove the files in a directory; not the directories. */
void lose_empty(const char *dir);
