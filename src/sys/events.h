/*
 * What inotify(7) and fanotify(7) bring in one read, event by event: bytes in, no I/O.
 *
 * The kernel writes whole events, each of a length that keeps the next one aligned. Neither is
 * relied on: what does not fit the bytes ends the walk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>

/* Where one is in what a read() brought. */
struct event_cursor {
	const void *data; /* borrowed; aligned as the events are */
	size_t size;
	size_t offset; /* moved by each step, never beyond @size */
};

/* The next event, its name (if it has one) with a NUL in it. Return: borrowed, or NULL: that
 * were all. */
const struct inotify_event *event_next_inotify(struct event_cursor *cursor);

/* The same of fanotify; @event_len bytes of it are there. */
const struct fanotify_event_metadata *event_next_fanotify(struct event_cursor *cursor);

/* Which file an event is about. */
struct event_file {
	const void *fsid; /* 8 bytes */
	int handle_type;
	const unsigned char *handle;
	size_t handle_bytes;
};

/* The first thing that is told about an event. Return: whether that is a file's handle. */
bool event_file(const struct fanotify_event_metadata *event, struct event_file *ret);
