#include "cmd/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* Reads in one go, so that one busy client does not hold up the others. */
#define READS_MAX 16

/* Close the descriptors that came with a message: they were sent on, or cannot be. */
static void drop_control(struct stream *s)
{
	struct msghdr message = { .msg_control = s->control, .msg_controllen = s->control_size };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			fd_close(fd);
		}
	}
	s->control_size = 0;
}

static int reserve(struct stream *s, size_t size)
{
	char *grown;

	if (size <= s->capacity)
		return 0;
	grown = realloc(s->data, size);
	if (!grown)
		return -ENOMEM;
	s->data = grown;
	s->capacity = size;
	return 0;
}

/* Room for what comes next: of a message, for the whole of it. Return: 0 or -errno. */
static int make_room(struct stream *s)
{
	ssize_t n = STREAM_READ_BYTES;

	if (s->kind != STREAM_BYTES) {
		n = recv(s->from, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (n < 0)
			return -errno;
		if ((size_t)n > STREAM_MESSAGE_BYTES_MAX)
			return -EMSGSIZE;
	}
	return reserve(s, (size_t)n + 1);
}

static int take_in(struct stream *s)
{
	int r = make_room(s);
	struct iovec part = { s->data, s->capacity };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = s->control,
				  .msg_controllen = sizeof(s->control) };
	ssize_t n;

	if (r < 0)
		return r;
	n = recvmsg(s->from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	s->control_size = message.msg_controllen;
	s->size = (size_t)n;
	s->sent = 0;
	s->holds = n > 0 || s->kind == STREAM_DATAGRAMS;
	if (s->holds)
		return 0;
	s->ended = true;
	/* The other direction may go on: a client that has asked may still want its answer. */
	return shutdown(s->to, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

static int give_out(struct stream *s)
{
	struct iovec part = { s->data + s->sent, s->size - s->sent };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = s->control_size ? s->control : NULL,
				  .msg_controllen = s->control_size };
	ssize_t n = sendmsg(s->to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	/* Somebody's credentials are only root's to pass on. The message matters more. */
	if (n < 0 && errno == EPERM && s->kind == STREAM_DATAGRAMS) {
		message.msg_control = NULL;
		message.msg_controllen = 0;
		n = sendmsg(s->to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (n < 0)
		return -errno;
	drop_control(s);
	s->sent += (size_t)n;
	s->holds = s->sent < s->size;
	return 0;
}

static bool is_not_yet(int error)
{
	return error == -EAGAIN || error == -EINTR || error == -ENOBUFS;
}

int stream_pump(struct stream *s)
{
	s->write_wet = false;
	for (int reads = 0; reads < READS_MAX && !s->ended; reads++) {
		int r = s->holds ? 0 : take_in(s);

		if (r < 0)
			return is_not_yet(r) ? 0 : r;
		while (s->holds) {
			r = give_out(s);
			if (r < 0) {
				s->write_wet = is_not_yet(r);
				return s->write_wet ? 0 : r;
			}
		}
	}
	return 0;
}

void stream_deinit(struct stream *s)
{
	drop_control(s);
	free(s->data);
	s->data = NULL;
}
