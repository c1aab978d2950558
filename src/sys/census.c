#include "sys/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "sys/mounts.h"
#include "sys/procfs.h"

void census_init(struct census *c)
{
	*c = (struct census){ 0 };
}

static void forget_rows(struct census *c)
{
	diag_list_deinit(&c->list);
	free(c->same_inode);
	c->same_inode = NULL;
	map_deinit(&c->by_inode);
	map_deinit(&c->by_socket);
	c->by_inode = c->by_socket = (struct map)MAP_INIT;
}

void census_deinit(struct census *c)
{
	forget_rows(c);
	for (size_t i = 0; i < c->netns_count; i++)
		fd_close(c->netns[i]);
	c->netns_count = 0;
}

/* Accepted connections carry their listener's inode, and go on when that is closed. */
static bool is_bound(const struct diag_socket *s)
{
	return s->has_path && (s->type == SOCK_DGRAM || s->state != DIAG_STATE_ESTABLISHED);
}

static int index_rows(struct census *c)
{
	c->same_inode = calloc(c->list.count + 1, sizeof(*c->same_inode));
	if (!c->same_inode)
		return -ENOMEM;
	for (size_t i = 0; i < c->list.count; i++) {
		const struct diag_socket *s = &c->list.sockets[i];
		int r = map_put(&c->by_socket, s->socket_inode, (void *)(uintptr_t)(i + 1));

		if (r == 0 && is_bound(s)) {
			c->same_inode[i] = (size_t)(uintptr_t)map_get(&c->by_inode, s->path_inode);
			r = map_put(&c->by_inode, s->path_inode, (void *)(uintptr_t)(i + 1));
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int append_rows(struct diag_list *to, const struct diag_list *from)
{
	size_t size = sizeof(*to->sockets);
	struct diag_socket *rows = realloc(to->sockets, (to->count + from->count + 1) * size);

	if (!rows)
		return -ENOMEM;
	if (from->count)
		memcpy(rows + to->count, from->sockets, from->count * size);
	to->sockets = rows;
	to->count += from->count;
	return 0;
}

/* The next best: names as bound, without inodes. */
static int read_proc(struct diag_list *list)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!file)
		return -errno;
	while (r == 0 && getline(&line, &room, file) > 0) {
		struct diag_socket row;
		struct diag_list one = { .sockets = &row, .count = 1 };

		if (procfs_unix_line(line, &row))
			r = append_rows(list, &one);
	}
	free(line);
	(void)fclose(file);
	return r;
}

/* Return: how many rows came of it, or -errno. */
static int add_netns(struct census *c, int netns)
{
	struct diag_list more = DIAG_LIST_INIT;
	int r = diag_list(netns, UINT32_MAX, &more);

	if (r == 0)
		r = append_rows(&c->list, &more);
	if (r == 0)
		r = more.count > 0;
	diag_list_deinit(&more);
	return r;
}

/* A namespace whose last process is gone is kept alive by our handle, and is empty: let it go,
 * or a container that starts anew each minute would take all places. */
static int add_others(struct census *c)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < c->netns_count; i++) {
		int found = r == -ENOMEM ? r : add_netns(c, c->netns[i]);

		if (found == -ENOMEM)
			r = found;
		if (found == 0)
			fd_close(c->netns[i]);
		else
			c->netns[kept++] = c->netns[i];
	}
	c->netns_count = kept;
	return r;
}

int census_take(struct census *c)
{
	int r;

	forget_rows(c);
	r = diag_list(DIAG_NETNS_OWN, UINT32_MAX, &c->list);
	c->by_name = r < 0 && r != -ENOMEM;
	c->error = c->by_name ? r : 0;
	if (c->by_name)
		r = read_proc(&c->list);
	if (r == 0)
		r = add_others(c);
	return r < 0 ? r : index_rows(c);
}

/*
 * Each tmpfs counts its inodes from 1, so a socket on another one easily has the number that is
 * looked for. It is not the one that is meant, where the device is told truly.
 */
static bool is_elsewhere(const struct diag_socket *s, dev_t device)
{
	return s->path_device != diag_device(device) && mounts_tell_device(device);
}

/* More than one may be bound to an inode in turn: the one that listens is meant. */
static bool is_better(const struct diag_socket *s, const struct diag_socket *than)
{
	return !than || (s->listening && !than->listening);
}

static const struct diag_socket *find_name(const struct census *c, const char *path)
{
	const struct diag_socket *best = NULL;
	size_t n = strlen(path);

	for (size_t i = 0; i < c->list.count; i++) {
		const struct diag_socket *s = &c->list.sockets[i];

		if (s->name_size == n && memcmp(s->name, path, n) == 0 && is_better(s, best))
			best = s;
	}
	return best;
}

const struct diag_socket *census_at(const struct census *c, const char *path, dev_t device,
				    ino_t inode)
{
	const struct diag_socket *best = NULL, *alike = NULL;
	size_t row;

	if (c->by_name)
		return find_name(c, path);
	for (row = (size_t)(uintptr_t)map_get(&c->by_inode, (uint32_t)inode); row;
	     row = c->same_inode[row - 1]) {
		const struct diag_socket *s = &c->list.sockets[row - 1];

		if (!diag_is_at(s, device, inode))
			continue;
		if (s->path_device == diag_device(device))
			best = is_better(s, best) ? s : best;
		else
			alike = is_better(s, alike) ? s : alike;
	}
	if (best || !alike)
		return best;
	return is_elsewhere(alike, device) ? NULL : alike;
}

const struct diag_socket *census_socket(const struct census *c, uint32_t socket_inode)
{
	size_t row = (size_t)(uintptr_t)map_get(&c->by_socket, socket_inode);

	return row ? &c->list.sockets[row - 1] : NULL;
}

/* Whether @fd is a namespace that is asked already, or our own. */
static bool is_known(const struct census *c, int fd)
{
	struct stat st, known;

	if (fstat(fd, &st) < 0)
		return true;
	if (stat("/proc/self/ns/net", &known) == 0 && known.st_ino == st.st_ino)
		return true;
	for (size_t i = 0; i < c->netns_count; i++)
		if (fstat(c->netns[i], &known) == 0 && known.st_ino == st.st_ino)
			return true;
	return false;
}

static bool has_socket(int netns, dev_t device, ino_t inode)
{
	struct diag_list list = DIAG_LIST_INIT;
	bool found = false;

	if (diag_list(netns, UINT32_MAX, &list) < 0)
		return false;
	for (size_t i = 0; i < list.count && !found; i++)
		found = list.sockets[i].has_path && diag_is_at(&list.sockets[i], device, inode) &&
			!is_elsewhere(&list.sockets[i], device);
	diag_list_deinit(&list);
	return found;
}

int census_search(struct census *c, dev_t device, ino_t inode)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool found = false;

	while (proc && !found && c->netns_count < CENSUS_NETNS_MAX && (entry = readdir(proc))) {
		_cleanup_(fd_closep) int fd = -EBADF;
		char path[300];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.200s/ns/net", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || is_known(c, fd) || !has_socket(fd, device, inode))
			continue;
		c->netns[c->netns_count++] = steal_fd(&fd);
		found = true;
	}
	if (proc)
		closedir(proc);
	return found ? census_take(c) : -ENOENT;
}
