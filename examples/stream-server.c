/*
 * A server that streams: `count {"to":N}` sends the numbers from 1 to N, a line
 * each, as fast as the client takes them and no faster.
 *
 *	stream-server /run/user/1000/count.sock &
 *	kedge call /run/user/1000/count.sock count '{"to":1000000}' | tail -1
 *
 * Only root and members of the group `adm` may have the server count how many
 * streams are open: a row of the table says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/server.h>

/* One stream: what is left to say, and to whom. */
struct counting {
	struct counting *next;
	struct kedge_later later;
	unsigned long at, to;
};

static struct counting *countings;

/* Where a request's stream hangs in the list; where NULL hangs: there is none. */
static struct counting **find(struct kedge_later later)
{
	struct counting **at = &countings;

	while (*at && ((*at)->later.client != later.client || (*at)->later.ticket != later.ticket))
		at = &(*at)->next;
	return at;
}

static void on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct counting **at = find(later), *done = *at;

	(void)server;
	(void)userdata;
	if (done) {
		*at = done->next;
		free(done);
	}
}

/* Write until there is no room (then this is called again) or nothing left. */
static void on_writable(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	struct counting *c = *find(later);
	char text[32];
	int r = 0;

	while (c && r == 0 && c->at <= c->to) {
		(void)snprintf(text, sizeof(text), "%lu\n", c->at++);
		r = kedge_server_stream_write(server, later, kedge_span(text));
	}
	if (!c || r == 1)
		return;
	(void)kedge_server_stream_end(server, later);
	on_cancel(server, later, userdata);
}

static void count(const struct kedge_call *call, void *userdata)
{
	struct kedge_span to = kedge_call_param(call, "to");
	struct counting *c = calloc(1, sizeof(*c));

	/* JSON text; what is more than a number needs a JSON library here. */
	if (!c || !to.size || sscanf(to.data, "%lu", &c->to) != 1) {
		free(c);
		(void)kedge_call_refuse(call, 400, "Invalid params: to: expected a number");
		return;
	}
	c->later = call->later;
	c->at = 1;
	c->next = countings;
	countings = c;
	if (kedge_server_stream_begin(call->server, c->later, kedge_span("{}")) == 0)
		on_writable(call->server, c->later, userdata);
}

static void open_streams(const struct kedge_call *call, void *userdata)
{
	unsigned n = 0;
	char text[16];

	(void)userdata;
	for (const struct counting *c = countings; c; c = c->next)
		n++;
	(void)snprintf(text, sizeof(text), "%u", n);
	(void)kedge_call_reply(call, kedge_span(text));
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)number;
	kedge_server_stop(signal->data, 0, NULL, NULL);
	uv_close((uv_handle_t *)signal, NULL);
}

int main(int argc, char **argv)
{
	static const struct kedge_method methods[] = {
		{ .name = "count",
		  .handler = count,
		  .on_cancel = on_cancel,
		  .on_writable = on_writable },
		{ .name = "open_streams", .handler = open_streams, .group = "adm" },
	};
	struct kedge_server_options options = { .size = sizeof(options),
						.protocol = KEDGE_PROTOCOL_FRAMES,
						.stalled_ms = 60000 };
	struct kedge_error error = KEDGE_ERROR_INIT;
	uv_loop_t *loop = uv_default_loop();
	struct kedge_server *server;
	uv_signal_t signal;

	if (argc != 2 || kedge_server_new(&server, loop, &options, &error) < 0 ||
	    kedge_server_add_methods(server, methods, 2) < 0 ||
	    kedge_server_listen(server, argv[1], NULL, &error) < 0) {
		(void)fprintf(stderr, "stream-server PATH: %s\n", error.text);
		return 1;
	}
	(void)uv_signal_init(loop, &signal);
	signal.data = server;
	(void)uv_signal_start(&signal, on_signal, SIGTERM);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	(void)kedge_server_free(server);
	return uv_run(loop, UV_RUN_DEFAULT);
}
