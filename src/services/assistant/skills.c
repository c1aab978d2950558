/* skill_*: to the skill server in the same process, where one runs. */
#include "services/assistant/assistant.h"
#include "services/skill/dispatch.h"

static const struct skill_dispatch *skill_of(const struct kedge_call *call, struct assistant *a)
{
	const struct skill_dispatch *d = a->context.shared->skill;

	if (!d)
		(void)kedge_call_refuse(call, 503, "the skill server is not running");
	return d;
}

void assistant_skill_tools_list(const struct kedge_call *call, void *userdata)
{
	const struct skill_dispatch *d = skill_of(call, userdata);

	if (d)
		d->tools_list(call, d->skill);
}

void assistant_skill_dispatch_tool(const struct kedge_call *call, void *userdata)
{
	const struct skill_dispatch *d = skill_of(call, userdata);

	if (d)
		d->dispatch_tool(call, d->skill);
}

void assistant_skill_dispatch_route(const struct kedge_call *call, void *userdata)
{
	const struct skill_dispatch *d = skill_of(call, userdata);

	if (d)
		d->dispatch_route(call, d->skill);
}

void assistant_skill_events_publish(const struct kedge_call *call, void *userdata)
{
	const struct skill_dispatch *d = skill_of(call, userdata);

	if (d)
		d->events_publish(call, d->skill);
}

void assistant_skill_cancelled(struct kedge_server *server, struct kedge_later later,
			       void *userdata)
{
	const struct assistant *a = userdata;
	const struct skill_dispatch *d = a->context.shared->skill;

	if (d)
		d->cancel(server, later, d->skill);
}
