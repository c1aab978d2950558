/* One connection: its bytes in and out. */
#include <errno.h>
#include <sys/socket.h>

#include "loop/server.h"

/* Reads in one go, so that a client that never stops sending does not hold up others. */
#define CLIENT_READS_MAX 4

static void on_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	struct kedge_server *s = c->server;

	free(c);
	server_handle_closed(s);
}

void client_close(struct client *c)
{
	struct kedge_server *s = c->server;

	if (c->closing)
		return;
	c->closing = true;
	list_unlink(&c->link);
	list_unlink(&c->dirty);
	map_remove(&s->by_id, c->id);
	s->client_count--;
	uv_close((uv_handle_t *)&c->poll, on_closed);
	c->fd = fd_close(c->fd);
	c->conn = kedge_conn_free(c->conn);
	if (s->options.on_close)
		s->options.on_close(c->id, s->options.userdata);
	doors_resume(s);
	server_check_stopped(s);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/*
 * With nothing to read or write the poll goes on for "priority" data, which a
 * Unix socket never has: what then comes is the hang-up of a client that has
 * gone altogether, as against one that has only ended its side.
 */
static void client_poll(struct client *c)
{
	int events = 0;

	if (kedge_conn_wants_input(c->conn))
		events |= UV_READABLE;
	if (kedge_conn_output_bytes(c->conn))
		events |= UV_WRITABLE;
	if (!events)
		events = UV_PRIORITIZED;
	if (events == c->events)
		return;
	c->events = events;
	(void)uv_poll_start(&c->poll, events, on_ready);
}

/* Send until nothing waits or the socket is full. Return: false: the client is gone. */
static bool client_send(struct client *c)
{
	const void *data;
	size_t size;

	while (kedge_conn_output(c->conn, &data, &size)) {
		ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOBUFS;
		kedge_conn_sent(c->conn, (size_t)n);
	}
	return true;
}

void client_flush(struct client *c)
{
	bool there;

	/* Its own turn ends with a flush; one in the middle would cut the batch up. */
	if (c->busy || c->closing)
		return;
	c->busy = true;
	there = client_send(c);
	c->busy = false;
	if (!there || kedge_conn_is_finished(c->conn))
		client_close(c);
	else
		client_poll(c);
}

void client_mark(struct client *c)
{
	if (list_empty(&c->dirty))
		list_append(&c->server->dirty, &c->dirty);
}

void clients_flush(struct kedge_server *s)
{
	struct list *it;

	while ((it = list_first(&s->dirty))) {
		list_unlink(it);
		client_flush(list_entry(it, struct client, dirty));
	}
}

/* Take in what has come. Return: false: the client is gone. */
static bool client_receive(struct client *c)
{
	for (int i = 0; i < CLIENT_READS_MAX && kedge_conn_wants_input(c->conn); i++) {
		size_t room;
		void *to = kedge_conn_input(c->conn, &room);
		ssize_t n = to ? recv(c->fd, to, room, MSG_DONTWAIT) : -1;

		if (n < 0)
			return to && (errno == EAGAIN || errno == EINTR);
		if (n == 0) {
			kedge_conn_received_eof(c->conn);
			return true;
		}
		if (kedge_conn_received(c->conn, (size_t)n) < 0)
			return false;
		if ((size_t)n < room)
			break;
	}
	return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;
	bool there = status == 0 && !(events & UV_PRIORITIZED);

	c->busy = true;
	if (there && (events & UV_READABLE))
		there = client_receive(c);
	c->busy = false;
	if (there)
		client_flush(c);
	else
		client_close(c);
}

/* A request that passed the checks of the wire: to its method. */
static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	struct client *c = userdata;
	const struct kedge_method *method = server_find_method(c->server, request->method);
	struct kedge_call call = { .server = c->server,
				   .conn = conn,
				   .method = request->method,
				   .params = request->params,
				   .later = { c->id, request->ticket },
				   .peer = c->peer };
	struct buf text = BUF_INIT;

	if (method) {
		method->handler(&call, method->userdata);
		return;
	}
	if (buf_append(&text, "Unknown method: ", 16) == 0 &&
	    buf_append(&text, request->method.data, request->method.size) == 0) {
		struct kedge_rpc_error error = { .text = { buf_front(&text), buf_size(&text) },
						 .status = 404,
						 .code = "UNKNOWN_METHOD" };

		(void)kedge_conn_fail(conn, request->ticket, &error);
	}
	buf_deinit(&text);
}

static int client_start(struct client *c)
{
	struct kedge_server *s = c->server;
	struct kedge_conn_options options = { .size = sizeof(options),
					      .limits = s->options.limits,
					      .handlers = { .on_request = on_request },
					      .userdata = c };
	int r = kedge_conn_new(&c->conn, &options);

	if (r == 0)
		r = map_put(&s->by_id, c->id, c);
	if (r == 0)
		r = uv_poll_init(s->loop, &c->poll, c->fd);
	return r;
}

int client_new(struct kedge_server *s, int fd, const struct kedge_peer *peer)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		fd_close(fd);
		return -ENOMEM;
	}
	*c = (struct client){ .server = s, .id = ++s->client_serial, .peer = *peer, .fd = fd };
	list_init(&c->link);
	list_init(&c->dirty);
	r = client_start(c);
	if (r < 0) {
		map_remove(&s->by_id, c->id);
		kedge_conn_free(c->conn);
		fd_close(fd);
		free(c);
		return r;
	}
	c->poll.data = c;
	server_handle_opened(s);
	list_append(&s->clients, &c->link);
	s->client_count++;
	client_poll(c);
	return 0;
}

struct client *client_find(const struct kedge_server *s, uint64_t id)
{
	return map_get(&s->by_id, id);
}
