#include "cmd/survey.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "cmd/locks.h"
#include "cmd/whereabouts.h"

const char *const survey_state_names[SURVEY_STATE_MAX_] = {
	[SURVEY_REACHABLE] = "reachable", [SURVEY_LOST] = "lost",
	[SURVEY_REPLACED] = "replaced",   [SURVEY_ABSTRACT] = "abstract",
	[SURVEY_UNKNOWN] = "unknown",
};

/* Names that the kernel gives to clients that bind to none: five hex digits. */
static bool is_given_by_kernel(const struct diag_socket *s)
{
	return diag_is_abstract(s) && s->name_size == 6 &&
	       strspn(s->name + 1, "0123456789abcdef") == 5;
}

/* Whether clients can send to it: nothing else is of interest here. */
static bool is_server(const struct diag_socket *s)
{
	if (s->shut_down || s->name_size == 0)
		return false;
	return s->listening ||
	       (s->type == SOCK_DGRAM && s->peer_inode == 0 && !is_given_by_kernel(s));
}

static int add_sockets(struct survey *survey, int netns)
{
	_cleanup_(diag_list_deinit) struct diag_list list = DIAG_LIST_INIT;
	int r = diag_list_twice(netns,
				1u << DIAG_STATE_LISTEN | 1u << DIAG_STATE_UNCONNECTED |
					1u << DIAG_STATE_ESTABLISHED,
				&list);
	void *grown;

	if (r < 0)
		return r;
	grown = reallocarray(survey->items, survey->count + list.count + 1, sizeof(*survey->items));
	if (!grown)
		return -ENOMEM;
	survey->items = grown;
	survey->interrupted |= list.interrupted;
	for (size_t i = 0; i < list.count; i++)
		if (is_server(&list.sockets[i]))
			survey->items[survey->count++] = (struct surveyed){
				.socket = list.sockets[i], .foreign_net = netns != DIAG_NETNS_OWN
			};
	return 0;
}

/* The network namespace of one process, unless it was seen before. */
static int add_namespace_of(struct survey *survey, struct map *seen, const char *pid)
{
	char path[64];
	_cleanup_(fd_closep) int fd = -EBADF;
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	/* Without the right to look we cannot tell whether it is another one at all. */
	if (stat(path, &st) < 0 || map_get(seen, st.st_ino))
		return 0;
	r = map_put(seen, st.st_ino, seen);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	r = add_sockets(survey, fd);
	if (r != -EPERM)
		return r;
	survey->closed_namespaces++;
	return 0;
}

static int add_namespaces(struct survey *survey)
{
	_cleanup_(map_deinit) struct map seen = MAP_INIT;
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct stat own;
	int r = 0;

	if (!proc)
		return -errno;
	if (stat("/proc/self/ns/net", &own) == 0)
		r = map_put(&seen, own.st_ino, &seen);
	while (r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = add_namespace_of(survey, &seen, entry->d_name);
	closedir(proc);
	return r;
}

static int find_owners(struct survey *survey)
{
	_cleanup_(freep) uint32_t *inodes = calloc(survey->count + 1, sizeof(*inodes));
	int r;

	if (!inodes)
		return -ENOMEM;
	for (size_t i = 0; i < survey->count; i++)
		inodes[i] = survey->items[i].socket.socket_inode;
	r = owners_find(inodes, survey->count, &survey->owners);
	for (size_t i = 0; r == 0 && i < survey->count; i++) {
		(void)owners_of(&survey->owners, inodes[i], &survey->items[i].owner_count);
		survey->items[i].owner = owners_main(&survey->owners, inodes[i]);
	}
	return r;
}

static void read_comm(pid_t pid, char ret[OWNER_COMM_MAX])
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(ret, OWNER_COMM_MAX, file))
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (file)
		(void)fclose(file);
}

static int find_places(struct survey *survey)
{
	_cleanup_(locks_deinit) struct locks locks = LOCKS_INIT;
	int r = locks_read(&locks);

	for (size_t i = 0; r == 0 && i < survey->count; i++) {
		struct surveyed *item = &survey->items[i];

		r = whereabouts(item);
		if (r < 0 || item->state == SURVEY_ABSTRACT || item->foreign_root)
			continue;
		item->guard_pid = locks_guard_of(&locks, item->path,
						 item->owner ? item->owner->uid : 0);
		if (item->guard_pid)
			read_comm(item->guard_pid, item->guard_comm);
	}
	return r;
}

static int compare_items(const void *a, const void *b)
{
	const struct surveyed *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r
		 : (x->socket.socket_inode > y->socket.socket_inode) -
			       (x->socket.socket_inode < y->socket.socket_inode);
}

int survey_take(enum survey_scope scope, struct survey *ret)
{
	struct survey survey = SURVEY_INIT;
	int r = add_sockets(&survey, DIAG_NETNS_OWN);

	if (r == 0 && scope == SURVEY_MACHINE)
		r = add_namespaces(&survey);
	if (r == 0)
		r = find_owners(&survey);
	if (r == 0)
		r = find_places(&survey);
	if (r < 0) {
		survey_deinit(&survey);
		return r;
	}
	if (survey.count)
		qsort(survey.items, survey.count, sizeof(*survey.items), compare_items);
	*ret = survey;
	return 0;
}

void survey_deinit(struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++)
		free(survey->items[i].path);
	free(survey->items);
	owners_deinit(&survey->owners);
	*survey = (struct survey)SURVEY_INIT;
}
