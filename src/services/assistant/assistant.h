/* What the assistant's groups of methods share. */
#pragma once

#include "base/buf.h"
#include "base/heap.h"
#include "base/map.h"
#include "services/assistant/cache.h"
#include "services/ledger.h"
#include "services/service.h"

struct assistant {
	struct service_context context;
	struct kedge_method *methods;
	struct cache cache;

	/* echo.c: streams that are being sent */
	struct map echoes;    /* struct open of struct echo_stream */
	struct heap echo_due; /* of those that pause */
	size_t echo_bytes;    /* that they keep, all together */
	uv_timer_t *echo_timer;

	/* events.c: who is told of events */
	struct map followers; /* struct open of struct follower */
	struct list following;
	struct ledger_listener listener;
};

/* A method as it stands in the table, and as get_route_schema tells it. */
struct route {
	const char *name;
	const char *http; /* its method, for a gateway that speaks HTTP */
	kedge_method_fn *handler;
	void (*on_cancel)(struct kedge_server *server, struct kedge_later later, void *userdata);
	void (*on_writable)(struct kedge_server *server, struct kedge_later later, void *userdata);
};

/* All handlers get the struct assistant. */

/* health.c */
void assistant_health(const struct kedge_call *call, void *userdata);
void assistant_sockets_status(const struct kedge_call *call, void *userdata);
void assistant_metrics(const struct kedge_call *call, void *userdata);

/* events.c */
void assistant_sockets_events(const struct kedge_call *call, void *userdata);
void assistant_events_cancelled(struct kedge_server *server, struct kedge_later later,
				void *userdata);
void assistant_events_writable(struct kedge_server *server, struct kedge_later later,
			       void *userdata);
void events_open(struct assistant *a);
/* End all streams. */
void events_end(struct assistant *a);
void events_close(struct assistant *a);

/* caching.c */
void assistant_cache_set(const struct kedge_call *call, void *userdata);
void assistant_cache_get(const struct kedge_call *call, void *userdata);
void assistant_cache_delete(const struct kedge_call *call, void *userdata);

/* echo.c */
void assistant_echo_binary(const struct kedge_call *call, void *userdata);
void assistant_echo_error(const struct kedge_call *call, void *userdata);
void assistant_echo_stream(const struct kedge_call *call, void *userdata);
void assistant_echo_cancelled(struct kedge_server *server, struct kedge_later later,
			      void *userdata);
void assistant_echo_writable(struct kedge_server *server, struct kedge_later later, void *userdata);
int echo_open(struct assistant *a);
void echo_close(struct assistant *a);

/* skills.c */
void assistant_skill_tools_list(const struct kedge_call *call, void *userdata);
void assistant_skill_dispatch_tool(const struct kedge_call *call, void *userdata);
void assistant_skill_dispatch_route(const struct kedge_call *call, void *userdata);
void assistant_skill_events_publish(const struct kedge_call *call, void *userdata);
void assistant_skill_cancelled(struct kedge_server *server, struct kedge_later later,
			       void *userdata);
