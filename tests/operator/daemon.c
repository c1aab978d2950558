/*
 * A daemon of the old kind: it does what its standard input says, a word a line.
 *
 *	daemon PATH stream|datagram|seqpacket [ask]
 *
 * With "ask" it is a client instead: it prints who answers (of a datagram
 * socket: "sent"), or why nobody does.
 *
 *	unlink   take its own path away, and listen on
 *	close    close the listener, and live on
 *	renew    unlink, bind anew, close the old listener
 *	bind     bind anew where the path is free
 *	overlap  the same, and the old listener is closed only at the next word
 *	send     put the listener into a message that nobody reads, and let go of it
 *	drop     the message goes, unread
 *	fork     a child holds the listener too; its pid is printed
 *	clients  how many have connected is printed
 *	quit     unlink, and end
 *
 * Each word is answered by "ok" or by why not. Clients of a stream or a
 * seqpacket are told the pid, datagrams are printed.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int type, fd = -1;
static int old_fd = -1;
static unsigned clients;
static int mail[2] = { -1, -1 };

static int bind_anew(void)
{
	int anew = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (bind(anew, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (type != SOCK_DGRAM && listen(anew, 64) < 0)) {
		int error = -errno;

		close(anew);
		return error;
	}
	if (fd >= 0)
		close(fd);
	fd = anew;
	return 0;
}

static int overlap(void)
{
	unlink(address.sun_path);
	old_fd = fd;
	fd = -1;
	return bind_anew();
}

/* The kernel alone holds the listener then: no process has a descriptor of it. */
static int send_away(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { .iov_base = &(char){ 0 }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, mail) < 0 ||
	    sendmsg(mail[0], &message, 0) != 1)
		return -errno;
	close(fd);
	fd = -1;
	return 0;
}

static int drop_mail(void)
{
	close(mail[0]);
	close(mail[1]);
	return 0;
}

/* A worker: it shares the listener until it is ended, by whom or by its parent's pipe. */
static int fork_worker(void)
{
	pid_t pid = fork();

	if (pid != 0) {
		printf("worker %d\n", (int)pid);
		return 0;
	}
	alarm(120);
	for (;;) {
		int client = accept(fd, NULL, NULL);
		char text[32];

		(void)!write(client, text, (size_t)snprintf(text, sizeof(text), "%d", getpid()));
		close(client);
	}
}

static int obey(const char *word)
{
	if (old_fd >= 0)
		old_fd = (close(old_fd), -1);
	if (strcmp(word, "clients") == 0)
		return printf("%u\n", clients) < 0 ? -EIO : 0;
	if (strcmp(word, "overlap") == 0)
		return overlap();
	if (strcmp(word, "send") == 0)
		return send_away();
	if (strcmp(word, "drop") == 0)
		return drop_mail();
	if (strcmp(word, "unlink") == 0)
		return unlink(address.sun_path) < 0 ? -errno : 0;
	if (strcmp(word, "close") == 0)
		return fd = close(fd) < 0 ? -errno : -1, 0;
	if (strcmp(word, "renew") == 0)
		return unlink(address.sun_path), bind_anew();
	if (strcmp(word, "bind") == 0)
		return bind_anew();
	if (strcmp(word, "fork") == 0)
		return fork_worker();
	unlink(address.sun_path);
	exit(0);
}

static void serve_one(void)
{
	char text[4096];
	ssize_t n;
	int client;

	if (type == SOCK_DGRAM) {
		n = recv(fd, text, sizeof(text), 0);
		printf("got %.*s\n", (int)(n > 0 ? n : 0), text);
		return;
	}
	client = accept(fd, NULL, NULL);
	clients++;
	(void)!write(client, text, (size_t)snprintf(text, sizeof(text), "%d", getpid()));
	close(client);
}

static void read_words(void)
{
	char line[256], *word, *rest;
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	/* Whoever started us is gone. */
	if (n <= 0)
		exit(0);
	line[n] = '\0';
	for (word = strtok_r(line, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest)) {
		int r = obey(word);

		puts(r < 0 ? strerror(-r) : "ok");
	}
}

static int ask(void)
{
	int client = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	char text[32];
	ssize_t n;

	if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (type == SOCK_DGRAM && send(client, "x", 1, 0) != 1)) {
		puts(strerror(errno));
		return 1;
	}
	n = type == SOCK_DGRAM ? snprintf(text, sizeof(text), "sent")
			       : recv(client, text, sizeof(text), 0);
	printf("%.*s\n", (int)(n > 0 ? n : 0), text);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	/* Whatever ends a test, this ends soon after. */
	alarm(300);
	setvbuf(stdout, NULL, _IOLBF, 0);
	strcpy(address.sun_path, argv[1]);
	type = strcmp(argv[2], "stream") == 0     ? SOCK_STREAM
	       : strcmp(argv[2], "datagram") == 0 ? SOCK_DGRAM
						  : SOCK_SEQPACKET;
	if (argc == 4)
		return ask();
	/* What stands there is of a crash, or another's: few daemons ask. */
	(void)unlink(address.sun_path);
	if (bind_anew() < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("ready");
	for (;;) {
		struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
					 { .fd = fd, .events = POLLIN } };

		(void)poll(fds, 2, -1);
		if (fds[1].revents)
			serve_one();
		if (fds[0].revents)
			read_words();
	}
}
