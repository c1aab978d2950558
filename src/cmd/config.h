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
 * config_read() - read a file, item by item
 *
 * Ends with the first item that is refused. @error begins with `FILE:LINE: `
 * where it is about a line.
 *
 * Return: 0; -EINVAL: a line is wrong; else what @fn returned, or -errno.
 */
int config_read(const char *file, config_item_fn *fn, void *userdata, struct kedge_error *error);
