/*
 * Clients that mean no good, and one that does: what the first cost the second.
 *
 *	attack good SOCKET WIRE     each line of stdin is a number of milliseconds: ask one
 *	                            thing after another for so long, and print how many
 *	                            answers came, and p50 and p99 of their times in ns
 *	attack KIND SOCKET WIRE     attack until stdin ends; "ready" is printed as soon as
 *	                            it is under way. Without arguments: the kinds
 *
 * WIRE is the server's name: gateway, assistant or assistant-skill.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "measure.h"

#define IDLE_CLIENTS 10000
/* One byte a second each: as many wake-ups a second as there are of them. */
#define SLOW_CLIENTS   1000
#define STREAMS        100000
#define NESTING        1000000
#define GIB            ((size_t)1 << 30)
#define PIECE_BYTES    ((size_t)1 << 16)
#define ANSWER_CAP_MS  30000
#define REQUEST_MAX    512
#define PACE_MS        100
#define FRAME_BYTES    4
#define BUFFER_BYTES   65536
#define FRAME_HALF_GIB 0x40000000u

/* How one server is spoken to. */
struct wire {
	const char *name;
	bool frames;
	const char *request;   /* the good client's */
	const char *echo;      /* with an answer as long as can be had */
	const char *open_head; /* a stream, or what comes near it: its id comes in between */
	const char *open_tail;
};

static const struct wire wires[] = {
	{ "gateway", false, "{\"id\":\"1\",\"method\":\"echo\",\"params\":{\"value\":1}}",
	  "{\"id\":\"1\",\"method\":\"get_global_thresholds\"}", "{\"id\":\"",
	  "\",\"method\":\"echo\",\"params\":{\"value\":2}}" },
	{ "assistant", true, "{\"id\":\"1\",\"method\":\"echo\",\"params\":{\"value\":1}}",
	  "{\"id\":\"1\",\"method\":\"get_route_schema\"}", "{\"id\":\"",
	  "\",\"method\":\"echo_stream\",\"params\":{\"chunks\":[\"x\",\"y\"],\"delayMs\":60000}"
	  "}" },
	{ "assistant-skill", false, "{\"id\":\"1\",\"method\":\"host.platform.workspaceDir\"}",
	  "{\"id\":\"1\",\"method\":\"host.platform.workspaceDir\"}",
	  "{\"id\":\"s:", "\",\"method\":\"host.events.subscribe\",\"params\":{\"filter\":{}}}" },
};

static struct sockaddr_un address;
static const struct wire *wire;

/* stdin has ended: whoever started us has seen enough. */
static bool is_over(int wait_ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&in, 1, wait_ms) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/*
 * Both clients share one processor and leave the others to the server; whoever
 * attacks has what is left of it, and is put off as soon as the good client wants it.
 */
static void share_processor(void)
{
	cpu_set_t set, one;
	size_t i = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 2)
		return;
	while (!CPU_ISSET(i, &set))
		i++;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void say_ready(void)
{
	const struct sched_param param = { 0 };

	(void)sched_setscheduler(0, SCHED_IDLE, &param);
	puts("ready");
	(void)fflush(stdout);
}

static int dial(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	while (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EAGAIN && errno != EINTR)
			measure_die("connect");
	if (fd < 0 || fcntl(fd, F_SETFL, flags) < 0)
		measure_die("socket");
	return fd;
}

/* @text as one message. Return: its bytes. */
static size_t pack(char *to, const char *text)
{
	size_t n = strlen(text);

	if (!wire->frames) {
		memcpy(to, text, n);
		to[n] = '\n';
		return n + 1;
	}
	for (int i = 0; i < FRAME_BYTES; i++)
		to[i] = (char)(n >> (24 - 8 * i));
	memcpy(to + FRAME_BYTES, text, n);
	return n + FRAME_BYTES;
}

/* Send all, unless stdin ends or the server hangs up first. Return: whether it went. */
static bool send_all(int fd, const char *data, size_t size)
{
	while (size) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLOUT },
				       { .fd = STDIN_FILENO, .events = POLLIN } };
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
		if (n < 0 && poll(p, 2, -1) > 0 && p[1].revents)
			return false;
	}
	return true;
}

/* --- the good client --------------------------------------------------------------------- */

/* Whether all of the one answer has come. */
static bool is_whole(const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;

	if (!wire->frames)
		return size && data[size - 1] == '\n';
	return size >= FRAME_BYTES &&
	       size - FRAME_BYTES ==
		       ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
}

static void ask(int fd, const char *request, size_t size)
{
	char answer[BUFFER_BYTES];
	size_t got = 0;

	if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
		measure_die("send");
	while (!is_whole(answer, got)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n = -1;

		if (poll(&p, 1, ANSWER_CAP_MS) == 1)
			n = recv(fd, answer + got, sizeof(answer) - got, 0);
		if (n <= 0)
			measure_die("the good client has got no answer");
		got += (size_t)n;
	}
	answer[got - 1] = '\0';
	if (!memmem(answer, got, "\"result\"", 8))
		measure_die("the good client was refused");
}

static int be_good(void)
{
	char line[32], request[REQUEST_MAX];
	size_t size = pack(request, wire->request);
	int fd = dial(0);

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t now = measure_now_ns(), end = now + strtoull(line, NULL, 10) * 1000000;
		struct samples s = { 0 };

		while (now < end) {
			uint64_t from = now;

			ask(fd, request, size);
			now = measure_now_ns();
			samples_add(&s, now - from);
		}
		samples_sort(&s);
		printf("%zu %llu %llu\n", s.count, (unsigned long long)samples_at(&s, 0.5),
		       (unsigned long long)samples_at(&s, 0.99));
		(void)fflush(stdout);
		samples_free(&s);
	}
	return 0;
}

/* --- the others -------------------------------------------------------------------------- */

/* As many descriptors as may be. */
static unsigned clients_at_most(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		measure_die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	return wanted + 16 < limit.rlim_max ? wanted : (unsigned)limit.rlim_max - 16;
}

static void attack_idle(void)
{
	unsigned n = clients_at_most(IDLE_CLIENTS);

	for (unsigned i = 0; i < n && !is_over(0); i++)
		(void)dial(0);
	say_ready();
	while (!is_over(PACE_MS))
		;
}

static void attack_slow(void)
{
	static int fds[SLOW_CLIENTS];
	char request[REQUEST_MAX];
	size_t size = pack(request, wire->request), sent = 0;

	(void)clients_at_most(SLOW_CLIENTS);
	for (int i = 0; i < SLOW_CLIENTS; i++)
		fds[i] = dial(0);
	say_ready();
	/* A second is made of hundredths, so that the bytes do not come all at once. */
	for (int i = 0; !is_over(i % (SLOW_CLIENTS / 100) == 0 ? 10 : 0); i++) {
		(void)send(fds[i % SLOW_CLIENTS], request + sent % size, 1,
			   MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += i % SLOW_CLIENTS == SLOW_CLIENTS - 1;
	}
}

static void attack_deaf(void)
{
	char request[REQUEST_MAX];
	size_t size = pack(request, wire->echo);
	int fd = dial(0);

	say_ready();
	while (send_all(fd, request, size))
		;
}

/* All of one: what it may have in flight is used up, and the rest waits to be read. */
static void attack_streams(void)
{
	int fd = dial(0);

	say_ready();
	for (unsigned i = 0; i < STREAMS; i++) {
		char text[REQUEST_MAX - FRAME_BYTES], request[REQUEST_MAX];

		(void)snprintf(text, sizeof(text), "%s%u%s", wire->open_head, i, wire->open_tail);
		if (!send_all(fd, request, pack(request, text)))
			break;
	}
	while (!is_over(PACE_MS))
		;
}

/* One message of a GiB after the other, made of @text again and again. */
static void attack_endless(const char *head, const char *text)
{
	static char piece[PIECE_BYTES];
	size_t n = strlen(text);
	bool there = true;
	int fd = dial(0);

	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = text[i % n];
	say_ready();
	while (there && !is_over(0)) {
		char size[FRAME_BYTES] = { (char)(FRAME_HALF_GIB >> 24) };

		there = wire->frames ? send_all(fd, size, sizeof(size))
				     : send_all(fd, head, strlen(head));
		for (size_t sent = 0; there && sent < GIB; sent += sizeof(piece))
			there = send_all(fd, piece, sizeof(piece));
		there = there && (wire->frames || send_all(fd, "\n", 1));
	}
}

static void attack_long(void)
{
	attack_endless("{\"id\":1", " ");
}

static void attack_open(void)
{
	attack_endless("", "{\"id\":");
}

static void attack_nested(void)
{
	static const char head[] = "{\"id\":\"1\",\"method\":\"echo\",\"params\":";
	size_t n = sizeof(head) - 1;
	char *text = malloc(n + NESTING + 1), *message = malloc(n + NESTING + 8), answer[4096];
	size_t size;
	int fd = dial(0);

	if (!text || !message)
		measure_die("malloc");
	memcpy(text, head, n);
	memset(text + n, '[', NESTING);
	text[n + NESTING] = '\0';
	size = pack(message, text);
	say_ready();
	while (!is_over(0) && send_all(fd, message, size))
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
	free(text);
	free(message);
}

static void attack_half(void)
{
	char request[REQUEST_MAX];
	size_t size = pack(request, wire->request);

	say_ready();
	while (!is_over(0)) {
		int fd = dial(0);

		(void)send(fd, request, size / 2, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)close(fd);
	}
}

static const struct attack {
	const char *kind;
	void (*run)(void);
} attacks[] = {
	{ "idle", attack_idle },       { "slow", attack_slow }, { "deaf", attack_deaf },
	{ "streams", attack_streams }, { "long", attack_long }, { "nested", attack_nested },
	{ "half", attack_half },       { "open", attack_open },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

int main(int argc, char **argv)
{
	if (argc < 4) {
		for (size_t i = 0; i < COUNT(attacks); i++)
			puts(attacks[i].kind);
		return argc == 1 ? 0 : 2;
	}
	for (size_t i = 0; i < COUNT(wires); i++)
		if (strcmp(argv[3], wires[i].name) == 0)
			wire = &wires[i];
	measure_address(&address, argv[2]);
	share_processor();
	if (wire && strcmp(argv[1], "good") == 0)
		return be_good();
	for (size_t i = 0; wire && i < COUNT(attacks); i++)
		if (strcmp(argv[1], attacks[i].kind) == 0) {
			attacks[i].run();
			return 0;
		}
	fprintf(stderr, "attack: unknown attack or wire: %s %s\n", argv[1], argv[3]);
	return 2;
}
