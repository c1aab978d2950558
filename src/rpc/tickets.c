#include "rpc/tickets.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tickets_deinit(struct tickets *t)
{
	for (uint32_t i = 0; i < t->capacity; i++)
		free(tickets_at(t, i)->id_heap);
	for (size_t i = 0; i < TICKET_BLOCKS_MAX; i++)
		free(t->blocks[i]);
	*t = (struct tickets){ 0 };
}

static int tickets_grow(struct tickets *t)
{
	uint32_t block = ticket_block(t->capacity), n = ticket_block_slots(block);
	struct ticket_slot *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	assert(block < TICKET_BLOCKS_MAX);
	for (uint32_t i = n; i-- > 0;) {
		slots[i].index = t->capacity + i;
		slots[i].next_free = t->first_free;
		t->first_free = &slots[i];
	}
	t->blocks[block] = slots;
	t->capacity += n;
	return 0;
}

struct ticket_slot *tickets_take(struct tickets *t, struct kedge_span id)
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
