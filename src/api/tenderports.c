/* The port table of a tender: listeners are rows of the kernel's list. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "api/tended.h"
#include "base/cleanup.h"
#include "sys/files.h"
#include "sys/sockets.h"

/* So many sockets are asked for alone in a turn, before a census is taken for all. */
#define ASKED_ALONE_MAX 16

/* Where a socket cannot be asked for alone, so many censuses must agree that it is gone. */
#define CENSUSES_MAX 3

static struct tender *tender_of(void *ctx)
{
	return container_of((struct world *)ctx, struct tender, world);
}

struct foreign *token_get(const struct tender *t, int fd)
{
	assert(fd >= TOKEN_FIRST && (size_t)(fd - TOKEN_FIRST) < t->foreign_count);
	return &t->foreign[fd - TOKEN_FIRST];
}

static int free_slot(struct tender *t)
{
	size_t more = t->foreign_count ? 2 * t->foreign_count : 64;
	struct foreign *grown;

	for (size_t i = t->free_from; i < t->foreign_count; i++)
		if (t->foreign[i].refs == 0) {
			t->free_from = i + 1;
			return (int)i;
		}
	grown = realloc(t->foreign, more * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + t->foreign_count, 0, (more - t->foreign_count) * sizeof(*grown));
	t->foreign = grown;
	t->free_from = t->foreign_count + 1;
	t->foreign_count = more;
	return (int)t->free_from - 1;
}

int token_new(struct tender *t, const struct diag_socket *s, const struct node *node)
{
	int slot = free_slot(t);

	if (slot < 0)
		return slot;
	t->foreign[slot] = (struct foreign){
		.refs = 1, .socket_inode = s->socket_inode, .type = (int)s->type, .node = *node
	};
	return TOKEN_FIRST + slot;
}

void token_drop(struct tender *t, int fd)
{
	struct foreign *f = token_get(t, fd);
	size_t slot = (size_t)(fd - TOKEN_FIRST);

	assert(f->refs > 0);
	if (--f->refs == 0 && slot < t->free_from)
		t->free_from = slot;
}

/* The number of a socket may be used again: it must still be bound to the same inode. */
static bool is_alive(const struct foreign *f, const struct diag_socket *s)
{
	return s && census_takes_clients(s, SOCK_DGRAM) &&
	       (!s->has_path || s->path_inode == (uint32_t)f->node.inode);
}

static bool alive_in_census(struct tender *t, const struct foreign *f)
{
	const struct census *c = tender_census(t);

	/* Where nothing can be known, what was there is believed to be there still. */
	return !c || is_alive(f, census_socket(c, f->socket_inode));
}

bool token_alive_now(struct tender *t, int fd)
{
	const struct foreign *f = token_get(t, fd);
	struct diag_socket s;
	int r = diag_by_socket(f->socket_inode, &s);

	if (r == 0)
		return is_alive(f, &s);
	if (r == -ENOENT && t->census.netns_count == 0)
		return false;
	for (int i = 0; i < CENSUSES_MAX; i++) {
		t->census_turn = 0;
		if (alive_in_census(t, f))
			return true;
	}
	return false;
}

bool tended_listens_now(struct tended *d)
{
	struct tender *t = d->tender;
	int fd = d->g->current->fd;
	const struct holder *h = d->holding.main;

	if (t->asked >= ASKED_ALONE_MAX && h &&
	    process_holds_at(h->process.pid, d->holding.main_fd, token_get(t, fd)->socket_inode))
		return true;
	t->asked++;
	return token_alive_now(t, fd);
}

static int tender_listener_dead(void *ctx, int fd)
{
	struct tender *t = tender_of(ctx);

	/* A census may miss one that is there; only the answer to a question for it counts. */
	if ((t->census_turn == t->turn || t->asked >= ASKED_ALONE_MAX) &&
	    alive_in_census(t, token_get(t, fd)))
		return 0;
	t->asked++;
	return !token_alive_now(t, fd);
}

static int tender_listener_dup(void *ctx, int fd)
{
	token_get(tender_of(ctx), fd)->refs++;
	return fd;
}

static int tender_close(void *ctx, int fd)
{
	if (fd >= TOKEN_FIRST)
		token_drop(tender_of(ctx), fd);
	else
		fd_close(fd);
	return 0;
}

static int tender_listener_node(void *ctx, int fd, const char *path, struct node *ret)
{
	const struct foreign *f = token_get(tender_of(ctx), fd);
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	node_from_stat(ret, &st);
	return node_same(ret, &f->node) ? 0 : -EINVAL;
}

/* None waits in a queue of ours: the listener's own process sees to them. */
static int tender_listener_queued(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

/* No listener is ever made for a daemon. */
static int tender_listener_make(void *ctx, int dir, const char *name,
				const struct listener_spec *spec)
{
	(void)ctx;
	(void)dir;
	(void)name;
	(void)spec;
	return -ESHUTDOWN;
}

/*
 * Whether somebody is bound there, in whatever network namespace, without a connection: a daemon
 * that is connected to and left again may be killed by its own answer (SIGPIPE). The kernel finds
 * the socket before it compares types, so a datagram socket is told EPROTOTYPE by a stream, and
 * to be connected to another datagram socket says nothing to that one.
 */
static int probe_unseen(int dir, const char *name)
{
	return sockets_probe(dir, name, KEDGE_SOCKET_DATAGRAM);
}

/* The kernel's list tells whether it listens, too; only whom that does not know is asked. */
static int tender_probe(void *ctx, int dir, const char *name, int type)
{
	const struct census *c = tender_census(tender_of(ctx));
	const struct diag_socket *s;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? PROBE_GONE : PROBE_UNKNOWN;
	if (!c || c->by_name)
		return sockets_probe(dir, name, type);
	s = census_at(c, "", st.st_dev, st.st_ino);
	if (s)
		return census_takes_clients(s, SOCK_DGRAM) ? PROBE_LIVE : PROBE_UNSETTLED;
	return probe_unseen(dir, name);
}

struct guard_ports tender_ports(struct tender *t)
{
	struct guard_ports ports = world_ports(&t->world);

	ports.close = tender_close;
	ports.listener_make = tender_listener_make;
	ports.listener_dup = tender_listener_dup;
	ports.listener_node = tender_listener_node;
	ports.listener_dead = tender_listener_dead;
	ports.listener_queued = tender_listener_queued;
	ports.probe = tender_probe;
	return ports;
}

const struct diag_socket *tender_socket_at(struct tender *t, const char *path, dev_t device,
					   ino_t inode)
{
	const struct census *c = tender_census(t);
	const struct diag_socket *s = c ? census_at(c, path, device, inode) : NULL;

	if (s || !c)
		return s;
	/* It may have been bound after the census; else it is in another network namespace. */
	t->census_turn = 0;
	c = tender_census(t);
	s = c ? census_at(c, path, device, inode) : NULL;
	if (!s && c && census_search(&t->census, device, inode) == 0)
		s = census_at(&t->census, path, device, inode);
	return s;
}

/* Nobody that we can see is bound there; is somebody all the same? */
static int probe_elsewhere(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *parent = strndup(path, (size_t)(slash - path) + 1);
	_cleanup_(fd_closep) int dir = -EBADF;

	if (!parent)
		return -ENOMEM;
	dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	return probe_unseen(dir, slash + 1) == PROBE_LIVE ? -EREMOTE : 0;
}

int tender_look_up(struct tender *t, const char *path, struct diag_socket *ret,
		   struct node *ret_node)
{
	const struct diag_socket *s;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	node_from_stat(ret_node, &st);
	if (!tender_census(t))
		return t->census.error ? t->census.error : -ENOMEM;
	s = tender_socket_at(t, path, st.st_dev, st.st_ino);
	/* Bound just now, it may have been in neither place that the kernel's list was read of. */
	for (int i = 0; !s && i < CENSUSES_MAX; i++) {
		r = probe_elsewhere(path);
		if (r != -EREMOTE)
			return r;
		t->census_turn = 0;
		s = tender_socket_at(t, path, st.st_dev, st.st_ino);
	}
	if (!s)
		return -EREMOTE;
	*ret = *s;
	return 1;
}
