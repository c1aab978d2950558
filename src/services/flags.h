/*
 * Feature flags: WORKSPACE/feature-flags.json, {"version":1,"values":{FLAG:true}}.
 *
 * The file is watched, and read again when it changes. A broken one keeps the
 * last good values and is reported once; a missing one means no flags.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "kedge/conn.h"

struct flags;

struct flags_options {
	const char *workspace;             /* borrowed; outlives it */
	void (*on_change)(void *userdata); /* there are other values now */
	void (*on_broken)(const char *why, void *userdata);
	void (*on_mended)(void *userdata);
	void *userdata;
};

/* Read the file, and watch it. Return: 0; -ENOMEM; else as from libuv. */
int flags_open(struct flags **ret, uv_loop_t *loop, const struct flags_options *options);

/* The workspace may be another directory now: whoever moves one above it is not seen by a
 * watch of it. Looked at soon. */
void flags_look(struct flags *f);

/* Its handles are closed in the loop's next rounds. May be NULL. Return: NULL. */
struct flags *flags_close(struct flags *f);

/* {FLAG:boolean,...} as compact JSON text; good until the loop goes on. */
struct kedge_span flags_all(const struct flags *f);

/* 1: true; 0: false; -ENOENT: no such flag. @name: @size bytes. */
int flags_get(const struct flags *f, const char *name, size_t size);
