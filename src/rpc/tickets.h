/*
 * RPC: connections, requests in flight, answers. Decides, and does no I/O.
 *
 * This header: the requests of a connection that have no answer yet. A ticket
 * names one of them; it is never used twice, so an answer that comes too late
 * finds nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kedge/conn.h"

/* Ids up to this length are kept without allocation: "1", "s:123", a UUID. */
#define TICKET_ID_INLINE 48

/* The index takes the lower 20 bits of a ticket. */
#define TICKETS_MAX ((1u << 20) - 4)

/* Slots come in blocks of 4, 8, 16, ... and never move. */
#define TICKETS_BLOCKS_MAX 18

struct stream;

struct ticket_slot {
	uint64_t ticket; /* 0: free */
	struct kedge_span id;
	char *id_heap;
	void *tag;
	struct stream *stream; /* the answer, where it is one and was begun */
	uint32_t index;
	uint32_t next_free;
	bool held; /* its body is to wait */
	char id_inline[TICKET_ID_INLINE];
};

struct tickets {
	struct ticket_slot *blocks[TICKETS_BLOCKS_MAX];
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
 * Return: its slot, which stays where it is until tickets_drop(); NULL: no memory.
 */
struct ticket_slot *tickets_take(struct tickets *t, struct kedge_span id);

/* The slot of a ticket, or NULL. */
struct ticket_slot *tickets_find(const struct tickets *t, uint64_t ticket);

/* Slot @index of those below the capacity; it may be free. */
struct ticket_slot *tickets_at(const struct tickets *t, uint32_t index);

/* The request stays open beyond its message: copy the id. Return: 0, or -ENOMEM. */
int tickets_keep(struct ticket_slot *slot);

/* The request has its answer. */
void tickets_drop(struct tickets *t, struct ticket_slot *slot);
