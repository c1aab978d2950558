/*
 * A connected pair of stream sockets: two pipes with little room. Reads and
 * writes are short as choose() has it; now and then one says EAGAIN for nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PIPE_BYTES_MAX 65536u

struct pipe {
	size_t start, used, room;
	bool ended; /* nothing more is written */
	bool deaf;  /* nobody reads any more */
	bool reset; /* the writer was closed with bytes unread: the end is an error */
	bool fluke; /* the last call said EAGAIN for nothing */
	unsigned char bytes[PIPE_BYTES_MAX];
};

struct witness {
	/* What is expected from here on; see witness.c. */
	int state;
	size_t need, have;
	unsigned messages, events, large;
	size_t large_bytes;
	bool broken;
	unsigned char bytes[PIPE_BYTES_MAX];
};

struct wire {
	bool client_open, server_open;
	bool lied; /* not all that the client got is the server's */
	int first; /* the first byte that the client wrote; -1: none yet */
	struct pipe up, down;
	struct witness witness; /* of strangers: what the server has sent */
};

/* Make it anew, its pipes with room for @room bytes. */
void wire_make(struct wire *w, size_t room);

/* Return: how many bytes, -EAGAIN, -EPIPE. */
long pipe_write(struct pipe *p, const void *data, size_t n);

/* Return: how many bytes, 0: the end, -EAGAIN, -ECONNRESET. */
long pipe_read(struct pipe *p, void *to, size_t room);

/* As poll() has it. */
bool pipe_is_readable(const struct pipe *p);
bool pipe_is_writable(const struct pipe *p);

/* As close() does it: what is unread is lost, and the other side told. */
void wire_close_client(struct wire *w);
void wire_close_server(struct wire *w);

/* Look at bytes that the server sent to a stranger that speaks lines, or frames. */
void witness_take(struct witness *t, bool framed, const unsigned char *bytes, size_t n);
/* Whether it stands between two messages. */
bool witness_is_between(const struct witness *t);
