/*
 * How many requests go through a connection that has no socket: bytes in, envelope, echo,
 * bytes out. What it costs beside the kernel. CPU time, so that others do not matter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kedge/conn.h"
#include "measure.h"

#define ROW_NS 700000000u

/* Requests that come in one read, as with pipelining. */
#define BATCH 64

#define TEXT_MAX 8192

struct row {
	const char *name;
	enum kedge_protocol protocol;
	size_t payload; /* bytes of params */
	int batch;
	bool later; /* answered after the read, by ticket */
};

static const struct row rows[] = {
	{ "lines, 64 B", KEDGE_PROTOCOL_LINES, 64, BATCH, false },
	{ "lines, 64 B, later", KEDGE_PROTOCOL_LINES, 64, BATCH, true },
	{ "lines, 64 B, one a read", KEDGE_PROTOCOL_LINES, 64, 1, false },
	{ "lines, 4 KiB", KEDGE_PROTOCOL_LINES, 4096, BATCH, false },
	{ "frames, 64 B", KEDGE_PROTOCOL_FRAMES, 64, BATCH, false },
	{ "frames, 64 B, later", KEDGE_PROTOCOL_FRAMES, 64, BATCH, true },
	{ "frames, 64 B, one a read", KEDGE_PROTOCOL_FRAMES, 64, 1, false },
	{ "frames, 4 KiB", KEDGE_PROTOCOL_FRAMES, 4096, BATCH, false },
};

struct echo {
	bool later;
	uint64_t tickets[BATCH];
	int count;
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_request(struct kedge_conn *conn, const struct kedge_request *request, void *userdata)
{
	struct echo *echo = userdata;

	if (echo->later)
		echo->tickets[echo->count++] = request->ticket;
	else
		(void)kedge_conn_reply(conn, request->ticket, request->params);
}

/* Text that a client would send: members, words, a number. */
static size_t make_params(char *to, size_t size)
{
	size_t n = (size_t)sprintf(to, "{\"conversationId\":\"c-1\",\"count\":17,\"text\":\"");

	while (n < size - 2)
		to[n] = "some words "[n % 11], n++;
	memcpy(to + n, "\"}", 2);
	return n + 2;
}

static size_t make_batch(const struct row *row, char *to)
{
	char text[TEXT_MAX], params[TEXT_MAX];
	size_t total = 0, size = make_params(params, row->payload);

	for (int i = 0; i < row->batch; i++) {
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "{\"id\":\"%d\",\"method\":\"echo\",\"params\":%.*s}",
					    1000000 + i, (int)size, params);

		if (row->protocol == KEDGE_PROTOCOL_FRAMES) {
			char header[4] = { 0, 0, (char)(n >> 8), (char)n };

			memcpy(to + total, header, 4);
			total += 4;
		} else {
			text[n++] = '\n';
		}
		memcpy(to + total, text, n);
		total += n;
	}
	return total;
}

static void turn(struct kedge_conn *conn, struct echo *echo, const char *in, size_t size)
{
	const void *out;
	size_t room, n;

	while (size) {
		void *to = kedge_conn_input(conn, &room);

		n = room < size ? room : size;
		memcpy(to, in, n);
		in += n;
		size -= n;
		if (kedge_conn_received(conn, n) < 0)
			measure_die("kedge_conn_received");
	}
	for (int i = 0; i < echo->count; i++)
		(void)kedge_conn_reply(conn, echo->tickets[i], kedge_span("{\"ok\":true}"));
	echo->count = 0;
	while (kedge_conn_output(conn, &out, &n))
		kedge_conn_sent(conn, n);
}

static void run(const struct row *row, char *in)
{
	struct echo echo = { .later = row->later };
	struct kedge_conn_options options = { .size = sizeof(options),
					      .protocol = row->protocol,
					      .handlers = { .on_request = on_request },
					      .userdata = &echo };
	uint64_t begin, now, count = 0;
	struct kedge_conn *conn;
	size_t size = make_batch(row, in);

	if (kedge_conn_new(&conn, &options) < 0)
		measure_die("kedge_conn_new");
	turn(conn, &echo, in, size);
	begin = cpu_ns();
	do {
		for (int i = 0; i < 1000; i++)
			turn(conn, &echo, in, size);
		count += 1000u * (unsigned)row->batch;
		now = cpu_ns();
	} while (now - begin < ROW_NS);
	printf("%-26s %6.0f ns  %6.2f M/s\n", row->name, (double)(now - begin) / (double)count,
	       (double)count * 1000 / (double)(now - begin));
	kedge_conn_free(conn);
}

int main(void)
{
	static char in[BATCH * TEXT_MAX];

	printf("%-26s %9s  %10s\n", "a request through a core", "CPU", "requests");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run(&rows[i], in);
	return 0;
}
