#include "services/service.h"

#include <string.h>

#include "base/buf.h"
#include "wire/json.h"

static const struct service *const services[] = { &gateway_service };

const struct service *service_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (strcmp(services[i]->name, name) == 0)
			return services[i];
	return NULL;
}

void service_echo(const struct kedge_call *call, void *userdata)
{
	struct kedge_span value = json_member(call->params, "value");
	struct buf text = BUF_INIT;

	(void)userdata;
	if (!value.size)
		value = kedge_span("null");
	if (buf_append(&text, "{\"echoed\":", 10) == 0 &&
	    buf_append(&text, value.data, value.size) == 0 && buf_append(&text, "}", 1) == 0)
		(void)kedge_call_reply(call,
				       (struct kedge_span){ buf_front(&text), buf_size(&text) });
	else
		(void)kedge_call_refuse(call, 500, "out of memory");
	buf_deinit(&text);
}
