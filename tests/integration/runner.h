/*
 * Runner: each case of a test file, once on each file system, in a process of its own.
 *
 * A hazard is only met by the real kernel, and many of them change what a
 * process is: its mounts, its user, its limits, its system calls. So a case
 * runs in a child, in a directory that is made for it and removed afterwards,
 * and what it did to itself ends with it. A case that crashes, or hangs, is one
 * failure and not the end of the file. The asserts are cmocka's; the TAP is
 * written here, because cmocka 1.1 cannot say "ok # SKIP why".
 */
#pragma once

#include <stddef.h>

struct fixture;

/* On which file systems a case makes sense. */
enum where {
	ANYWHERE = 0, /* a tmpfs, and the file system where the tests run */
	ON_TMPFS,     /* what differs between file systems does not matter here */
	ON_DISK,
};

struct test_case {
	const char *name;
	void (*run)(struct fixture *f);
	enum where where;
};

/**
 * run_cases() - run all cases, print TAP
 * @cases: a static table
 *
 * Return: what main() is to return: 0 if nothing failed, else 1.
 */
int run_cases(const struct test_case *cases, size_t n);

/* End this case as skipped, with the reason in its line. Does not return. */
_Noreturn void skip_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define RUN_CASES(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))
