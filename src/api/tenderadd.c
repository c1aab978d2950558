/* How a path comes to be tended, and why it may not. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/path.h"
#include "api/tended.h"
#include "base/error.h"
#include "sys/mounts.h"

static const char *who_may(void)
{
	return geteuid() == 0 ? "" : ": run as root, or as the socket's owner";
}

static int check_path(const struct tender *t, const char *path, struct kedge_error *error)
{
	int r;

	if (path[0] == '@')
		return error_set(error, -EAFNOSUPPORT,
				 "%s is abstract: it has no path that could be lost", path);
	r = path_check(path, error);
	if (r == 0 && tender_find(t, path))
		r = error_set(error, -EEXIST, "%s is given twice", path);
	return r;
}

/* Anchors are on another mount than this path: keep its own beside it. */
static int anchor_beside(struct guarded *g)
{
	const struct engine *e = g->engine;
	struct look look;
	int r;

	g->place->anchors_beside = true;
	r = place_open_anchors(g->place, e->ports, NULL);
	if (r == 0)
		r = guarded_lock(g);
	guarded_look(g, &look);
	return r < 0 ? r : guarded_act(g, ACTION_ANCHOR, &look);
}

/* The directory for anchors is not one that only we can write to, or cannot be made. */
static int refuse_anchor_dir(const struct tended *d, int r, struct kedge_error *error)
{
	const struct place *place = d->g->place;
	char dir[PATH_MAX + 32];
	struct stat st;

	if (d->tender->anchor_dir)
		(void)snprintf(dir, sizeof(dir), "%s", d->tender->anchor_dir);
	else
		(void)snprintf(dir, sizeof(dir), "%s/.kedge-%u", place->path[1] ? place->path : "",
			       geteuid());
	if (r != -EPERM || lstat(dir, &st) < 0)
		return error_set(error, r, "no anchor can be kept for %s: %s: %s%s", d->path, dir,
				 error_words(r), r == -EPERM || r == -EACCES ? who_may() : "");
	if (!S_ISDIR(st.st_mode))
		return error_set(error, r, "no anchor can be kept for %s: %s is no directory",
				 d->path, dir);
	if (st.st_uid != geteuid())
		return error_set(error, r,
				 "no anchor can be kept for %s: the directory %s belongs to user "
				 "%u: one of user %u is needed",
				 d->path, dir, st.st_uid, geteuid());
	return error_set(error, r,
			 "no anchor can be kept for %s: the directory %s has mode %04o: 0700 is "
			 "needed, so that nobody else can get at the anchors",
			 d->path, dir, st.st_mode & 07777);
}

/* A path without an anchor could not be put back: better refused than guarded in name. */
static int ensure_anchor(struct tended *d, struct kedge_error *error)
{
	struct guarded *g = d->g;
	struct mount_line mount;
	struct look look;
	int r = 0;

	/* A mount that was taken over is put back from the handle, as one of our own making. */
	if (g->current->home || g->current->mounts)
		return 0;
	if (!g->place->anchors)
		return refuse_anchor_dir(d, g->place->anchors_error, error);
	guarded_look(g, &look);
	r = guarded_act(g, ACTION_ANCHOR, &look);
	if (r == -EXDEV && d->tender->anchor_dir) {
		tender_tell(d->tender, d, KEDGE_EVENT_DEGRADED, r,
			    "the anchor directory is on another mount: anchored beside the socket");
		r = anchor_beside(g);
	}
	if (r >= 0)
		return 0;
	if (r == -EXDEV && mounts_find(d->path, &mount) == 0)
		return error_set(error, r,
				 "no anchor can be kept for %s: it is a mount of its own, number "
				 "%u (%s of %s); if a kedge that was killed left it there: umount "
				 "'%s'",
				 d->path, mount.number, mount.root, mount.type, d->path);
	return error_set(error, r, "no anchor can be kept for %s: %s%s", d->path, error_words(r),
			 r == -EPERM || r == -EACCES ? who_may() : "");
}

static int type_of(const struct diag_socket *s)
{
	return s->type == SOCK_DGRAM       ? KEDGE_SOCKET_DATAGRAM
	       : s->type == SOCK_SEQPACKET ? KEDGE_SOCKET_SEQPACKET
					   : KEDGE_SOCKET_STREAM;
}

int tended_hold(struct tended *d, const struct diag_socket *s, const struct node *node,
		const struct inheritance *left, struct kedge_error *error)
{
	struct tender *t = d->tender;
	struct listen_config config = { .spec = { .type = type_of(s), .mode = node->mode },
					.at_close = KEDGE_AT_CLOSE_LEAVE,
					.userdata = d };
	int r, token = token_new(t, s, node);

	if (token < 0)
		return error_set(error, token, "out of memory");
	d->letting_go = true;
	r = engine_add(&t->engine, d->path, &config, token, &d->g, error);
	token_drop(t, token);
	/* Another one stands there by now: it will be met in its turn. */
	if (r == -EINVAL)
		r = -ESTALE;
	if (r == -EADDRINUSE)
		(void)error_set(error, r, "%s is guarded already, by another kedge", d->path);
	if (r == 0 && left && left->mounted)
		takeover_mount(d, left, s);
	if (r == 0)
		r = ensure_anchor(d, error);
	if (r < 0 && d->g)
		guarded_stop(d->g);
	d->letting_go = false;
	if (r < 0) {
		d->g = NULL;
		return r;
	}
	d->g->record.borrowed = true;
	tended_forget_loss(d);
	tended_mark(d);
	holding_want(d);
	return 0;
}

/* Nobody can be guarded there now: why, and what would help. */
static int refuse(const char *path, int r, struct kedge_error *error)
{
	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
		return error_set(error, -ENOENT,
				 "there is no %s: start its daemon first, or use --wait", path);
	case -ENOTSOCK:
		return error_set(error, r, "%s is no socket", path);
	case 0:
	case 1:
		return error_set(error, -ECONNREFUSED,
				 "nobody listens at %s: start its daemon first, or use --wait",
				 path);
	case -EREMOTE:
		return error_set(error, r, "the listener of %s is in another network namespace%s",
				 path,
				 geteuid() == 0 ? ", which cannot be entered" : ": run as root");
	default:
		return error_set(error, r, "%s: %s%s", path, error_words(r),
				 r == -EACCES || r == -EPERM ? who_may() : "");
	}
}

static int add_now(struct tended *d, enum tender_need need, struct kedge_error *error)
{
	struct tender *t = d->tender;
	struct inheritance left = { 0 };
	struct diag_socket s;
	struct node node;
	int r = takeover(t, d->path, &left);

	if (r == -EADDRINUSE)
		return error_set(error, r, "%s is guarded already, by another kedge", d->path);
	r = tender_look_up(t, d->path, &s, &node);
	if (r == 1 && census_takes_clients(&s, SOCK_DGRAM)) {
		r = tended_hold(d, &s, &node, &left, error);
		if (r == 0 && left.leased)
			tended_begin_lease(d);
		return r;
	}
	if (need == TENDER_MUST_LISTEN || r == -ENOTSOCK || r == -EACCES || r == -EREMOTE)
		return refuse(d->path, r, error);
	tender_tell(t, d, KEDGE_EVENT_AWAITED, 0, "");
	(void)await_watch(d);
	await_look(d);
	return 0;
}

int tender_add(struct tender *t, const char *path, enum tender_need need, struct kedge_error *error)
{
	struct tended *d;
	int r = check_path(t, path, error);

	if (r < 0)
		return r;
	d = tended_new(t, path);
	if (!d)
		return error_set(error, -ENOMEM, "out of memory");
	r = add_now(d, need, error);
	if (r < 0)
		tended_free(d);
	return r;
}
