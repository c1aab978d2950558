#include "cmd/served.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "kedge/endpoint.h"

/* What no file system takes. Said before directories are made on the way to it. */
static int check_length(const char *path, struct kedge_error *error)
{
	size_t size = strlen(path);

	if (size >= PATH_MAX)
		return error_set(error, -ENAMETOOLONG,
				 "the socket %.100s...: %zu bytes, no more than %d are allowed",
				 path, size, PATH_MAX - 1);
	for (const char *p = path; *p; p += strcspn(p, "/")) {
		p += strspn(p, "/");
		if (strcspn(p, "/") > NAME_MAX)
			return error_set(error, -ENAMETOOLONG,
					 "the socket %.100s...: '%.40s...' has %zu bytes, no more "
					 "than %d are allowed",
					 path, p, strcspn(p, "/"), NAME_MAX);
	}
	return 0;
}

static bool ends_in_no_name(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int served_find_path(struct served *s, struct kedge_error *error)
{
	int r;

	if (s->settings.socket) {
		s->path = strdup(s->settings.socket);
		if (!s->path)
			return error_set(error, -ENOMEM, "out of memory");
	} else {
		r = kedge_endpoint_resolve(s->service->name, s->workspace, &s->path, NULL, error);
		if (r < 0)
			return r;
	}
	if (s->path[0] != '/')
		return error_set(error, -EINVAL, "the socket '%s': an absolute path is needed",
				 s->path);
	if (ends_in_no_name(s->path))
		return error_set(error, -EINVAL, "the socket %s: it ends in no name", s->path);
	return check_length(s->path, error);
}

/* What the server tells. */

static void on_event(const struct kedge_event *event, void *userdata)
{
	struct served *s = userdata;

	account_note(s->account, event, NULL);
	if (event->kind == KEDGE_EVENT_RECOVERED && s->state && s->service->path_back)
		s->service->path_back(s->state);
}

static void on_server_log(enum kedge_server_event event, const char *line, void *userdata)
{
	struct served *s = userdata;

	log_line(s->log,
		 event == KEDGE_SERVER_ACCEPT_RECOVERED ? KEDGE_LOG_INFO : KEDGE_LOG_WARNING,
		 "%s: %s", s->path, line);
}

static void on_service_log(enum kedge_log_level level, const char *line, void *userdata)
{
	struct served *s = userdata;

	log_line(s->log, level, "%s: %s", s->service->name, line);
}

/* A service that has not started yet, or has stopped, knows of no clients. */

static void on_open(uint64_t client, const struct kedge_peer *peer, void *userdata)
{
	struct served *s = userdata;

	if (s->state && s->service->on_open)
		s->service->on_open(client, peer, s->state);
}

static void on_close(uint64_t client, void *userdata)
{
	struct served *s = userdata;

	if (s->state && s->service->on_close)
		s->service->on_close(client, s->state);
	if (s->forward)
		forward_client_closed(s->forward, client);
}

static void on_answer(uint64_t client, const struct kedge_conn_answer *answer, void *userdata)
{
	struct served *s = userdata;

	if (s->state && s->service->on_answer)
		s->service->on_answer(client, answer, s->state);
}

static const struct kedge_method *fallback(const struct kedge_call *call, void *userdata)
{
	struct served *s = userdata;

	return forward_call(s->forward, call);
}

/* Its life. */

static struct kedge_conn_limits limits_of(const struct server_settings *s)
{
	return (struct kedge_conn_limits){
		.message_bytes_max = (size_t)s->message_bytes_max,
		.depth_max = (unsigned)s->depth_max,
		.in_flight_max = (unsigned)s->in_flight_max,
		.output_bytes_high = (size_t)s->output_bytes_high,
		.output_bytes_max = (size_t)s->output_bytes_max,
	};
}

static int open_server(struct served *s, struct kedge_error *error)
{
	const struct server_settings *o = &s->settings;
	struct kedge_server_options options = {
		.size = sizeof(options),
		.guard = { .interval_ms = o->interval_ms,
			   .anchor_dir = o->anchor_dir,
			   .on_event = on_event,
			   .userdata = s },
		.limits = limits_of(o),
		.protocol = s->service->protocol,
		.call_prefix = s->service->call_prefix,
		.clients_max = (unsigned)o->clients_max,
		.allow = { o->users.ids, o->users.count, o->groups.ids, o->groups.count },
		.first_byte_ms = (unsigned)o->first_byte_ms,
		.idle_ms = (unsigned)o->idle_ms,
		.stalled_ms = (unsigned)o->stalled_ms,
		.fallback = o->forward.count ? fallback : NULL,
		.fallback_upload = KEDGE_UPLOAD_STREAM,
		.on_log = on_server_log,
		.on_open = on_open,
		.on_close = on_close,
		.on_answer = on_answer,
		.userdata = s,
	};
	struct kedge_listen_options listen = { .size = sizeof(listen), .mode = (mode_t)o->mode };
	int r = kedge_server_new(&s->server, s->loop, &options, error);

	if (r == 0)
		r = kedge_ensure_socket_dir(s->path, error);
	return r < 0 ? r : kedge_server_listen(s->server, s->path, &listen, error);
}

static int open_forward(struct served *s, const struct service_context *context,
			struct kedge_error *error)
{
	const struct forward_list *list = &s->settings.forward;
	int r = list->count
			? forward_new(&s->forward, context, s->path, s->service->protocol, error)
			: 0;

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = forward_add(s->forward, list->rules[i].prefix, list->rules[i].socket, error);
	return r;
}

static void note_socket(struct served *s)
{
	struct service_shared *shared = s->shared;

	shared->sockets[shared->socket_count++] = (struct service_socket){ s->service->name,
									   s->path, s->server };
}

int served_open(struct served *s, struct kedge_error *error)
{
	struct service_context context = { .loop = s->loop,
					   .shared = s->shared,
					   .workspace = s->workspace,
					   .log = on_service_log,
					   .log_userdata = s };
	int r = open_server(s, error);

	context.server = s->server;
	/* Whoever connects meanwhile waits in the queue: the loop does not run yet. */
	if (r == 0)
		r = open_forward(s, &context, error);
	if (r == 0)
		r = s->service->start(&context, &s->state, error);
	if (r == 0)
		note_socket(s);
	return r;
}

/* The socket is gone from what the other services show. */
static void forget_socket(struct served *s)
{
	struct service_shared *shared = s->shared;

	for (size_t i = 0; i < shared->socket_count; i++)
		if (shared->sockets[i].server == s->server)
			shared->sockets[i] = shared->sockets[--shared->socket_count];
}

static void close_parts(struct served *s)
{
	if (s->state)
		s->service->stop(s->state);
	s->state = NULL;
	s->forward = forward_free(s->forward);
}

static void on_stopped(void *userdata)
{
	struct served *s = userdata;

	close_parts(s);
	forget_socket(s);
	s->server = kedge_server_free(s->server);
	s->on_stopped(s->userdata);
}

void served_stop(struct served *s, unsigned grace_ms)
{
	if (!s->server)
		return;
	if (s->service->stopping && s->state && !s->stopping)
		s->service->stopping(s->state);
	s->stopping = true;
	kedge_server_stop(s->server, grace_ms, on_stopped, s);
}

void served_close(struct served *s)
{
	if (s->server)
		kedge_server_stop(s->server, 0, NULL, NULL);
	close_parts(s);
	s->server = kedge_server_free(s->server);
	free(s->path);
	s->path = NULL;
}
