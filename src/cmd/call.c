/* kedge call: ask a server one thing. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/error.h"
#include "base/time.h"
#include "cmd/command.h"
#include "kedge/endpoint.h"
#include "rpc/caller.h"
#include "sys/fdpath.h"
#include "wire/json.h"

#define CONNECT_NS     (3 * NSEC_PER_SEC)
#define ANSWER_S       60
#define ANSWER_S_MAX   86400
#define CONNECT_GAP_MS 10
#define PARAMS_MAX     ((size_t)64 << 20)

struct call_options {
	const char *target, *method, *params;
	int64_t timeout_s;
};

struct outcome {
	bool answered;
	int status;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* A path that is too long for an address is reached through its open directory. */
static int address_of(const char *path, struct sockaddr_un *ret, int *ret_dir)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) <= KEDGE_SOCKET_PATH_MAX) {
		strcpy(ret->sun_path, path);
		return 0;
	}
	if (!slash || (size_t)(slash - path) >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	*ret_dir = open(*parent ? parent : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_dir < 0 ? -errno : fd_path_address(*ret_dir, slash + 1, ret);
}

/* Connect; a server whose queue is full is waited for. Return: the fd or -errno. */
static int connect_to(const char *path)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					     0);
	_cleanup_(fd_closep) int dir = -EBADF;
	uint64_t end = now_ns() + CONNECT_NS;
	struct sockaddr_un address;
	int r = address_of(path, &address, &dir);

	if (fd < 0)
		return -errno;
	while (r == 0) {
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return steal_fd(&fd);
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (now_ns() >= end)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, CONNECT_GAP_MS);
	}
	return r;
}

static void print_error(const struct caller_answer *answer)
{
	struct kedge_span words = answer->error;
	char *text = malloc(words.size + 1);
	size_t n = 0;

	if (text && json_kind(words) == JSON_STRING)
		n = json_string_decode(words, text);
	else if (text)
		memcpy(text, words.data, n = words.size);
	(void)fprintf(stderr, "kedge: %.*s", (int)n, text ? text : "");
	if (answer->status)
		(void)fprintf(stderr, " (%d)", answer->status);
	fputc('\n', stderr);
	free(text);
}

static int status_of(const struct caller_answer *answer)
{
	if (answer->outcome == CALLER_RESULT)
		return EXIT_OK;
	if (answer->outcome != CALLER_ERROR || !answer->status)
		return EXIT_SILENT;
	if (answer->status >= 400 && answer->status <= 499)
		return EXIT_USAGE;
	return answer->status >= 500 && answer->status <= 599 ? EXIT_SERVER : EXIT_FAILED;
}

static void on_answer(const struct caller_answer *answer, void *userdata)
{
	struct outcome *outcome = userdata;

	*outcome = (struct outcome){ true, status_of(answer) };
	switch (answer->outcome) {
	case CALLER_RESULT:
		if (answer->result.size) {
			(void)fwrite(answer->result.data, 1, answer->result.size, stdout);
			fputc('\n', stdout);
		}
		break;
	case CALLER_ERROR:
		print_error(answer);
		break;
	case CALLER_TIMED_OUT:
		(void)fputs("kedge: no answer in time\n", stderr);
		break;
	case CALLER_LOST:
		(void)fputs("kedge: the server closed the connection without an answer\n", stderr);
		break;
	}
}

/* Move what can be moved. Return: false: the connection is over. */
static bool exchange(struct caller *caller, int fd, short events)
{
	const void *data;
	size_t size;

	if (events & (POLLIN | POLLHUP | POLLERR)) {
		void *to = caller_input(caller, &size);
		ssize_t n = to ? recv(fd, to, size, MSG_DONTWAIT) : 0;

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n > 0)
			caller_received(caller, (size_t)n);
	}
	if (caller_output(caller, &data, &size)) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		/* A server that refuses us may have answered before it closed: read on. */
		caller_sent(caller, n > 0 ? (size_t)n : errno == EAGAIN ? 0 : size);
	}
	return !caller->fatal;
}

static void wait_for_answer(struct caller *caller, int fd, const struct outcome *outcome)
{
	bool there = exchange(caller, fd, 0);

	while (there && !outcome->answered) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = now_ns(), deadline = caller_deadline(caller);
		const void *data;
		size_t size;

		if (caller_output(caller, &data, &size))
			p.events |= POLLOUT;
		(void)poll(&p, 1,
			   deadline <= now ? 0 : (int)((deadline - now) / NSEC_PER_MSEC + 1));
		there = exchange(caller, fd, p.revents);
		caller_expire(caller, now_ns());
	}
}

static int ask(const char *path, const struct call_options *o, struct kedge_span params)
{
	_cleanup_(fd_closep) int fd = connect_to(path);
	struct outcome outcome = { .status = EXIT_SILENT };
	struct caller caller;

	if (fd < 0) {
		(void)fprintf(stderr, "kedge: cannot connect to %s: %s\n", path, error_words(fd));
		return EXIT_SILENT;
	}
	caller_init(&caller, NULL, NULL);
	if (caller_call(&caller, o->method, params,
			now_ns() + (uint64_t)o->timeout_s * NSEC_PER_SEC, on_answer, &outcome) == 0)
		wait_for_answer(&caller, fd, &outcome);
	caller_deinit(&caller);
	return outcome.status;
}

static int read_stdin(struct buf *b)
{
	ssize_t n = 1;

	while (n > 0) {
		if (buf_reserve(b, 65536) < 0 || buf_size(b) > PARAMS_MAX)
			return -ENOMEM;
		n = read(STDIN_FILENO, b->data + b->end, 65536);
		if (n > 0)
			b->end += (size_t)n;
	}
	return n < 0 ? -errno : 0;
}

static int parse(int argc, char **argv, struct call_options *o)
{
	static const struct option longs[] = { { "timeout", required_argument, NULL, 't' }, { 0 } };
	int c;

	*o = (struct call_options){ .timeout_s = ANSWER_S };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c != 't')
			return usage_error("call: '%s' is no option, or lacks its value",
					   argv[optind - 1]);
		if (parse_number(optarg, 1, ANSWER_S_MAX, &o->timeout_s) < 0)
			return usage_error("--timeout %s: whole seconds from 1 to %d", optarg,
					   ANSWER_S_MAX);
	}
	if (argc - optind < 2 || argc - optind > 3)
		return usage_error("call: takes SOCKET-OR-NAME METHOD [PARAMS-JSON|-]");
	o->target = argv[optind];
	o->method = argv[optind + 1];
	o->params = argv[optind + 2];
	return *o->method ? EXIT_OK : usage_error("call: the method is empty");
}

static int run(int argc, char **argv)
{
	_cleanup_(buf_deinit) struct buf input = BUF_INIT;
	struct kedge_error error = KEDGE_ERROR_INIT;
	_cleanup_(freep) char *path = NULL;
	struct kedge_span params;
	struct call_options o;
	int r = parse(argc, argv, &o);

	if (r != EXIT_OK)
		return r;
	params = kedge_span(o.params);
	if (o.params && strcmp(o.params, "-") == 0) {
		if (read_stdin(&input) < 0)
			return usage_error("call: the params cannot be read from standard input");
		params = (struct kedge_span){ buf_front(&input), buf_size(&input) };
	}
	if (o.params && !json_is_valid(params, JSON_DEPTH_MAX))
		return usage_error("call: the params are not JSON: %.60s", o.params);
	if (o.params && memchr(params.data, '\n', params.size))
		for (size_t i = 0; i < params.size; i++)
			/* Outside of strings a line break is white space, and in them none can be.
			 */
			if (params.data[i] == '\n')
				((char *)(uintptr_t)params.data)[i] = ' ';
	if (strchr(o.target, '/'))
		path = strdup(o.target);
	else if (kedge_endpoint_resolve(o.target, NULL, &path, NULL, &error) < 0)
		return usage_error("%s", error.text);
	return path ? ask(path, &o, params) : EXIT_FAILED;
}

const struct command command_call = {
	.name = "call",
	.summary = "ask a server one thing",
	.help = "Usage: kedge call [--timeout S] SOCKET-OR-NAME METHOD [PARAMS-JSON|-]\n\n"
		"Sends one request and prints its result.\n\n"
		"  SOCKET-OR-NAME  a path (with a '/'), or an endpoint's name: gateway\n"
		"  PARAMS-JSON     JSON text; '-' reads it from standard input\n"
		"  --timeout S     wait so many seconds for the answer (60)\n\n"
		"Exit status: 0 answered; 2 refused (4xx), or wrong usage; 3 the server failed\n"
		"(5xx); 10 nothing answered, or without a status; 1 otherwise.\n\n"
		"  kedge call gateway get_global_thresholds\n"
		"  kedge call /run/x/gateway.sock get_conversation_threshold \\\n"
		"      '{\"conversationId\":\"c1\"}'\n",
	.run = run,
};
