/* How a path comes back: rescue.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/rescue.h"
#include "cmd/whereabouts.h"
#include "sys/fdpath.h"

const char *const rescue_way_names[RESCUE_WAYS_] = {
	[RESCUE_LINK] = "link",
	[RESCUE_SYMLINK] = "symlink",
	[RESCUE_PROXY] = "proxy",
};

const char *const rescue_way_meanings[RESCUE_WAYS_] = {
	[RESCUE_LINK] = "a hard link to the same socket, as it was",
	[RESCUE_SYMLINK] = "a symbolic link to the same socket, for its owner and root; it works "
			   "while this process runs",
	[RESCUE_PROXY] = "this process listens there and forwards, with each client's user and "
			 "groups; it works while it runs",
};

/* Preparing. */

static void open_found(struct rescue *r, const char *dir)
{
	struct found_name name;
	char path[PATH_MAX];
	int n;

	if (r->handle >= 0 || name_of_inode(dir, &r->item->socket, &name) != 1)
		return;
	n = snprintf(path, sizeof(path), "%s/%s", dir, name.text);
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	r->handle = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (r->handle >= 0 && (fstat(r->handle, &r->inode) < 0 ||
			       !diag_is_at(&r->item->socket, r->inode.st_dev, r->inode.st_ino)))
		r->handle = fd_close(r->handle);
}

/* Look for a name of the inode beside the path, and in anchor directories there. */
static void find_name(struct rescue *r)
{
	const uid_t uids[] = { r->item->owner->uid, 0, geteuid() };
	const char *path = r->item->path, *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	open_found(r, dir);
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++)
		for (int again = 0; again < 2; again++) {
			int n = snprintf(dir, sizeof(dir), "%.*s/.kedge-%u%s", (int)(slash - path),
					 path, uids[i], again ? "-1" : "");

			if (n > 0 && (size_t)n < sizeof(dir))
				open_found(r, dir);
		}
}

/* A name that is left somewhere is enough: link(2) takes it through the handle. */
static bool can_link(const struct rescue *r)
{
	_cleanup_(freep) char *path = strdup(r->item->path);
	char *slash = path ? strrchr(path, '/') : NULL;
	struct stat dir;

	if (!slash || r->inode.st_nlink == 0)
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return stat(path, &dir) == 0 && dir.st_dev == r->inode.st_dev;
}

static enum rescue_way choose(const struct rescue *r)
{
	if (can_link(r))
		return RESCUE_LINK;
	/* Write permission is what connecting takes. */
	return r->inode.st_mode & (S_IWGRP | S_IWOTH) ? RESCUE_PROXY : RESCUE_SYMLINK;
}

int rescue_prepare(struct rescue *r, const struct surveyed *item, enum rescue_way wanted,
		   struct kedge_error *error)
{
	*r = (struct rescue){
		.item = item, .pidfd = -EBADF, .handle = -EBADF, .keeper_pipe = -EBADF
	};
	if (!item->owner)
		return error_set(error, -EPERM,
				 "%s: somebody listens on what was here, and you may not see who: "
				 "run as root",
				 item->path);
	r->pidfd = owner_hold(item->owner);
	if (r->pidfd < 0)
		return error_set(error, r->pidfd, "%s: its owner %s (pid %d) has just gone: %s",
				 item->path, item->owner->comm, item->owner->pid,
				 error_words(r->pidfd));
	r->handle = owner_take_inode(item->owner, r->pidfd);
	if (r->handle >= 0 && fstat(r->handle, &r->inode) < 0)
		r->handle = fd_close(r->handle);
	if (r->handle < 0)
		find_name(r);
	if (r->handle < 0)
		return error_set(error, -EPERM,
				 "%s: no name of the socket is left beside it, and without one it "
				 "takes root (or CAP_NET_ADMIN and CAP_SYS_PTRACE) to reach it",
				 item->path);
	r->way = wanted == RESCUE_WAYS_ ? choose(r) : wanted;
	return 0;
}

/* The keeper. */

/* Whoever could trace us may follow a link to our descriptor. */
static int become_traceable(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	const struct passwd *user = getpwuid(uid);

	if (user)
		gid = user->pw_gid;
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			       setresuid(uid, uid, uid) < 0))
		return -errno;
	/* A root without capabilities is root's equal; one with them is not that of a
	 * hardened service. */
	if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return -errno;
	return 0;
}

/* Nothing of ours is to be held open by the keeper but the handle (it keeps its number) and
 * the pipes: neither the listeners of a proxy nor the locks of its guard. */
static void close_others(int handle, int ready, int end)
{
	int kept[] = { 2, handle, ready, end, INT_MAX };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	for (size_t i = 1; i < ARRAY_SIZE(kept); i++)
		for (size_t j = i; j > 1 && kept[j] < kept[j - 1]; j--) {
			int lower = kept[j];

			kept[j] = kept[j - 1];
			kept[j - 1] = lower;
		}
	for (size_t i = 1; i < ARRAY_SIZE(kept); i++)
		if (kept[i] - 1 >= kept[i - 1] + 1)
			(void)syscall(SYS_close_range, kept[i - 1] + 1, kept[i] - 1, 0);
}

_Noreturn static void keep(const struct rescue *r, int ready, int end)
{
	sigset_t all;
	char byte;
	int error;

	/* Ctrl-C is for the one who undoes what there is to undo, and ends us then. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	(void)prctl(PR_SET_NAME, "kedge-keeper");
	close_others(r->handle, ready, end);
	error = become_traceable(r->inode.st_uid, r->inode.st_gid);
	(void)!write(ready, &error, sizeof(error));
	fd_close(ready);
	while (error == 0 && read(end, &byte, 1) < 0)
		;
	_exit(0);
}

/* Start the process that holds the handle. Return: 0 or -errno. */
static int start_keeper(struct rescue *r)
{
	int ready[2], end[2], error = -EIO;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(end, O_CLOEXEC) < 0) {
		error = -errno;
		fd_close(ready[0]);
		fd_close(ready[1]);
		return error;
	}
	r->keeper = fork();
	if (r->keeper == 0) {
		fd_close(end[1]);
		fd_close(ready[0]);
		keep(r, ready[1], end[0]);
	}
	fd_close(ready[1]);
	fd_close(end[0]);
	r->keeper_pipe = end[1];
	if (r->keeper < 0)
		error = -EAGAIN;
	else if (read(ready[0], &error, sizeof(error)) != sizeof(error))
		error = -EIO;
	fd_close(ready[0]);
	return error;
}

static void end_keeper(struct rescue *r)
{
	r->keeper_pipe = fd_close(r->keeper_pipe);
	/* A later keeper may hold a copy of the pipe's other end: it is not waited for. */
	if (r->keeper > 0 && kill(r->keeper, SIGKILL) == 0)
		while (waitpid(r->keeper, NULL, 0) < 0 && errno == EINTR)
			;
	r->keeper = 0;
}

/* Making. */

/* A symlink of a rescue that was killed: as we make them, and leading nowhere. */
static void remove_dead_symlink(const char *path)
{
	char target[64];
	struct stat st;
	int pid, fd, used = 0;
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return;
	target[n] = '\0';
	if (sscanf(target, "/proc/%d/fd/%d%n", &pid, &fd, &used) == 2 && used == n &&
	    stat(path, &st) < 0 && errno == ENOENT)
		(void)unlink(path);
}

static int make_link(const struct rescue *r)
{
	return linkat(AT_FDCWD, fd_path(r->handle).text, AT_FDCWD, r->item->path,
		      AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

static int make_symlink(struct rescue *r)
{
	int error = r->keeper ? 0 : start_keeper(r);

	if (error < 0)
		return error;
	(void)snprintf(r->target, sizeof(r->target), "/proc/%d/fd/%d", r->keeper, r->handle);
	if (symlink(r->target, r->item->path) < 0)
		return -errno;
	/* In a sticky directory only links of one's own (or of the directory's owner) may be
	 * followed: fs.protected_symlinks. */
	if (geteuid() == 0)
		(void)lchown(r->item->path, r->inode.st_uid, r->inode.st_gid);
	return 0;
}

static int make_proxy(struct rescue *r, struct kedge_error *error)
{
	struct proxy_options options = { .path = r->item->path,
					 .handle = r->handle,
					 .type = (int)r->item->socket.type,
					 .mode = r->inode.st_mode & 0777,
					 .uid = r->inode.st_uid,
					 .gid = r->inode.st_gid };

	return proxy_open(&r->proxy, &options, error);
}

int rescue_make(struct rescue *r, struct kedge_error *error)
{
	const char *path = r->item->path;
	struct stat st;
	int result;

	remove_dead_symlink(path);
	if (r->way == RESCUE_LINK)
		result = make_link(r);
	else if (r->way == RESCUE_SYMLINK)
		result = make_symlink(r);
	else if ((result = make_proxy(r, error)) < 0 && error->code)
		return result;
	if (result == -EEXIST)
		return error_set(error, result,
				 "%s: something stands there by now; kedge replaces nothing", path);
	if (result == -ENOENT || result == -ENOTDIR)
		return error_set(
			error, result,
			"%s: its directory does not exist: make it again, with the mode and "
			"owner that it had",
			path);
	if (result == 0 && lstat(path, &st) < 0)
		result = -errno;
	if (result < 0)
		return error_set(error, result, "%s: no %s can be made there: %s", path,
				 rescue_way_names[r->way], error_words(result));
	r->made = st;
	return 0;
}

bool rescue_stands(const struct rescue *r)
{
	char target[sizeof(r->target)];
	struct stat st;
	ssize_t n;

	/* The proxy's guard keeps its path by itself. */
	if (r->proxy)
		return true;
	if (lstat(r->item->path, &st) < 0 || st.st_ino != r->made.st_ino ||
	    st.st_dev != r->made.st_dev)
		return false;
	if (r->way == RESCUE_LINK)
		return true;
	n = readlink(r->item->path, target, sizeof(target));
	return n == (ssize_t)strlen(r->target) && memcmp(target, r->target, (size_t)n) == 0;
}

void rescue_undo(struct rescue *r)
{
	if (r->proxy)
		r->proxy = proxy_free(r->proxy);
	else if (r->made.st_ino && rescue_stands(r))
		(void)unlink(r->item->path);
	r->made.st_ino = 0;
}

void rescue_release(struct rescue *r)
{
	end_keeper(r);
	r->proxy = proxy_free(r->proxy);
	r->handle = fd_close(r->handle);
	r->pidfd = fd_close(r->pidfd);
}
