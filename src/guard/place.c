#include "guard/place.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* The path of the i-th step, in @ret. */
static const char *step_path(const struct place *place, unsigned i, char ret[PATH_MAX])
{
	size_t n = place->steps[i].path_bytes;

	memcpy(ret, place->path, n);
	ret[n] = '\0';
	return ret;
}

static const char *step_name(const struct place *place, unsigned i, char ret[PATH_MAX])
{
	const char *path = step_path(place, i, ret);

	return strrchr(path, '/') + 1;
}

/* How many directories an absolute path names, the root included. */
static unsigned path_depth(const char *path)
{
	unsigned depth = 1;

	for (const char *c = path; *c; c++)
		depth += *c == '/' && c[1] && c[1] != '/';
	return depth;
}

static void place_split(struct place *place)
{
	unsigned i = 0;

	place->steps[i++].path_bytes = 1;
	for (const char *c = place->path + 1; *c; c++)
		if (*c != '/' && (c[1] == '/' || c[1] == '\0'))
			place->steps[i++].path_bytes = (uint16_t)(c + 1 - place->path);
	assert(i == place->depth);
}

/* Record mode and owner of every directory of the path. */
static int place_record(struct place *place, const struct guard_ports *ports)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < place->depth; i++) {
		int r = ports->dir_stat(ports->ctx, step_path(place, i, path),
					&place->steps[i].rights);

		if (r < 0)
			return r;
	}
	return 0;
}

static struct place *place_new(const char *path)
{
	unsigned depth = path_depth(path);
	struct place *place;

	place = calloc(1, sizeof(*place) + depth * sizeof(place->steps[0]));
	if (!place)
		return NULL;
	place->path = strdup(path);
	if (!place->path) {
		free(place);
		return NULL;
	}
	place->fd = place->made_fd = -EBADF;
	place->depth = depth;
	list_init(&place->link);
	list_init(&place->members);
	place_split(place);
	for (unsigned i = 0; i < depth; i++)
		watcher_init(&place->steps[i].watcher, WATCHER_PLACE, place);
	return place;
}

int place_open(struct place **ret, const struct guard_ports *ports, struct watches *watches,
	       const char *path)
{
	struct place *place;
	int r;

	if (strlen(path) >= PATH_MAX || path_depth(path) > PLACE_DEPTH_MAX)
		return -ENAMETOOLONG;
	place = place_new(path);
	if (!place)
		return -ENOMEM;
	r = place_record(place, ports);
	if (r >= 0)
		r = place->fd = ports->dir_open(ports->ctx, path);
	if (r >= 0)
		r = ports->stat_fd(ports->ctx, place->fd, &place->node);
	if (r < 0) {
		place_free(place, ports, watches);
		return r;
	}
	(void)place_watch(place, ports, watches);
	*ret = place;
	return 0;
}

struct place *place_abandon(struct place *place, const struct guard_ports *ports)
{
	assert(list_empty(&place->members));
	for (unsigned i = 0; i < place->former_count; i++)
		ports->close(ports->ctx, place->former[i]);
	anchor_dir_abandon(place->anchors);
	if (place->made_fd >= 0)
		ports->close(ports->ctx, place->made_fd);
	if (place->fd >= 0)
		ports->close(ports->ctx, place->fd);
	list_unlink(&place->link);
	free(place->path);
	free(place);
	return NULL;
}

struct place *place_free(struct place *place, const struct guard_ports *ports,
			 struct watches *watches)
{
	for (unsigned i = 0; i < place->depth; i++)
		watcher_stop(watches, &place->steps[i].watcher);
	place->anchors = anchor_dir_unref(place->anchors);
	return place_abandon(place, ports);
}

int place_open_anchors(struct place *place, const struct guard_ports *ports, const char *elsewhere)
{
	struct anchor_dir *anchors = NULL;
	int r = -EXDEV;

	if (place->anchors_beside)
		elsewhere = NULL;
	if (!place->anchors_refused)
		r = anchor_dir_open(&anchors, ports, place->fd, elsewhere);

	place->anchors_error = r < 0 ? r : 0;
	if (r < 0)
		return r;
	/* Members compare the handles that they hold with this one: keep it while it serves. */
	if (anchor_dir_same(place->anchors, anchors)) {
		anchor_dir_unref(anchors);
		return 0;
	}
	anchor_dir_unref(place->anchors);
	place->anchors = anchors;
	return 0;
}

bool place_wants_anchors(const struct place *place)
{
	switch (place->anchors_error) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
	case -ENOENT:
	case -EAGAIN:
		return true;
	default:
		return place->anchors != NULL;
	}
}

void place_look(struct place *place, const struct guard_ports *ports, uint64_t turn)
{
	int r;

	if (place->seen_turn == turn)
		return;
	place->seen_turn = turn;
	r = ports->dir_stat(ports->ctx, place->path, &place->seen);
	if (r == 0)
		r = ports->stat_fd(ports->ctx, place->fd, &place->seen_held);
	place->seen_error = r;
}

/* Whether @fd is the directory that we have just made, and nobody's in its place. */
static bool is_fresh(const struct guard_ports *ports, int fd)
{
	struct node node;

	return ports->stat_fd(ports->ctx, fd, &node) == 0 && node.uid == ports->uid(ports->ctx) &&
	       (node.mode & 0077) == 0;
}

/* Give a directory that was just made the mode and owner it had. */
static int make_one(const struct guard_ports *ports, int parent, const char *name,
		    const struct node *rights, int *ret_fd)
{
	int fd, r = ports->dir_make(ports->ctx, parent, name, 0700);
	bool made = r == 0;

	if (r < 0 && r != -EEXIST)
		return r;
	/* Links are followed only where we did not make it: there it may be meant. */
	fd = ports->dir_open_private(ports->ctx, parent, name);
	if (fd < 0)
		return fd;
	made = made && is_fresh(ports, fd);
	if (made) {
		r = ports->set_owner(ports->ctx, fd, rights->uid, rights->gid);
		if (r == 0 || r == -EPERM)
			r = ports->set_mode(ports->ctx, fd, rights->mode);
	}
	if (made && r < 0) {
		ports->close(ports->ctx, fd);
		return r;
	}
	*ret_fd = fd;
	return made ? 1 : 0;
}

/* The deepest directory of the path that is still there. Return: its fd. */
static int open_deepest(struct place *place, const struct guard_ports *ports, unsigned *ret_step)
{
	char path[PATH_MAX];
	int fd = -ENOENT;

	for (unsigned i = place->depth; i-- > 0;) {
		fd = ports->dir_open(ports->ctx, step_path(place, i, path));
		if (fd != -ENOENT) {
			*ret_step = i;
			return fd;
		}
	}
	return fd;
}

/* @fd is the directory itself, made just now. A number alone would not know it again:
 * it may be gone, and the number another directory's, before it is entered. */
static void hold_made(struct place *place, const struct guard_ports *ports, int fd)
{
	if (place->made_fd >= 0)
		ports->close(ports->ctx, place->made_fd);
	place->made_fd = fd;
}

static bool is_made(const struct place *place, const struct guard_ports *ports,
		    const struct node *node)
{
	struct node made;

	return place->made_fd >= 0 && ports->stat_fd(ports->ctx, place->made_fd, &made) == 0 &&
	       node_same(&made, node);
}

/*
 * May we work in the directory that a step of the path leads to now? As root not where it has
 * another owner than it had: whoever owns a directory above could lead us, by a link, into
 * one where he has no rights himself.
 */
static int check_owner(const struct guard_ports *ports, const struct node *now,
		       const struct node *recorded)
{
	return ports->uid(ports->ctx) == 0 && now->uid != recorded->uid ? -EACCES : 0;
}

/* As open_deepest(), where we may make what is missing below it. */
static int open_deepest_checked(struct place *place, const struct guard_ports *ports,
				unsigned *ret_step)
{
	int r, fd = open_deepest(place, ports, ret_step);
	struct node node;

	if (fd < 0)
		return fd;
	r = ports->stat_fd(ports->ctx, fd, &node);
	if (r == 0)
		r = check_owner(ports, &node, &place->steps[*ret_step].rights);
	if (r == 0)
		return fd;
	ports->close(ports->ctx, fd);
	return r;
}

int place_make(struct place *place, const struct guard_ports *ports)
{
	char buffer[PATH_MAX];
	unsigned step = 0;
	int r = 0, fd = open_deepest_checked(place, ports, &step);

	for (unsigned i = step + 1; fd >= 0 && i < place->depth; i++) {
		int next = -EBADF;

		r = make_one(ports, fd, step_name(place, i, buffer), &place->steps[i].rights,
			     &next);

		ports->close(ports->ctx, fd);
		if (r < 0)
			return r;
		fd = next;
	}
	if (fd < 0)
		return fd;
	place->seen_turn = 0;
	if (r == 1)
		hold_made(place, ports, fd);
	else
		ports->close(ports->ctx, fd);
	return 0;
}

void place_let_go(struct place *place, const struct guard_ports *ports, unsigned i)
{
	assert(i < place->former_count);
	ports->close(ports->ctx, place->former[i]);
	place->former_count--;
	memmove(place->former + i, place->former + i + 1,
		(place->former_count - i) * sizeof(place->former[0]));
}

/* A directory that the path names again is no former one. */
static void place_forget(struct place *place, const struct guard_ports *ports,
			 const struct node *node)
{
	struct node former;

	for (unsigned i = place->former_count; i-- > 0;)
		if (ports->stat_fd(ports->ctx, place->former[i], &former) < 0 ||
		    node_same(&former, node))
			place_let_go(place, ports, i);
}

int place_enter(struct place *place, const struct guard_ports *ports, struct watches *watches)
{
	struct node node;
	int r, fd = ports->dir_open(ports->ctx, place->path);

	if (fd < 0)
		return fd;
	r = ports->stat_fd(ports->ctx, fd, &node);
	if (r == 0)
		r = check_owner(ports, &node, &place->node);
	if (r < 0) {
		ports->close(ports->ctx, fd);
		return r;
	}
	assert(place->former_count <= PLACE_FORMER_MAX);
	place->former[place->former_count++] = place->fd;
	place_forget(place, ports, &node);
	place->fd = fd;
	place->made = is_made(place, ports, &node);
	/* The rights to keep are those recorded in the beginning, wherever we are. */
	place->node.device = node.device;
	place->node.inode = node.inode;
	place->seen_turn = 0;
	place->anchors = anchor_dir_unref(place->anchors);
	place->anchors_refused = false;
	/* It is entered, watched or not: whoever settles there tries again. */
	(void)place_watch(place, ports, watches);
	return 0;
}

int place_restore(struct place *place, const struct guard_ports *ports)
{
	int r;

	place->seen_turn = 0;
	r = ports->set_owner(ports->ctx, place->fd, place->node.uid, place->node.gid);
	if (r < 0)
		return r;
	return ports->set_mode(ports->ctx, place->fd, place->node.mode);
}

bool place_is_watched(const struct place *place)
{
	return place->steps[place->depth - 1].watcher.number != WATCH_NONE;
}

int place_watch(struct place *place, const struct guard_ports *ports, struct watches *watches)
{
	char path[PATH_MAX];
	int r = 0;

	for (unsigned i = 0; i < place->depth; i++) {
		/* The last one by what we hold: the path may lead elsewhere for a moment. */
		bool held = i + 1 == place->depth;
		int fd = held ? place->fd : ports->dir_open(ports->ctx, step_path(place, i, path));

		r = fd < 0 ? fd
			   : watcher_start(watches, &place->steps[i].watcher, fd, WATCH_DIRECTORY);
		if (fd >= 0 && !held)
			ports->close(ports->ctx, fd);
	}
	return r;
}
