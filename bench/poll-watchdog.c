/*
 * A model of the usual watchdog, for the demo to compare with: every few seconds it looks
 * whether the path exists; if not, it binds a new listener and closes the old one. Closing
 * removes the path by name, as libuv and Bun do it, and by then that is the new one's.
 *
 *	poll-watchdog PATH INTERVAL-MS
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char answer[] = "{\"id\":\"1\",\"result\":true}\n";

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 511) < 0) {
		close(fd);
		return -1;
	}
	(void)chmod(path, 0666);
	return fd;
}

static void serve_one(int listener)
{
	char request[512];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, request, sizeof(request)) > 0)
		(void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
	close(fd);
}

/* What the model is of: the new one first, then the old one's close takes its path. */
static int look(const char *path, int listener)
{
	int fresh;

	if (access(path, F_OK) == 0)
		return listener;
	fresh = listen_at(path);
	if (fresh < 0)
		return listener;
	close(listener);
	(void)unlink(path);
	return fresh;
}

int main(int argc, char **argv)
{
	int listener, interval_ms = argc == 3 ? atoi(argv[2]) : 0;
	long long next;

	if (interval_ms <= 0) {
		fprintf(stderr, "usage: poll-watchdog PATH INTERVAL-MS\n");
		return 2;
	}
	listener = listen_at(argv[1]);
	if (listener < 0) {
		fprintf(stderr, "poll-watchdog: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (next = now_ms() + interval_ms;;) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		long long left = next - now_ms();

		if (left > 0 && poll(&p, 1, (int)left) == 1)
			serve_one(listener);
		if (now_ms() < next)
			continue;
		listener = look(argv[1], listener);
		next += interval_ms;
	}
}
