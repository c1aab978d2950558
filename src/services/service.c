#include "services/service.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/json.h"

const struct service *const services[] = { &gateway_service, &assistant_service, &skill_service };
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

void service_reply(const struct kedge_call *call, const struct buf *b, int r)
{
	if (r < 0)
		(void)kedge_call_refuse(call, 500, error_words(r));
	else
		(void)kedge_call_reply(call, buf_span(b));
}

void service_echo(const struct kedge_call *call, void *userdata)
{
	struct kedge_span value = kedge_call_param(call, "value");
	struct kedge_span parts[] = { kedge_span("{\"echoed\":"),
				      value.size ? value : kedge_span("null"), kedge_span("}") };

	(void)userdata;
	(void)kedge_call_reply_parts(call, parts, ARRAY_SIZE(parts));
}
