#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time.h"

uint64_t measure_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

void measure_sleep_us(uint64_t us)
{
	struct timespec left = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

	while (us && nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void measure_die(const char *what)
{
	perror(what);
	exit(1);
}

void samples_add(struct samples *s, uint64_t ns)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 1024;
		s->ns = reallocarray(s->ns, s->room, sizeof(*s->ns));
		if (!s->ns)
			measure_die("samples");
	}
	s->ns[s->count++] = ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void samples_sort(struct samples *s)
{
	if (s->count)
		qsort(s->ns, s->count, sizeof(*s->ns), compare);
}

uint64_t samples_at(const struct samples *s, double share)
{
	size_t i = (size_t)(share * (double)s->count);

	if (!s->count)
		return 0;
	return s->ns[i < s->count ? i : s->count - 1];
}

void samples_free(struct samples *s)
{
	free(s->ns);
	*s = (struct samples){ 0 };
}

const char *measure_text_ns(uint64_t ns, char text[static MEASURE_TEXT_MAX])
{
	if (ns < NSEC_PER_USEC)
		(void)snprintf(text, MEASURE_TEXT_MAX, "%u ns", (unsigned)ns);
	else if (ns < NSEC_PER_MSEC)
		(void)snprintf(text, MEASURE_TEXT_MAX, "%.1f us", (double)ns / 1e3);
	else if (ns < NSEC_PER_SEC)
		(void)snprintf(text, MEASURE_TEXT_MAX, "%.1f ms", (double)ns / 1e6);
	else
		(void)snprintf(text, MEASURE_TEXT_MAX, "%.1f s", (double)ns / 1e9);
	return text;
}

void measure_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		measure_die(path);
	}
	memcpy(address->sun_path, path, strlen(path));
}

int measure_try(const struct sockaddr_un *address)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		measure_die("socket");
	return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* The server closes what it accepts: the end of file is its answer. */
static enum measure_client await_close(int fd, uint64_t cap_ns)
{
	struct timeval cap = { (time_t)(cap_ns / NSEC_PER_SEC),
			       (suseconds_t)(cap_ns % NSEC_PER_SEC / NSEC_PER_USEC) };
	char byte;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &cap, sizeof(cap));
	return read(fd, &byte, 1) == 0 || errno == ECONNRESET ? MEASURE_SERVED : MEASURE_UNSERVED;
}

enum measure_client measure_reconnect(const struct sockaddr_un *address, uint64_t cap_ns,
				      uint64_t *ret_ns)
{
	_cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begin = measure_now_ns();

	if (fd < 0)
		measure_die("socket");
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		if (measure_now_ns() - begin > cap_ns)
			return MEASURE_LOST;
	*ret_ns = measure_now_ns();
	return await_close(fd, cap_ns);
}
