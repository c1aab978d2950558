#include "services/skill/skill.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* A workspace's documents are small; what is larger is a mistake. */
#define DOCUMENT_BYTES_MAX (4 << 20)

#define CONFIG_DEPTH_MAX 128

static const struct kedge_method methods[] = {
	{ .name = "host.log", .handler = host_log },
	{ .name = "host.config.getSection", .handler = host_config_get_section },
	{ .name = "host.config.isFeatureFlagEnabled",
	  .handler = host_config_is_feature_flag_enabled },
	{ .name = "host.identity.getAssistantName", .handler = host_identity_get_assistant_name },
	{ .name = "host.platform.workspaceDir", .handler = host_platform_workspace_dir },
	{ .name = "host.platform.vellumRoot", .handler = host_platform_vellum_root },
	{ .name = "host.platform.runtimeMode", .handler = host_platform_runtime_mode },
	{ .name = "host.events.publish", .handler = events_publish },
	{ .name = "host.events.buildEvent", .handler = events_build },
	{ .name = "host.events.subscribe", .handler = events_subscribe },
	{ .name = "host.events.subscribe.close", .handler = events_unsubscribe },
	{ .name = "host.registries.register_tools", .handler = registries_tools },
	{ .name = "host.registries.register_skill_route", .handler = routes_register },
	{ .name = "host.registries.register_shutdown_hook", .handler = registries_hook },
	{ .name = "host.registries.report_session_started", .handler = registries_session_started },
	{ .name = "host.registries.report_session_ended", .handler = registries_session_ended },
	{ .name = "echo", .handler = service_echo },
};

char *skill_keep(struct kedge_span span)
{
	char *copy = malloc(span.size + 1);

	if (copy) {
		memcpy(copy, span.data, span.size);
		copy[span.size] = '\0';
	}
	return copy;
}

void skill_reply(const struct kedge_call *call, struct buf *reply, int r)
{
	service_reply(call, reply, r);
	buf_deinit(reply);
}

struct skill_client *skill_client_of(const struct skill *skill, uint64_t id)
{
	return map_get(&skill->by_id, id);
}

/* Clients. */

/* Without memory for it a client is not known, and its calls are refused. */
static void on_open(uint64_t id, const struct kedge_peer *peer, void *state)
{
	struct skill *skill = state;
	struct skill_client *client = calloc(1, sizeof(*client));

	(void)peer;
	if (!client || map_put(&skill->by_id, id, client) < 0) {
		free(client);
		return;
	}
	client->id = id;
	list_init(&client->link);
	list_init(&client->subscriptions);
	list_init(&client->hooks);
	list_init(&client->asks);
	list_append(&skill->clients, &client->link);
}

struct skill_client *skill_caller(const struct skill *skill, const struct kedge_call *call)
{
	struct skill_client *client = skill_client_of(skill, call->later.client);

	if (!client)
		(void)kedge_call_refuse(call, 500, "out of memory");
	return client;
}

static void on_close(uint64_t id, void *state)
{
	struct skill *skill = state;
	struct skill_client *client = map_remove(&skill->by_id, id);

	if (!client)
		return;
	/* First, so that nothing new is asked of whoever is going. */
	registries_forget(skill, client);
	routes_forget(skill, client);
	events_forget(client);
	asks_forget(skill, client);
	list_unlink(&client->link);
	free(client);
}

static void on_answer(uint64_t id, const struct kedge_conn_answer *answer, void *state)
{
	struct skill *skill = state;
	struct skill_client *client = skill_client_of(skill, id);

	if (client)
		asks_answered(skill, client, answer);
}

/* Starting and stopping. */

static void on_hook_done(const struct ask_outcome *outcome, void *userdata)
{
	/* A skill that does not answer is not waited for beyond the server's grace. */
	(void)outcome;
	(void)userdata;
}

static void skill_stopping(void *state)
{
	struct skill *skill = state;

	list_for_each (it, &skill->clients) {
		struct skill_client *client = list_entry(it, struct skill_client, link);

		list_for_each (it2, &client->hooks) {
			struct buf params = BUF_INIT;

			if (buf_appendf(&params, "{\"name\":%s,\"reason\":\"shutdown\"}",
					list_entry(it2, struct hook, link)->name) == 0)
				(void)ask(skill, client, "skill.shutdown", buf_span(&params),
					  on_hook_done, NULL);
			buf_deinit(&params);
		}
	}
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct skill *skill = handle->data;

	free(skill->methods);
	free(skill);
}

static void skill_stop(void *state)
{
	struct skill *skill = state;

	skill->closing = true;
	if (skill->context.shared->skill == &skill->dispatch)
		skill->context.shared->skill = NULL;
	while (!list_empty(&skill->clients))
		on_close(list_entry(list_first(&skill->clients), struct skill_client, link)->id,
			 skill);
	registries_deinit(skill);
	map_deinit(&skill->by_id);
	document_deinit(&skill->config);
	document_deinit(&skill->identity);
	skill->flags = flags_close(skill->flags);
	uv_close((uv_handle_t *)&skill->ask_timer, on_timer_closed);
}

static void skill_path_back(void *state)
{
	const struct skill *skill = state;

	flags_look(skill->flags);
}

static void on_flags_changed(void *userdata)
{
	(void)userdata;
}

static void say_flags(const struct skill *skill, enum kedge_log_level level, const char *why)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "%.200s/feature-flags.json: %.200s",
		       skill->context.workspace, why);
	skill->context.log(level, line, skill->context.log_userdata);
}

static void on_flags_broken(const char *why, void *userdata)
{
	say_flags(userdata, KEDGE_LOG_WARNING, why);
}

static void on_flags_mended(void *userdata)
{
	say_flags(userdata, KEDGE_LOG_INFO, "it can be read again");
}

static bool config_is_good(struct kedge_span text)
{
	return json_is_valid(text, CONFIG_DEPTH_MAX);
}

static bool identity_is_good(struct kedge_span text)
{
	return utf8_is_valid(text.data, text.size);
}

static int add_methods(struct skill *skill)
{
	skill->methods = malloc(sizeof(methods));
	if (!skill->methods)
		return -ENOMEM;
	memcpy(skill->methods, methods, sizeof(methods));
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		skill->methods[i].userdata = skill;
	return kedge_server_add_methods(skill->context.server, skill->methods, ARRAY_SIZE(methods));
}

static void skill_init(struct skill *skill, const struct service_context *context)
{
	skill->context = *context;
	list_init(&skill->clients);
	list_init(&skill->tools);
	list_init(&skill->routes);
	list_init(&skill->sessions);
	list_init(&skill->waiting);
	list_init(&skill->asks_by_age);
	document_init(&skill->config, context->workspace, "config.json", DOCUMENT_BYTES_MAX,
		      config_is_good);
	document_init(&skill->identity, context->workspace, "IDENTITY.md", DOCUMENT_BYTES_MAX,
		      identity_is_good);
	(void)uv_timer_init(context->loop, &skill->ask_timer);
	skill->ask_timer.data = skill;
	uv_unref((uv_handle_t *)&skill->ask_timer);
	skill->dispatch = (struct skill_dispatch){ .tools_list = dispatch_tools_list,
						   .dispatch_tool = dispatch_tool,
						   .dispatch_route = dispatch_route,
						   .events_publish = events_publish,
						   .cancel = dispatch_cancel,
						   .skill = skill };
}

static int skill_start(const struct service_context *context, void **ret_state,
		       struct kedge_error *error)
{
	struct skill *skill = calloc(1, sizeof(*skill));
	struct flags_options flags = { .workspace = context->workspace,
				       .on_change = on_flags_changed,
				       .on_broken = on_flags_broken,
				       .on_mended = on_flags_mended,
				       .userdata = skill };
	int r;

	if (!skill)
		return error_set(error, -ENOMEM, "out of memory");
	skill_init(skill, context);
	r = flags_open(&skill->flags, context->loop, &flags);
	if (r == 0)
		r = add_methods(skill);
	if (r < 0) {
		skill_stop(skill);
		return error_set(error, r, "the skill server: %s", error_words(r));
	}
	context->shared->skill = &skill->dispatch;
	*ret_state = skill;
	return 0;
}

const struct service skill_service = {
	.name = "assistant-skill",
	.alias = "skill",
	.example = "host.platform.workspaceDir",
	.protocol = KEDGE_PROTOCOL_LINES,
	.call_prefix = "d:",
	.start = skill_start,
	.stopping = skill_stopping,
	.stop = skill_stop,
	.path_back = skill_path_back,
	.on_open = on_open,
	.on_close = on_close,
	.on_answer = on_answer,
};
