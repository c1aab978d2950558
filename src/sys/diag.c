#include "sys/diag.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/map.h"

/* A dump comes in messages of at most so many bytes: man 7 netlink. */
#define DIAG_BUFFER_BYTES 32768

/* A dump that sockets changed under is begun anew; after so many it is taken as it is. */
#define DIAG_TRIES 4

/* A list may leave one out: so many have to before there is none. */
#define DIAG_LISTS 2

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
	n = sendto(fd, request, sizeof(*request), 0, (struct sockaddr *)&kernel, sizeof(kernel));
	return n < 0 ? -errno : 0;
}

static int diag_socket_new(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

/* A netlink socket belongs to the namespace it was made in, wherever its maker goes. */
static int diag_socket_in(int netns)
{
	_cleanup_(fd_closep) int home = -EBADF;
	int fd;

	if (netns == DIAG_NETNS_OWN)
		return diag_socket_new();
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return -errno;
	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = diag_socket_new();
	/* What let us in lets us out. To go on in a strange namespace would be worse than to end.
	 */
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return fd;
}

static int diag_open(int netns, struct diag_request *request)
{
	_cleanup_(fd_closep) int fd = diag_socket_in(netns);
	/* The kernel answers in the call itself; this only bounds the unthinkable. */
	struct timeval bound = { .tv_sec = 1 };
	int r;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	r = diag_send(fd, request);
	return r < 0 ? r : steal_fd(&fd);
}

int diag_by_socket(uint32_t socket_inode, struct diag_socket *ret)
{
	char buffer[1024];
	struct diag_request request = { .header.nlmsg_flags = NLM_F_REQUEST,
					.body = { .udiag_ino = socket_inode,
						  .udiag_cookie = { UINT32_MAX, UINT32_MAX },
						  .udiag_show = UDIAG_SHOW_VFS,
						  .udiag_states = UINT32_MAX } };
	_cleanup_(fd_closep) int fd = diag_open(DIAG_NETNS_OWN, &request);
	struct diag_cursor cursor = { .data = buffer };
	struct diag_socket found;
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	n = recv(fd, buffer, sizeof(buffer), 0);
	if (n < 0)
		return -errno;
	cursor.size = (size_t)n;
	r = diag_reply_next(&cursor, &found);
	if (r != DIAG_SOCKET)
		return r == DIAG_END ? -ENOENT : r < 0 ? r : -EPROTO;
	*ret = found;
	return 0;
}

uint32_t diag_device(dev_t device)
{
	return (uint32_t)(major(device) << 20 | minor(device));
}

bool diag_is_at(const struct diag_socket *s, dev_t device, ino_t inode)
{
	return s->has_path && s->path_inode == (uint32_t)inode &&
	       (s->path_device == diag_device(device) || major(device) == 0);
}

/* What a search does with each socket. Return: 0: go on; 1: enough; negative: fail. */
typedef int diag_visit_fn(const struct diag_socket *s, void *userdata);

/* Go through a dump once. Return: 1: enough; 0: that were all; -EINTR: not all of them;
 * negative. */
static int diag_dump(int netns, uint32_t states, uint32_t show, diag_visit_fn *visit,
		     void *userdata)
{
	_cleanup_(freep) char *buffer = malloc(DIAG_BUFFER_BYTES);
	struct diag_request request = { .header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
					.body = { .udiag_states = states, .udiag_show = show } };
	_cleanup_(fd_closep) int fd = buffer ? diag_open(netns, &request) : -ENOMEM;
	struct diag_cursor cursor = { .data = buffer };
	struct diag_socket s;
	int r = fd < 0 ? fd : DIAG_MORE;

	while (r > DIAG_END) {
		if (r == DIAG_MORE) {
			ssize_t n = recv(fd, buffer, DIAG_BUFFER_BYTES, 0);

			if (n <= 0)
				return n < 0 ? -errno : -EPROTO;
			cursor.size = (size_t)n;
			cursor.offset = 0;
		}
		r = diag_reply_next(&cursor, &s);
		if (r == DIAG_SOCKET) {
			int enough = visit(&s, userdata);

			if (enough)
				return enough;
		}
	}
	return r == DIAG_END && cursor.interrupted ? -EINTR : r;
}

struct diag_search {
	dev_t device;
	ino_t inode;
	bool exact; /* the device is the one that the kernel's list has */
	struct diag_socket found;
};

static int visit_search(const struct diag_socket *s, void *userdata)
{
	struct diag_search *search = userdata;

	if (!diag_is_at(s, search->device, search->inode) ||
	    (search->exact && s->path_device != diag_device(search->device)))
		return 0;
	/* An accepted connection carries its listener's inode, and may outlive it. */
	if (s->state == DIAG_STATE_ESTABLISHED && s->type != SOCK_DGRAM)
		return 0;
	search->found = *s;
	return 1;
}

static int search_for(struct diag_search *search, struct diag_socket *ret)
{
	int r = -EINTR, in_vain = 0;

	for (int i = 0; i < DIAG_TRIES && (r == -EINTR || (r == 0 && in_vain < DIAG_LISTS)); i++) {
		r = diag_dump(DIAG_NETNS_OWN, UINT32_MAX, UDIAG_SHOW_VFS, visit_search, search);
		in_vain += r == 0;
	}
	if (r == 1)
		*ret = search->found;
	return r == -EINTR ? 0 : r;
}

int diag_by_path(dev_t device, ino_t inode, struct diag_socket *ret)
{
	struct diag_search search = { .device = device, .inode = inode };

	return search_for(&search, ret);
}

int diag_by_file(int fd, struct diag_socket *ret)
{
	struct diag_search search = { 0 };
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	search.device = st.st_dev;
	search.inode = st.st_ino;
	search.exact = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	return search_for(&search, ret);
}

static int visit_list(const struct diag_socket *s, void *userdata)
{
	struct diag_list *list = userdata;

	/* Grown when the count is a power of two: the array needs no capacity beside it. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t capacity = list->count ? 2 * list->count : 1;
		void *grown = reallocarray(list->sockets, capacity, sizeof(*s));

		if (!grown)
			return -ENOMEM;
		list->sockets = grown;
	}
	list->sockets[list->count++] = *s;
	return 0;
}

int diag_list(int netns, uint32_t states, struct diag_list *ret)
{
	static const uint32_t show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
				     UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID;
	struct diag_list list = DIAG_LIST_INIT;
	int r = -EINTR;

	for (int i = 0; i < DIAG_TRIES && r == -EINTR; i++) {
		list.count = 0;
		r = diag_dump(netns, states, show, visit_list, &list);
	}
	if (r < 0 && r != -EINTR) {
		diag_list_deinit(&list);
		return r;
	}
	list.interrupted = r == -EINTR;
	*ret = list;
	return 0;
}

/* One that a second list does not have: gone, or left out? */
static bool is_left_out(int netns, const struct diag_socket *s)
{
	struct diag_socket now;

	return netns != DIAG_NETNS_OWN || diag_by_socket(s->socket_inode, &now) == 0;
}

static int add_left_out(int netns, const struct diag_list *from, struct diag_list *to)
{
	_cleanup_(map_deinit) struct map known = MAP_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < to->count; i++)
		r = map_put(&known, to->sockets[i].socket_inode, &known);
	for (size_t i = 0; r == 0 && i < from->count; i++)
		if (!map_get(&known, from->sockets[i].socket_inode) &&
		    is_left_out(netns, &from->sockets[i]))
			r = visit_list(&from->sockets[i], to);
	return r;
}

int diag_list_twice(int netns, uint32_t states, struct diag_list *ret)
{
	_cleanup_(diag_list_deinit) struct diag_list first = DIAG_LIST_INIT;
	struct diag_list second = DIAG_LIST_INIT;
	int r = diag_list(netns, states, &first);

	if (r == 0)
		r = diag_list(netns, states, &second);
	if (r == 0)
		r = add_left_out(netns, &first, &second);
	if (r < 0) {
		diag_list_deinit(&second);
		return r;
	}
	*ret = second;
	return 0;
}

void diag_list_deinit(struct diag_list *list)
{
	free(list->sockets);
	*list = (struct diag_list)DIAG_LIST_INIT;
}
