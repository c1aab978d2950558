/*
 * Messages on their way out. Each goes through here, and most are answers of some hundred
 * bytes: so what is done for all of them stands in this header, and costs no calls.
 */
#pragma once

#include <errno.h>

#include "base/debug.h"
#include "base/hot.h"
#include "rpc/conn-internal.h"

/* A message on its way out: append its text to @to. */
struct message {
	struct buf *to;
	size_t before;
	int r;
};

/* One frame with these bytes, straight to @to. Return: 0, or -ENOMEM. */
int frame_append(struct buf *to, struct kedge_span bytes);

/* All that waits to be sent, now or later. */
static inline size_t output_waiting(const struct kedge_conn *conn)
{
	return buf_size(&conn->out) + buf_size(&conn->behind) + conn->waiting_bytes;
}

/* There was no output, and now there is: somebody has to send it. */
void output_begins(struct kedge_conn *conn);

/* Something was appended to the output, which had @before bytes. Return: as message_end(). */
HOT_INLINE int output_appended(struct kedge_conn *conn, size_t before)
{
	if (output_waiting(conn) > conn->limits.output_bytes_max)
		return conn_die(conn, -ENOBUFS);
	if (before == 0 && buf_size(&conn->out))
		output_begins(conn);
	return 0;
}

/* Chunks carry no id: while a stream is open everything else goes behind it. */
HOT_INLINE struct message message_begin(struct kedge_conn *conn)
{
	struct buf *to = conn->open ? &conn->behind : &conn->out;
	struct message m = { .to = to, .before = buf_size(to) };

	debug_assert(!conn->telling);
	if (!to->capacity && conn->spares && to == &conn->out)
		spares_borrow_out(conn->spares, to);
	if (conn_is_framed(conn)) {
		m.r = buf_reserve(to, FRAME_HEADER_BYTES);
		/* Its length is put there by message_seal(). */
		to->end += m.r == 0 ? FRAME_HEADER_BYTES : 0;
	}
	return m;
}

/* Close the message off: a length in front of it, or a newline behind it. */
HOT_INLINE int message_seal(struct kedge_conn *conn, const struct message *m)
{
	size_t size = buf_size(m->to) - m->before;

	if (!conn_is_framed(conn)) {
		int r = buf_reserve(m->to, 1);

		if (r == 0)
			m->to->data[m->to->end++] = '\n';
		return r;
	}
	size -= FRAME_HEADER_BYTES;
	if (size > FRAME_BYTES_MAX)
		return -ENOBUFS;
	frame_put_length(buf_front(m->to) + m->before, size);
	return 0;
}

/* @r: how appending went. Return: 0; -ENOMEM, -ENOBUFS: the connection is finished. */
HOT_INLINE int message_end(struct kedge_conn *conn, const struct message *m, int r)
{
	/* Who begins a message has looked. */
	debug_assert(!conn->dead);
	if (m->r < 0)
		r = m->r;
	if (r == 0)
		r = message_seal(conn, m);
	if (r < 0)
		return conn_die(conn, r);
	return output_appended(conn, m->to == &conn->out ? m->before : buf_size(&conn->out));
}
