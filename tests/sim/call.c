/*
 * What every guard process on this kernel finds, in a history as in a story.
 */
#include "call.h"

struct spot call_dir(struct guard_process *g, int fd)
{
	const struct file *f = files_get(&g->os, fd);

	if (!f || f->kind != FILE_PATH)
		sim_fail("descriptor %d is used, and is none of a directory", fd);
	return f->spot;
}

struct socket *call_socket(struct guard_process *g, int fd)
{
	const struct file *f = files_get(&g->os, fd);

	if (!f || f->kind != FILE_SOCKET)
		sim_fail("descriptor %d is used, and is no socket", fd);
	return f->socket;
}

uint64_t call_now(void *ctx)
{
	(void)ctx;
	return kernel.now_ns;
}

uint32_t call_uid(void *ctx)
{
	const struct guard_process *g = ctx;

	return g->os.actor.uid;
}
