#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "cmd/call.h"
#include "sys/clock.h"

/* Often enough for an eye. */
#define DRAW_NS   (NSEC_PER_SEC / 10)
#define BAR_WIDTH 30

void progress_begin(struct progress *p, uint64_t total)
{
	*p = (struct progress){ .shown = isatty(STDERR_FILENO) == 1,
				.total = total,
				.begin_ns = monotonic_ns() };
}

static const char *scaled(double bytes, double *ret)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t i = 0;

	for (*ret = bytes; *ret >= 1024 && i < ARRAY_SIZE(units) - 1; i++)
		*ret /= 1024;
	return units[i];
}

static void draw(const struct progress *p, uint64_t now)
{
	double seconds = (double)(now - p->begin_ns) / (double)NSEC_PER_SEC;
	double part = p->total ? (double)p->done / (double)p->total : 0;
	double done, speed, total;
	const char *done_unit = scaled((double)p->done, &done);
	const char *speed_unit = scaled(seconds > 0 ? (double)p->done / seconds : 0, &speed);
	const char *total_unit = scaled((double)p->total, &total);
	char bar[BAR_WIDTH + 1];

	if (!p->total) {
		(void)fprintf(stderr, "\r%.1f %s  %.1f %s/s \033[K", done, done_unit, speed,
			      speed_unit);
		return;
	}
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < (int)(part * BAR_WIDTH) ? '=' : ' ';
	bar[BAR_WIDTH] = '\0';
	(void)fprintf(stderr, "\r[%s] %3.0f %%  %.1f %s of %.1f %s  %.1f %s/s \033[K", bar,
		      part * 100, done, done_unit, total, total_unit, speed, speed_unit);
}

void progress_move(struct progress *p, uint64_t bytes)
{
	uint64_t now;

	p->done += bytes;
	if (!p->shown)
		return;
	now = monotonic_ns();
	if (now - p->drawn_ns < DRAW_NS)
		return;
	p->drawn_ns = now;
	draw(p, now);
}

void progress_end(struct progress *p)
{
	if (p->shown && p->drawn_ns)
		(void)fputs("\r\033[K", stderr);
	p->shown = false;
}

/* A file of our own beside @o->path; it gets the mode of the one that it replaces. */
static int open_part(struct output *o, const struct stat *before)
{
	if (asprintf(&o->part, "%s.part-%d", o->path, (int)getpid()) < 0) {
		o->part = NULL;
		return -ENOMEM;
	}
	o->fd = open(o->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (o->fd < 0) {
		int error = -errno;

		free(o->part);
		o->part = NULL;
		return error;
	}
	if (before && fchmod(o->fd, before->st_mode & 0777) < 0)
		return -errno;
	return 0;
}

int output_open(struct output *o, const char *path)
{
	struct stat st;

	*o = (struct output){ .fd = STDOUT_FILENO };
	if (!path)
		return 0;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return -errno;
		o->path = strdup(path);
		return o->path ? open_part(o, NULL) : -ENOMEM;
	}
	if (S_ISREG(st.st_mode)) {
		o->path = realpath(path, NULL);
		return o->path ? open_part(o, &st) : -errno;
	}
	o->fd = open(path, O_WRONLY | O_CLOEXEC);
	return o->fd < 0 ? -errno : 0;
}

int output_write(struct output *o, struct kedge_span bytes)
{
	while (bytes.size && !o->error) {
		ssize_t n = write(o->fd, bytes.data, bytes.size);

		if (n < 0 && errno != EINTR)
			o->error = -errno;
		if (n > 0) {
			bytes.data += n;
			bytes.size -= (size_t)n;
		}
	}
	return o->error;
}

static void forget(struct output *o)
{
	if (o->fd > STDERR_FILENO)
		fd_close(o->fd);
	free(o->part);
	free(o->path);
	*o = (struct output){ .fd = -EBADF };
}

int output_finish(struct output *o)
{
	int error = o->error;

	/* What a full disk or a remote one has to say comes no later than this. */
	if (!error && o->part && (fsync(o->fd) < 0 || rename(o->part, o->path) < 0))
		error = -errno;
	if (error)
		output_abandon(o);
	else
		forget(o);
	return error;
}

void output_abandon(struct output *o)
{
	if (o->part)
		(void)unlink(o->part);
	forget(o);
}
