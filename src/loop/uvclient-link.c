#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "loop/uvclient.h"
#include "sys/dial.h"

/* Reads in one go, so that a server that never stops does not hold up others. */
#define READS_MAX 4

static void on_closed(uv_handle_t *handle)
{
	struct uvclient_link *link = handle->data;
	struct kedge_uvclient *u = link->client;

	free(link);
	uvclient_closed(u);
}

void uvclient_link_close(struct kedge_uvclient *u)
{
	struct uvclient_link *link = u->link;

	u->link = NULL;
	if (!link)
		return;
	uv_close((uv_handle_t *)&link->poll, on_closed);
	link->fd = fd_close(link->fd);
}

void uvclient_transmit(struct kedge_uvclient *u)
{
	/* Also where all of it goes at once: whoever stopped there waits for on_writable. */
	if (kedge_caller_output_bytes(u->caller) >= UVCLIENT_WRITABLE_BYTES)
		u->clogged = true;
	while (u->link && !u->freed && !u->reset && dial_transmit(u->link->fd, u->caller))
		;
}

/* Return: 1: there may be more; 0: not now; negative: why the connection is over. */
static int receive(struct kedge_uvclient *u)
{
	bool more;
	ssize_t n = dial_receive(u->link->fd, u->caller, &more);

	/* The timer runs until the connection has proven itself. */
	if (n > 0 && !*u->stray && uv_is_active((const uv_handle_t *)&u->retry))
		uvclient_proven(u);
	return n < 0 ? (int)n : more;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct uvclient_link *link = poll->data;
	struct kedge_uvclient *u = link->client;
	int r = 1;

	u->busy = true;
	/* libuv stops at an error of the socket and calls any of them EBADF: reading tells
	 * which, once what came before it is read. */
	if (status < 0) {
		link->events = 0;
		events = UV_READABLE;
	}
	for (int i = 0; i < READS_MAX && r > 0 && (events & UV_READABLE) && !u->paused; i++)
		r = receive(u);
	if (status < 0 && (r == 0 || u->paused))
		r = -ECONNRESET;
	if (r < 0)
		uvclient_failed(u, r);
	uvclient_transmit(u);
	if (u->clogged && kedge_caller_output_bytes(u->caller) < UVCLIENT_WRITABLE_BYTES) {
		u->clogged = false;
		if (u->options.on_writable && !u->freed)
			u->options.on_writable(u->options.userdata);
	}
	u->busy = false;
	uvclient_settle(u);
}

void uvclient_poll(struct kedge_uvclient *u)
{
	int events = 0;

	if (!u->link)
		return;
	if (!u->paused)
		events |= UV_READABLE;
	if (u->clogged || kedge_caller_output_bytes(u->caller))
		events |= UV_WRITABLE;
	if (events == u->link->events)
		return;
	u->link->events = events;
	if (events)
		(void)uv_poll_start(&u->link->poll, events, on_ready);
	else
		(void)uv_poll_stop(&u->link->poll);
}

int uvclient_link_open(struct kedge_uvclient *u, int fd)
{
	struct uvclient_link *link = calloc(1, sizeof(*link));
	int r = link ? uv_poll_init(u->loop, &link->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(link);
		fd_close(fd);
		return r;
	}
	link->poll.data = link;
	link->client = u;
	link->fd = fd;
	u->link = link;
	u->handles++;
	return 0;
}
