#include "rpc/caller.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ROOM_BYTES 65536

/*
 * Each take_*() works on a buffer that is taken out of the caller while
 * callbacks run: one of them may give the connection up, and the bytes with
 * it. Return: 1: something was taken; 0: more bytes are needed; negative: the
 * connection cannot go on.
 */

static int take_line(struct kedge_caller *c, struct buf *in)
{
	char *newline = memchr(buf_front(in) + c->searched, '\n', buf_size(in) - c->searched);
	size_t size = newline ? (size_t)(newline - buf_front(in)) : buf_size(in);
	int r;

	if (size > c->limits.message_bytes_max)
		return -EMSGSIZE;
	c->searched = newline ? 0 : size;
	if (!newline)
		return 0;
	r = caller_take_message(c, (struct kedge_span){ buf_front(in), size });
	buf_consume(in, size + 1);
	return r < 0 ? r : 1;
}

/* A frame's bytes as far as they are there. */
static int take_piece(struct kedge_caller *c, struct buf *in)
{
	size_t n = buf_size(in) < c->rest ? buf_size(in) : c->rest;
	uint64_t connection = c->losses;

	if (!n)
		return 0;
	c->rest -= n;
	caller_take_chunk(c, (struct kedge_span){ buf_front(in), n });
	buf_consume(in, n);
	if (c->losses == connection && !c->rest && c->expect == CALLER_EXPECT_BODY)
		caller_take_end(c);
	return 1;
}

/* Pass the frame on without waiting for its end. */
static int begin_pieces(struct kedge_caller *c, struct buf *in, size_t length)
{
	buf_consume(in, FRAME_HEADER_BYTES);
	c->rest = length;
	if (!length)
		caller_take_end(c);
	return 1;
}

/* @frame is there as a whole. */
static int take_whole(struct kedge_caller *c, struct kedge_span frame)
{
	if (c->expect == CALLER_EXPECT_MESSAGE)
		return caller_take_message(c, frame);
	if (c->expect == CALLER_EXPECT_BODY)
		caller_take_body(c, frame);
	else
		caller_take_chunk(c, frame);
	return 0;
}

static int take_frame(struct kedge_caller *c, struct buf *in)
{
	size_t length;
	int r;

	if (c->rest)
		return take_piece(c, in);
	if (buf_size(in) < FRAME_HEADER_BYTES)
		return 0;
	length = frame_get_length(buf_front(in));
	if (length > CALLER_FRAME_MAX)
		return -EPROTO; /* text: the server speaks lines */
	if (c->expect == CALLER_EXPECT_MESSAGE && length > c->limits.message_bytes_max)
		return -EMSGSIZE;
	if (c->expect == CALLER_EXPECT_BODY && length > c->limits.message_bytes_max &&
	    caller_wants_whole(c)) {
		caller_refuse_body(c);
		return 1;
	}
	if (c->expect == CALLER_EXPECT_BODY && !caller_wants_whole(c))
		return begin_pieces(c, in, length);
	if (c->expect == CALLER_EXPECT_CHUNK && (!length || length > KEDGE_CHUNK_WHOLE_MAX))
		return begin_pieces(c, in, length);
	if (buf_size(in) - FRAME_HEADER_BYTES < length)
		return 0;
	r = take_whole(c, (struct kedge_span){ buf_front(in) + FRAME_HEADER_BYTES, length });
	buf_consume(in, FRAME_HEADER_BYTES + length);
	return r < 0 ? r : 1;
}

void *kedge_caller_input(struct kedge_caller *c, size_t *ret_room)
{
	if (buf_reserve(&c->in, ROOM_BYTES) < 0)
		return NULL;
	*ret_room = c->in.capacity - c->in.end;
	return c->in.data + c->in.end;
}

int kedge_caller_received(struct kedge_caller *c, size_t n)
{
	uint64_t connection = c->losses;
	struct buf in = c->in;
	int r = 1;

	assert(n <= in.capacity - in.end);
	in.end += n;
	c->in = (struct buf)BUF_INIT;
	while (r > 0 && c->losses == connection)
		r = c->protocol == KEDGE_PROTOCOL_FRAMES ? take_frame(c, &in) : take_line(c, &in);
	if (c->losses != connection) {
		buf_deinit(&in);
		return 0;
	}
	buf_trim(&in, ROOM_BYTES);
	c->in = in;
	return c->failed ? c->failed : r;
}
