/* How a child ends that runs kedge's code in a test. */
#pragma once

#include <unistd.h>

#ifdef KEDGE_COVERAGE
void __gcov_dump(void);
#endif

/* As _exit(), which leaves the parent's business alone; but what the child has reached counts
 * where coverage is measured. */
static inline _Noreturn void leave(int status)
{
#ifdef KEDGE_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}
