/*
 * The port table of a guard process.
 */
#include <errno.h>
#include <string.h>

#include "call.h"

/* An operation that makes so many calls does not end. */
#define OP_CALLS_MAX 60000

int call_enter(struct guard_process *g, const char *call, const int *errors, bool may_be_late)
{
	(void)call;
	kernel.now_ns += NSEC_PER_USEC;
	g->late = false;
	if (++g->op_calls > OP_CALLS_MAX)
		sim_fail("an operation does not end");
	if (sim.calm || !sim.call_gap || --sim.call_gap > 0)
		return 0;
	return disturb_call(g, errors, may_be_late);
}

int call_leave(struct guard_process *g, const char *call, const char *name, int r)
{
	/* What cannot be removed now may be left behind. */
	if (r == -EROFS || r == -ENOSPC || r == -EACCES || r == -EPERM)
		g->tainted = sim.swept = true;
	if (r < 0)
		trace("  %d: %s %s: %s", g->index, call, name, strerrorname_np(-r));
	else
		trace("  %d: %s %s = %d", g->index, call, name, r);
	return r;
}

static void port_pause(void *ctx, uint64_t ns)
{
	struct guard_process *g = ctx;

	if (g->op != OP_ADD && g->stopping == 0)
		sim_fail("a repair sleeps");
	(void)CALL(g, "pause", "", NULL, false, 0);
	kernel.now_ns += ns;
}

struct guard_ports ports_of(struct guard_process *g)
{
	struct guard_ports ports = {
		.ctx = g, .now_ns = call_now, .uid = call_uid, .pause = port_pause
	};

	ports_of_files(&ports);
	ports_of_sockets(&ports);
	return ports;
}
