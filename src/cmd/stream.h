/*
 * One direction of a proxied connection: what comes in at one socket goes out
 * at another, in bytes or in whole messages, with the descriptors passed along.
 * At most one read is held at a time: who sends faster than the other reads is
 * held up by its own socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a stream that are read at once. */
#define STREAM_READ_BYTES 65536

/* The largest message of a packet socket that is passed on. */
#define STREAM_MESSAGE_BYTES_MAX ((size_t)8 << 20)

/* Room for as many descriptors as one message may carry (SCM_MAX_FD: 253), and credentials. */
#define STREAM_CONTROL_BYTES 1152

enum stream_kind {
	STREAM_BYTES = 0,
	STREAM_MESSAGES,  /* boundaries are kept */
	STREAM_DATAGRAMS, /* also: an empty one is no end */
};

struct stream {
	int from, to; /* borrowed */
	enum stream_kind kind;
	bool ended; /* all was read, and the other end was told */
	char *data;
	size_t capacity, size, sent;
	bool holds;     /* there is something to send (a message may be empty) */
	bool write_wet; /* no room to send: wait for it */
	_Alignas(size_t) char control[STREAM_CONTROL_BYTES];
	size_t control_size;
};

/**
 * stream_pump() - move what can be moved, a bounded number of reads
 *
 * Afterwards @write_wet says whether to wait for room at @to, and else, unless
 * @ended, one waits for @from.
 *
 * Return: 0; -errno: the connection is over.
 */
int stream_pump(struct stream *s);

/* Frees the memory, and closes descriptors that were not passed on. */
void stream_deinit(struct stream *s);
