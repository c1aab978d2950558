/* From a call on another socket of this process to a skill, and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/params.h"
#include "services/skill/skill.h"
#include "wire/compact.h"

/* Who waits for a skill's answer. */
struct waiting {
	struct list link;            /* skill.waiting */
	struct kedge_server *server; /* NULL: nobody any more */
	struct kedge_later later;
};

static void on_outcome(const struct ask_outcome *outcome, void *userdata)
{
	struct waiting *w = userdata;
	struct kedge_rpc_error error = { .text = outcome->text,
					 .status = outcome->status,
					 .code = outcome->code,
					 .details = outcome->details };

	if (w->server && outcome->status)
		(void)kedge_server_fail(w->server, w->later, &error);
	else if (w->server)
		(void)kedge_server_reply(w->server, w->later, outcome->result);
	list_unlink(&w->link);
	free(w);
}

/* A skill cannot be told; its answer finds nobody. */
void dispatch_cancel(struct kedge_server *server, struct kedge_later later, void *userdata)
{
	const struct skill *skill = userdata;

	list_for_each (it, &skill->waiting) {
		struct waiting *w = list_entry(it, struct waiting, link);

		if (w->server == server && w->later.client == later.client &&
		    w->later.ticket == later.ticket)
			w->server = NULL;
	}
}

static void refuse_unsent(const struct kedge_call *call, int error)
{
	switch (error) {
	case -EBUSY:
		(void)kedge_call_refuse(call, 429, "Too many requests wait for that skill");
		break;
	case -ENOMEM:
		(void)kedge_call_refuse(call, 500, "out of memory");
		break;
	default:
		(void)kedge_call_refuse(call, 502, "connection closed before response");
	}
}

/* Ask, and pass the answer on to whoever called. @params: as composed, @r: whether that worked. */
static void pass_on(const struct kedge_call *call, struct skill *skill, struct skill_client *client,
		    const char *method, const struct buf *params, int r)
{
	struct waiting *w = r < 0 ? NULL : malloc(sizeof(*w));

	if (!w) {
		refuse_unsent(call, -ENOMEM);
		return;
	}
	*w = (struct waiting){ .server = call->server, .later = call->later };
	list_init(&w->link);
	list_append(&skill->waiting, &w->link);
	r = ask(skill, client, method, buf_span(params), on_outcome, w);
	if (r < 0) {
		list_unlink(&w->link);
		free(w);
		refuse_unsent(call, r);
	}
}

void dispatch_tool(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	_cleanup_(buf_deinit) struct buf ask_params = BUF_INIT;
	_cleanup_(freep) char *name = NULL;
	struct kedge_span input, context;
	struct params params;
	struct tool *tool;
	size_t size;
	int r;

	params_init(&params, call);
	(void)params_string(&params, "name", PARAMS_NOT_EMPTY, &name, &size);
	input = params_any(&params, "input", PARAMS_REQUIRED);
	context = params_any(&params, "context", PARAMS_OPTIONAL);
	if (params_refused(&params, call)) {
		params_deinit(&params);
		return;
	}
	tool = registries_find_tool(skill, name, size);
	r = buf_append(&ask_params, "{", 1);
	if (r == 0)
		r = json_append_member(&ask_params, "name", params_member(&params, "name"));
	if (r == 0)
		r = json_append_member(&ask_params, "input", input);
	if (r == 0)
		r = json_append_member(&ask_params, "context", context);
	if (r == 0)
		r = buf_append(&ask_params, "}", 1);
	if (tool)
		pass_on(call, skill, tool->client, "skill.dispatch_tool", &ask_params, r);
	else
		(void)kedge_call_refuse(call, 404, "No connected skill has that tool");
	params_deinit(&params);
}

/* {"patternSource":SOURCE,"request":{"method","url","headers"?,"body"?}} */
static int compose_route(struct buf *b, const struct route *route, struct kedge_span request)
{
	static const char *const members[] = { "method", "url", "headers", "body" };
	int r = buf_append(b, "{", 1);

	if (r == 0)
		r = json_append_member(b, "patternSource", kedge_span(route->source));
	if (r == 0)
		r = buf_append(b, ",\"request\":{", 12);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = json_append_member(b, members[i], json_member(request, members[i]));
	return r < 0 ? r : buf_append(b, "}}", 2);
}

void dispatch_route(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	_cleanup_(buf_deinit) struct buf ask_params = BUF_INIT;
	_cleanup_(freep) char *method = NULL;
	_cleanup_(freep) char *url = NULL;
	struct params params;
	struct route *route;
	size_t size;

	params_init(&params, call);
	(void)params_string(&params, "method", PARAMS_NOT_EMPTY, &method, &size);
	(void)params_string(&params, "url", PARAMS_NOT_EMPTY, &url, &size);
	(void)params_object(&params, "headers", PARAMS_OPTIONAL);
	if (!params_refused(&params, call)) {
		route = routes_find(skill, method, url);
		if (route)
			pass_on(call, skill, route->client, "skill.dispatch_route", &ask_params,
				compose_route(&ask_params, route, params.object));
		else
			(void)kedge_call_refuse(call, 404,
						"No connected skill has a route for that");
	}
	params_deinit(&params);
}

void dispatch_tools_list(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	struct buf reply = BUF_INIT;
	int r = buf_append(&reply, "[", 1);

	list_for_each (it, &skill->tools) {
		const struct tool *t = list_entry(it, struct tool, link);

		/* Of a name that several registered only the one that would be asked. */
		if (r < 0 || registries_find_tool(skill, t->name, t->name_size) != t)
			continue;
		if (buf_size(&reply) > 1)
			r = buf_append(&reply, ",", 1);
		if (r == 0)
			r = buf_append(&reply, t->json, strlen(t->json));
	}
	if (r == 0)
		r = buf_append(&reply, "]", 1);
	skill_reply(call, &reply, r);
}
