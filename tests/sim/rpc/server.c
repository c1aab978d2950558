/*
 * The server: its connections, and the loop's way with them, as loop/client.c has it.
 */
#include <errno.h>
#include <string.h>

#include "rpc/output.h"
#include "world.h"

/* Sends in one go. */
#define SENDS_MAX 4

/* Turns without an effect that may follow each other: what it polls for was changed by
 * something that happened outside of its turn. */
#define IDLE_TURNS_MAX 1

void server_start(void)
{
	world.user = &world.server;
	world.spares = world.profile.sharing ? kedge_conn_spares_new() : NULL;
	world.user = NULL;
}

struct seat *seat_enter(struct seat *s)
{
	struct seat *before = world.at;

	if (s->conn && !s->conn->dead)
		s->waiting_before = output_waiting(s->conn);
	world.at = s;
	world.user = &world.server;
	world.depth++;
	return before;
}

void seat_leave(struct seat *s, struct seat *before)
{
	s->touched = true;
	world.at = before;
	if (--world.depth == 0)
		world.user = NULL;
}

/* Whoever is connected there may lose the connection. */
static void excuse(struct seat *s)
{
	if (s->client->serial == s->serial)
		s->client->excused = true;
}

void seat_taint(struct seat *s)
{
	s->tainted = true;
	excuse(s);
}

struct seat *seat_by_serial(const struct job *j)
{
	return j->seat->wire && j->seat->serial == j->serial ? j->seat : NULL;
}

struct seat *seat_pick(void)
{
	struct seat *s = &world.seats[choose(SEATS_MAX)];

	for (unsigned i = 0; i < SEATS_MAX && !s->wire; i++)
		s = s + 1 < world.seats + SEATS_MAX ? s + 1 : world.seats;
	return s->wire ? s : NULL;
}

static void poll_for(struct seat *s)
{
	s->events = 0;
	if (kedge_conn_wants_input(s->conn))
		s->events |= POLL_READ;
	if (kedge_conn_output_bytes(s->conn))
		s->events |= POLL_WRITE;
}

static void on_output(struct kedge_conn *conn, void *userdata)
{
	struct seat *s = userdata;

	(void)conn;
	s->dirty = true;
}

struct seat *seat_open(struct client *c, struct wire *w)
{
	struct seat *s = &world.seats[w - world.wires];
	struct kedge_conn_options options = { .size = sizeof(options),
					      .limits = world.profile.limits,
					      .userdata = s,
					      .protocol = world.profile.protocol,
					      .call_prefix = world.profile.prefix,
					      .spares = world.spares };
	int r;

	handlers_fill(&options.handlers);
	options.handlers.on_output = on_output;
	memset(s, 0, sizeof(*s));
	s->client = c;
	s->serial = ++world.serial;
	c->serial = s->serial;
	r = ON_SEAT(s, kedge_conn_new(&s->conn, &options));
	if (r < 0) {
		wire_close_server(w);
		c->excused = true;
		return NULL;
	}
	s->wire = w;
	poll_for(s);
	return s;
}

static void seat_close(struct seat *s)
{
	trace("seat %d: closed%s", (int)(s - world.seats), s->tainted ? ", tainted" : "");
	s->doomed = true;
	excuse(s);
	(void)ON_SEAT(s, kedge_conn_free(s->conn));
	jobs_gone(s);
	wire_close_server(s->wire);
	s->conn = NULL;
	s->wire = NULL;
}

static bool is_framed(const struct seat *s)
{
	return world.profile.protocol == KEDGE_PROTOCOL_FRAMES && s->wire->first != '{';
}

/* Return: false: the client is gone. */
static bool send_some(struct seat *s, size_t *moved)
{
	const void *data;
	size_t size;

	for (int i = 0; i < SENDS_MAX && kedge_conn_output(s->conn, &data, &size); i++) {
		long n = pipe_write(&s->wire->down, data, size);

		if (n < 0)
			return n == -EAGAIN;
		if (s->client->temper != TEMPER_CALLER)
			witness_take(&s->wire->witness, is_framed(s), data, (size_t)n);
		*moved += (size_t)n;
		ON_SEAT(s, (kedge_conn_sent(s->conn, (size_t)n), 0));
		if ((size_t)n < size)
			break;
	}
	return true;
}

/* Whether it came to its end; by right, since a client loses what it still waits for. */
static bool is_over(struct seat *s)
{
	if (!kedge_conn_is_finished(s->conn))
		return false;
	if (s->conn->dead && world.profile.output_is_tight)
		seat_taint(s);
	if (s->open && !s->tainted)
		sim_fail("seat %d is finished with %u requests open", (int)(s - world.seats),
			 s->open);
	if (!s->eof && !s->tainted && s->conn->calls.count)
		sim_fail("seat %d is finished before its questions are answered",
			 (int)(s - world.seats));
	if (!s->eof && !s->drained && !s->tainted)
		sim_fail("seat %d is finished, and nobody ended it", (int)(s - world.seats));
	return true;
}

static void close_finished(struct seat *s)
{
	bool excused = s->client->excused;
	bool same = s->client->serial == s->serial;

	seat_close(s);
	/* An orderly end: everything was answered before. */
	if (same)
		s->client->excused = excused;
}

static void flush(struct seat *s, size_t *moved)
{
	bool there = send_some(s, moved);

	s->dirty = s->touched = false;
	if (there && !s->doomed && is_over(s))
		close_finished(s);
	else if (!there || s->doomed)
		seat_close(s);
	else
		poll_for(s);
}

/* Return: false: the client is gone, or the connection dead. */
static bool receive(struct seat *s, size_t *moved)
{
	size_t left = READ_BYTES_MAX;

	while (left && kedge_conn_wants_input(s->conn)) {
		size_t room = 0;
		void *to = ON_SEAT(s, kedge_conn_input(s->conn, &room));
		long n = to ? pipe_read(&s->wire->up, to, room < left ? room : left) : -ENOMEM;

		if (n < 0)
			return n == -EAGAIN && ON_SEAT(s, kedge_conn_received(s->conn, 0)) == 0;
		if (n == 0) {
			s->eof = true;
			++*moved;
			ON_SEAT(s, (kedge_conn_received_eof(s->conn), 0));
			return true;
		}
		s->heard = true;
		*moved += (size_t)n;
		if (ON_SEAT(s, kedge_conn_received(s->conn, (size_t)n)) < 0)
			return false;
		left -= (size_t)n < left ? (size_t)n : left;
	}
	return true;
}

/* Whoever polls for what is there and then does nothing with it spins. */
static void check_idle(struct seat *s, size_t moved)
{
	if (moved || s->wire->up.fluke || s->wire->down.fluke) {
		s->idle = 0;
		return;
	}
	if (++s->idle > IDLE_TURNS_MAX)
		sim_fail("seat %d spins", (int)(s - world.seats));
}

bool seat_turn(struct seat *s)
{
	bool read = (s->events & POLL_READ) && pipe_is_readable(&s->wire->up);
	bool write = (s->events & POLL_WRITE) && pipe_is_writable(&s->wire->down);
	bool there = true;
	size_t moved = 0;

	if (!s->events && !s->wire->client_open) {
		seat_close(s);
		return true;
	}
	if (!read && !write)
		return false;
	trace("    seat %d: %s%s, %zu bytes wait to be sent, %zu to be looked at",
	      (int)(s - world.seats), read ? "in" : "", write ? "out" : "", output_waiting(s->conn),
	      buf_size(&s->conn->in.buf));
	if (read)
		there = receive(s, &moved);
	if (!there && s->wire->client_open && !s->tainted && !world.profile.output_is_tight)
		sim_fail("seat %d died of nothing", (int)(s - world.seats));
	if (!there) {
		seat_close(s);
		return true;
	}
	flush(s, &moved);
	if (s->wire)
		check_idle(s, moved);
	return true;
}

bool server_flush(void)
{
	bool any = false;

	for (struct seat *s = world.seats; s < world.seats + SEATS_MAX; s++) {
		size_t moved = 0;

		if (!s->wire || (!s->dirty && !s->touched && !s->doomed))
			continue;
		any = true;
		s->idle = 0;
		if (s->dirty || s->doomed || is_over(s)) {
			flush(s, &moved);
			continue;
		}
		/* Reading may go on after each answer. Output that nobody has told of is not
		 * found here: on_output must. */
		s->touched = false;
		s->events &= ~POLL_READ;
		if (kedge_conn_wants_input(s->conn))
			s->events |= POLL_READ;
	}
	return any;
}

void server_stop(void)
{
	for (struct seat *s = world.seats; s < world.seats + SEATS_MAX; s++)
		if (s->wire)
			seat_close(s);
	world.user = &world.server;
	world.spares = kedge_conn_spares_free(world.spares);
	world.user = NULL;
}

void server_crash(void)
{
	trace("the server is killed");
	for (struct seat *s = world.seats; s < world.seats + SEATS_MAX; s++) {
		if (!s->wire)
			continue;
		seat_taint(s);
		wire_close_server(s->wire);
		s->wire = NULL;
		s->conn = NULL;
	}
	for (unsigned i = 0; i < world.job_count; i++)
		if (job_is_open(&world.jobs[i]))
			world.jobs[i].state = JOB_GONE;
	arena_forget(&world.server);
	world.spares = NULL;
	server_start();
}
