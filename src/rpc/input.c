/* Where a message begins and ends. */
#include "wire/json.h"

#include "rpc/conn-internal.h"

static void consume(struct kedge_conn *conn, size_t n)
{
	buf_consume(&conn->in.buf, n);
}

/* White space of a line as JavaScript's trim() has it, as far as a client sends it. */
static struct kedge_span trim(const char *p, const char *end)
{
	for (;;) {
		p = json_skip_space(p, end);
		if (end - p < 3 || memcmp(p, "\xEF\xBB\xBF", 3) != 0)
			break;
		p += 3;
	}
	for (;;) {
		while (end > p && json_is_space(end[-1]))
			end--;
		if (end - p < 3 || memcmp(end - 3, "\xEF\xBB\xBF", 3) != 0)
			break;
		end -= 3;
	}
	return (struct kedge_span){ p, (size_t)(end - p) };
}

/* As nearly all lines are: nothing but a bracket stands at either end. */
static inline bool is_trimmed(const char *line, size_t size)
{
	return size && line[0] == '{' && line[size - 1] == '}';
}

static void take_line(struct kedge_conn *conn, const char *line, size_t size)
{
	struct kedge_span text = { line, size };

	if (size > conn->limits.message_bytes_max) {
		request_refuse_large(conn, id_unknown, size);
		return;
	}
	if (!is_trimmed(line, size))
		text = trim(line, line + size);
	if (text.size)
		(void)request_take(conn, text);
}

/* Throw away what came of a line that is too long; its end may be among it. */
static bool skip_line(struct kedge_conn *conn, const char *newline)
{
	struct input *in = &conn->in;
	size_t n = newline ? (size_t)(newline - buf_front(&in->buf)) : buf_size(&in->buf);

	in->skipped += n;
	consume(conn, newline ? n + 1 : n);
	in->searched = 0;
	in->skipping = !newline;
	if (newline) {
		request_refuse_large(conn, id_unknown, in->skipped);
		in->skipped = 0;
	}
	return newline != NULL;
}

/* The line at the front, where it is a request that can be taken before its end is known. */
static bool step_usual_line(struct kedge_conn *conn)
{
	struct input *in = &conn->in;
	size_t size = 0;

	/* Looked at once only: of a line that comes in pieces the end is looked for. */
	if (buf_size(&in->buf) && !in->searched && !in->skipping)
		size = request_take_line(conn, buf_span(&in->buf));
	if (size)
		consume(conn, size + 1);
	return size > 0;
}

static __attribute__((noinline)) bool step_any_line(struct kedge_conn *conn)
{
	struct input *in = &conn->in;
	char *front = buf_front(&in->buf), *newline = NULL;
	size_t size;

	if (buf_size(&in->buf) > in->searched)
		newline = memchr(front + in->searched, '\n', buf_size(&in->buf) - in->searched);
	if (in->skipping)
		return skip_line(conn, newline);
	if (!newline) {
		in->searched = buf_size(&in->buf);
		if (in->searched > conn->limits.message_bytes_max)
			(void)skip_line(conn, NULL);
		return false;
	}
	size = (size_t)(newline - front);
	in->searched = 0;
	take_line(conn, front, size);
	consume(conn, size + 1);
	return true;
}

static bool step_line(struct kedge_conn *conn)
{
	return step_usual_line(conn) || step_any_line(conn);
}

static bool step_first_byte(struct kedge_conn *conn)
{
	if (buf_size(&conn->in.buf) == 0)
		return false;
	conn->in.state = *buf_front(&conn->in.buf) == '{' ? INPUT_LINE : INPUT_ENVELOPE;
	return true;
}

/* The length of the frame at the front. Return: false: it has not come yet. */
static bool frame_size(const struct kedge_conn *conn, uint32_t *ret_size)
{
	if (buf_size(&conn->in.buf) < FRAME_HEADER_BYTES)
		return false;
	*ret_size = frame_get_length(buf_front(&conn->in.buf));
	return true;
}

/* All that has come behind the length at the front. */
static struct kedge_span behind_header(const struct kedge_conn *conn)
{
	return (struct kedge_span){ buf_front(&conn->in.buf) + FRAME_HEADER_BYTES,
				    buf_size(&conn->in.buf) - FRAME_HEADER_BYTES };
}

/* The frame at the front, where all of it is there. */
static bool whole_frame(const struct kedge_conn *conn, uint32_t size, struct kedge_span *ret)
{
	*ret = behind_header(conn);
	if (ret->size < size)
		return false;
	ret->size = size;
	return true;
}

/* The frame's bytes are not waited for: they are passed on, or thrown away, as they come. */
static bool leave_frame(struct kedge_conn *conn, uint32_t size, enum input_state next)
{
	consume(conn, FRAME_HEADER_BYTES);
	conn->in.left = size;
	conn->in.state = next;
	return true;
}

static bool step_left(struct kedge_conn *conn)
{
	struct kedge_span piece = { buf_front(&conn->in.buf), buf_size(&conn->in.buf) };

	if (piece.size > conn->in.left)
		piece.size = conn->in.left;
	if (piece.size == 0)
		return false;
	conn->in.left -= (uint32_t)piece.size;
	body_piece(conn, piece);
	consume(conn, piece.size);
	return true;
}

static bool step_envelope(struct kedge_conn *conn)
{
	struct kedge_span text;
	uint32_t size;

	if (!frame_size(conn, &size))
		return false;
	if (size > conn->limits.message_bytes_max) {
		request_refuse_large(conn, id_unknown, size);
		return leave_frame(conn, size, INPUT_ENVELOPE);
	}
	if (!whole_frame(conn, size, &text))
		return false;
	if (!request_take_frame(conn, behind_header(conn), size))
		conn->in.state = request_take(conn, text);
	consume(conn, FRAME_HEADER_BYTES + size);
	return true;
}

static bool step_body(struct kedge_conn *conn)
{
	struct kedge_span bytes;
	uint32_t size;

	if (!frame_size(conn, &size))
		return false;
	if (!body_admit(conn, size))
		return leave_frame(conn, size, INPUT_ENVELOPE);
	if (!whole_frame(conn, size, &bytes))
		return false;
	conn->in.state = INPUT_ENVELOPE;
	body_take(conn, bytes);
	consume(conn, FRAME_HEADER_BYTES + size);
	return true;
}

static bool step_chunk(struct kedge_conn *conn)
{
	uint32_t size;

	if (!frame_size(conn, &size))
		return false;
	(void)leave_frame(conn, size, size ? INPUT_CHUNK : INPUT_ENVELOPE);
	if (size)
		body_chunk(conn, size);
	else
		body_end(conn);
	return true;
}

bool input_step(struct kedge_conn *conn)
{
	static bool (*const steps[INPUT_STATES_])(struct kedge_conn *) = {
		[INPUT_FIRST_BYTE] = step_first_byte, [INPUT_LINE] = step_line,
		[INPUT_ENVELOPE] = step_envelope,     [INPUT_BODY] = step_body,
		[INPUT_CHUNK] = step_chunk,
	};

	return conn->in.left ? step_left(conn) : steps[conn->in.state](conn);
}

void input_end(struct kedge_conn *conn)
{
	consume(conn, buf_size(&conn->in.buf));
	if (!input_is_inside(conn))
		return;
	conn->in.left = 0;
	conn->in.state = INPUT_ENVELOPE;
	body_break(conn);
}
