#include "api/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/time.h"
#include "kedge/endpoint.h"
#include "rpc/caller.h"
#include "sys/clock.h"
#include "sys/dial.h"

/* How long the word that a call is cancelled may wait for a server that does not read. */
#define FLUSH_NS (NSEC_PER_SEC / 2)

/* Longer time-outs are mistakes in units. */
#define CONNECT_TIMEOUT_MS_MAX 86400000

struct kedge_client *kedge_client_close(struct kedge_client *client)
{
	if (!client)
		return NULL;
	client->busy = true;
	client->caller = kedge_caller_free(client->caller);
	client->fd = fd_close(client->fd);
	client->cancel_fd = fd_close(client->cancel_fd);
	buf_deinit(&client->reply);
	buf_deinit(&client->headers);
	free(client);
	return NULL;
}

DEFINE_CLEANUP(struct kedge_client *, kedge_client_close);

static int client_new(struct kedge_client **ret_client, const struct kedge_client_options *o)
{
	_cleanup_(kedge_client_closep) struct kedge_client *client = calloc(1, sizeof(*client));
	struct kedge_caller_options options = { .size = sizeof(options),
						.protocol = o->protocol,
						.id_prefix = o->id_prefix,
						.limits = o->limits,
						.handlers = o->handlers,
						.userdata = o->userdata };
	int r;

	if (!client)
		return -ENOMEM;
	client->fd = client->cancel_fd = -EBADF;
	r = kedge_caller_new(&client->caller, &options);
	if (r < 0)
		return r;
	client->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->cancel_fd < 0)
		return -errno;
	*ret_client = steal_ptr(client);
	return 0;
}

static int client_dial(struct kedge_client *client, const char *path, int timeout_ms,
		       struct kedge_error *error)
{
	assert(client);
	client->fd = dial_patiently(path, timeout_ms);
	if (client->fd == -ETIMEDOUT)
		return error_set(error, -ETIMEDOUT,
				 "cannot connect to %s: its queue was full for %d ms", path,
				 timeout_ms);
	if (client->fd < 0)
		return error_set(error, client->fd, "cannot connect to %s: %s", path,
				 error_words(client->fd));
	return 0;
}

int kedge_client_connect(struct kedge_client **ret_client, const char *where,
			 const struct kedge_client_options *options, struct kedge_error *error)
{
	static const struct kedge_client_options defaults = { .size = sizeof(defaults) };
	_cleanup_(kedge_client_closep) struct kedge_client *client = NULL;
	const struct kedge_client_options *o = options ? options : &defaults;
	_cleanup_(freep) char *path = NULL;
	int r;

	if (o->size != sizeof(*o) || o->connect_timeout_ms < 0 ||
	    o->connect_timeout_ms > CONNECT_TIMEOUT_MS_MAX)
		return error_set(error, -EINVAL, "client: size or connect_timeout_ms (%d)",
				 o->connect_timeout_ms);
	if (!strchr(where, '/')) {
		r = kedge_endpoint_resolve(where, o->workspace, &path, NULL, error);
		if (r < 0)
			return r;
	}
	r = client_new(&client, o);
	if (r < 0)
		return error_set(error, r, "client: %s", error_words(r));
	r = client_dial(client, path ? path : where,
			o->connect_timeout_ms ? o->connect_timeout_ms : KEDGE_CONNECT_TIMEOUT_MS,
			error);
	if (r < 0)
		return r;
	*ret_client = steal_ptr(client);
	return 0;
}

static int lose(struct kedge_client *client, int error)
{
	client->error = error;
	client->fd = fd_close(client->fd);
	kedge_caller_lost(client->caller);
	return -ENOTCONN;
}

static int poll_until(struct pollfd *fds, nfds_t count, uint64_t until_ns)
{
	uint64_t now = monotonic_ns();
	struct timespec left = { 0 };

	if (until_ns == TIME_NEVER)
		return ppoll(fds, count, NULL, NULL);
	if (until_ns > now) {
		left.tv_sec = (time_t)((until_ns - now) / NSEC_PER_SEC);
		left.tv_nsec = (long)((until_ns - now) % NSEC_PER_SEC);
	}
	return ppoll(fds, count, &left, NULL);
}

int client_step(struct kedge_client *client, uint64_t until_ns, size_t *ret_sent,
		size_t *ret_received)
{
	struct pollfd fds[] = { { .fd = client->fd, .events = POLLIN },
				{ .fd = client->cancel_fd, .events = POLLIN } };
	uint64_t count;
	ssize_t n = 0;
	bool more;

	*ret_received = 0;
	*ret_sent = dial_transmit(client->fd, client->caller);
	if (kedge_caller_output_bytes(client->caller))
		fds[0].events |= POLLOUT;
	/* EINTR: what a signal handler wants to say it says by kedge_client_cancel(). */
	if (poll_until(fds, 2, *ret_sent ? 0 : until_ns) < 0)
		return CLIENT_MOVED;
	if (fds[1].revents && read(client->cancel_fd, &count, sizeof(count)) > 0)
		return CLIENT_CANCELLED;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		n = dial_receive(client->fd, client->caller, &more);
	if (n < 0)
		return lose(client, (int)n);
	*ret_received = (size_t)n;
	return n || *ret_sent || (fds[0].revents & POLLOUT) ? CLIENT_MOVED : CLIENT_NOTHING;
}

void client_send_rest(struct kedge_client *client)
{
	uint64_t end = monotonic_ns() + FLUSH_NS;

	while (client->fd >= 0 && kedge_caller_output_bytes(client->caller)) {
		struct pollfd p = { .fd = client->fd, .events = POLLOUT };

		if (!dial_transmit(client->fd, client->caller) && poll_until(&p, 1, end) <= 0 &&
		    monotonic_ns() >= end)
			return;
	}
}

int kedge_client_wait(struct kedge_client *client, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? TIME_NEVER
				      : monotonic_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	size_t sent, received = 0;
	int r = CLIENT_MOVED;

	if (client->busy)
		return -EBUSY;
	if (client->fd < 0)
		return -ENOTCONN;
	client->busy = true;
	while (r == CLIENT_MOVED && !received) {
		r = client_step(client, end, &sent, &received);
		if (r == CLIENT_MOVED && !received && monotonic_ns() >= end)
			r = CLIENT_NOTHING;
	}
	client->busy = false;
	return r == CLIENT_CANCELLED ? -ECANCELED : r;
}

int kedge_client_cancel(struct kedge_client *client)
{
	static const uint64_t one = 1;
	int saved = errno, r = 0;

	/* EAGAIN: 2^64 - 2 cancels wait already. */
	if (write(client->cancel_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		r = -errno;
	errno = saved;
	return r;
}

int kedge_client_fd(const struct kedge_client *client)
{
	return client->fd;
}

int kedge_client_error(const struct kedge_client *client)
{
	return client->error;
}

struct kedge_caller *kedge_client_caller(struct kedge_client *client)
{
	return client->caller;
}
