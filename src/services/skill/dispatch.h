/*
 * What the skill server does for the assistant's callers. It puts its functions
 * into service_shared.skill when it starts, and takes them out when it stops.
 *
 * Each answers the call, at once or by its `later` on call->server.
 */
#pragma once

#include "kedge/server.h"

struct skill_dispatch {
	void *skill; /* passed to all of them */

	/* skill_tools_list: the tools of all connected skills. */
	void (*tools_list)(const struct kedge_call *call, void *skill);

	/* skill_dispatch_tool {name,input,context?}: `skill.dispatch_tool` on the connection
	 * that registered it last. No such tool 404, connection lost 502, no answer 504. */
	void (*dispatch_tool)(const struct kedge_call *call, void *skill);

	/* skill_dispatch_route {method,url,headers?,body?}: to the route that matches. */
	void (*dispatch_route)(const struct kedge_call *call, void *skill);

	/* skill_events_publish {event}: to the subscriptions that want it. */
	void (*events_publish)(const struct kedge_call *call, void *skill);

	/* Nobody waits for the answer to @later on @server any more. */
	void (*cancel)(struct kedge_server *server, struct kedge_later later, void *skill);
};
