/*
 * To be loaded before libc: the first list of sockets that the kernel gives leaves out one, as
 * a real one does where a socket before it in its bucket is closed in between. $FORGET is the
 * inode of that socket. A question for one socket is answered as ever.
 */
#include <dlfcn.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags);

static int lists_over;

static int is_of(const char *message, size_t size, unsigned long inode)
{
	struct unix_diag_msg body;

	if (size < NLMSG_HDRLEN + sizeof(body))
		return 0;
	memcpy(&body, message + NLMSG_HDRLEN, sizeof(body));
	return body.udiag_ino == inode;
}

/* Take the message of that socket out. Return: the bytes that are left. */
static size_t forget(char *data, size_t size, unsigned long inode)
{
	size_t at = 0;

	while (size - at >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr header;
		size_t step;

		memcpy(&header, data + at, sizeof(header));
		step = NLMSG_ALIGN((size_t)header.nlmsg_len);
		if (step < sizeof(header) || step > size - at)
			break;
		if (header.nlmsg_type == NLMSG_DONE)
			lists_over++;
		if (header.nlmsg_type == NLMSG_DONE || !(header.nlmsg_flags & NLM_F_MULTI) ||
		    !is_of(data + at, step, inode)) {
			at += step;
			continue;
		}
		memmove(data + at, data + at + step, size - at - step);
		size -= step;
	}
	return size;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t (*next)(int, void *, size_t, int);
	const char *inode = getenv("FORGET");
	ssize_t n;

	*(void **)&next = dlsym(RTLD_NEXT, "recv");
	n = next(fd, buffer, size, flags);
	if (n <= 0 || lists_over > 0 || !inode)
		return n;
	/* An empty answer would be the end of it: then the next one is the first. */
	n = (ssize_t)forget(buffer, (size_t)n, strtoul(inode, NULL, 10));
	return n ? n : recv(fd, buffer, size, flags);
}
