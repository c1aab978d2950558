/*
 * restarter SOCKET ROUNDS SEED HOW [stranger]
 *
 * A daemon that does nothing but restart, in each way that daemons have, and
 * counts what no guard may cause: a bind that fails (refused), a client that
 * reaches another listener (wrong). With "stranger" a process of another program
 * removes the path all the while; then a client may find none (gone), where it
 * was removed before any guard could have seen it.
 * It prints "restarts N, refused N, wrong N, gone N".
 *
 *	HOW  in-place   unlink, bind anew, close the old listener
 *	     close      close, unlink, bind anew
 *	     successor  a child unlinks and binds while the parent listens on
 *	     slow       unlink, wait, close, wait, bind anew
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How long a condition may take to come true. */
#define CAP_MS 10000

/* With a stranger about, a client gives up after so long. */
#define GONE_MS 1000

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static unsigned refused, wrong, gone;
static int patience_ms = CAP_MS;
static unsigned long state;

static unsigned pick(unsigned below)
{
	state = state * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(state >> 33) % below;
}

static void rest_us(unsigned us)
{
	struct timespec t = { 0, (long)us * 1000 };

	nanosleep(&t, NULL);
}

static int listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		refused++;
		fprintf(stderr, "bind: %s\n", strerror(errno));
		close(fd);
		return -1;
	}
	if (listen(fd, 16) < 0)
		abort();
	return fd;
}

/* A client comes by the path: is it this listener that it reaches? */
static void check(int fd)
{
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	/* The stranger may have taken the path away just now: then it comes back. */
	for (int i = 0; r < 0 && i < patience_ms; i++) {
		r = connect(client, (struct sockaddr *)&address, sizeof(address));
		if (r < 0)
			rest_us(1000);
	}
	if (r < 0)
		gone++;
	else if (poll(&p, 1, CAP_MS) != 1)
		wrong++;
	else
		close(accept(fd, NULL, NULL));
	close(client);
}

static int in_place(int old)
{
	int fd;

	unlink(address.sun_path);
	fd = listener();
	close(old);
	return fd;
}

static int close_first(int old)
{
	close(old);
	if (pick(2))
		rest_us(pick(3000));
	unlink(address.sun_path);
	if (pick(2))
		rest_us(pick(15000));
	return listener();
}

/* The parent goes on listening until the child does, and a little longer, and is gone. */
static int successor(int old)
{
	int ready[2], fd;
	char byte;

	if (pipe(ready) < 0)
		abort();
	if (fork() > 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) < 0)
			abort();
		if (pick(2))
			rest_us(pick(2000));
		_exit(0);
	}
	close(ready[0]);
	unlink(address.sun_path);
	fd = listener();
	if (write(ready[1], "", 1) < 0)
		abort();
	close(ready[1]);
	close(old);
	return fd;
}

static int slow(int old)
{
	unlink(address.sun_path);
	rest_us(pick(4000));
	close(old);
	rest_us(pick(15000));
	return listener();
}

static const struct {
	const char *name;
	int (*restart)(int old);
} ways[] = { { "in-place", in_place },
	     { "close", close_first },
	     { "successor", successor },
	     { "slow", slow } };

static int run(int rounds, int (*restart)(int))
{
	int fd = listener();

	for (int i = 0; i < rounds; i++) {
		if (pick(2))
			rest_us(pick(1000));
		fd = restart(fd);
		if (fd < 0)
			fd = (unlink(address.sun_path), listener());
		if (pick(4) == 0)
			check(fd);
	}
	printf("restarts %d, refused %u, wrong %u, gone %u\n", rounds, refused, wrong, gone);
	fflush(stdout);
	return refused || wrong || (gone && patience_ms == CAP_MS);
}

/* Another program that removes the path now and then. It holds no listener. */
static pid_t start_stranger(void)
{
	static const char script[] =
		"while kill -0 $PPID; do rm -f \"$0\"; sleep 0.0$(($$ * 7 % 5))3; done";
	pid_t pid = fork();

	if (pid == 0) {
		execlp("sh", "sh", "-c", script, address.sun_path, (char *)NULL);
		_exit(127);
	}
	patience_ms = GONE_MS;
	return pid;
}

int main(int argc, char **argv)
{
	int (*restart)(int) = NULL;
	pid_t stranger = 0;
	char failed = 1;
	int done[2];

	if (argc != 5 && argc != 6)
		return 2;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, argv[4]) == 0)
			restart = ways[i].restart;
	if (!restart || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	state = strtoul(argv[3], NULL, 10);
	if (argc == 6)
		stranger = start_stranger();
	/* Each instance holds the pipe; the last one says how it went. */
	if (pipe2(done, O_CLOEXEC) < 0)
		return 2;
	if (fork() == 0) {
		failed = (char)run(atoi(argv[2]), restart);
		_exit(write(done[1], &failed, 1) == 1 ? 0 : 1);
	}
	close(done[1]);
	if (read(done[0], &failed, 1) != 1)
		failed = 1;
	if (stranger)
		kill(stranger, SIGKILL);
	return failed;
}
