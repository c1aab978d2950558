#include "sys/diagreply.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>
#include <string.h>

/* RCV_SHUTDOWN of the kernel. */
#define SHUTDOWN_RECEIVE 1

/* One attribute: @size bytes at @data. Each parser takes what it needs or leaves it. */
typedef void attribute_fn(struct diag_socket *s, const char *data, size_t size);

static void take_name(struct diag_socket *s, const char *data, size_t size)
{
	if (size > DIAG_NAME_MAX)
		return;
	/* A path comes with its NUL, and ends at the first one whatever was bound. */
	if (size && data[0])
		size = strnlen(data, size);
	memcpy(s->name, data, size);
	s->name[size] = '\0';
	s->name_size = (uint8_t)size;
}

static void take_vfs(struct diag_socket *s, const char *data, size_t size)
{
	struct unix_diag_vfs vfs;

	if (size < sizeof(vfs))
		return;
	memcpy(&vfs, data, sizeof(vfs));
	s->has_path = true;
	s->path_device = vfs.udiag_vfs_dev;
	s->path_inode = vfs.udiag_vfs_ino;
}

static void take_peer(struct diag_socket *s, const char *data, size_t size)
{
	if (size >= sizeof(s->peer_inode))
		memcpy(&s->peer_inode, data, sizeof(s->peer_inode));
}

static void take_queue(struct diag_socket *s, const char *data, size_t size)
{
	struct unix_diag_rqlen lengths;

	if (size < sizeof(lengths))
		return;
	memcpy(&lengths, data, sizeof(lengths));
	s->has_queue = true;
	s->queued = lengths.udiag_rqueue;
	s->backlog = lengths.udiag_wqueue;
}

static void take_shutdown(struct diag_socket *s, const char *data, size_t size)
{
	s->shut_down = size >= 1 && (data[0] & SHUTDOWN_RECEIVE);
}

static void take_uid(struct diag_socket *s, const char *data, size_t size)
{
	if (size < sizeof(s->uid))
		return;
	memcpy(&s->uid, data, sizeof(s->uid));
	s->has_uid = true;
}

static attribute_fn *const attributes[] = {
	[UNIX_DIAG_NAME] = take_name, [UNIX_DIAG_VFS] = take_vfs,
	[UNIX_DIAG_PEER] = take_peer, [UNIX_DIAG_RQLEN] = take_queue,
	[UNIX_DIAG_UID] = take_uid,   [UNIX_DIAG_SHUTDOWN] = take_shutdown,
};

/* Return: 0; -EPROTO: an attribute is longer than what holds it. */
static int take_attributes(struct diag_socket *s, const char *p, size_t left)
{
	while (left >= sizeof(struct rtattr)) {
		struct rtattr header;
		size_t step;

		memcpy(&header, p, sizeof(header));
		if (header.rta_len < sizeof(header) || header.rta_len > left)
			return -EPROTO;
		if (header.rta_type < sizeof(attributes) / sizeof(*attributes) &&
		    attributes[header.rta_type])
			attributes[header.rta_type](s, p + RTA_LENGTH(0),
						    header.rta_len - RTA_LENGTH(0));
		step = RTA_ALIGN((size_t)header.rta_len);
		/* The last one may come without its padding. */
		step = step > left ? left : step;
		p += step;
		left -= step;
	}
	return 0;
}

static int take_socket(struct diag_socket *ret, const char *payload, size_t size)
{
	struct unix_diag_msg body;

	if (size < sizeof(body))
		return -EPROTO;
	memcpy(&body, payload, sizeof(body));
	*ret = (struct diag_socket){ .socket_inode = body.udiag_ino,
				     .type = body.udiag_type,
				     .state = body.udiag_state,
				     .listening = body.udiag_state == DIAG_STATE_LISTEN };
	return take_attributes(ret, payload + sizeof(body), size - sizeof(body));
}

static int take_error(const char *payload, size_t size)
{
	int error;

	if (size < sizeof(error))
		return -EPROTO;
	memcpy(&error, payload, sizeof(error));
	/* 0 is an acknowledgement, which nobody asked for; beyond 4095 is no errno. */
	return error < 0 && error >= -4095 ? error : -EPROTO;
}

int diag_reply_next(struct diag_cursor *cursor, struct diag_socket *ret)
{
	size_t left = cursor->size - cursor->offset, step;
	const char *message, *payload;
	struct nlmsghdr header;
	int r;

	if (left == 0)
		return DIAG_MORE;
	if (left < NLMSG_HDRLEN)
		return -EPROTO;
	message = (const char *)cursor->data + cursor->offset;
	payload = message + NLMSG_HDRLEN;
	memcpy(&header, message, sizeof(header));
	if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > left)
		return -EPROTO;
	step = NLMSG_ALIGN((size_t)header.nlmsg_len);
	cursor->offset += step > left ? left : step;
	if (header.nlmsg_flags & NLM_F_DUMP_INTR)
		cursor->interrupted = true;
	if (header.nlmsg_type == NLMSG_DONE)
		return DIAG_END;
	if (header.nlmsg_type == NLMSG_ERROR)
		return take_error(payload, header.nlmsg_len - NLMSG_HDRLEN);
	r = take_socket(ret, payload, header.nlmsg_len - NLMSG_HDRLEN);
	return r < 0 ? r : DIAG_SOCKET;
}
