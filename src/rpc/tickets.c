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

int tickets_grow(struct tickets *t)
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
