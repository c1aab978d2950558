#include "services/service.h"

#include <string.h>

#include "base/cleanup.h"
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

/* Values up to this length are echoed without an allocation. */
#define ECHO_BYTES 4096

void service_echo(const struct kedge_call *call, void *userdata)
{
	struct kedge_span value = json_member(call->params, "value");
	char few[ECHO_BYTES + sizeof("{\"echoed\":}")];
	_cleanup_(freep) char *many = value.size > ECHO_BYTES ? malloc(value.size + 16) : NULL;
	char *text = many ? many : few;

	(void)userdata;
	if (value.size > ECHO_BYTES && !many) {
		(void)kedge_call_refuse(call, 500, "out of memory");
		return;
	}
	if (!value.size)
		value = kedge_span("null");
	memcpy(text, "{\"echoed\":", 10);
	memcpy(text + 10, value.data, value.size);
	text[10 + value.size] = '}';
	(void)kedge_call_reply(call, (struct kedge_span){ text, value.size + 11 });
}
