#include "sys/diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

/* A dump comes in messages of at most so many bytes: man 7 netlink. */
#define DIAG_BUFFER_BYTES 32768

/* TCP_LISTEN of the kernel's enum, which Unix sockets share. */
#define DIAG_STATE_LISTEN 10

/* RCV_SHUTDOWN of the kernel. */
#define DIAG_SHUTDOWN_RECEIVE 1

struct diag_request {
	struct nlmsghdr header;
	struct unix_diag_req body;
};

static int diag_send(int fd, struct diag_request *request)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	request->header.nlmsg_len = sizeof(*request);
	request->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->body.sdiag_family = AF_UNIX;
	request->body.udiag_show = UDIAG_SHOW_VFS;
	n = sendto(fd, request, sizeof(*request), 0, (struct sockaddr *)&kernel, sizeof(kernel));
	return n < 0 ? -errno : 0;
}

static void diag_attribute(struct diag_socket *s, const struct rtattr *attribute)
{
	switch (attribute->rta_type) {
	case UNIX_DIAG_VFS: {
		struct unix_diag_vfs vfs;

		memcpy(&vfs, RTA_DATA(attribute), sizeof(vfs));
		s->has_path = true;
		s->path_device = vfs.udiag_vfs_dev;
		s->path_inode = vfs.udiag_vfs_ino;
		break;
	}
	case UNIX_DIAG_SHUTDOWN:
		s->shut_down = *(const uint8_t *)RTA_DATA(attribute) & DIAG_SHUTDOWN_RECEIVE;
		break;
	default:
		break;
	}
}

static void diag_parse(const struct nlmsghdr *message, struct diag_socket *ret)
{
	const struct unix_diag_msg *body = NLMSG_DATA(message);
	const struct rtattr *attribute = (const struct rtattr *)(body + 1);
	unsigned left = (unsigned)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*body)));

	*ret = (struct diag_socket){ .socket_inode = body->udiag_ino,
				     .type = body->udiag_type,
				     .listening = body->udiag_state == DIAG_STATE_LISTEN };
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		diag_attribute(ret, attribute);
}

/* What a message is: 1: a socket, in @ret; 0: the end of a dump; negative: an error. */
static int diag_message(const struct nlmsghdr *message, struct diag_socket *ret)
{
	if (message->nlmsg_type == NLMSG_DONE)
		return 0;
	if (message->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(message);

		return error->error < 0 ? error->error : -EPROTO;
	}
	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
		return -EPROTO;
	diag_parse(message, ret);
	return 1;
}

static int diag_open(struct diag_request *request)
{
	_cleanup_(fd_closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
					     NETLINK_SOCK_DIAG);
	/* The kernel answers in the call itself; this only bounds the unthinkable. */
	struct timeval bound = { .tv_sec = 1 };
	int r;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	r = diag_send(fd, request);
	return r < 0 ? r : steal_fd(&fd);
}

int diag_by_socket(uint32_t socket_inode, struct diag_socket *ret)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct diag_request request = { .header.nlmsg_flags = NLM_F_REQUEST,
					.body = { .udiag_ino = socket_inode,
						  .udiag_cookie = { UINT32_MAX, UINT32_MAX },
						  .udiag_states = UINT32_MAX } };
	_cleanup_(fd_closep) int fd = diag_open(&request);
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	n = recv(fd, buffer, sizeof(buffer), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(message, (size_t)n))
		return -EPROTO;
	r = diag_message(message, ret);
	return r == 1 ? 0 : r < 0 ? r : -ENOENT;
}

/* Whether @s is bound to that inode. Device numbers of btrfs and overlayfs differ
 * between stat() and here; there the inode must do. */
static bool diag_is_at(const struct diag_socket *s, dev_t device, ino_t inode)
{
	uint32_t kernel_device = (uint32_t)(major(device) << 20 | minor(device));

	return s->has_path && s->path_inode == (uint32_t)inode &&
	       (s->path_device == kernel_device || major(device) == 0);
}

/* Search one buffer of a dump. Return: 1: found; 2: go on; 0: end; negative. */
static int diag_search(const char *buffer, size_t size, dev_t device, ino_t inode,
		       struct diag_socket *ret)
{
	for (const struct nlmsghdr *m = (const struct nlmsghdr *)buffer; NLMSG_OK(m, size);
	     m = NLMSG_NEXT(m, size)) {
		struct diag_socket s;
		int r = diag_message(m, &s);

		if (r <= 0)
			return r;
		if (diag_is_at(&s, device, inode)) {
			*ret = s;
			return 1;
		}
	}
	return 2;
}

int diag_by_path(dev_t device, ino_t inode, struct diag_socket *ret)
{
	_cleanup_(freep) char *buffer = malloc(DIAG_BUFFER_BYTES);
	struct diag_request request = { .header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
					.body.udiag_states = UINT32_MAX };
	_cleanup_(fd_closep) int fd = buffer ? diag_open(&request) : -ENOMEM;
	int r = fd < 0 ? fd : 2;

	while (r == 2) {
		ssize_t n = recv(fd, buffer, DIAG_BUFFER_BYTES, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		r = diag_search(buffer, (size_t)n, device, inode, ret);
	}
	return r;
}
