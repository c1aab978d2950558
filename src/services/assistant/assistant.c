/* The assistant's server: its table of methods, and its life. */
#include "services/assistant/assistant.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

static void get_route_schema(const struct kedge_call *call, void *userdata);

static const struct route routes[] = {
	{ "health", "GET", assistant_health },
	{ "healthz", "GET", assistant_health },
	{ "get_route_schema", "GET", get_route_schema },
	{ "cache_set", "POST", assistant_cache_set },
	{ "cache_get", "POST", assistant_cache_get },
	{ "cache_delete", "POST", assistant_cache_delete },
	{ "sockets_status", "GET", assistant_sockets_status },
	{ "sockets_events", "GET", assistant_sockets_events, assistant_events_cancelled,
	  assistant_events_writable },
	{ "metrics", "GET", assistant_metrics },
	{ "skill_tools_list", "GET", assistant_skill_tools_list, assistant_skill_cancelled },
	{ "skill_dispatch_tool", "POST", assistant_skill_dispatch_tool, assistant_skill_cancelled },
	{ "skill_dispatch_route", "POST", assistant_skill_dispatch_route,
	  assistant_skill_cancelled },
	{ "skill_events_publish", "POST", assistant_skill_events_publish,
	  assistant_skill_cancelled },
	{ "echo", "POST", service_echo },
	{ "echo_binary", "POST", assistant_echo_binary },
	{ "echo_stream", "POST", assistant_echo_stream, assistant_echo_cancelled,
	  assistant_echo_writable },
	{ "echo_error", "POST", assistant_echo_error },
};

/* An operation's place below the root of a gateway that speaks HTTP: cache_set is
 * cache/set. */
static int append_endpoint(struct buf *b, const char *name)
{
	int r = 0;

	for (; r == 0 && *name; name++)
		r = buf_append(b, *name == '_' ? "/" : name, 1);
	return r;
}

static int append_route(struct buf *b, const struct route *route)
{
	int r = buf_appendf(b, "{\"operationId\":\"%s\",\"endpoint\":\"", route->name);

	if (r == 0)
		r = append_endpoint(b, route->name);
	return r < 0 ? r : buf_appendf(b, "\",\"method\":\"%s\",\"policy\":null}", route->http);
}

static void get_route_schema(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	int r = buf_append(&b, "[", 1);

	(void)userdata;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(routes); i++) {
		if (i)
			r = buf_append(&b, ",", 1);
		if (r == 0)
			r = append_route(&b, &routes[i]);
	}
	if (r == 0)
		r = buf_append(&b, "]", 1);
	service_reply(call, &b, r);
}

static int add_methods(struct assistant *a)
{
	a->methods = calloc(ARRAY_SIZE(routes), sizeof(*a->methods));
	if (!a->methods)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		a->methods[i] = (struct kedge_method){ .name = routes[i].name,
						       .handler = routes[i].handler,
						       .userdata = a,
						       .on_cancel = routes[i].on_cancel,
						       .on_writable = routes[i].on_writable };
	return kedge_server_add_methods(a->context.server, a->methods, ARRAY_SIZE(routes));
}

static void assistant_stopping(void *state)
{
	events_end(state);
}

static void assistant_stop(void *state)
{
	struct assistant *a = state;

	events_close(a);
	echo_close(a);
	cache_deinit(&a->cache);
	free(a->methods);
	free(a);
}

static int assistant_start(const struct service_context *context, void **ret_state,
			   struct kedge_error *error)
{
	struct assistant *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return error_set(error, -ENOMEM, "out of memory");
	a->context = *context;
	cache_init(&a->cache);
	events_open(a);
	r = echo_open(a);
	if (r == 0)
		r = add_methods(a);
	if (r < 0) {
		assistant_stop(a);
		return error_set(error, r, "the assistant: %s", error_words(r));
	}
	*ret_state = a;
	return 0;
}

const struct service assistant_service = {
	.name = "assistant",
	.example = "health",
	.protocol = KEDGE_PROTOCOL_FRAMES,
	.start = assistant_start,
	.stopping = assistant_stopping,
	.stop = assistant_stop,
};
