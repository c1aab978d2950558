#include "cmd/held.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "kedge/endpoint.h"

/* A name may hold neither what separates names, nor control characters. */
static bool is_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (name[i] == ':' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	return n >= 1 && n <= HELD_NAME_MAX;
}

int held_add(struct held *held, const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	struct held_path *p = &held->paths[held->count];

	if (held->count == HELD_PATHS_MAX)
		return -E2BIG;
	if (!name)
		name = slash ? slash + 1 : path;
	if (!is_name(name))
		return -EINVAL;
	*p = (struct held_path){ .path = path, .fd = -EBADF };
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	held->count++;
	return 0;
}

static void forget_retired(struct held *held, int fd)
{
	for (size_t i = held->retired_count; i-- > 0;)
		if (held->retired[i].fd == fd)
			held->retired[i] = held->retired[--held->retired_count];
}

static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct held *held = userdata;
	size_t i = 0;

	if (new_fd < 0) {
		forget_retired(held, old_fd);
		return;
	}
	while (i < held->count && strcmp(held->paths[i].path, path) != 0)
		i++;
	if (i == held->count)
		return;
	held->paths[i].fd = new_fd;
	held->changed = true;
	/* One that finds no room is only not passed on again; the guard keeps it open. */
	if (old_fd >= 0 && held->retired_count < HELD_PATHS_MAX) {
		held->retired[held->retired_count].fd = old_fd;
		held->retired[held->retired_count++].path = i;
	}
}

static void on_event(const struct kedge_event *event, void *userdata)
{
	const struct held *held = userdata;

	held->on_event(event, held->userdata);
}

int held_listen(struct held *held, const char *anchor_dir,
		const struct kedge_listen_options *listen, struct kedge_error *error)
{
	struct kedge_guard_options options = { .size = sizeof(options),
					       .anchor_dir = anchor_dir,
					       .on_event = on_event,
					       .on_listener = on_listener,
					       .userdata = held };
	int r = kedge_guard_new(&held->guard, &options);

	if (r < 0)
		(void)error_set(error, r, "no guard can be made: %s", error_words(r));
	for (size_t i = 0; r == 0 && i < held->count; i++) {
		r = kedge_ensure_socket_dir(held->paths[i].path, error);
		if (r == 0)
			r = kedge_guard_listen(held->guard, held->paths[i].path, listen,
					       &held->paths[i].fd, error);
	}
	if (r < 0)
		held_release(held);
	return r;
}

static int block(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? flags : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

int held_descriptors(struct held *held, int ret_fds[HELD_FDS_MAX], char **ret_names)
{
	_cleanup_(buf_deinit) struct buf names = BUF_INIT;
	int n = 0, r = 0;

	for (size_t i = 0; r == 0 && i < held->count; i++) {
		ret_fds[n++] = held->paths[i].fd;
		r = buf_appendf(&names, "%s%s", i ? ":" : "", held->paths[i].name);
	}
	for (size_t i = 0; r == 0 && i < held->retired_count; i++) {
		ret_fds[n++] = held->retired[i].fd;
		r = buf_appendf(&names, ":%s", held->paths[held->retired[i].path].name);
	}
	if (r < 0 || buf_append(&names, "", 1) < 0)
		return -ENOMEM;
	*ret_names = strdup(buf_front(&names));
	if (!*ret_names)
		return -ENOMEM;
	/* The flag is the open file's, and whoever served before may have set it. */
	for (int i = 0; i < n; i++)
		(void)block(ret_fds[i]);
	held->changed = false;
	return n;
}

void held_release(struct held *held)
{
	held->guard = kedge_guard_free(held->guard);
	held->retired_count = 0;
}
