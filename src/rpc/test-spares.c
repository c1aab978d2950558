/* Spares: who has the memory, and that nobody sees a difference. */
#include <stdlib.h>

#include "rpc/conn-internal.h"
#include "rpc/test-allocator.h"
#include "rpc/test-peer.h"

static bool refuse; /* memory */

static bool is_refused(void)
{
	return refuse;
}

#define ASK "{\"id\":1,\"method\":\"echo\",\"params\":\"some words\"}\n"
#define SAY "{\"id\":1,\"result\":\"some words\"}\n"

struct pair {
	struct kedge_conn_spares *spares;
	struct peer a, b;
};

static void pair_open(struct pair *p)
{
	struct kedge_conn_options options = peer_options(&p->a, KEDGE_PROTOCOL_LINES);

	p->a.upload = p->b.upload = KEDGE_UPLOAD_COLLECT;
	options.spares = p->spares = kedge_conn_spares_new();
	assert_non_null(p->spares);
	peer_open(&p->a, &options);
	options.userdata = &p->b;
	peer_open(&p->b, &options);
}

static void pair_close(struct pair *p)
{
	peer_close(&p->a);
	peer_close(&p->b);
	assert_null(kedge_conn_spares_free(p->spares));
}

/* One that is idle keeps nothing: the next works in the same memory. */
static void test_idle_ones_keep_nothing(void **state)
{
	struct pair p = { 0 };
	const char *in, *out;

	(void)state;
	pair_open(&p);
	peer_feed_text(&p.a, ASK);
	peer_expect_text(&p.a, SAY);
	assert_int_equal(p.a.conn->in.buf.capacity + p.a.conn->out.capacity, 0);
	in = p.spares->in.data;
	assert_int_equal(p.spares->out_count, 1);
	out = p.spares->out[0].data;
	assert_true(in && out);
	peer_feed_text(&p.b, ASK ASK);
	assert_int_equal(p.spares->out_count, 0);
	peer_expect_text(&p.b, SAY SAY);
	assert_ptr_equal(p.spares->in.data, in);
	assert_int_equal(p.spares->out_count, 1);
	assert_ptr_equal(p.spares->out[0].data, out);
	pair_close(&p);
}

/* Half a message waits in memory of its size, and not in the spare. */
static void test_half_a_message_is_moved(void **state)
{
	struct pair p = { 0 };
	size_t half = strlen(ASK) / 2;

	(void)state;
	pair_open(&p);
	for (int i = 0; i < 3; i++) {
		peer_feed(&p.a, ASK ASK, strlen(ASK) + half);
		assert_in_range(p.a.conn->in.buf.capacity, half, 1024);
		assert_non_null(p.spares->in.data);
		peer_feed(&p.b, ASK, half);
		peer_feed(&p.b, &ASK[half], strlen(ASK) - half);
		peer_feed(&p.a, &ASK[half], strlen(ASK) - half);
		peer_expect_text(&p.a, SAY SAY);
		peer_expect_text(&p.b, SAY);
	}
	pair_close(&p);
}

/* As many outputs are kept as are used at once, and no more. */
static void test_outputs_are_kept(void **state)
{
	struct kedge_conn_spares *spares = kedge_conn_spares_new();
	struct buf own[SPARES_OUT + 1] = { BUF_INIT };

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
			spares_borrow_out(spares, &own[i]);
			assert_true(own[i].capacity >= SPARE_BYTES);
		}
		assert_int_equal(spares->out_count, 0);
		for (size_t i = 0; i < ARRAY_SIZE(own); i++)
			spares_give_back_out(spares, &own[i]);
		assert_int_equal(spares->out_count, SPARES_OUT);
		assert_true(own[SPARES_OUT].capacity >= SPARE_BYTES);
	}
	buf_deinit(&own[SPARES_OUT]);
	kedge_conn_spares_free(spares);
}

/* ... nor more bytes of them. */
static void test_large_outputs_are_few(void **state)
{
	struct kedge_conn_spares *spares = kedge_conn_spares_new();
	struct buf own[4] = { BUF_INIT };
	size_t kept = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		assert_int_equal(buf_reserve(&own[i], SPARE_BYTES_MAX), 0);
		spares_give_back_out(spares, &own[i]);
	}
	for (unsigned i = 0; i < spares->out_count; i++)
		kept += spares->out[i].capacity;
	assert_in_range(kept, SPARE_BYTES_MAX, SPARES_OUT_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		buf_deinit(&own[i]);
	kedge_conn_spares_free(spares);
}

static void say_long(struct buf *to, char end, size_t size)
{
	static const char head[] = "{\"id\":1,\"method\":\"echo\",\"params\":\"";

	assert_int_equal(buf_append(to, head, sizeof(head) - 1), 0);
	assert_int_equal(buf_reserve(to, size), 0);
	memset(to->data + to->end, end, size);
	to->end += size;
	assert_int_equal(buf_append(to, "\"}\n", 3), 0);
}

/* One that holds the spare for a long message leaves others to their own; too large a
 * one is freed. */
static void test_a_long_message_keeps_it(void **state)
{
	struct buf text = BUF_INIT;
	struct pair p = { 0 };

	(void)state;
	pair_open(&p);
	say_long(&text, 'x', 2 * SPARE_BYTES_MAX);
	peer_feed(&p.a, buf_front(&text), buf_size(&text) - 10);
	assert_true(p.a.conn->in.buf.capacity > SPARE_BYTES_MAX);
	peer_feed_text(&p.b, ASK);
	peer_expect_text(&p.b, SAY);
	peer_feed(&p.a, buf_front(&text) + buf_size(&text) - 10, 10);
	assert_int_equal(p.a.conn->in.buf.capacity, 0);
	assert_true(p.spares->in.capacity <= SPARE_BYTES_MAX);
	peer_take(&p.a);
	assert_true(buf_size(&p.a.sent) > 2 * SPARE_BYTES_MAX);
	/* The answer's buffer was the spare, and has grown too large. */
	assert_int_equal(p.spares->out_count, 0);
	buf_deinit(&text);
	pair_close(&p);
}

/* Without memory for more, everything stays where it is. */
static void test_no_memory(void **state)
{
	struct buf own = BUF_INIT, spare = BUF_INIT;

	(void)state;
	refuse = true;
	spare_borrow(&own, &spare);
	refuse = false;
	assert_int_equal(own.capacity + spare.capacity, 0);
	spare_borrow(&own, &spare);
	assert_true(own.capacity >= SPARE_BYTES);
	assert_int_equal(buf_append(&own, "ab", 2), 0);
	refuse = true;
	spare_give_back(&own, &spare);
	refuse = false;
	assert_int_equal(spare.capacity, 0);
	assert_memory_equal(buf_front(&own), "ab", 2);
	spare_give_back(&own, &spare);
	assert_true(spare.capacity >= SPARE_BYTES);
	assert_memory_equal(buf_front(&own), "ab", 2);
	buf_deinit(&own);
	buf_deinit(&spare);
}

/* Too much is there to be moved: it stays, and so does the spare. */
static void test_much_is_not_moved(void **state)
{
	static char much[SPARE_BYTES / 4];
	struct buf own = BUF_INIT, spare = BUF_INIT;
	const char *memory;

	(void)state;
	assert_int_equal(buf_append(&own, much, sizeof(much)), 0);
	assert_true(own.capacity < SPARE_BYTES);
	assert_int_equal(buf_reserve(&spare, SPARE_BYTES), 0);
	memory = own.data;
	spare_borrow(&own, &spare);
	assert_ptr_equal(own.data, memory);
	assert_int_equal(buf_size(&own), sizeof(much));
	assert_true(spare.capacity >= SPARE_BYTES);
	buf_deinit(&own);
	buf_deinit(&spare);
}

/* What is too large is let go of, also where no other is kept. */
static void test_a_huge_one_is_freed(void **state)
{
	struct buf own = BUF_INIT, spare = BUF_INIT;

	(void)state;
	assert_int_equal(buf_reserve(&own, SPARE_BYTES_MAX + 1), 0);
	spare_give_back(&own, &spare);
	assert_int_equal(own.capacity + spare.capacity, 0);
}

/* What is smaller than a spare is none. */
static void test_a_small_one_is_no_spare(void **state)
{
	struct kedge_conn_spares *spares = kedge_conn_spares_new();
	struct buf own = BUF_INIT;

	(void)state;
	assert_int_equal(buf_reserve(&own, 100), 0);
	spares_give_back_out(spares, &own);
	assert_int_equal(spares->out_count, 0);
	assert_true(own.capacity >= 100);
	buf_deinit(&own);
	kedge_conn_spares_free(spares);
	assert_null(kedge_conn_spares_free(NULL));
}

/* Who has as much of its own borrows none. */
static void test_a_large_one_borrows_nothing(void **state)
{
	struct buf own = BUF_INIT, spare = BUF_INIT;
	const char *memory;

	(void)state;
	assert_int_equal(buf_reserve(&own, SPARE_BYTES), 0);
	assert_int_equal(buf_reserve(&spare, SPARE_BYTES), 0);
	memory = own.data;
	spare_borrow(&own, &spare);
	assert_ptr_equal(own.data, memory);
	assert_true(spare.capacity >= SPARE_BYTES);
	buf_deinit(&own);
	buf_deinit(&spare);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_ones_keep_nothing),
		cmocka_unit_test(test_half_a_message_is_moved),
		cmocka_unit_test(test_outputs_are_kept),
		cmocka_unit_test(test_large_outputs_are_few),
		cmocka_unit_test(test_a_long_message_keeps_it),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_a_large_one_borrows_nothing),
		cmocka_unit_test(test_a_huge_one_is_freed),
		cmocka_unit_test(test_much_is_not_moved),
		cmocka_unit_test(test_a_small_one_is_no_spare),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
