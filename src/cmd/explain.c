/* Why a path cannot be reached: reach_explain(). */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cmd/reach.h"
#include "cmd/survey.h"
#include "cmd/table.h"

/* Most groups that are looked through; more than anybody is in. */
#define GROUPS_MAX 1024

static void append_user(struct buf *words, uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		(void)append_clean(words, user->pw_name);
	else
		(void)buf_appendf(words, "uid %u", uid);
}

static const char *kind_words(mode_t mode)
{
	return S_ISDIR(mode)    ? "a directory"
	       : S_ISREG(mode)  ? "a regular file"
	       : S_ISFIFO(mode) ? "a FIFO"
	       : S_ISLNK(mode)  ? "a symbolic link"
	       : S_ISSOCK(mode) ? "a socket"
				: "a device";
}

static bool is_in_group(gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);

	if (gid == getegid())
		return true;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* "(mode 0750, owner redis, group redis): user nobody needs search permission (x) for others" */
static void append_permission(struct buf *words, const struct stat *st, const char *needed)
{
	const struct group *group = getgrgid(st->st_gid);
	const char *class = st->st_uid == geteuid()   ? "its owner"
			    : is_in_group(st->st_gid) ? "its group"
						      : "others";

	(void)buf_appendf(words, " (mode %04o, owner ", (unsigned)st->st_mode & 07777);
	append_user(words, st->st_uid);
	if (group) {
		(void)buf_appendf(words, ", group ");
		(void)append_clean(words, group->gr_name);
	} else {
		(void)buf_appendf(words, ", group %u", st->st_gid);
	}
	(void)buf_appendf(words, "); user ");
	append_user(words, geteuid());
	(void)buf_appendf(words, " needs %s for %s there, or root", needed, class);
}

/* A component that is a link: where it leads, if that fails. Return: whether it does. */
static bool explain_link(struct buf *words, const char *prefix)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (stat(prefix, &st) == 0)
		return false;
	n = errno == ELOOP ? -1 : readlink(prefix, target, sizeof(target) - 1);
	(void)append_clean(words, prefix);
	if (n < 0) {
		(void)buf_appendf(words, " is a symbolic link that leads round in a circle");
		return true;
	}
	target[n] = '\0';
	(void)buf_appendf(words, " is a symbolic link to ");
	(void)append_clean(words, target);
	(void)buf_appendf(words,
			  errno == EACCES ? ", where you may not look" : ", which does not exist");
	return true;
}

/* What cannot be looked at: it is missing, or the directory above may not be searched. */
static void explain_unseen(struct buf *words, const char *prefix, const char *parent, int error,
			   const char *last)
{
	struct stat st;

	if (error == EACCES) {
		(void)buf_appendf(words, "the directory ");
		(void)append_clean(words, parent);
		(void)buf_appendf(words, " may not be searched");
		if (stat(parent, &st) == 0)
			append_permission(words, &st, "search permission (x)");
		return;
	}
	if (error != ENOENT) {
		(void)append_clean(words, prefix);
		(void)buf_appendf(words, ": %s", error_words(error));
		return;
	}
	(void)buf_appendf(words, *last ? "the directory " : "nothing stands there (");
	(void)append_clean(words, *last ? prefix : parent);
	(void)buf_appendf(words, *last ? " does not exist" : " exists)");
}

/*
 * Go down the path to the component where it ends.
 * Return: whether words were found; else everything exists, and @ret is the last.
 */
static bool explain_walk(struct buf *words, const char *path, struct stat *ret)
{
	char prefix[PATH_MAX], parent[PATH_MAX];
	const char *p = path;

	(void)snprintf(parent, sizeof(parent), "%s", *path == '/' ? "/" : ".");
	while (*(p += strspn(p, "/"))) {
		const char *rest;

		p += strcspn(p, "/");
		rest = p + strspn(p, "/");
		if ((size_t)(p - path) >= sizeof(prefix)) {
			(void)buf_appendf(words, "the path is longer than %d bytes", PATH_MAX - 1);
			return true;
		}
		memcpy(prefix, path, (size_t)(p - path));
		prefix[p - path] = '\0';
		if (lstat(prefix, ret) < 0) {
			explain_unseen(words, prefix, parent, errno, rest);
			return true;
		}
		if (S_ISLNK(ret->st_mode) && explain_link(words, prefix))
			return true;
		if (stat(prefix, ret) == 0 && *p && !S_ISDIR(ret->st_mode)) {
			(void)append_clean(words, prefix);
			(void)buf_appendf(words, " is %s, not a directory",
					  kind_words(ret->st_mode));
			return true;
		}
		memcpy(parent, prefix, sizeof(prefix));
	}
	return false;
}

static void append_owner(struct buf *words, const struct owner *owner)
{
	if (owner) {
		(void)append_clean(words, owner->comm);
		(void)buf_appendf(words, " (pid %d, user ", owner->pid);
		append_user(words, owner->uid);
		(void)buf_append(words, ")", 1);
	} else {
		(void)buf_appendf(words, "a process (run as root to see which)");
	}
}

static void append_holder(struct buf *words, uint32_t socket_inode)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;

	(void)owners_find(&socket_inode, 1, &owners);
	append_owner(words, owners_main(&owners, socket_inode));
}

/* Whoever listened at this path once and has lost it. */
static void explain_survivor(struct buf *words, const char *path)
{
	_cleanup_(survey_deinit) struct survey survey = SURVEY_INIT;
	_cleanup_(freep) char *absolute = reach_absolute(path);

	if (!absolute || survey_take(SURVEY_OWN_NAMESPACE, &survey) < 0)
		return;
	for (size_t i = 0; i < survey.count; i++) {
		const struct surveyed *item = &survey.items[i];

		if ((item->state != SURVEY_LOST && item->state != SURVEY_REPLACED) ||
		    item->foreign_root || strcmp(item->path, absolute) != 0)
			continue;
		(void)buf_appendf(words, "; ");
		append_owner(words, item->owner);
		(void)buf_appendf(words, " still listens on what was here: kedge rescue ");
		(void)append_clean(words, absolute);
		return;
	}
	(void)buf_appendf(words, "; nobody listens on what was here: start the daemon");
}

static void explain_refused(struct buf *words, const char *path, const struct stat *st)
{
	struct diag_socket found;
	int r = diag_by_path(st->st_dev, st->st_ino, &found);

	if (r == 1 && found.shut_down) {
		append_holder(words, found.socket_inode);
		(void)buf_appendf(words, " has shut the socket down and takes nobody any more");
	} else if (r == 1) {
		append_holder(words, found.socket_inode);
		(void)buf_appendf(words, " is bound there and does not listen (yet)");
	} else if (r == 0) {
		(void)buf_appendf(words, "a stale socket of ");
		append_user(words, st->st_uid);
		(void)buf_appendf(words, " stands there, on which nobody listens");
		explain_survivor(words, path);
	} else {
		(void)buf_appendf(words, "nobody listens on the socket that stands there");
	}
}

static void explain_full(struct buf *words, const struct stat *st)
{
	_cleanup_(diag_list_deinit) struct diag_list list = DIAG_LIST_INIT;

	(void)diag_list_twice(DIAG_NETNS_OWN, 1u << DIAG_STATE_LISTEN, &list);
	(void)buf_appendf(words, "the queue is full");
	for (size_t i = 0; i < list.count; i++)
		if (diag_is_at(&list.sockets[i], st->st_dev, st->st_ino)) {
			(void)buf_appendf(words, ": %u clients wait, and ", list.sockets[i].queued);
			append_holder(words, list.sockets[i].socket_inode);
			(void)buf_appendf(words, " accepts none of them");
			return;
		}
}

static void explain_abstract(struct buf *words, const struct reach *reach)
{
	if (reach->kind == REACH_REFUSED)
		(void)buf_appendf(words, "nobody listens on that abstract name in this network "
					 "namespace");
	else if (reach->kind == REACH_FULL)
		(void)buf_appendf(words, "the queue is full");
	else
		(void)buf_appendf(words, "%s", error_words(reach->error));
}

static void explain_ok(struct buf *words, const struct reach *reach)
{
	(void)buf_appendf(words, "a client can connect (%s)",
			  reach->type == SOCK_STREAM      ? "stream"
			  : reach->type == SOCK_SEQPACKET ? "seqpacket"
							  : "datagram");
}

void reach_explain(const char *path, const struct reach *reach, struct buf *words)
{
	struct stat st = { 0 };
	size_t before = buf_size(words);

	if (reach->kind == REACH_OK) {
		explain_ok(words, reach);
	} else if (*path == '@') {
		explain_abstract(words, reach);
	} else if (!*path) {
		(void)buf_appendf(words, "the path is empty");
	} else if (explain_walk(words, path, &st)) {
		/* The name may be gone, and its listener not. */
		if (reach->kind == REACH_MISSING)
			explain_survivor(words, path);
	} else if (!S_ISSOCK(st.st_mode)) {
		(void)buf_appendf(words, "%s stands there, not a socket", kind_words(st.st_mode));
		explain_survivor(words, path);
	} else if (reach->kind == REACH_FORBIDDEN) {
		(void)buf_appendf(words, "you may not connect to the socket");
		append_permission(words, &st, "write permission (w)");
	} else if (reach->kind == REACH_REFUSED) {
		explain_refused(words, path, &st);
	} else if (reach->kind == REACH_FULL) {
		explain_full(words, &st);
	}
	/* It may have changed since: then what connect() said is what there is. */
	if (buf_size(words) == before)
		(void)buf_appendf(words, "%s", error_words(reach->error));
}
