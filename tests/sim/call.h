/*
 * One call of a guard process: it may be disturbed before it is made, and may
 * fail in every way that the system has for it.
 */
#pragma once

#include "sim.h"

/* One call: what is injected, else what the kernel says. @errors: those it may have, 0
 * last, or NULL; @late_too: a network file system may say so after the deed. */
#define CALL(g, call, name, errors, late_too, expression)                                          \
	({                                                                                         \
		int injected_ = call_enter(g, call, errors, late_too);                             \
		int r_ = injected_ && !(g)->late ? injected_ : (expression);                       \
		call_leave(g, call, name, injected_ ? injected_ : r_);                             \
	})

int call_enter(struct guard_process *g, const char *call, const int *errors, bool may_be_late);
int call_leave(struct guard_process *g, const char *call, const char *name, int r);

/* What a descriptor has open; another use of it is a bug. */
struct spot call_dir(struct guard_process *g, int fd);
struct socket *call_socket(struct guard_process *g, int fd);

/* guard_ports.now_ns and .uid. */
uint64_t call_now(void *ctx);
uint32_t call_uid(void *ctx);

/* ports-files.c, ports-sockets.c: fill in their part of the table. */
void ports_of_files(struct guard_ports *ports);
void ports_of_sockets(struct guard_ports *ports);
