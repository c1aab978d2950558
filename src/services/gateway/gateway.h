/* What the gateway's groups of methods share. */
#pragma once

#include "services/flags.h"
#include "services/gateway/store.h"
#include "services/service.h"

struct gateway {
	struct service_context context;
	struct store *store;
	struct flags *flags;
	struct kedge_method *methods;
	struct globals shown; /* whose text is kept: they are asked for before every action */
	char shown_text[128]; /* empty: none yet */
};

/* thresholds.c */
void gateway_get_global_thresholds(const struct kedge_call *call, void *userdata);
void gateway_set_global_thresholds(const struct kedge_call *call, void *userdata);
void gateway_get_conversation_threshold(const struct kedge_call *call, void *userdata);
void gateway_set_conversation_threshold(const struct kedge_call *call, void *userdata);
void gateway_clear_conversation_threshold(const struct kedge_call *call, void *userdata);

/* gateway.c */
void gateway_get_feature_flags(const struct kedge_call *call, void *userdata);
void gateway_get_feature_flag(const struct kedge_call *call, void *userdata);
