#include "sys/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guard/anchor.h"
#include "sys/fdpath.h"
#include "sys/mounts.h"
#include "sys/world.h"

static int errno_or(int r)
{
	return r < 0 ? -errno : r;
}

void node_from_stat(struct node *ret, const struct stat *st)
{
	*ret = (struct node){ .kind = S_ISSOCK(st->st_mode)  ? NODE_SOCKET
				      : S_ISDIR(st->st_mode) ? NODE_DIRECTORY
							     : NODE_OTHER,
			      .nlink = (uint32_t)st->st_nlink,
			      .device = st->st_dev,
			      .inode = st->st_ino,
			      .mode = st->st_mode & 07777,
			      .uid = st->st_uid,
			      .gid = st->st_gid };
}

static int files_dir_open(void *ctx, const char *path)
{
	(void)ctx;
	return errno_or(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int files_dir_open_private(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return errno_or(openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

static int files_dir_stat(void *ctx, const char *path, struct node *ret)
{
	struct stat st;

	(void)ctx;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	node_from_stat(ret, &st);
	return 0;
}

static int files_dir_make(void *ctx, int dir, const char *name, uint32_t mode)
{
	(void)ctx;
	return errno_or(mkdirat(dir, name, mode));
}

static int files_dir_remove(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return errno_or(unlinkat(dir, name, AT_REMOVEDIR));
}

static int files_list(void *ctx, int dir, void (*each)(const char *name, void *userdata),
		      void *userdata)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	(void)ctx;
	if (!stream) {
		int error = -errno;

		fd_close(fd);
		return error;
	}
	while ((entry = readdir(stream)))
		each(entry->d_name, userdata);
	closedir(stream);
	return 0;
}

static int files_stat(void *ctx, int dir, const char *name, struct node *ret)
{
	struct stat st;

	(void)ctx;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret = (struct node){ 0 };
		return errno == ENOENT ? 0 : -errno;
	}
	node_from_stat(ret, &st);
	return 0;
}

static int files_stat_fd(void *ctx, int fd, struct node *ret)
{
	struct stat st;

	(void)ctx;
	if (fstat(fd, &st) < 0)
		return -errno;
	node_from_stat(ret, &st);
	return 0;
}

static int files_link(void *ctx, int from, const char *from_name, int dir, const char *name)
{
	(void)ctx;
	return errno_or(linkat(from, from_name, dir, name, 0));
}

static int files_link_fd(void *ctx, int handle, int dir, const char *name)
{
	(void)ctx;
	return errno_or(linkat(AT_FDCWD, fd_path(handle).text, dir, name, AT_SYMLINK_FOLLOW));
}

/*
 * File systems without the flags say EINVAL. A rename to a free name is then
 * made of a look and a plain rename, the best there is; a swap cannot be.
 */
static int files_rename(void *ctx, int from, const char *from_name, int dir, const char *name,
			enum rename_how how)
{
	unsigned flags = how == RENAME_SWAP ? RENAME_EXCHANGE : RENAME_NOREPLACE;
	struct node there;
	int r = errno_or(renameat2(from, from_name, dir, name, flags));

	if (r != -EINVAL && r != -ENOSYS)
		return r;
	if (how == RENAME_SWAP)
		return -EOPNOTSUPP;
	r = files_stat(ctx, dir, name, &there);
	if (r < 0 || there.kind != NODE_NONE)
		return r < 0 ? r : -EEXIST;
	return errno_or(renameat(from, from_name, dir, name));
}

static int files_unlink(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return errno_or(unlinkat(dir, name, 0));
}

/* The magic links below /proc/self/fd lead to the inode of an O_PATH handle. */
static int files_set_mode(void *ctx, int fd, uint32_t mode)
{
	(void)ctx;
	return errno_or(chmod(fd_path(fd).text, mode));
}

static int files_set_owner(void *ctx, int fd, uint32_t uid, uint32_t gid)
{
	struct stat st;

	(void)ctx;
	if (fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid)
		return 0;
	return errno_or(chown(fd_path(fd).text, uid, gid));
}

static int files_handle_open(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return errno_or(openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

static int files_close(void *ctx, int fd)
{
	(void)ctx;
	fd_close(fd);
	return 0;
}

/*
 * A lock file may be removed by its holder just before we get the lock: then
 * the name is free or another file's, and ours is worth nothing. Try again.
 */
#define LOCK_TRIES 8

static int files_lock_open(void *ctx, int dir, const char *name)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		_cleanup_(fd_closep) int fd = openat(
			dir, name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
		struct node held = { 0 }, named = { 0 };

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return -errno;
		if (files_stat_fd(ctx, fd, &held) == 0 && files_stat(ctx, dir, name, &named) == 0 &&
		    node_same(&held, &named))
			return steal_fd(&fd);
	}
	return -EWOULDBLOCK;
}

/* Four numbers, the run of the machine, what stands between. */
#define LOCK_NOTE_MAX 160

/*
 * A note that is older than the names it is about would spare some of them. After a power cut
 * it may be: names are in the file system's journal whenever anybody syncs, and what a file
 * holds is not. So a note is good for one run of the machine, and costs no fsync().
 */
void files_boot_id(char ret[static BOOT_ID_BYTES])
{
	_cleanup_(fd_closep) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, BOOT_ID_BYTES - 1);

	/* Without /proc all runs look alike. */
	if (n < BOOT_ID_BYTES - 1)
		(void)snprintf(ret, BOOT_ID_BYTES, "unknown");
	else
		ret[n] = '\0';
}

void files_lock_note(const char *text, const char *boot, struct lock_note *ret)
{
	char written[BOOT_ID_BYTES] = "";

	*ret = (struct lock_note){ 0 };
	/* Numbers that no guard writes would be counted through for ever. The mount is told last,
	 * and a note without one is as good. */
	ret->known = sscanf(text, "%" SCNu64 " %" SCNu64 " %36s %" SCNu64 " %" SCNu64 "\n",
			    &ret->low, &ret->high, written, &ret->mount_id,
			    &ret->mount_point) >= 3 &&
		     strcmp(written, boot) == 0 && ret->low <= ret->high &&
		     ret->high <= GENERATION_MAX;
}

static int files_lock_read(void *ctx, int fd, struct lock_note *ret)
{
	const struct world *w = ctx;
	char text[LOCK_NOTE_MAX + 1];
	ssize_t n = pread(fd, text, LOCK_NOTE_MAX, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	files_lock_note(text, w->boot_id, ret);
	return 0;
}

static int files_lock_write(void *ctx, int fd, const struct lock_note *note)
{
	_cleanup_(fd_closep) int writer = -EBADF;
	const struct world *w = ctx;
	char text[LOCK_NOTE_MAX];
	/* One fixed width, so that a shorter note leaves nothing of a longer one. */
	int n = snprintf(text, sizeof(text),
			 "%20" PRIu64 " %20" PRIu64 " %-36s %20" PRIu64 " %20" PRIu64 "\n",
			 note->low, note->high, w->boot_id, note->mount_id, note->mount_point);

	/* Opened for this write only: a file held open for writing would forbid whoever
	 * runs the machine to remount the file system read-only. */
	writer = open(fd_path(fd).text, O_WRONLY | O_CLOEXEC);
	if (writer < 0)
		return -errno;
	return pwrite(writer, text, (size_t)n, 0) == n ? 0 : -EIO;
}

static int files_unlock(void *ctx, int fd)
{
	(void)ctx;
	/* Said in so many words: a forked child may hold the same open file. */
	(void)flock(fd, LOCK_UN);
	fd_close(fd);
	return 0;
}

static int files_mount_over(void *ctx, int handle, int dir, const char *name)
{
	/* mount(2) follows a link at the end of its target; a handle does not. */
	_cleanup_(fd_closep) int target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	(void)ctx;
	if (target < 0)
		return -errno;
	return errno_or(mount(fd_path(handle).text, fd_path(target).text, NULL, MS_BIND, NULL));
}

/*
 * To mount on: an empty socket file. Should the mount go without us, it is a
 * stale socket, which the next start knows how to replace.
 */
static int files_mount_point_make(void *ctx, int dir, const char *name)
{
	(void)ctx;
	if (geteuid() != 0)
		return -EPERM;
	return errno_or(mknodat(dir, name, S_IFSOCK | 0600, 0));
}

static int files_unmount(void *ctx, int dir, const char *name)
{
	(void)ctx;
	return errno_or(umount2(fd_path_at(dir, name).text, UMOUNT_NOFOLLOW | MNT_DETACH));
}

static int files_mount_id(void *ctx, int dir, const char *name, uint64_t *ret)
{
	(void)ctx;
	return mounts_unique_id(dir, name, ret);
}

void files_ports(struct guard_ports *ports)
{
	ports->dir_open = files_dir_open;
	ports->dir_open_private = files_dir_open_private;
	ports->dir_stat = files_dir_stat;
	ports->dir_make = files_dir_make;
	ports->dir_remove = files_dir_remove;
	ports->list = files_list;
	ports->stat = files_stat;
	ports->stat_fd = files_stat_fd;
	ports->link = files_link;
	ports->link_fd = files_link_fd;
	ports->rename = files_rename;
	ports->unlink = files_unlink;
	ports->set_mode = files_set_mode;
	ports->set_owner = files_set_owner;
	ports->handle_open = files_handle_open;
	ports->close = files_close;
	ports->lock_open = files_lock_open;
	ports->lock_read = files_lock_read;
	ports->lock_write = files_lock_write;
	ports->unlock = files_unlock;
	ports->mount_over = files_mount_over;
	ports->mount_point_make = files_mount_point_make;
	ports->unmount = files_unmount;
	ports->mount_id = files_mount_id;
}
