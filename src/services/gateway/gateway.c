#include "services/gateway/gateway.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "services/params.h"

static const struct kedge_method methods[] = {
	{ "get_global_thresholds", gateway_get_global_thresholds, NULL },
	{ "set_global_thresholds", gateway_set_global_thresholds, NULL },
	{ "get_conversation_threshold", gateway_get_conversation_threshold, NULL },
	{ "set_conversation_threshold", gateway_set_conversation_threshold, NULL },
	{ "clear_conversation_threshold", gateway_clear_conversation_threshold, NULL },
	{ "get_feature_flags", gateway_get_feature_flags, NULL },
	{ "get_feature_flag", gateway_get_feature_flag, NULL },
	{ "echo", service_echo, NULL },
};

void gateway_get_feature_flags(const struct kedge_call *call, void *userdata)
{
	const struct gateway *gateway = userdata;

	(void)kedge_call_reply(call, flags_all(gateway->flags));
}

void gateway_get_feature_flag(const struct kedge_call *call, void *userdata)
{
	const struct gateway *gateway = userdata;
	_cleanup_(freep) char *name = NULL;
	struct params params;
	size_t size;

	params_init(&params, call);
	(void)params_string(&params, "flag", PARAMS_MAY_BE_EMPTY, &name, &size);
	if (!params_refused(&params, call)) {
		int value = flags_get(gateway->flags, name, size);

		(void)kedge_call_reply(call, kedge_span(value < 0 ? "null"
							: value   ? "true"
								  : "false"));
	}
	params_deinit(&params);
}

static void on_flags_changed(void *userdata)
{
	struct gateway *gateway = userdata;

	(void)kedge_server_push(gateway->context.server, "feature_flags_changed",
				(struct kedge_span){ NULL, 0 });
}

static void on_flags_broken(const char *why, void *userdata)
{
	struct gateway *gateway = userdata;
	char line[512];

	(void)snprintf(line, sizeof(line),
		       "%.200s/feature-flags.json: %s; the last good values are kept",
		       gateway->context.workspace, why);
	gateway->context.log(KEDGE_LOG_WARNING, line, gateway->context.log_userdata);
}

static void on_flags_mended(void *userdata)
{
	struct gateway *gateway = userdata;

	gateway->context.log(KEDGE_LOG_INFO, "feature-flags.json can be read again",
			     gateway->context.log_userdata);
}

static void on_store_moved(void *userdata)
{
	struct gateway *gateway = userdata;
	char line[512];

	(void)snprintf(line, sizeof(line),
		       "%.200s/gateway.db was removed or moved: what is there now is used",
		       gateway->context.workspace);
	gateway->context.log(KEDGE_LOG_WARNING, line, gateway->context.log_userdata);
}

static int add_methods(struct gateway *gateway)
{
	gateway->methods = malloc(sizeof(methods));
	if (!gateway->methods)
		return -ENOMEM;
	memcpy(gateway->methods, methods, sizeof(methods));
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		gateway->methods[i].userdata = gateway;
	return kedge_server_add_methods(gateway->context.server, gateway->methods,
					ARRAY_SIZE(methods));
}

static int open_parts(struct gateway *gateway, struct kedge_error *error)
{
	const struct service_context *c = &gateway->context;
	struct flags_options flags = { .workspace = c->workspace,
				       .on_change = on_flags_changed,
				       .on_broken = on_flags_broken,
				       .on_mended = on_flags_mended,
				       .userdata = gateway };
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/gateway.db", c->workspace);
	r = store_open(&gateway->store, c->loop, path, error);
	if (r < 0)
		return r;
	store_on_moved(gateway->store, on_store_moved, gateway);
	r = flags_open(&gateway->flags, c->loop, &flags);
	if (r == 0)
		r = add_methods(gateway);
	return r < 0 ? error_set(error, r, "the gateway: %s", error_words(r)) : 0;
}

static void gateway_stop(void *state)
{
	struct gateway *gateway = state;

	gateway->flags = flags_close(gateway->flags);
	if (gateway->store)
		gateway->store = store_close(gateway->store);
	free(gateway->methods);
	free(gateway);
}

static void gateway_path_back(void *state)
{
	const struct gateway *gateway = state;

	flags_look(gateway->flags);
}

static int gateway_start(const struct service_context *context, void **ret_state,
			 struct kedge_error *error)
{
	struct gateway *gateway = calloc(1, sizeof(*gateway));
	int r;

	if (!gateway)
		return error_set(error, -ENOMEM, "out of memory");
	gateway->context = *context;
	r = open_parts(gateway, error);
	if (r < 0) {
		gateway_stop(gateway);
		return r;
	}
	*ret_state = gateway;
	return 0;
}

const struct service gateway_service = {
	.name = "gateway",
	.example = "get_global_thresholds",
	.start = gateway_start,
	.stop = gateway_stop,
	.path_back = gateway_path_back,
};
