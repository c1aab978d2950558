/* What a daemon's author writes: guard a path, lose it, see it come back. C99 and C++. */
#include <kedge/guard.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A minute for the slowest machine; the first turn is usually enough. */
#define TURNS_MAX 600
#define TURN_MS   100

static int lose_and_wait(struct kedge_guard *guard, const char *path)
{
	struct pollfd poll_fd;
	int turn;

	if (unlink(path) < 0)
		return 1;
	memset(&poll_fd, 0, sizeof(poll_fd));
	poll_fd.fd = kedge_guard_fd(guard);
	poll_fd.events = POLLIN;
	for (turn = 0; turn < TURNS_MAX && access(path, F_OK) < 0; turn++) {
		(void)poll(&poll_fd, 1, TURN_MS);
		(void)kedge_guard_process(guard);
	}
	return access(path, F_OK) < 0;
}

int main(int argc, char **argv)
{
	struct kedge_guard_options options;
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_guard *guard;
	int fd, failed;

	if (argc != 2)
		return 2;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	if (kedge_guard_new(&guard, &options) < 0)
		return 1;
	if (kedge_guard_listen(guard, argv[1], NULL, &fd, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	failed = lose_and_wait(guard, argv[1]);
	kedge_guard_free(guard);
	/* A clean exit takes the path along. */
	return failed || access(argv[1], F_OK) == 0;
}
