/* Which sockets are to be rescued, and why others are not: rescue.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/reach.h"
#include "cmd/rescue.h"

/* Both as given, and with the links in its directory resolved. */
static bool is_path(const struct surveyed *item, const char *absolute, const char *resolved)
{
	return strcmp(item->path, absolute) == 0 || (resolved && strcmp(item->path, resolved) == 0);
}

static char *resolve_directory(const char *absolute)
{
	_cleanup_(freep) char *dir = strdup(absolute);
	_cleanup_(freep) char *real = NULL;
	char *slash = dir ? strrchr(dir, '/') : NULL, *path;

	if (!slash)
		return NULL;
	*slash = '\0';
	real = realpath(*dir ? dir : "/", NULL);
	if (!real || asprintf(&path, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash + 1) < 0)
		return NULL;
	return path;
}

/* Say why one that was asked for cannot be rescued. Return: whether it is so. */
static bool refuse(const struct surveyed *item)
{
	const char *path = item->path;

	if (item->foreign_root && item->owner)
		(void)fprintf(stderr,
			      "kedge: %s is a path in another root or mount namespace: nsenter "
			      "--target %d --mount --root kedge rescue %s\n",
			      path, item->owner->pid, path);
	else if (item->state == SURVEY_REPLACED)
		(void)fprintf(stderr,
			      "kedge: %s: something else stands there, and kedge replaces nothing: "
			      "move it away first\n",
			      path);
	else
		return false;
	return true;
}

/* Take @item for its path; of two sockets of one process the one that was made later, which
 * is the one with the higher number. */
static void choose(const struct surveyed **chosen, size_t *count, const struct surveyed *item)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(chosen[i]->path, item->path) == 0 &&
		    (!item->owner || !chosen[i]->owner ||
		     chosen[i]->owner->pid == item->owner->pid)) {
			if (item->socket.socket_inode > chosen[i]->socket.socket_inode)
				chosen[i] = item;
			return;
		}
	if (*count < RESCUES_MAX)
		chosen[(*count)++] = item;
}

static bool is_held_by(const struct survey *survey, const struct surveyed *item, pid_t pid)
{
	size_t n;
	const struct owner *o = owners_of(&survey->owners, item->socket.socket_inode, &n);

	for (size_t i = 0; i < n; i++)
		if (o[i].pid == pid)
			return true;
	return false;
}

int rescue_choose_pid(const struct survey *survey, pid_t pid, const struct surveyed **chosen,
		      size_t *count)
{
	size_t listening = 0;

	for (size_t i = 0; i < survey->count; i++) {
		const struct surveyed *item = &survey->items[i];

		if (!is_held_by(survey, item, pid))
			continue;
		listening++;
		if (item->state != SURVEY_LOST && item->state != SURVEY_REPLACED)
			continue;
		if (refuse(item))
			return EXIT_FAILED;
		choose(chosen, count, item);
	}
	if (*count)
		return EXIT_OK;
	if (listening) {
		printf("process %d: no path is lost, of %zu: nothing to rescue\n", pid, listening);
		return EXIT_OK;
	}
	if (kill(pid, 0) < 0 && errno == ESRCH)
		(void)fprintf(stderr, "kedge: --pid %d: there is no such process\n", pid);
	else
		(void)fprintf(stderr,
			      "kedge: --pid %d: listens on no Unix socket in this network "
			      "namespace, or may not be looked into (run as root)\n",
			      pid);
	return EXIT_FAILED;
}

int rescue_choose_path(const struct survey *survey, const char *path,
		       const struct surveyed **chosen, size_t *count)
{
	_cleanup_(freep) char *absolute = reach_absolute(path);
	_cleanup_(freep) char *resolved = absolute ? resolve_directory(absolute) : NULL;
	const struct surveyed *replaced = NULL;
	struct stat st;

	for (size_t i = 0; absolute && i < survey->count; i++) {
		const struct surveyed *item = &survey->items[i];

		if (!is_path(item, absolute, resolved))
			continue;
		if (item->state == SURVEY_REACHABLE && !item->foreign_root) {
			printf("%s: reachable: nothing to rescue\n", path);
			*count = 0;
			return EXIT_OK;
		}
		if (item->state == SURVEY_REPLACED)
			replaced = item;
		if (item->state == SURVEY_LOST)
			choose(chosen, count, item);
	}
	if (*count == 0 && replaced && refuse(replaced))
		return EXIT_FAILED;
	if (*count == 0 && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode) && !S_ISLNK(st.st_mode))
		(void)fprintf(stderr,
			      "kedge: %s is %s, no socket, and nobody listens on one that was "
			      "here\n",
			      path, S_ISDIR(st.st_mode) ? "a directory" : "a file");
	else if (*count == 0)
		(void)fprintf(stderr,
			      "kedge: %s: nobody listens on what was here: start the daemon, and "
			      "guard it before its path is lost\n",
			      path);
	if (*count > 1)
		(void)fprintf(
			stderr,
			"kedge: %s: %zu processes listen on what was here (%d, %d): choose one "
			"with --pid\n",
			path, *count, chosen[0]->owner ? chosen[0]->owner->pid : 0,
			chosen[1]->owner ? chosen[1]->owner->pid : 0);
	if (*count == 1 && refuse(chosen[0]))
		return EXIT_FAILED;
	return *count == 1 ? EXIT_OK : EXIT_FAILED;
}
