#include "wire.h"

#include <errno.h>
#include <string.h>

#include "world.h"

void wire_make(struct wire *w, size_t room)
{
	w->client_open = w->server_open = true;
	w->first = -1;
	w->lied = false;
	for (int i = 0; i < 2; i++) {
		struct pipe *p = i ? &w->up : &w->down;

		p->start = p->used = 0;
		p->room = room;
		p->ended = p->deaf = p->reset = p->fluke = false;
	}
	memset(&w->witness, 0, offsetof(struct witness, bytes));
}

/* How much of @n goes in one call: all of it, where nothing is amiss. */
static size_t cut(size_t n)
{
	static const size_t few[] = { 1, 2, 3, 4, 5, 7, 16, 63 };
	unsigned how;

	if (world.calm || !world.profile.cut)
		return n;
	how = choose(world.profile.cut);
	if (how == 0)
		return n;
	if (how == 1)
		return n > 1 ? 1 + choose((unsigned)(n < 60000 ? n : 60000)) : n;
	how = (how - 2) % 8;
	return n < few[how] ? n : few[how];
}

static bool is_fluke(struct pipe *p)
{
	p->fluke = !world.calm && world.profile.cut && choose(24) == 23;
	return p->fluke;
}

long pipe_write(struct pipe *p, const void *data, size_t n)
{
	size_t end = (p->start + p->used) % PIPE_BYTES_MAX, first;

	if (p->deaf)
		return -EPIPE;
	if (p->used >= p->room || is_fluke(p))
		return -EAGAIN;
	n = cut(n < p->room - p->used ? n : p->room - p->used);
	first = n < PIPE_BYTES_MAX - end ? n : PIPE_BYTES_MAX - end;
	memcpy(p->bytes + end, data, first);
	memcpy(p->bytes, (const char *)data + first, n - first);
	p->used += n;
	trace("    %zu bytes are sent, %zu are in the pipe", n, p->used);
	return (long)n;
}

long pipe_read(struct pipe *p, void *to, size_t room)
{
	size_t n = room < p->used ? room : p->used, first;

	if (!p->used)
		return p->reset ? -ECONNRESET : p->ended ? 0 : -EAGAIN;
	if (is_fluke(p))
		return -EAGAIN;
	n = cut(n);
	first = n < PIPE_BYTES_MAX - p->start ? n : PIPE_BYTES_MAX - p->start;
	memcpy(to, p->bytes + p->start, first);
	memcpy((char *)to + first, p->bytes, n - first);
	p->start = (p->start + n) % PIPE_BYTES_MAX;
	p->used -= n;
	trace("    %zu bytes are read, %zu are left", n, p->used);
	return (long)n;
}

bool pipe_is_readable(const struct pipe *p)
{
	return p->used || p->ended;
}

bool pipe_is_writable(const struct pipe *p)
{
	return p->deaf || p->used < p->room;
}

static void end(struct pipe *read, struct pipe *written)
{
	written->reset = read->used > 0;
	read->used = 0;
	read->deaf = true;
	written->ended = true;
}

void wire_close_client(struct wire *w)
{
	end(&w->down, &w->up);
	w->client_open = false;
}

void wire_close_server(struct wire *w)
{
	end(&w->up, &w->down);
	w->server_open = false;
}
