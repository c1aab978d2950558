/*
 * Configuration files: `key = value` lines under `[section]` lines, as systemd,
 * git and TOML have them.
 *
 *	# a comment, on a line of its own or after a blank
 *	workspace = /srv/assistant
 *
 *	[gateway]
 *	mode = 0660
 *	allow-group = "staff"      # a key that may be given again makes a list
 *
 * What keys there are, and what their values mean, is for the caller.
 */
#pragma once

#include "base/buf.h"
#include "kedge/error.h"

/* Longer files are no configuration. */
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

/* One line of a file; the texts are valid during the callback. */
struct config_item {
	const char *file;
	unsigned line;
	const char *section; /* "": before the first section */
	const char *key;     /* NULL: the line that begins the section */
	const char *value;   /* without quotes and comment */
};

/* Take an item in. Return: 0, or a negative errno value with @error filled. */
typedef int config_item_fn(const struct config_item *item, void *userdata,
			   struct kedge_error *error);

/**
 * config_parse() - take a file's text apart, item by item
 * @file: how to call it in a complaint
 * @text: @size bytes and a NUL; cut up on the way
 *
 * Ends with the first item that is refused. @error begins with `FILE:LINE: `
 * where it is about a line.
 *
 * Return: 0; -EINVAL: a line is wrong; else what @fn returned.
 */
int config_parse(const char *file, char *text, size_t size, config_item_fn *fn, void *userdata,
		 struct kedge_error *error);

/* The same with what is in a file. Return: also -errno: it cannot be read. */
int config_read(const char *file, config_item_fn *fn, void *userdata, struct kedge_error *error);

/* Read a file whole, and put a NUL behind it. Return: 0; -EFBIG: see above; -ENOMEM; or
 * -errno. @ret is the caller's to deinit. */
int config_load(const char *file, struct buf *ret);

/* Why config_load() failed, for a person. */
const char *config_words(int error);
