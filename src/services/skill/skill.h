/*
 * The skill server: lines both ways.
 *
 * A skill is a client that registers what it can do (tools, routes, hooks),
 * subscribes to events, and asks its host things. The daemon asks back, on the
 * connection that registered last. What a connection brought goes with it.
 *
 * This header: what the groups of methods share. host.c answers questions about
 * the workspace, events.c publishes and delivers, registries.c keeps what was
 * registered, asks.c asks skills and waits for them, dispatch.c is how others in
 * this process reach a skill.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "services/document.h"
#include "services/flags.h"
#include "services/service.h"
#include "services/skill/dispatch.h"

/* Of one connection; beyond that a registration is refused with 429. */
#define SUBSCRIPTIONS_MAX 4096
#define TOOLS_MAX         1024
#define ROUTES_MAX        1024
#define HOOKS_MAX         64
#define ASKS_MAX          1024

/* Meetings that may be reported as started, of all connections. */
#define SESSIONS_MAX 4096

/* A connection of a skill. */
struct skill_client {
	struct list link; /* skill.clients */
	uint64_t id;      /* of the server's client */
	struct list subscriptions, hooks, asks;
	struct map by_stream; /* hash of its id -> struct subscription; see events.c */
	unsigned subscription_count, tool_count, route_count, hook_count, ask_count;
};

struct skill {
	struct service_context context;
	struct kedge_method *methods;
	struct list clients;
	struct map by_id;          /* client id -> struct skill_client */
	struct list tools, routes; /* in the order of their registration, all clients' */
	struct list sessions;
	size_t session_count;
	struct document config, identity;
	struct flags *flags;
	uv_timer_t ask_timer;
	struct list waiting;     /* who asked by skill_dispatch: see dispatch.c */
	struct list asks_by_age; /* oldest first: all wait equally long */
	bool closing;
	struct skill_dispatch dispatch; /* what service_shared.skill points at */
};

/* skill.c */
struct skill_client *skill_client_of(const struct skill *skill, uint64_t id);
/* Who calls; NULL: refused, there was no memory for that client. */
struct skill_client *skill_caller(const struct skill *skill, const struct kedge_call *call);
/* A copy with a NUL behind it, or NULL: no memory. */
char *skill_keep(struct kedge_span span);
/* Answer with what was composed, which is consumed; @r: whether that worked. */
void skill_reply(const struct kedge_call *call, struct buf *reply, int r);

/* host.c */
void host_log(const struct kedge_call *call, void *userdata);
void host_config_get_section(const struct kedge_call *call, void *userdata);
void host_config_is_feature_flag_enabled(const struct kedge_call *call, void *userdata);
void host_identity_get_assistant_name(const struct kedge_call *call, void *userdata);
void host_platform_workspace_dir(const struct kedge_call *call, void *userdata);
void host_platform_vellum_root(const struct kedge_call *call, void *userdata);
void host_platform_runtime_mode(const struct kedge_call *call, void *userdata);

/* events.c */
void events_publish(const struct kedge_call *call, void *userdata);
void events_build(const struct kedge_call *call, void *userdata);
void events_subscribe(const struct kedge_call *call, void *userdata);
void events_unsubscribe(const struct kedge_call *call, void *userdata);
void events_forget(struct skill_client *client);

/* registries.c */
void registries_tools(const struct kedge_call *call, void *userdata);
void registries_hook(const struct kedge_call *call, void *userdata);
void registries_session_started(const struct kedge_call *call, void *userdata);
void registries_session_ended(const struct kedge_call *call, void *userdata);
void registries_forget(struct skill *skill, struct skill_client *client);
void registries_deinit(struct skill *skill);

struct tool {
	struct list link; /* skill.tools */
	struct skill_client *client;
	char *name; /* decoded */
	size_t name_size;
	char *json; /* as it was registered, compact */
};

struct route {
	struct list link; /* skill.routes */
	struct skill_client *client;
	struct pattern *pattern;
	char *source;  /* JSON text of patternSource */
	char *methods; /* JSON text of the list */
};

struct hook {
	struct list link; /* skill_client.hooks */
	char *name;       /* JSON text */
};

/* The tool of that name that was registered last, or NULL. */
struct tool *registries_find_tool(const struct skill *skill, const char *name, size_t size);

/* routes.c */
void routes_register(const struct kedge_call *call, void *userdata);
/* The route that takes @method at @url, or NULL. */
struct route *routes_find(const struct skill *skill, const char *method, const char *url);
void routes_forget(struct skill *skill, const struct skill_client *client);

/* asks.c */

/* What became of a question to a skill. Spans are valid during the callback. */
struct ask_outcome {
	int status;                /* 0: @result holds the answer; else of the failure */
	struct kedge_span result;  /* JSON text; absent: the skill answered nothing */
	struct kedge_span text;    /* of a failure; plain text */
	const char *code;          /* of a failure */
	struct kedge_span details; /* of a failure; JSON text, may be absent */
};

typedef void ask_fn(const struct ask_outcome *outcome, void *userdata);

/**
 * ask() - ask a skill something
 * @params: JSON text of an object, without line breaks
 * @done:   called once: at the answer, when it is overdue, or when the connection is gone
 *
 * Return: 0; -EBUSY: ASKS_MAX wait on that connection; -ESTALE, -ENOMEM, -ENOBUFS.
 *         On failure @done is not called.
 */
int ask(struct skill *skill, struct skill_client *client, const char *method,
	struct kedge_span params, ask_fn *done, void *userdata);
void asks_answered(struct skill *skill, struct skill_client *client,
		   const struct kedge_conn_answer *answer);
void asks_forget(struct skill *skill, struct skill_client *client);
void on_ask_timer(uv_timer_t *timer);

/* dispatch.c: the functions of struct skill_dispatch. */
void dispatch_tools_list(const struct kedge_call *call, void *userdata);
void dispatch_tool(const struct kedge_call *call, void *userdata);
void dispatch_route(const struct kedge_call *call, void *userdata);
void dispatch_cancel(struct kedge_server *server, struct kedge_later later, void *userdata);
