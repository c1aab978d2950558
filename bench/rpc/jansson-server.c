/*
 * What a careful author of a server would write with libuv and jansson: lines in, a tree
 * of each request, a tree of each answer, all answers to one read in one write.
 *
 *	jansson-server PATH
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define READ_BYTES 65536

/* Bytes that grow at their end. */
struct text {
	char *data;
	size_t size, room;
};

struct client {
	uv_pipe_t pipe;
	struct text in, out;
};

struct sending {
	uv_write_t write;
	char *data;
};

static void check(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "jansson-server: %s\n", what);
		exit(1);
	}
}

static int append(const char *data, size_t size, void *userdata)
{
	struct text *t = userdata;

	while (t->room - t->size < size) {
		t->room = t->room ? t->room * 2 : READ_BYTES;
		t->data = realloc(t->data, t->room);
		check(t->data != NULL, "memory");
	}
	memcpy(t->data + t->size, data, size);
	t->size += size;
	return 0;
}

static json_t *answer(const json_t *request)
{
	json_t *id = json_object_get(request, "id");
	const char *method = json_string_value(json_object_get(request, "method"));
	json_t *value = json_object_get(json_object_get(request, "params"), "value");

	if (!id || !method)
		return json_pack("{ssss}", "id", "unknown", "error", "Invalid request");
	if (strcmp(method, "echo") != 0)
		return json_pack("{sOss}", "id", id, "error", "Unknown method");
	return json_pack("{sOs{sO?}}", "id", id, "result", "echoed", value);
}

static void take_line(struct client *c, const char *line, size_t size)
{
	json_t *request = json_loadb(line, size, 0, NULL), *said = answer(request);

	check(said && json_dump_callback(said, append, &c->out, JSON_COMPACT) == 0, "an answer");
	append("\n", 1, &c->out);
	json_decref(said);
	json_decref(request);
}

static void on_sent(uv_write_t *write, int status)
{
	struct sending *s = (struct sending *)write;

	(void)status;
	free(s->data);
	free(s);
}

static void send_all(struct client *c)
{
	uv_buf_t buf = uv_buf_init(c->out.data, (unsigned)c->out.size);
	struct sending *s;
	int n = c->out.size ? uv_try_write((uv_stream_t *)&c->pipe, &buf, 1) : 0;

	if (n == (int)c->out.size || (n < 0 && n != UV_EAGAIN)) {
		c->out.size = 0;
		return;
	}
	s = calloc(1, sizeof(*s));
	check(s != NULL, "memory");
	s->data = c->out.data;
	buf.base = s->data + (n < 0 ? 0 : n);
	buf.len = c->out.size - (size_t)(n < 0 ? 0 : n);
	c->out = (struct text){ 0 };
	if (uv_write(&s->write, (uv_stream_t *)&c->pipe, &buf, 1, on_sent) < 0)
		on_sent(&s->write, 0);
}

static void on_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	free(c->in.data);
	free(c->out.data);
	free(c);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
	struct client *c = handle->data;

	(void)wanted;
	while (c->in.room - c->in.size < READ_BYTES) {
		c->in.room = c->in.room ? c->in.room * 2 : 2 * READ_BYTES;
		c->in.data = realloc(c->in.data, c->in.room);
		check(c->in.data != NULL, "memory");
	}
	*ret = uv_buf_init(c->in.data + c->in.size, (unsigned)(c->in.room - c->in.size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	size_t begin = 0, searched = c->in.size;
	char *newline;

	(void)buf;
	if (n < 0) {
		uv_close((uv_handle_t *)stream, on_closed);
		return;
	}
	c->in.size += (size_t)n;
	while ((newline = memchr(c->in.data + searched, '\n', c->in.size - searched))) {
		take_line(c, c->in.data + begin, (size_t)(newline - c->in.data) - begin);
		begin = searched = (size_t)(newline - c->in.data) + 1;
	}
	memmove(c->in.data, c->in.data + begin, c->in.size - begin);
	c->in.size -= begin;
	send_all(c);
}

static void on_client(uv_stream_t *listener, int status)
{
	struct client *c = calloc(1, sizeof(*c));

	check(c && status == 0, "a client");
	check(uv_pipe_init(listener->loop, &c->pipe, 0) == 0, "a client");
	c->pipe.data = c;
	check(uv_accept(listener, (uv_stream_t *)&c->pipe) == 0, "a client");
	check(uv_read_start((uv_stream_t *)&c->pipe, on_room, on_read) == 0, "a client");
}

int main(int argc, char **argv)
{
	uv_pipe_t listener;

	(void)signal(SIGPIPE, SIG_IGN);
	check(argc == 2, "usage: jansson-server PATH");
	check(uv_pipe_init(uv_default_loop(), &listener, 0) == 0, "a listener");
	check(uv_pipe_bind(&listener, argv[1]) == 0, argv[1]);
	check(uv_listen((uv_stream_t *)&listener, 4096, on_client) == 0, argv[1]);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
