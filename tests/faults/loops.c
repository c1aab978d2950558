/* The loops over n; what fails is in faults.c. */
#include "integration/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "integration/leave.h"

/* More calls than any scenario makes: the loop's own bound. */
#define CALLS_MAX 2000
/* Errors that one call may have, at most. */
#define ERRORS_MAX 5

struct fault_hit *fault_hit;

/* Run in a child. Return: whether the fault was met. */
static bool run_child(struct fixture *f, fault_run *run, const void *scenario,
		      const struct fault *fault)
{
	int status;
	pid_t pid;

	remove_all(f->dir);
	make_dir(f->dir, 0755);
	pid = fork();
	DO(pid);
	if (pid == 0) {
		*fault_hit = (struct fault_hit){ 0 };
		f->fds_before = count_fds();
		run(f, scenario, fault);
		fixture_finish(f);
		fflush(stdout);
		leave(0);
	}
	DO(waitpid(pid, &status, 0));
	if (status != 0) {
		print_error("call %u (%s: %s%s): status %#x\n", fault->at, fault_hit->name,
			    strerror(fault_hit->error), fault->lasting ? ", lasting" : "",
			    (unsigned)status);
		_fail(__FILE__, __LINE__);
	}
	return fault_hit->error != 0;
}

static void loop(struct fixture *f, fault_run *run, const void *scenario, enum fault_family family,
		 bool lasting)
{
	const char *all = getenv("KEDGE_FAULTS");
	unsigned errors = family == FAULT_SYSTEM && all && strcmp(all, "all") == 0 ? ERRORS_MAX : 1;

	for (unsigned at = 1; at < CALLS_MAX; at++) {
		bool met = false;

		for (unsigned i = 0; i < errors; i++)
			met |= run_child(f, run, scenario,
					 &(struct fault){ .family = family,
							  .at = at,
							  .which = errors == 1 ? at : i,
							  .lasting = lasting });
		if (!met) {
			print_message("%u calls\n", at - 1);
			return;
		}
	}
	fail_with_story(f, "the loop never ends", __FILE__, __LINE__);
}

void fault_loops(struct fixture *f, fault_run *run, const void *scenario, enum fault_family family)
{
	fault_hit = fault_share();
	assert_non_null(fault_hit);
	loop(f, run, scenario, family, false);
	loop(f, run, scenario, family, true);
}
