#include "services/service.h"

#include <string.h>

#include "base/buf.h"
#include "wire/json.h"

const struct service *const services[] = { &gateway_service, &assistant_service };
const size_t service_count = ARRAY_SIZE(services);

_Static_assert(ARRAY_SIZE(services) <= SERVICES_MAX, "room for each");

const struct service *service_find(const char *name)
{
	for (size_t i = 0; i < service_count; i++) {
		const struct service *s = services[i];

		if (strcmp(s->name, name) == 0 || (s->alias && strcmp(s->alias, name) == 0))
			return s;
	}
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
