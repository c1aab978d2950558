/*
 * Documents: small files of the workspace that others write and we read.
 *
 * A document is looked at when it is asked for, and read again when the look
 * shows another file, size or time. A broken one keeps its last good text.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "kedge/conn.h"

/**
 * document_load() - read a whole regular file
 * @bytes_max: a larger file is a mistake: -EFBIG
 * @ret:       the text with a NUL behind it; the caller frees
 *
 * Blocks as reading a local file does, but on no FIFO.
 *
 * Return: 0; -EINVAL: no regular file; else -errno.
 */
int document_load(const char *path, size_t bytes_max, char **ret, size_t *ret_size);

struct document {
	char path[PATH_MAX];
	size_t bytes_max;
	bool (*is_good)(struct kedge_span text); /* NULL: any text is */
	char *text;                              /* last good one; NULL: none */
	size_t size;
	struct stat seen;
	int error; /* of the last look: 0, -ENOENT, ...; -EBADMSG: it is not good */
};

void document_init(struct document *d, const char *directory, const char *name, size_t bytes_max,
		   bool (*is_good)(struct kedge_span text));
void document_deinit(struct document *d);

/**
 * document_text() - what it says now
 * @ret_news: 1: it became broken; -1: it was mended; 0: neither. For the log: a streak is
 *            told once
 *
 * Return: the text, good until the next call; absent: there is none.
 */
struct kedge_span document_text(struct document *d, int *ret_news);
