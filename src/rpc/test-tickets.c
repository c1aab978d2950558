#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/tickets.h"

#define MANY 100000u

/* Slots stay where they are however many follow, and the ids with them. */
static void test_slots_do_not_move(void **state)
{
	struct tickets t = { 0 };
	static struct ticket_slot *slots[MANY];

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		slots[i] = tickets_take(&t, kedge_span("\"id\""));
		assert_non_null(slots[i]);
		assert_int_equal(tickets_keep(slots[i]), 0);
		assert_int_equal(slots[i]->index, i);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		assert_ptr_equal(tickets_find(&t, slots[i]->ticket), slots[i]);
		assert_ptr_equal(tickets_at(&t, i), slots[i]);
		assert_memory_equal(slots[i]->id.data, "\"id\"", 4);
	}
	assert_int_equal(t.count, MANY);
	tickets_deinit(&t);
}

/* A slot is used again, a ticket never. */
static void test_tickets_are_used_once(void **state)
{
	struct tickets t = { 0 };
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct ticket_slot *slot = tickets_take(&t, kedge_span("1"));
		uint64_t ticket = slot->ticket;

		assert_true(ticket > last);
		assert_null(tickets_find(&t, last));
		slot->tag = &t;
		slot->held = true;
		tickets_drop(&t, slot);
		assert_null(tickets_find(&t, ticket));
		last = ticket;
	}
	assert_int_equal(t.capacity, 4);
	assert_null(tickets_at(&t, 0)->tag);
	assert_false(tickets_at(&t, 0)->held);
	tickets_deinit(&t);
}

static void test_nonsense_finds_nothing(void **state)
{
	struct tickets t = { 0 };
	uint64_t ticket;

	(void)state;
	assert_null(tickets_find(&t, 0));
	assert_null(tickets_find(&t, 1));
	ticket = tickets_take(&t, kedge_span("1"))->ticket;
	assert_null(tickets_find(&t, 0));
	assert_null(tickets_find(&t, ticket + 1));
	assert_null(tickets_find(&t, ticket + 4));
	assert_null(tickets_find(&t, UINT64_MAX));
	tickets_deinit(&t);
}

/* At 48 bytes an id is kept in its slot, beyond that elsewhere; either way it is a copy. */
static void test_ids(void **state)
{
	struct tickets t = { 0 };
	char id[50];

	(void)state;
	memset(id, 'x', sizeof(id));
	for (size_t n = 47; n <= 50; n++) {
		struct ticket_slot *slot = tickets_take(&t, (struct kedge_span){ id, n });

		assert_ptr_equal(slot->id.data, id);
		assert_int_equal(tickets_keep(slot), 0);
		assert_ptr_not_equal(slot->id.data, id);
		assert_int_equal(slot->id_heap != NULL, n > TICKET_ID_INLINE);
		assert_int_equal(slot->id.size, n);
		assert_memory_equal(slot->id.data, id, n);
		if (n % 2)
			tickets_drop(&t, slot);
	}
	tickets_deinit(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots_do_not_move),
		cmocka_unit_test(test_tickets_are_used_once),
		cmocka_unit_test(test_nonsense_finds_nothing),
		cmocka_unit_test(test_ids),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
