#include "cmd/top-crowd.h"

#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "sys/diag.h"

/* Connections of one listener, or a listener: sorted by what they are bound to. */
static int compare_places(const struct diag_socket *a, const struct diag_socket *b)
{
	if (a->path_inode != b->path_inode)
		return a->path_inode < b->path_inode ? -1 : 1;
	return (a->path_device > b->path_device) - (a->path_device < b->path_device);
}

static int compare(const void *left, const void *right)
{
	return compare_places(left, right);
}

/* The first socket that is bound to an inode of that number, or where it would be. */
static size_t find_first(const struct diag_list *list, uint32_t inode)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->sockets[middle].path_inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * The listener at a place. On tmpfs each mount counts its inodes from 1, so the device must be
 * the right one; on btrfs and overlayfs stat() tells another than sock_diag, so where none is
 * right and there is one candidate, it is that.
 */
static const struct diag_socket *find_listener(const struct diag_list *list, const struct stat *st)
{
	uint32_t device = diag_device(st->st_dev);
	const struct diag_socket *only = NULL;
	size_t candidates = 0;

	for (size_t i = find_first(list, (uint32_t)st->st_ino); i < list->count; i++) {
		const struct diag_socket *s = &list->sockets[i];

		if (s->path_inode != (uint32_t)st->st_ino)
			break;
		if (!s->listening)
			continue;
		if (s->path_device == device)
			return s;
		candidates += diag_is_at(s, st->st_dev, st->st_ino);
		only = s;
	}
	return candidates == 1 ? only : NULL;
}

static int64_t count_clients(const struct diag_list *list, const char *path)
{
	const struct diag_socket *listener;
	struct stat st;
	int64_t n = 0;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return TOP_UNKNOWN;
	listener = find_listener(list, &st);
	if (!listener)
		return TOP_UNKNOWN;
	for (size_t i = find_first(list, listener->path_inode); i < list->count; i++) {
		if (list->sockets[i].path_inode != listener->path_inode)
			break;
		n += !list->sockets[i].listening &&
		     compare_places(&list->sockets[i], listener) == 0;
	}
	return n;
}

void top_crowd_count(struct top_model *m)
{
	static const uint32_t states = 1U << DIAG_STATE_LISTEN | 1U << DIAG_STATE_ESTABLISHED;
	_cleanup_(diag_list_deinit) struct diag_list list = DIAG_LIST_INIT;
	size_t bound = 0;

	if (diag_list(DIAG_NETNS_OWN, states, &list) < 0)
		return;
	for (size_t i = 0; i < list.count; i++)
		if (list.sockets[i].has_path)
			list.sockets[bound++] = list.sockets[i];
	list.count = bound;
	qsort(list.sockets, list.count, sizeof(*list.sockets), compare);
	for (size_t i = 0; i < m->source_count; i++)
		for (size_t k = 0; k < m->sources[i].count; k++) {
			struct top_row *row = &m->sources[i].rows[k];

			if (row->clients < 0 && !row->lost)
				row->clients = count_clients(&list, row->path);
		}
}
