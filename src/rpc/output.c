/* Messages on their way out. */
#include <errno.h>

#include "rpc/output.h"

int frame_append(struct buf *to, struct kedge_span bytes)
{
	int r = buf_reserve(to, bytes.size + FRAME_HEADER_BYTES);

	if (r < 0)
		return r;
	frame_put_length(to->data + to->end, bytes.size);
	if (bytes.size)
		memcpy(to->data + to->end + FRAME_HEADER_BYTES, bytes.data, bytes.size);
	to->end += FRAME_HEADER_BYTES + bytes.size;
	return 0;
}

void output_begins(struct kedge_conn *conn)
{
	if (!conn->fed && conn->handlers.on_output) {
		conn->telling = true;
		conn->handlers.on_output(conn, conn->userdata);
		conn->telling = false;
	}
}

int output_unblock(struct kedge_conn *conn)
{
	int r;

	if (buf_size(&conn->behind) == 0)
		return 0;
	r = buf_append(&conn->out, buf_front(&conn->behind), buf_size(&conn->behind));
	if (r < 0)
		return r;
	buf_consume(&conn->behind, buf_size(&conn->behind));
	buf_trim(&conn->behind, CONN_IDLE_BYTES);
	return 0;
}
