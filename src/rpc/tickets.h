/*
 * RPC: connections, requests in flight, answers. Decides, and does no I/O.
 *
 * This header: the requests of a connection that have no answer yet. A ticket
 * names one of them; it is never used twice, so an answer that comes too late
 * finds nothing.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "kedge/conn.h"

/* Ids up to this length are kept without allocation: "1", "s:123", a UUID. */
#define TICKET_ID_INLINE 48

/* The index takes the lower 20 bits of a ticket. */
#define TICKET_INDEX_BITS 20
#define TICKET_INDEX_MASK ((1u << TICKET_INDEX_BITS) - 1)

/* Slots come in blocks of 4, 8, 16, ... and never move. */
#define TICKET_BLOCK_SLOTS_MIN 4u
#define TICKET_BLOCKS_MAX      18

/* As many as all blocks hold. */
#define TICKETS_MAX ((TICKET_BLOCK_SLOTS_MIN << TICKET_BLOCKS_MAX) - TICKET_BLOCK_SLOTS_MIN)

struct stream;

struct ticket_slot {
	uint64_t ticket; /* 0: free */
	struct kedge_span id;
	char *id_heap;
	void *tag;
	struct stream *stream; /* the answer, where it is one and was begun */
	struct ticket_slot *next_free;
	uint32_t index;
	bool held; /* its body is to wait */
	char id_inline[TICKET_ID_INLINE];
};

struct tickets {
	/* One more than are used: an index of 20 bits could name it. */
	struct ticket_slot *blocks[TICKET_BLOCKS_MAX + 1];
	uint32_t capacity, count;
	struct ticket_slot *first_free;
	struct ticket_slot *taken; /* last: the one that is asked for next, as a rule */
	uint64_t serial;
};

static inline uint32_t ticket_block_slots(uint32_t block)
{
	return TICKET_BLOCK_SLOTS_MIN << block;
}

/* The block of a slot. */
static inline uint32_t ticket_block(uint32_t index)
{
	return 31 - (uint32_t)__builtin_clz(index / TICKET_BLOCK_SLOTS_MIN + 1);
}

/* Slot @index of those below the capacity; it may be free. */
static inline struct ticket_slot *tickets_at(const struct tickets *t, uint32_t index)
{
	uint32_t block = ticket_block(index);
	uint32_t first = ticket_block_slots(block) - TICKET_BLOCK_SLOTS_MIN;

	return &t->blocks[block][index - first];
}

/* The slot of a ticket, or NULL. */
static inline struct ticket_slot *tickets_find(const struct tickets *t, uint64_t ticket)
{
	uint32_t index = (uint32_t)ticket & TICKET_INDEX_MASK;
	struct ticket_slot *slot = t->taken;

	/* Slots are made for one that is taken at once. */
	if (!ticket || index >= t->capacity)
		return NULL;
	if (slot->ticket == ticket)
		return slot;
	slot = tickets_at(t, index);
	return slot->ticket == ticket ? slot : NULL;
}

void tickets_deinit(struct tickets *t);

/* A block more of free slots. Return: 0, or -ENOMEM. */
int tickets_grow(struct tickets *t);

/**
 * tickets_take() - a ticket for a request with the id @id
 *
 * The id is only pointed at, until tickets_keep().
 *
 * Return: its slot, which stays where it is until tickets_drop(); NULL: no memory.
 */
static inline struct ticket_slot *tickets_take(struct tickets *t, struct kedge_span id)
{
	struct ticket_slot *slot;

	assert(t->count < TICKETS_MAX);
	if (!t->first_free && tickets_grow(t) < 0)
		return NULL;
	slot = t->first_free;
	t->first_free = slot->next_free;
	t->taken = slot;
	slot->ticket = ++t->serial << TICKET_INDEX_BITS | slot->index;
	slot->id = id;
	t->count++;
	return slot;
}

/* The request stays open beyond its message: copy the id. Return: 0, or -ENOMEM. */
int tickets_keep(struct ticket_slot *slot);

/* The request has its answer. */
static inline void tickets_drop(struct tickets *t, struct ticket_slot *slot)
{
	assert(slot->ticket && !slot->stream);
	if (slot->id_heap)
		free(slot->id_heap);
	slot->id_heap = NULL;
	slot->ticket = 0;
	slot->tag = NULL;
	slot->held = false;
	slot->next_free = t->first_free;
	t->first_free = slot;
	t->count--;
}
