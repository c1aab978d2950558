#include "loop/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* A line of server_log(). */
#define LOG_LINE_MAX 256

uint64_t loop_now_ns(void)
{
	return uv_hrtime();
}

void server_log(struct kedge_server *s, enum kedge_server_event event, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;

	if (!s->options.on_log)
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	s->options.on_log(event, line, s->options.userdata);
}

/* The life of a server. */

void server_handle_opened(struct kedge_server *s)
{
	s->handles++;
}

static void server_free(struct kedge_server *s)
{
	posts_deinit(s);
	methods_deinit(s);
	map_deinit(&s->by_id);
	s->spares = kedge_conn_spares_free(s->spares);
	for (size_t i = 0; i < s->path_count; i++)
		free(s->paths[i]);
	free(s->paths);
	free(s->users);
	free(s->groups);
	(void)pthread_mutex_destroy(&s->post_lock);
	free(s);
}

void server_handle_closed(struct kedge_server *s)
{
	if (--s->handles == 0 && s->freed)
		server_free(s);
}

static void on_closed(uv_handle_t *handle)
{
	server_handle_closed(handle->data);
}

static void on_event(const struct kedge_event *event, void *userdata)
{
	struct kedge_server *s = userdata;

	if (s->options.guard.on_event)
		s->options.guard.on_event(event, s->options.guard.userdata);
}

/* Retired listeners are served on: whoever waits in their queue is a client like others. */
static void on_listener(const char *path, int new_fd, int old_fd, void *userdata)
{
	struct kedge_server *s = userdata;

	(void)path;
	if (new_fd < 0)
		door_close(s, old_fd);
	else if (door_open(s, new_fd) < 0)
		server_log(s, KEDGE_SERVER_ACCEPT_FAILED, "cannot watch a new listener");
}

static void *copy_array(const void *from, size_t bytes)
{
	void *to = bytes ? malloc(bytes) : NULL;

	if (to)
		memcpy(to, from, bytes);
	return to;
}

static int copy_allow(struct kedge_server *s)
{
	struct kedge_allow *a = &s->options.allow;

	s->users = copy_array(a->users, a->user_count * sizeof(uid_t));
	s->groups = copy_array(a->groups, a->group_count * sizeof(gid_t));
	if ((a->user_count && !s->users) || (a->group_count && !s->groups))
		return -ENOMEM;
	a->users = s->users;
	a->groups = s->groups;
	return 0;
}

static int open_guard(struct kedge_server *s)
{
	struct kedge_guard_options guard = s->options.guard;

	guard.size = sizeof(guard);
	guard.on_event = on_event;
	guard.on_listener = on_listener;
	guard.userdata = s;
	return kedge_guard_new(&s->guard, &guard);
}

static int open_handles(struct kedge_server *s)
{
	int r = uv_async_init(s->loop, &s->async, on_posted);

	if (r < 0)
		return r;
	s->async.data = s->accept_timer.data = s->stop_timer.data = s;
	s->timing_timer.data = s->prepare.data = s->idle.data = s;
	server_handle_opened(s);
	uv_unref((uv_handle_t *)&s->async);
	(void)uv_timer_init(s->loop, &s->accept_timer);
	server_handle_opened(s);
	(void)uv_timer_init(s->loop, &s->stop_timer);
	server_handle_opened(s);
	(void)uv_timer_init(s->loop, &s->timing_timer);
	server_handle_opened(s);
	uv_unref((uv_handle_t *)&s->timing_timer);
	(void)uv_prepare_init(s->loop, &s->prepare);
	server_handle_opened(s);
	uv_unref((uv_handle_t *)&s->prepare);
	(void)uv_idle_init(s->loop, &s->idle);
	server_handle_opened(s);
	uv_unref((uv_handle_t *)&s->idle);
	return 0;
}

static void close_handles(struct kedge_server *s)
{
	if (s->handles == 0)
		return;
	uv_close((uv_handle_t *)&s->async, on_closed);
	uv_close((uv_handle_t *)&s->accept_timer, on_closed);
	uv_close((uv_handle_t *)&s->stop_timer, on_closed);
	uv_close((uv_handle_t *)&s->timing_timer, on_closed);
	uv_close((uv_handle_t *)&s->prepare, on_closed);
	uv_close((uv_handle_t *)&s->idle, on_closed);
}

static int server_open(struct kedge_server *s)
{
	int r = copy_allow(s);

	s->spares = kedge_conn_spares_new();
	if (!s->spares)
		r = -ENOMEM;
	if (r == 0)
		r = open_guard(s);
	if (r == 0)
		r = open_handles(s);
	if (r == 0) {
		r = guarding_open(s);
		if (r < 0)
			close_handles(s);
	}
	return r;
}

int kedge_server_new(struct kedge_server **ret_server, uv_loop_t *loop,
		     const struct kedge_server_options *options, struct kedge_error *error)
{
	struct kedge_server *s;
	int r;

	if (!options || options->size < sizeof(*options))
		return error_set(error, -EINVAL, "the size of the options is not set");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(error, -ENOMEM, "out of memory");
	s->loop = loop;
	s->options = *options;
	if (!s->options.clients_max)
		s->options.clients_max = KEDGE_CLIENTS_DEFAULT;
	list_init(&s->clients);
	list_init(&s->doors);
	list_init(&s->dirty);
	list_init(&s->posts);
	list_init(&s->posts_taken);
	for (int i = 0; i < TIMING_MAX_; i++)
		list_init(&s->timing[i]);
	(void)pthread_mutex_init(&s->post_lock, NULL);
	r = server_open(s);
	if (r < 0) {
		s->guard = kedge_guard_free(s->guard);
		s->freed = true;
		if (s->handles == 0)
			server_free(s);
		return error_set(error, r, "no server: %s", error_words(r));
	}
	*ret_server = s;
	return 0;
}

static int note_path(struct kedge_server *s, const char *path)
{
	char **paths = realloc(s->paths, (s->path_count + 1) * sizeof(char *));

	if (!paths)
		return -ENOMEM;
	s->paths = paths;
	s->paths[s->path_count] = strdup(path);
	return s->paths[s->path_count] ? (s->path_count++, 0) : -ENOMEM;
}

int kedge_server_listen(struct kedge_server *server, const char *path,
			const struct kedge_listen_options *options, struct kedge_error *error)
{
	int fd, r;

	if (server->stopping)
		return error_set(error, -ESHUTDOWN, "the server is stopping");
	r = kedge_guard_listen(server->guard, path, options, &fd, error);
	if (r < 0)
		return r;
	r = note_path(server, path);
	if (r == 0)
		r = door_open(server, fd);
	if (r < 0) {
		(void)kedge_guard_close(server->guard, path);
		return error_set(error, r, "cannot serve %s: %s", path, error_words(r));
	}
	guarding_plan(server);
	return 0;
}

void server_check_stopped(struct kedge_server *s)
{
	void (*on_done)(void *userdata) = s->on_done;

	if (!s->stopping || s->closed || s->client_count > 0)
		return;
	s->closed = true;
	posts_close(s);
	guarding_close(s);
	s->guard = kedge_guard_free(s->guard);
	close_handles(s);
	s->on_done = NULL;
	if (on_done)
		on_done(s->done_userdata);
}

/* One whose handler asked for the stop ends with its own turn. */
static struct client *first_not_busy(const struct kedge_server *s)
{
	list_for_each (it, &s->clients)
		if (!list_entry(it, struct client, link)->busy)
			return list_entry(it, struct client, link);
	return NULL;
}

static void cut_off(struct kedge_server *s)
{
	struct client *c;

	/* From the front each time: an on_close may close others. */
	while ((c = first_not_busy(s)))
		client_close(c);
	list_for_each (it, &s->clients) {
		list_entry(it, struct client, link)->doomed = true;
		client_mark(list_entry(it, struct client, link));
	}
	server_check_stopped(s);
}

static void on_stop_timer(uv_timer_t *timer)
{
	cut_off(timer->data);
}

/* No more clients: whoever comes now finds no path, and not one that nobody answers at. */
static void close_paths(struct kedge_server *s)
{
	doors_close(s);
	for (size_t i = 0; i < s->path_count; i++)
		(void)kedge_guard_close(s->guard, s->paths[i]);
}

void kedge_server_stop(struct kedge_server *server, unsigned grace_ms,
		       void (*on_done)(void *userdata), void *userdata)
{
	if (server->closed)
		return;
	if (on_done) {
		server->on_done = on_done;
		server->done_userdata = userdata;
	}
	if (!server->stopping) {
		server->stopping = true;
		close_paths(server);
	}
	list_for_each (it, &server->clients) {
		struct client *c = list_entry(it, struct client, link);

		c->busy++;
		kedge_conn_drain(c->conn);
		c->busy--;
		client_mark(c);
	}
	if (!server->closed && grace_ms)
		(void)uv_timer_start(&server->stop_timer, on_stop_timer, grace_ms, 0);
	else if (!server->closed)
		cut_off(server);
	server_check_stopped(server);
}

struct kedge_server *kedge_server_free(struct kedge_server *server)
{
	if (!server)
		return NULL;
	if (!server->closed)
		kedge_server_stop(server, 0, NULL, NULL);
	server->freed = true;
	if (server->handles == 0)
		server_free(server);
	return NULL;
}

struct kedge_guard *kedge_server_guard(struct kedge_server *server)
{
	return server->guard;
}
