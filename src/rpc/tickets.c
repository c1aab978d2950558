#include "rpc/tickets.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TICKETS_CAPACITY_MIN 4
#define TICKET_INDEX_BITS    20

void tickets_deinit(struct tickets *t)
{
	for (uint32_t i = 0; i < t->capacity; i++)
		free(t->slots[i].id_heap);
	free(t->slots);
	*t = (struct tickets){ 0 };
}

/* Ids that are kept inline move with their slots: point at the new place. */
static void fix_inline_ids(struct tickets *t, const struct ticket_slot *old, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (t->slots[i].id.data == old[i].id_inline)
			t->slots[i].id.data = t->slots[i].id_inline;
}

static int tickets_grow(struct tickets *t)
{
	uint32_t capacity = t->capacity ? t->capacity * 2 : TICKETS_CAPACITY_MIN;
	struct ticket_slot *slots = calloc(capacity, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	if (t->capacity)
		memcpy(slots, t->slots, t->capacity * sizeof(*slots));
	for (uint32_t i = capacity; i > t->capacity; i--) {
		slots[i - 1].next_free = t->first_free;
		t->first_free = i;
	}
	{
		struct ticket_slot *old = t->slots;

		t->slots = slots;
		fix_inline_ids(t, old, t->capacity);
		free(old);
	}
	t->capacity = capacity;
	return 0;
}

uint64_t tickets_take(struct tickets *t, struct kedge_span id)
{
	struct ticket_slot *slot;
	uint32_t index;

	assert(t->count < TICKETS_MAX);
	if (!t->first_free && tickets_grow(t) < 0)
		return 0;
	index = t->first_free - 1;
	slot = &t->slots[index];
	t->first_free = slot->next_free;
	slot->ticket = ++t->serial << TICKET_INDEX_BITS | index;
	slot->id = id;
	t->count++;
	return slot->ticket;
}

struct ticket_slot *tickets_find(struct tickets *t, uint64_t ticket)
{
	uint32_t index = (uint32_t)ticket & TICKETS_MAX;

	if (!ticket || index >= t->capacity || t->slots[index].ticket != ticket)
		return NULL;
	return &t->slots[index];
}

int tickets_keep(struct ticket_slot *slot)
{
	char *to = slot->id_inline;

	if (slot->id.size > TICKET_ID_INLINE) {
		to = slot->id_heap = malloc(slot->id.size);
		if (!to)
			return -ENOMEM;
	}
	memcpy(to, slot->id.data, slot->id.size);
	slot->id.data = to;
	return 0;
}

void tickets_drop(struct tickets *t, struct ticket_slot *slot)
{
	free(slot->id_heap);
	slot->id_heap = NULL;
	slot->ticket = 0;
	slot->next_free = t->first_free;
	t->first_free = (uint32_t)(slot - t->slots) + 1;
	t->count--;
}
