#include "cmd/control.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cmd/command.h"
#include "kedge/endpoint.h"
#include "kedge/guard.h"
#include "wire/json.h"

/* An answer may take so long: a status of 100,000 paths is 20 MB. */
#define ANSWER_MS 10000

/* Sockets of the dead that one start sweeps: each is asked twice, 10 ms apart. */
#define SWEEP_MAX 32

/* A line that is longer is no answer of ours. */
#define LINE_BYTES_MAX ((size_t)256 << 20)

/* Return: 0; -ENOENT: none is given. */
static int runtime_dir(char ret[PATH_MAX])
{
	const char *user = getenv("XDG_RUNTIME_DIR");
	const char *base = geteuid() == 0 ? "/run" : user;
	const char *forced = getenv("KEDGE_RUNTIME_DIR");

	if (forced && *forced == '/')
		return snprintf(ret, PATH_MAX, "%s", forced) < PATH_MAX ? 0 : -ENAMETOOLONG;
	if (!base || *base != '/')
		return -ENOENT;
	return snprintf(ret, PATH_MAX, "%s/kedge", base) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int control_path(pid_t pid, char ret[PATH_MAX])
{
	char dir[PATH_MAX];
	int r = runtime_dir(dir);

	if (r < 0)
		return r;
	return snprintf(ret, PATH_MAX, "%s/%d.sock", dir, (int)pid) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool is_dead(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* As a server that starts where another one crashed, and ends at once. What answers after all,
 * in another PID namespace, stays. */
static void sweep_path(struct kedge_guard *guard, pid_t pid)
{
	char path[PATH_MAX];

	if (control_path(pid, path) == 0 && kedge_guard_listen(guard, path, NULL, NULL, NULL) == 0)
		(void)kedge_guard_close(guard, path);
}

/*
 * A kedge that was killed leaves its socket, its anchor and its lock. Nobody starts at its path
 * again, so nobody but us would ever sweep them.
 */
static void sweep_dead(void)
{
	_cleanup_(control_peers_deinit) struct control_peers peers = { 0 };
	struct kedge_guard *guard = NULL;
	unsigned swept = 0;

	if (control_peers_find(&peers) < 0 || kedge_guard_new(&guard, NULL) < 0)
		return;
	for (size_t i = 0; i < peers.count && swept < SWEEP_MAX; i++) {
		if (!is_dead(peers.pids[i]))
			continue;
		sweep_path(guard, peers.pids[i]);
		swept++;
	}
	kedge_guard_free(guard);
}

struct kedge_server *control_open(uv_loop_t *loop, struct kedge_error *error)
{
	struct kedge_server_options options = { .size = sizeof(options) };
	struct kedge_server *server = NULL;
	char path[PATH_MAX];
	int r = control_path(getpid(), path);

	if (r < 0) {
		(void)error_set(error, -EOPNOTSUPP, "neither root nor $XDG_RUNTIME_DIR");
		return NULL;
	}
	r = kedge_server_new(&server, loop, &options, error);
	if (r == 0)
		r = kedge_ensure_socket_dir(path, error);
	if (r == 0)
		sweep_dead();
	if (r == 0)
		r = kedge_server_listen(server, path, NULL, error);
	return r < 0 ? kedge_server_free(server) : server;
}

int control_peers_find(struct control_peers *ret)
{
	char dir[PATH_MAX];
	const struct dirent *entry;
	int r = runtime_dir(dir);
	DIR *stream;

	*ret = (struct control_peers){ 0 };
	if (r < 0)
		return r;
	stream = opendir(dir);
	if (!stream)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(stream))) {
		pid_t *more;
		int pid, end = 0;

		if (sscanf(entry->d_name, "%d.sock%n", &pid, &end) < 1 || end == 0 ||
		    entry->d_name[end])
			continue;
		more = realloc(ret->pids, (ret->count + 1) * sizeof(*more));
		if (!more) {
			r = -ENOMEM;
			break;
		}
		ret->pids = more;
		ret->pids[ret->count++] = pid;
	}
	closedir(stream);
	return r;
}

void control_peers_deinit(struct control_peers *peers)
{
	free(peers->pids);
	*peers = (struct control_peers){ 0 };
}

void control_complain_alone(void)
{
	if (geteuid() == 0)
		usage_complain("no kedge guard of root runs here: start one");
	else
		usage_complain(
			"no kedge guard of this user runs here: start one, or ask as root for "
			"root's");
}

int control_connect(pid_t pid)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[PATH_MAX];
	int r = control_path(pid, path);

	if (fd < 0)
		return -errno;
	if (r < 0)
		return r;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Move the first line of @input to @line. Return: whether there is one. */
static bool take_line(struct buf *input, struct buf *line)
{
	const char *end = memchr(buf_front(input), '\n', buf_size(input));
	size_t n;

	if (!end)
		return false;
	n = (size_t)(end - buf_front(input));
	buf_consume(line, buf_size(line));
	(void)buf_append(line, buf_front(input), n);
	buf_consume(input, n + 1);
	return true;
}

int control_read_line(int fd, struct buf *input, struct buf *line, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (buf_size(input) == 0 || !take_line(input, line)) {
		if (buf_size(input) > LINE_BYTES_MAX || buf_reserve(input, 65536) < 0)
			return -ENOMEM;
		if (poll(&p, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
		n = recv(fd, input->data + input->end, 65536, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return -ECONNRESET;
		if (n > 0)
			input->end += (size_t)n;
	}
	return 0;
}

int control_ask(int fd, const char *method, const char *params, struct buf *ret)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT, input = BUF_INIT, line = BUF_INIT;
	struct kedge_span text, result;
	int r = buf_appendf(&b, "{\"id\":\"1\",\"method\":\"%s\"%s%s}\n", method,
			    params ? ",\"params\":" : "", params ? params : "");

	if (r == 0 && send(fd, buf_front(&b), buf_size(&b), MSG_NOSIGNAL) < 0)
		r = -errno;
	while (r == 0) {
		r = control_read_line(fd, &input, &line, ANSWER_MS);
		text = buf_span(&line);
		if (r < 0 || !json_is_valid(text, JSON_DEPTH_MAX))
			return r < 0 ? r : -EBADMSG;
		if (!json_member(text, "id").size)
			continue;
		result = json_member(text, "result");
		return result.size ? buf_append(ret, result.data, result.size) : -EBADMSG;
	}
	return r;
}
