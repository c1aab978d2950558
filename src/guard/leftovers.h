/*
 * Leftovers: what an anchor directory held when it was listed.
 *
 * A start asks for the anchors that crashed predecessors of its path left
 * behind. To list the directory for each path is quadratic (6,633 paths in one
 * directory: ten seconds), so one listing is indexed by socket and serves all
 * starts of the next second. Names only: what they stand for is looked at when
 * it comes to removing them.
 */
#pragma once

#include "guard/ports.h"

/* So long a listing is believed. What it missed shows as a name that is taken. */
#define LEFTOVERS_NS NSEC_PER_SEC

struct leftovers;

/* One name "SOCKET.GENERATION" or "SOCKET.GENERATION.out". */
struct leftover {
	struct leftover *next; /* of the same socket, or of one with the same hash */
	uint64_t generation;
	const char *suffix; /* "" or ".out" */
};

/* List @dir. Return: 0; -ENOMEM; else as guard_ports.list. */
int leftovers_list(struct leftovers **ret, const struct guard_ports *ports, int dir);

/* May be NULL. Return: NULL. */
struct leftovers *leftovers_free(struct leftovers *l);

/* Whether the listing, which may be NULL, can still be believed. */
bool leftovers_fresh(const struct leftovers *l, const struct guard_ports *ports);

/* The chain of names that begin with @prefix ("SOCKET."), or NULL. Others may be in it. */
const struct leftover *leftovers_of(const struct leftovers *l, const char *prefix);
