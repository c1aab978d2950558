/* Messages on their way out. */
#include <errno.h>

#include "rpc/conn-internal.h"

static void put_length(char *to, size_t size)
{
	to[0] = (char)(size >> 24);
	to[1] = (char)(size >> 16);
	to[2] = (char)(size >> 8);
	to[3] = (char)size;
}

/* Chunks carry no id: while a stream is open everything else goes behind it. */
struct message message_begin(struct kedge_conn *conn)
{
	struct buf *to = conn->open ? &conn->behind : &conn->out;
	struct message m = { .to = to, .before = buf_size(to) };

	if (conn->spares && to == &conn->out && !to->capacity)
		spares_borrow_out(conn->spares, to);
	if (conn_is_framed(conn)) {
		m.r = buf_reserve(to, FRAME_HEADER_BYTES);
		/* Its length is put there by message_seal(). */
		to->end += m.r == 0 ? FRAME_HEADER_BYTES : 0;
	}
	return m;
}

/* Close the message off: a length in front of it, or a newline behind it. */
static int message_seal(struct kedge_conn *conn, const struct message *m)
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
	put_length(buf_front(m->to) + m->before, size);
	return 0;
}

int message_end(struct kedge_conn *conn, const struct message *m, int r)
{
	if (conn->dead)
		return -ENOBUFS;
	if (m->r < 0)
		r = m->r;
	if (r == 0)
		r = message_seal(conn, m);
	if (r < 0)
		return conn_die(conn, r);
	return output_appended(conn, m->to == &conn->out ? m->before : buf_size(&conn->out));
}

int frame_append(struct buf *to, struct kedge_span bytes)
{
	int r = buf_reserve(to, bytes.size + FRAME_HEADER_BYTES);

	if (r < 0)
		return r;
	put_length(to->data + to->end, bytes.size);
	if (bytes.size)
		memcpy(to->data + to->end + FRAME_HEADER_BYTES, bytes.data, bytes.size);
	to->end += FRAME_HEADER_BYTES + bytes.size;
	return 0;
}

size_t output_waiting(const struct kedge_conn *conn)
{
	return buf_size(&conn->out) + buf_size(&conn->behind) + conn->waiting_bytes;
}

int output_appended(struct kedge_conn *conn, size_t before)
{
	if (output_waiting(conn) > conn->limits.output_bytes_max)
		return conn_die(conn, -ENOBUFS);
	if (before == 0 && buf_size(&conn->out) && !conn->fed && conn->handlers.on_output)
		conn->handlers.on_output(conn, conn->userdata);
	return 0;
}

int output_unblock(struct kedge_conn *conn)
{
	int r;

	if (buf_size(&conn->behind) == 0)
		return 0;
	r = buf_append(&conn->out, buf_front(&conn->behind), buf_size(&conn->behind));
	if (r < 0)
		return conn_die(conn, r);
	buf_consume(&conn->behind, buf_size(&conn->behind));
	buf_trim(&conn->behind, CONN_IDLE_BYTES);
	return 0;
}
