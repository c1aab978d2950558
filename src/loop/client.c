/* One connection: its bytes in and out, its requests to their methods. */
#include <errno.h>
#include <sys/socket.h>

#include "loop/server.h"

/*
 * Bytes that are read in one go: a client that never stops does not hold up others. What
 * waits in the socket for it may be 200 KiB, and in new memory costs the others 0.2 ms.
 */
#define CLIENT_READ_BYTES_MAX 32768

/* Sends in one go. */
#define CLIENT_SENDS_MAX 4

/*
 * Clients whose answers leave together. A client that has slept is woken by the first of
 * them, and finds the others without another wake-up, which costs the sender as much as
 * fifty requests where the other core is a virtual one. More of them work in more memory than
 * the caches have.
 */
#define FLUSH_TOGETHER 16

/* So many at once, and there may be more in a moment: that is looked for before they leave. Fewer
 * are not kept waiting for a system call. */
#define LOOK_FOR_MORE 4

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
	list_unlink(&c->timing);
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

/* Send what waits, as far as the socket takes it. Return: false: the client is gone. */
static bool client_send(struct client *c)
{
	const void *data;
	size_t size;

	for (int i = 0; i < CLIENT_SENDS_MAX && kedge_conn_output(c->conn, &data, &size); i++) {
		ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOBUFS;
		c->sent = true;
		c->server->stats.bytes_out += (uint64_t)n;
		/* A stream that had waited for room may be written to in here. */
		kedge_conn_sent(c->conn, (size_t)n);
		if ((size_t)n < size)
			break;
	}
	return true;
}

/* The end of a turn: send what waits, and poll for what is wanted now. */
static void client_flush(struct client *c)
{
	bool there;

	c->busy++;
	there = client_send(c);
	c->busy--;
	/* Marks that were made meanwhile are settled by this. */
	list_unlink(&c->dirty);
	if (!there || c->doomed || kedge_conn_is_finished(c->conn)) {
		client_close(c);
		return;
	}
	client_poll(c);
	timing_note(c);
}

void client_mark(struct client *c)
{
	struct kedge_server *s = c->server;

	if (c->closing || !list_empty(&c->dirty))
		return;
	list_append(&s->dirty, &c->dirty);
	(void)uv_prepare_start(&s->prepare, on_prepare);
}

static void flush_dirty(struct kedge_server *s)
{
	struct list batch = LIST_INIT(batch);
	struct list *it;

	s->heard = s->answered = s->looked_for = 0;
	while ((it = list_first(&s->dirty))) {
		list_unlink(it);
		list_append(&batch, it);
	}
	while ((it = list_first(&batch))) {
		list_unlink(it);
		client_flush(list_entry(it, struct client, dirty));
	}
}

/* The loop looks at its descriptors and goes on at once. */
static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

/* Have the loop look once more, if the last look found some. Return: whether it will. */
static bool look_for_more(struct kedge_server *s)
{
	bool look = !s->closed && s->answered - s->looked_for >= LOOK_FOR_MORE;

	s->looked_for = s->answered;
	if (look)
		(void)uv_idle_start(&s->idle, on_idle);
	else
		(void)uv_idle_stop(&s->idle);
	return look;
}

/* Before the loop sleeps, so that all that a round has brought leaves in one write. */
void on_prepare(uv_prepare_t *prepare)
{
	struct kedge_server *s = prepare->data;

	if (look_for_more(s))
		return;
	flush_dirty(s);
	if (s->closed || list_empty(&s->dirty))
		(void)uv_prepare_stop(prepare);
	else
		(void)uv_async_send(&s->async); /* the flushes have marked others: no sleep yet */
}

/* Take in what has come. Return: false: the client is gone. */
static bool client_receive(struct client *c)
{
	size_t left = CLIENT_READ_BYTES_MAX;

	while (left && kedge_conn_wants_input(c->conn)) {
		size_t room;
		void *to = kedge_conn_input(c->conn, &room);
		ssize_t n = -1;

		room = room < left ? room : left;
		if (to)
			n = recv(c->fd, to, room, MSG_DONTWAIT);
		if (n < 0)
			return to && (errno == EAGAIN || errno == EINTR) &&
			       kedge_conn_received(c->conn, 0) == 0;
		if (n == 0) {
			kedge_conn_received_eof(c->conn);
			return true;
		}
		c->heard = c->received = true;
		c->server->stats.bytes_in += (uint64_t)n;
		if (kedge_conn_received(c->conn, (size_t)n) < 0)
			return false;
		if ((size_t)n < room)
			break;
		left -= (size_t)n;
	}
	return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;
	struct kedge_server *s = c->server;
	bool there = status == 0 && !(events & UV_PRIORITIZED);

	c->busy++;
	if (there && (events & UV_READABLE))
		there = client_receive(c);
	c->busy--;
	if (!there) {
		client_close(c);
		return;
	}
	client_mark(c);
	/* Who sends half a request all the time has none to keep the others' answers for. */
	if (kedge_conn_output_bytes(c->conn))
		s->answered++;
	if (++s->heard >= FLUSH_TOGETHER)
		flush_dirty(s);
}

/* What the connection calls. */

static bool has_callbacks(const struct kedge_method *method)
{
	return method->on_body || method->on_cancel || method->on_writable;
}

/* The callbacks that come later belong to this row. */
static __attribute__((noinline)) void remember_row(const struct kedge_call *call,
						   const struct kedge_method *row)
{
	(void)kedge_conn_set_tag(call->conn, call->later.ticket, (void *)(uintptr_t)row);
}

/* There is no method of that name (@entry: NULL), or it is not for this client. */
static __attribute__((noinline)) void not_in_the_table(const struct kedge_call *call,
						       const struct method_entry *entry)
{
	const struct kedge_server *s = call->server;
	const struct kedge_method *row = NULL;

	if (entry) {
		(void)method_refuse_forbidden(call, entry);
		return;
	}
	if (s->options.fallback)
		row = s->options.fallback(call, s->options.userdata);
	if (row)
		remember_row(call, row);
	else
		(void)method_refuse_unknown(call);
}

/* A request that passed the checks of the wire: to its method. */
static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	struct client *c = userdata;
	struct kedge_server *s = c->server;
	const struct method_entry *entry = method_find(s, request->method);
	struct kedge_call call = { .server = s,
				   .conn = conn,
				   .id = request->id,
				   .method = request->method,
				   .params = request->params,
				   .headers = request->headers,
				   .body_kind = request->body_kind,
				   .body = request->body,
				   .later = { c->id, request->ticket },
				   .peer = c->peer };

	s->stats.requests++;
	if (!entry || !method_is_allowed(entry, c)) {
		not_in_the_table(&call, entry);
		return;
	}
	if (has_callbacks(entry->method))
		remember_row(&call, entry->method);
	entry->method->handler(&call, entry->method->userdata);
}

/* A body that nobody wants is not gathered either: the request is refused at once. */
static enum kedge_upload on_upload(struct kedge_conn *conn, const struct kedge_request *request,
				   void *userdata)
{
	struct client *c = userdata;
	const struct method_entry *entry = method_find(c->server, request->method);

	(void)conn;
	if (!entry)
		return c->server->options.fallback ? c->server->options.fallback_upload
						   : KEDGE_UPLOAD_STREAM;
	return method_is_allowed(entry, c) ? entry->method->upload : KEDGE_UPLOAD_STREAM;
}

static void on_body(struct kedge_conn *conn, uint64_t ticket, void *tag, struct kedge_span piece,
		    void *userdata)
{
	const struct kedge_method *method = tag;
	struct client *c = userdata;

	(void)conn;
	if (method && method->on_body)
		method->on_body(c->server, (struct kedge_later){ c->id, ticket }, piece,
				method->userdata);
}

static void on_cancel(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	const struct kedge_method *method = tag;
	struct client *c = userdata;

	(void)conn;
	c->server->stats.cancelled++;
	if (method && method->on_cancel)
		method->on_cancel(c->server, (struct kedge_later){ c->id, ticket },
				  method->userdata);
}

static void on_writable(struct kedge_conn *conn, uint64_t ticket, void *tag, void *userdata)
{
	const struct kedge_method *method = tag;
	struct client *c = userdata;

	(void)conn;
	if (method && method->on_writable)
		method->on_writable(c->server, (struct kedge_later){ c->id, ticket },
				    method->userdata);
}

static void on_answer(struct kedge_conn *conn, const struct kedge_conn_answer *answer,
		      void *userdata)
{
	struct client *c = userdata;

	(void)conn;
	if (c->server->options.on_answer)
		c->server->options.on_answer(c->id, answer, c->server->options.userdata);
}

/* Output that came about outside of a turn, by whatever way. */
static void on_output(struct kedge_conn *conn, void *userdata)
{
	(void)conn;
	client_mark(userdata);
}

static int client_start(struct client *c)
{
	struct kedge_server *s = c->server;
	struct kedge_conn_options options = { .size = sizeof(options),
					      .limits = s->options.limits,
					      .handlers = { .on_request = on_request,
							    .on_cancel = on_cancel,
							    .on_output = on_output,
							    .on_upload = on_upload,
							    .on_body = on_body,
							    .on_writable = on_writable,
							    .on_answer = on_answer },
					      .userdata = c,
					      .protocol = s->options.protocol,
					      .call_prefix = s->options.call_prefix,
					      .spares = s->spares };
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
	*c = (struct client){ .server = s,
			      .id = ++s->client_serial,
			      .peer = *peer,
			      .fd = fd,
			      .waited_for = TIMING_NONE };
	list_init(&c->link);
	list_init(&c->dirty);
	list_init(&c->timing);
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
	s->stats.accepted++;
	client_poll(c);
	timing_note(c);
	if (s->options.on_open)
		s->options.on_open(c->id, peer, s->options.userdata);
	return 0;
}

struct client *client_find(const struct kedge_server *s, uint64_t id)
{
	return map_get(&s->by_id, id);
}
