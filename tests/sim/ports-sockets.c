/*
 * Listeners, and the locks of paths.
 */
#include <errno.h>
#include <stdio.h>

#include "call.h"

static const int errors_open[] = { -EMFILE, -ENFILE, -ENOMEM, -EIO, -EACCES, 0 };
static const int errors_listener[] = { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ENOSPC,
				       -EROFS,  -EDQUOT, -EACCES, 0 };
static const int errors_listen[] = { -EADDRINUSE, -EINVAL, 0 };
static const int errors_lock[] = { -EMFILE, -ENOSPC, -EDQUOT, -EROFS, -ENOLCK, -EACCES, 0 };
static const int errors_io[] = { -EIO, -ENOSPC, 0 };
static const int errors_probe[] = { PROBE_UNKNOWN - 1000, PROBE_UNSETTLED - 1000, 0 };
static const int errors_node[] = { -EMFILE, -EOPNOTSUPP, -ENOMEM, 0 };

static int make_listener(struct guard_process *g, int dir, const char *name,
			 const struct listener_spec *spec)
{
	struct socket *s;
	int r = socket_bind(&g->os.actor, call_dir(g, dir), name, spec->type, 0600, &s);

	return r < 0 ? r : files_open_socket(&g->os, s);
}

static int port_listener_make(void *ctx, int dir, const char *name,
			      const struct listener_spec *spec)
{
	struct guard_process *g = ctx;

	return CALL(g, "listener_make", name, errors_listener, false,
		    make_listener(g, dir, name, spec));
}

static int start_listening(struct guard_process *g, int fd, const struct listener_spec *spec)
{
	struct socket *s = call_socket(g, fd);

	s->listening = true;
	s->backlog = (unsigned)spec->backlog;
	return 0;
}

static int port_listener_listen(void *ctx, int fd, const struct listener_spec *spec)
{
	struct guard_process *g = ctx;

	return CALL(g, "listen", "", errors_listen, false, start_listening(g, fd, spec));
}

static int dup_socket(struct guard_process *g, int fd)
{
	struct socket *s = call_socket(g, fd);
	int copy = files_open_socket(&g->os, s);

	if (copy >= 0)
		s->refs++;
	return copy;
}

static int port_listener_dup(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	return CALL(g, "dup", "", errors_open, false, dup_socket(g, fd));
}

static int listener_node(struct guard_process *g, int fd, const char *path, struct node *ret)
{
	const struct socket *s = call_socket(g, fd);
	struct spot at;
	int r = kernel_walk(&g->os.actor, path, &at);

	if (!s->listening)
		return -EINVAL;
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	if (at.inode != s->inode)
		return -EINVAL;
	*ret = kernel_node(at.inode);
	return 0;
}

static int port_listener_node(void *ctx, int fd, const char *path, struct node *ret)
{
	struct guard_process *g = ctx;

	return CALL(g, "listener_node", path, errors_node, false, listener_node(g, fd, path, ret));
}

static int bound_handle(struct guard_process *g, int fd)
{
	const struct socket *s = call_socket(g, fd);

	if (g->os.actor.uid != 0)
		return -EPERM;
	return s->inode ? files_open(&g->os, (struct spot){ .inode = s->inode }) : -ENOENT;
}

static int port_listener_handle(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	return CALL(g, "listener_handle", "", errors_open, false, bound_handle(g, fd));
}

static int port_bind_path(void *ctx, int dir, const char *name, char *ret, size_t size)
{
	struct guard_process *g = ctx;

	return CALL(g, "bind_path", name, NULL, false,
		    snprintf(ret, size, "%d/%s", dir, name) < (int)size ? 0 : -ENAMETOOLONG);
}

static int port_listener_dead(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	return CALL(g, "listener_dead", "", NULL, false, call_socket(g, fd)->shut);
}

static int port_listener_queued(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	return CALL(g, "listener_queued", "", NULL, false, call_socket(g, fd)->queued > 0);
}

/* Whether a client that gets to @inode, NULL for none, would be listened to. */
static bool lives(const struct inode *inode)
{
	return inode && inode->kind == INODE_SOCKET && socket_lives(inode->socket);
}

static int probe(struct guard_process *g, int dir, const char *name, int type)
{
	struct socket *s;
	struct spot at;
	int r = kernel_lookup(&g->os.actor, call_dir(g, dir), name, &at);

	/* A connection goes through links, so only a socket was seen. */
	if (at.inode && at.inode->kind == INODE_SOCKET)
		foul_seen(g, call_dir(g, dir), name);
	if (r == 0)
		r = socket_connect(&g->os.actor, at, type, &s);
	switch (r) {
	case 0:
	case -EPROTOTYPE:
		return PROBE_LIVE;
	case -EAGAIN:
		return PROBE_UNSETTLED;
	case -ENOENT:
		return PROBE_GONE;
	case -ECONNREFUSED:
		return lives(at.inode) ? PROBE_UNSETTLED : PROBE_STALE;
	default:
		return lives(at.inode) ? PROBE_LIVE : PROBE_UNKNOWN;
	}
}

static int port_probe(void *ctx, int dir, const char *name, int type)
{
	struct guard_process *g = ctx;
	int r;

	g->looked = sim.disturbances;
	r = CALL(g, "probe", name, errors_probe, false, probe(g, dir, name, type));

	return r < 0 ? r + 1000 : r;
}

static int lock_open(struct guard_process *g, int dir, const char *name)
{
	struct spot at, in = call_dir(g, dir);
	int fd, r = kernel_lookup(&g->os.actor, in, name, &at);

	if (r == 0 && !at.inode) {
		r = names_make(&g->os.actor, in, name, INODE_FILE, 0600, &at.inode);
		at.mount = in.mount;
	}
	if (r < 0)
		return r;
	if (at.inode->kind == INODE_SYMLINK)
		return -ELOOP;
	if (at.inode->kind != INODE_FILE)
		return at.inode->kind == INODE_DIRECTORY ? -EISDIR : -ENXIO;
	if (at.inode->locked_by)
		return -EWOULDBLOCK;
	fd = files_open(&g->os, at);
	if (fd >= 0) {
		files_get(&g->os, fd)->locks = true;
		at.inode->locked_by = &g->os;
	}
	return fd;
}

static int port_lock_open(void *ctx, int dir, const char *name)
{
	struct guard_process *g = ctx;

	return CALL(g, "lock_open", name, errors_lock, false, lock_open(g, dir, name));
}

static int lock_read(struct guard_process *g, int fd, struct lock_note *ret)
{
	const struct inode *inode = call_dir(g, fd).inode;

	*ret = inode->noted ? inode->note : (struct lock_note){ 0 };
	return 0;
}

static int port_lock_read(void *ctx, int fd, struct lock_note *ret)
{
	struct guard_process *g = ctx;

	return CALL(g, "lock_read", "", errors_io, false, lock_read(g, fd, ret));
}

static int lock_write(struct guard_process *g, int fd, const struct lock_note *note)
{
	struct spot at = call_dir(g, fd);

	if (at.mount->read_only)
		return -EROFS;
	at.inode->note = *note;
	at.inode->note.known = true;
	at.inode->noted = true;
	return 0;
}

static int port_lock_write(void *ctx, int fd, const struct lock_note *note)
{
	struct guard_process *g = ctx;

	return CALL(g, "lock_write", "", errors_io, true, lock_write(g, fd, note));
}

static int port_unlock(void *ctx, int fd)
{
	struct guard_process *g = ctx;

	(void)call_enter(g, "unlock", NULL, false);
	if (files_close(&g->os, fd) < 0)
		sim_fail("lock %d is let go, and is none", fd);
	return call_leave(g, "unlock", "", 0);
}

void ports_of_sockets(struct guard_ports *ports)
{
	ports->listener_make = port_listener_make;
	ports->listener_listen = port_listener_listen;
	ports->listener_dup = port_listener_dup;
	ports->listener_node = port_listener_node;
	ports->listener_handle = port_listener_handle;
	ports->listener_bind_path = port_bind_path;
	ports->listener_dead = port_listener_dead;
	ports->listener_queued = port_listener_queued;
	ports->probe = port_probe;
	ports->lock_open = port_lock_open;
	ports->lock_read = port_lock_read;
	ports->lock_write = port_lock_write;
	ports->unlock = port_unlock;
}
