/*
 * A daemon that knows nothing of kedge, of any type and in any state.
 *
 *	peer listen  stream|seqpacket|datagram PATH   answers: what comes in goes out
 *	peer bind    ...                              bound; listens from SIGUSR1 on
 *	peer full    ...                              listens with a queue of one, never accepts
 *	peer inherit                                  serves the LISTEN_FDS it was given, and on
 *						     SIGTERM first whom it has accepted
 *
 * PATH may be "@NAME", an abstract one. Says "ready" once it stands. On SIGTERM it ends,
 * and leaves its path where it is: the tests decide what becomes of it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define LISTENERS_MAX   8

static volatile sig_atomic_t signalled, ended;

static void on_usr1(int number)
{
	(void)number;
	signalled = 1;
}

static void on_term(int number)
{
	(void)number;
	ended = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int type_of(const char *name)
{
	return strcmp(name, "stream") == 0      ? SOCK_STREAM
	       : strcmp(name, "seqpacket") == 0 ? SOCK_SEQPACKET
						: SOCK_DGRAM;
}

static int bind_at(int type, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	int fd = socket(AF_UNIX, type, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		die("socket");
	strcpy(address.sun_path, path);
	if (*path == '@')
		address.sun_path[0] = '\0';
	if (bind(fd, (struct sockaddr *)&address, size) < 0)
		die(path);
	return fd;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* Answer until the end. A datagram is acknowledged on standard output. */
enum at_end { LEAVE_AT_ONCE, SERVE_THE_ACCEPTED };

static void serve(const int *listeners, int count, int type, enum at_end at_end)
{
	struct pollfd fds[LISTENERS_MAX + CONNECTIONS_MAX];
	int n = count;
	char data[4096];

	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
	sigset_t block, none;

	/* Signals come in the wait, and never between a look at @ended and the wait. */
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	while (!ended || (at_end == SERVE_THE_ACCEPTED && n > count)) {
		for (int i = 0; ended && i < count; i++)
			fds[i].fd = -1;
		if (ppoll(fds, (nfds_t)n, NULL, &none) < 0)
			continue;
		for (int i = n - 1; i >= 0; i--) {
			ssize_t got;

			if (!fds[i].revents)
				continue;
			if (i < count && type != SOCK_DGRAM) {
				int fd = accept(fds[i].fd, NULL, NULL);

				if (fd >= 0 && n < LISTENERS_MAX + CONNECTIONS_MAX)
					fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
				else if (fd >= 0)
					close(fd);
				continue;
			}
			got = recv(fds[i].fd, data, sizeof(data), 0);
			if (type == SOCK_DGRAM) {
				printf("got %.*s\n", (int)got, data);
				fflush(stdout);
			} else if (got <= 0 ||
				   send(fds[i].fd, data, (size_t)got, MSG_NOSIGNAL) != got) {
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		}
	}
}

static void serve_inherited(void)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID"),
		   *names = getenv("LISTEN_FDNAMES");
	int listeners[LISTENERS_MAX], count = fds ? atoi(fds) : 0;

	if (!pid || atoi(pid) != getpid() || count < 1 || count > LISTENERS_MAX)
		die("LISTEN_FDS");
	for (int i = 0; i < count; i++)
		listeners[i] = 3 + i;
	printf("names %s\n", names ? names : "");
	ready();
	serve(listeners, count, SOCK_STREAM, SERVE_THE_ACCEPTED);
}

int main(int argc, char **argv)
{
	struct sigaction usr1 = { .sa_handler = on_usr1 }, term = { .sa_handler = on_term };
	sigset_t block, none;
	int fd, type;

	/* Whatever ends a test, this ends soon after. */
	alarm(120);
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGTERM, &term, NULL);
	if (argc == 2 && strcmp(argv[1], "inherit") == 0) {
		serve_inherited();
		return 0;
	}
	if (argc != 4)
		return 2;
	type = type_of(argv[2]);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	fd = bind_at(type, argv[3]);
	if (strcmp(argv[1], "bind") == 0) {
		ready();
		while (!signalled && !ended)
			sigsuspend(&none);
	}
	if (type != SOCK_DGRAM && listen(fd, strcmp(argv[1], "full") == 0 ? 0 : 64) < 0)
		die("listen");
	if (strcmp(argv[1], "bind") != 0)
		ready();
	while (strcmp(argv[1], "full") == 0 && !ended)
		sigsuspend(&none);
	serve(&fd, 1, type, LEAVE_AT_ONCE);
	return 0;
}
