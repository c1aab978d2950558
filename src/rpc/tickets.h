/*
 * RPC: connections, requests in flight, answers. Decides, and does no I/O.
 *
 * This header: the requests of a connection that have no answer yet. A ticket
 * names one of them; it is never used twice, so an answer that comes too late
 * finds nothing.
 */
#pragma once

#include <stdint.h>

#include "kedge/conn.h"

/* Ids up to this length are kept without allocation: "1", "s:123", a UUID. */
#define TICKET_ID_INLINE 48

/* The index takes the lower 20 bits of a ticket. */
#define TICKETS_MAX ((1u << 20) - 1)

struct ticket_slot {
	uint64_t ticket; /* 0: free */
	struct kedge_span id;
	char *id_heap;
	uint32_t next_free;
	char id_inline[TICKET_ID_INLINE];
};

struct tickets {
	struct ticket_slot *slots;
	uint32_t capacity, count;
	uint32_t first_free; /* index + 1; 0: none */
	uint64_t serial;
};

void tickets_deinit(struct tickets *t);

/**
 * tickets_take() - a ticket for a request with the id @id
 *
 * The id is only pointed at, until tickets_keep().
 *
 * Return: the ticket, or 0: no memory.
 */
uint64_t tickets_take(struct tickets *t, struct kedge_span id);

/* The slot of a ticket, or NULL. Good until the next tickets_take(). */
struct ticket_slot *tickets_find(struct tickets *t, uint64_t ticket);

/* The request stays open beyond its message: copy the id. Return: 0, or -ENOMEM. */
int tickets_keep(struct ticket_slot *slot);

/* The request has its answer. */
void tickets_drop(struct tickets *t, struct ticket_slot *slot);
