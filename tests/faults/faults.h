/*
 * Faults: the n-th call of ours that fails.
 *
 * The linker (--wrap) sends each call of malloc, and each system call that the guard makes,
 * through here. Calls are counted while they come from within kedge; the n-th one fails with
 * an error that it may have, once, or from then on until the fault is lifted. So a loop over
 * n walks every error path that a scenario has, until a run passes without a fault.
 */
#pragma once

#include <stdbool.h>

enum fault_family {
	FAULT_MEMORY = 0,
	FAULT_SYSTEM,
};

struct fault {
	enum fault_family family;
	unsigned at;    /* the call that fails, from 1 */
	unsigned which; /* of the errors that the call may have; taken modulo their number */
	bool lasting;   /* that call, and all of its kind, until fault_lift() */
};

/* What has failed, in memory that a child shares with its parent. */
struct fault_hit {
	char name[32]; /* of the function; "": none has failed */
	int error;
};

/* To be called once, before the first child. Return: NULL: no memory. */
struct fault_hit *fault_share(void);

/* Count from here on. */
void fault_arm(const struct fault *fault);
/* Nothing fails any more. */
void fault_lift(void);

/* How many blocks of memory kedge holds. */
long fault_blocks(void);

struct fixture;

/* One run, in a child: arm @fault where it matters, lift it, check what is left. */
typedef void fault_run(struct fixture *f, const void *scenario, const struct fault *fault);

/* What has failed in the run that is under way, or was the last. */
extern struct fault_hit *fault_hit;

/*
 * For n = 1, 2, 3 ... once, and lasting, until nothing fails any more. With KEDGE_FAULTS=all
 * every error that a call may have is met at every n; else one of them, so that a loop takes
 * some seconds.
 */
void fault_loops(struct fixture *f, fault_run *run, const void *scenario, enum fault_family family);
