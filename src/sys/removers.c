#include "sys/removers.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/events.h"
#include "sys/fdpath.h"

/* A handle that need not be decodable, which overlayfs has too: since Linux 6.5. */
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif

#define MARK_EVENTS (FAN_ATTRIB | FAN_MOVE_SELF)

/* Read so much at once, and so often in one go. */
#define READ_BYTES 16384
#define READS_MAX  64

int removers_open(struct removers *r)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK |
				       FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
			       O_RDONLY | O_CLOEXEC);

	*r = (struct removers){ .fd = fd < 0 ? -errno : fd };
	return fd < 0 ? r->fd : 0;
}

void removers_close(struct removers *r)
{
	map_deinit(&r->by_key);
	r->fd = fd_close(r->fd);
}

/* FNV-1a, as for names. */
static uint64_t hash_key(const unsigned char *key, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* File system, type of the handle, handle: what an event brings. Return: its size. */
static size_t make_key(unsigned char *key, const struct event_file *file)
{
	memcpy(key, file->fsid, 8);
	memcpy(key + 8, &file->handle_type, 4);
	memcpy(key + 12, file->handle, file->handle_bytes);
	return 12 + file->handle_bytes;
}

static int key_of(int fd, struct remover_mark *mark)
{
	_Alignas(struct file_handle) char space[sizeof(struct file_handle) + REMOVERS_HANDLE_MAX];
	struct file_handle *handle = (struct file_handle *)space;
	struct statfs fs;
	int mount;

	handle->handle_bytes = REMOVERS_HANDLE_MAX;
	if (name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH | AT_HANDLE_FID) < 0) {
		handle->handle_bytes = REMOVERS_HANDLE_MAX;
		if (name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH) < 0)
			return -errno;
	}
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	mark->key_size = make_key(mark->key,
				  &(struct event_file){ .fsid = &fs.f_fsid,
							.handle_type = handle->handle_type,
							.handle = handle->f_handle,
							.handle_bytes = handle->handle_bytes });
	return 0;
}

static bool same_key(const struct remover_mark *mark, const unsigned char *key, size_t size)
{
	return mark->key_size == size && memcmp(mark->key, key, size) == 0;
}

int removers_mark(struct removers *r, struct remover_mark *mark, int handle, void *owner)
{
	uint64_t hash;
	int e;

	assert(owner);
	mark->owner = NULL;
	if (r->fd < 0)
		return r->fd;
	e = key_of(handle, mark);
	if (e < 0)
		return e;
	if (fanotify_mark(r->fd, FAN_MARK_ADD, MARK_EVENTS, AT_FDCWD, fd_path(handle).text) < 0)
		return -errno;
	hash = hash_key(mark->key, mark->key_size);
	mark->same_hash = map_get(&r->by_key, hash);
	e = map_put(&r->by_key, hash, mark);
	if (e == 0)
		mark->owner = owner;
	return e;
}

/* Take @mark out of the chain. Return: whether another one is of the same inode. */
static bool unchain(struct removers *r, const struct remover_mark *mark)
{
	uint64_t hash = hash_key(mark->key, mark->key_size);
	struct remover_mark *first = map_remove(&r->by_key, hash);
	bool shared = false;

	if (first == mark)
		first = first->same_hash;
	for (struct remover_mark *it = first; it; it = it->same_hash) {
		if (it->same_hash == mark)
			it->same_hash = mark->same_hash;
		shared |= same_key(it, mark->key, mark->key_size);
	}
	if (first)
		(void)map_put(&r->by_key, hash, first);
	return shared;
}

void removers_unmark(struct removers *r, struct remover_mark *mark, int handle)
{
	if (!mark->owner)
		return;
	mark->owner = NULL;
	if (!unchain(r, mark) && handle >= 0)
		(void)fanotify_mark(r->fd, FAN_MARK_REMOVE, MARK_EVENTS, AT_FDCWD,
				    fd_path(handle).text);
}

static void pass_on(struct removers *r, const struct fanotify_event_metadata *event,
		    void (*on_event)(void *owner, pid_t pid, void *userdata), void *userdata)
{
	struct event_file file;
	unsigned char key[REMOVERS_HANDLE_MAX + 16];
	struct remover_mark *next;
	size_t size;

	if (event->mask & FAN_Q_OVERFLOW) {
		on_event(NULL, 0, userdata);
		return;
	}
	if (event->pid == getpid() || !event_file(event, &file) ||
	    file.handle_bytes > REMOVERS_HANDLE_MAX)
		return;
	size = make_key(key, &file);
	for (struct remover_mark *m = map_get(&r->by_key, hash_key(key, size)); m; m = next) {
		next = m->same_hash;
		if (same_key(m, key, size))
			on_event(m->owner, event->pid, userdata);
	}
}

void removers_read(struct removers *r, void (*on_event)(void *owner, pid_t pid, void *userdata),
		   void *userdata)
{
	_Alignas(struct fanotify_event_metadata) char buffer[READ_BYTES];
	const struct fanotify_event_metadata *event;
	struct event_cursor cursor;

	for (int i = 0; r->fd >= 0 && i < READS_MAX; i++) {
		ssize_t n = read(r->fd, buffer, sizeof(buffer));

		if (n <= 0)
			return;
		cursor = (struct event_cursor){ .data = buffer, .size = (size_t)n };
		while ((event = event_next_fanotify(&cursor)))
			pass_on(r, event, on_event, userdata);
	}
}
