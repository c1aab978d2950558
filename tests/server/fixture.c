#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void on_log(enum kedge_server_event event, const char *line, void *userdata)
{
	struct fixture *f = userdata;
	size_t n = strlen(f->log);

	(void)event;
	(void)snprintf(f->log + n, sizeof(f->log) - n, "%s\n", line);
}

static void on_open(uint64_t client, const struct kedge_peer *peer, void *userdata)
{
	struct fixture *f = userdata;

	assert_int_equal(peer->pid, getpid());
	f->last_opened = client;
	f->opened++;
}

static void on_close(uint64_t client, void *userdata)
{
	struct fixture *f = userdata;

	f->last_closed = client;
	f->closed++;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/kedge srv-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir) || uv_loop_init(&f->loop) < 0)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/s.sock", f->dir);
	f->options = (struct kedge_server_options){ .size = sizeof(f->options),
						    .on_log = on_log,
						    .on_open = on_open,
						    .on_close = on_close,
						    .userdata = f };
	f->listen = (struct kedge_listen_options){ .size = sizeof(f->listen) };
	*state = f;
	return 0;
}

static void on_stopped(void *userdata)
{
	((struct fixture *)userdata)->stopped = true;
}

static void close_all(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->server && !f->stopped)
		kedge_server_stop(f->server, 0, on_stopped, f);
	f->server = kedge_server_free(f->server);
	(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	uv_walk(&f->loop, close_all, NULL);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&f->loop) < 0 || rmdir(f->dir) < 0)
		return -1;
	free(f);
	return 0;
}

void serve(struct fixture *f, const struct kedge_method *methods, size_t count)
{
	struct kedge_error error = KEDGE_ERROR_INIT;

	if (kedge_server_new(&f->server, &f->loop, &f->options, &error) < 0 ||
	    kedge_server_add_methods(f->server, methods, count) < 0 ||
	    kedge_server_listen(f->server, f->path, &f->listen, &error) < 0)
		fail_msg("no server: %s", error.text);
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void on_tick_closed(uv_handle_t *handle)
{
	*(bool *)handle->data = true;
}

/* The long run of the streams may take longer. */
static uint64_t cap_ns(void)
{
	const char *mb = getenv("KEDGE_STREAM_MB");
	uint64_t factor = 1 + (mb ? (uint64_t)atoi(mb) / 1024 : 0);

	return factor * CAP_MS * 1000000;
}

void run_until(struct fixture *f, bool (*condition)(void *arg), void *arg)
{
	uint64_t end_ns = uv_hrtime() + cap_ns();
	bool closed = false;
	uv_timer_t tick;

	/* So that a condition that no event brings about is looked at as well. */
	(void)uv_timer_init(&f->loop, &tick);
	tick.data = &closed;
	(void)uv_timer_start(&tick, on_tick, 1, 1);
	while (!condition(arg)) {
		(void)uv_run(&f->loop, UV_RUN_ONCE);
		if (uv_hrtime() > end_ns)
			fail_msg("never came true; the log: %s", f->log);
	}
	uv_close((uv_handle_t *)&tick, on_tick_closed);
	while (!closed)
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

bool counter_reached(void *arg)
{
	const struct counter_wanted *wanted = arg;

	return *wanted->counter >= wanted->value;
}

void client_connect(struct peer_client *c, struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*c = (struct peer_client){ .f = f, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(strlen(f->path) < sizeof(address.sun_path));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

void client_close_end(struct peer_client *c)
{
	c->fd = fd_close(c->fd);
	buf_deinit(&c->in);
}

struct writing {
	struct peer_client *c;
	const char *data;
	size_t size;
};

static bool write_some(void *arg)
{
	struct writing *w = arg;
	ssize_t n = send(w->c->fd, w->data, w->size, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		w->c->over = true;
		return true;
	}
	if (n > 0) {
		w->data += n;
		w->size -= (size_t)n;
	}
	return w->size == 0;
}

void client_write(struct peer_client *c, const void *data, size_t size)
{
	struct writing w = { c, data, size };

	if (size && !write_some(&w))
		run_until(c->f, write_some, &w);
}

void client_say(struct peer_client *c, const char *text)
{
	client_write(c, text, strlen(text));
}

void client_frame(struct peer_client *c, const void *data, size_t size)
{
	unsigned char header[4] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
				    (unsigned char)(size >> 8), (unsigned char)size };

	client_write(c, header, sizeof(header));
	client_write(c, data, size);
}

size_t client_take(struct peer_client *c, size_t most)
{
	ssize_t n;

	assert_int_equal(buf_reserve(&c->in, most), 0);
	n = recv(c->fd, c->in.data + c->in.end, most, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->over = true;
	if (n > 0)
		c->in.end += (size_t)n;
	return n > 0 ? (size_t)n : 0;
}

static bool has_line(void *arg)
{
	struct peer_client *c = arg;

	(void)client_take(c, 65536);
	return c->over || (buf_size(&c->in) && memchr(buf_front(&c->in), '\n', buf_size(&c->in)));
}

char *client_line(struct peer_client *c)
{
	char *front, *end, *line;

	run_until(c->f, has_line, c);
	front = buf_front(&c->in);
	end = buf_size(&c->in) ? memchr(front, '\n', buf_size(&c->in)) : NULL;
	if (!end)
		return NULL;
	line = strndup(front, (size_t)(end - front));
	buf_consume(&c->in, (size_t)(end - front) + 1);
	return line;
}

static size_t frame_size(const struct peer_client *c)
{
	const unsigned char *p = (const unsigned char *)buf_front(&c->in);

	return ((size_t)p[0] << 24) | ((size_t)p[1] << 16) | ((size_t)p[2] << 8) | p[3];
}

static bool has_frame(void *arg)
{
	struct peer_client *c = arg;

	(void)client_take(c, 65536);
	return c->over || (buf_size(&c->in) >= 4 && buf_size(&c->in) - 4 >= frame_size(c));
}

char *client_take_frame(struct peer_client *c, size_t *ret_size)
{
	size_t size;
	char *data;

	run_until(c->f, has_frame, c);
	if (buf_size(&c->in) < 4 || buf_size(&c->in) - 4 < frame_size(c))
		return NULL;
	size = frame_size(c);
	data = malloc(size + 1);
	assert_non_null(data);
	memcpy(data, buf_front(&c->in) + 4, size);
	data[size] = '\0';
	buf_consume(&c->in, size + 4);
	*ret_size = size;
	return data;
}

static bool is_over(void *arg)
{
	struct peer_client *c = arg;

	while (!c->over && client_take(c, 65536))
		;
	return c->over;
}

void client_wait_over(struct peer_client *c)
{
	run_until(c->f, is_over, c);
}

void assert_line(struct peer_client *c, const char *wanted)
{
	_cleanup_(freep) char *line = client_line(c);

	assert_non_null(line);
	assert_string_equal(line, wanted);
}

size_t hwm_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	size_t kib = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %zu", &kib) == 1)
			break;
	(void)fclose(file);
	return kib;
}
