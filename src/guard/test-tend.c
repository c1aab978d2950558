#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "guard/tend.h"

#define MS     NSEC_PER_MSEC
#define LOST   (1000 * MS)
#define SETTLE (10 * MS)

/* A row a situation: what is the case, when it is asked, and what comes of it. */
static const struct {
	const char *story;
	struct tend_facts facts; /* lost_ns and settle_ns are filled in */
	uint64_t after_ns;       /* since the loss */
	enum tend_verdict verdict;
	uint64_t until_after_ns; /* with TEND_WAIT */
} rows[] = {
	{ "all is well", { TEND_OURS, TEND_UNKNOWN, true }, 0, TEND_GO, 0 },
	{ "well, though its owner once removed it",
	  { TEND_OURS, TEND_OWNER, true },
	  0,
	  TEND_GO,
	  0 },

	/* A new listener is followed, whatever else is the case. */
	{ "restart, both listen", { TEND_LISTENER, TEND_KIN, true }, 0, TEND_FOLLOW, 0 },
	{ "restart, the old one is gone", { TEND_LISTENER, TEND_OWNER, false }, 0, TEND_FOLLOW, 0 },
	{ "a stranger's listener", { TEND_LISTENER, TEND_STRANGER, true }, 0, TEND_FOLLOW, 0 },
	{ "the same, without any name of ours left",
	  { TEND_LISTENER, TEND_STRANGER, true, false, true },
	  0,
	  TEND_FOLLOW,
	  0 },

	/* The listener is gone. */
	{ "clean stop", { TEND_NOTHING, TEND_OWNER, false }, 0, TEND_LET_GO, 0 },
	{ "crash, its path is left", { TEND_OURS, TEND_UNKNOWN, false }, 0, TEND_LET_GO, 0 },
	{ "lost, and then it crashed", { TEND_NOTHING, TEND_STRANGER, false }, 0, TEND_LET_GO, 0 },
	{ "the second instance died, the first lives",
	  { TEND_NOTHING, TEND_OWNER, false, true },
	  0,
	  TEND_FALL_BACK,
	  0 },
	{ "the second crashed and left its path",
	  { TEND_OURS, TEND_UNKNOWN, false, true },
	  0,
	  TEND_FALL_BACK,
	  0 },
	{ "gone while its successor starts", { TEND_BOUND, TEND_OWNER, false }, 0, TEND_LET_GO, 0 },

	/* A daemon between bind and listen. */
	{ "bound a moment ago", { TEND_BOUND, TEND_KIN, true }, 0, TEND_WAIT, TEND_BOUND_GAP_NS },
	{ "bound a moment ago, by whomever",
	  { TEND_BOUND, TEND_STRANGER, true },
	  0,
	  TEND_WAIT,
	  TEND_BOUND_GAP_NS },
	{ "bound, the last look of all",
	  { TEND_BOUND, TEND_STRANGER, true },
	  TEND_BOUND_NS - 1,
	  TEND_WAIT,
	  TEND_BOUND_NS },
	{ "bound, and will never listen",
	  { TEND_BOUND, TEND_STRANGER, true },
	  TEND_BOUND_NS,
	  TEND_GO,
	  0 },

	/* Who removed it is known. */
	{ "its owner", { TEND_NOTHING, TEND_OWNER, true }, 0, TEND_LEAVE, 0 },
	{ "its owner, long ago",
	  { TEND_NOTHING, TEND_OWNER, true },
	  3600 * NSEC_PER_SEC,
	  TEND_LEAVE,
	  0 },
	{ "its owner put a file there", { TEND_OBSTACLE, TEND_OWNER, true }, 0, TEND_LEAVE, 0 },
	{ "a successor", { TEND_NOTHING, TEND_KIN, true }, 0, TEND_WAIT, TEND_KIN_NS },
	{ "a second instance that cleaned up",
	  { TEND_NOTHING, TEND_KIN, true },
	  TEND_KIN_NS,
	  TEND_GO,
	  0 },
	{ "a stranger", { TEND_NOTHING, TEND_STRANGER, true }, 0, TEND_GO, 0 },
	{ "a stranger, while the daemon works",
	  { TEND_NOTHING, TEND_STRANGER, true, false, false, true },
	  0,
	  TEND_WAIT,
	  TEND_ASK_GAP_NS },
	{ "a stranger, and the daemon works on and on",
	  { TEND_NOTHING, TEND_STRANGER, true, false, false, true },
	  SETTLE,
	  TEND_GO,
	  0 },
	{ "a stranger left a file", { TEND_OBSTACLE, TEND_STRANGER, true }, 0, TEND_GO, 0 },

	/* Who removed it is about to be told. */
	{ "the name is on its way",
	  { TEND_NOTHING, TEND_EXPECTED, true },
	  0,
	  TEND_WAIT,
	  TEND_ASK_GAP_NS },
	{ "it does not come: settle",
	  { TEND_NOTHING, TEND_EXPECTED, true },
	  TEND_ASK_NS,
	  TEND_WAIT,
	  SETTLE },
	{ "it never came", { TEND_NOTHING, TEND_EXPECTED, true }, SETTLE, TEND_GO, 0 },

	/* Nobody knows. */
	{ "just now", { TEND_NOTHING, TEND_UNKNOWN, true }, 0, TEND_WAIT, SETTLE },
	{ "nearly settled", { TEND_NOTHING, TEND_UNKNOWN, true }, SETTLE - 1, TEND_WAIT, SETTLE },
	{ "settled", { TEND_NOTHING, TEND_UNKNOWN, true }, SETTLE, TEND_GO, 0 },
	{ "settled, a stale socket stands there",
	  { TEND_OBSTACLE, TEND_UNKNOWN, true },
	  SETTLE,
	  TEND_GO,
	  0 },
	{ "settled, but the program runs",
	  { TEND_NOTHING, TEND_UNKNOWN, true, false, false, true },
	  SETTLE,
	  TEND_WAIT,
	  SETTLE + TEND_BUSY_GAP_NS },
	{ "it runs and runs",
	  { TEND_NOTHING, TEND_UNKNOWN, true, false, false, true },
	  SETTLE + TEND_BUSY_NS,
	  TEND_GO,
	  0 },

	/* Nothing is left to link. */
	{ "all names gone",
	  { TEND_NOTHING, TEND_STRANGER, true, false, true },
	  0,
	  TEND_GIVE_UP,
	  0 },
	{ "all names gone, by its owner",
	  { TEND_NOTHING, TEND_OWNER, true, false, true },
	  0,
	  TEND_GIVE_UP,
	  0 },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tend_facts facts = rows[i].facts;
		struct tend_answer a;

		facts.lost_ns = LOST;
		facts.settle_ns = SETTLE;
		a = tend_decide(&facts, LOST + rows[i].after_ns);
		if (a.verdict != rows[i].verdict)
			fail_msg("%s: verdict %d, not %d", rows[i].story, a.verdict,
				 rows[i].verdict);
		if (a.verdict == TEND_WAIT && a.until_ns != LOST + rows[i].until_after_ns)
			fail_msg("%s: until %llu ns after the loss, not %llu", rows[i].story,
				 (unsigned long long)(a.until_ns - LOST),
				 (unsigned long long)rows[i].until_after_ns);
	}
}

/* Every combination: a wait ends later than now, and some wait is the last one. */
static void walk_to_the_end(struct tend_facts facts)
{
	uint64_t now = facts.lost_ns;

	for (int step = 0; step < 5000; step++) {
		struct tend_answer a = tend_decide(&facts, now);

		if (a.verdict != TEND_WAIT)
			return;
		assert_true(a.until_ns > now);
		now = a.until_ns;
	}
	fail_msg("there %d, remover %d: it waits for ever", facts.there, facts.remover);
}

static void test_no_wait_is_for_ever(void **state)
{
	(void)state;
	for (int there = TEND_NOTHING; there <= TEND_OBSTACLE; there++)
		for (int remover = TEND_UNKNOWN; remover <= TEND_STRANGER; remover++)
			for (unsigned bits = 0; bits < 16; bits++)
				walk_to_the_end(
					(struct tend_facts){ .there = (enum tend_there)there,
							     .remover = (enum tend_remover)remover,
							     .listens = bits & 1,
							     .former = bits & 2,
							     .nameless = bits & 4,
							     .busy = bits & 8,
							     .lost_ns = LOST,
							     .settle_ns = bits & 1 ? SETTLE : 0 });
}

/* Whatever else is the case: what its owner took away and nobody took over is not put back. */
static void test_the_owner_is_never_fought(void **state)
{
	(void)state;
	for (int there = TEND_NOTHING; there <= TEND_OBSTACLE; there++) {
		struct tend_facts facts = { .there = (enum tend_there)there,
					    .remover = TEND_OWNER,
					    .listens = true,
					    .lost_ns = LOST,
					    .settle_ns = SETTLE };

		if (there == TEND_OURS || there == TEND_BOUND)
			continue;
		assert_true(tend_decide(&facts, LOST + 3600 * NSEC_PER_SEC).verdict != TEND_GO);
	}
}

/* Of which listeners nobody might tell that they are gone, where that would matter. */
static const struct {
	const char *story;
	struct tend_facts facts;
	bool vigil;
} vigils[] = {
	{ "well, and its process is held", { TEND_OURS, .listens = true, .held = true }, false },
	{ "well, but put back by kedge: it may be closed by one that lives on",
	  { TEND_OURS, .listens = true, .held = true, .leased = true },
	  true },
	{ "well, and nobody is known to hold it", { TEND_OURS, .listens = true }, true },
	{ "its process ended and it still listens: in flight, or not closed yet",
	  { TEND_OURS, .listens = true, .leased = true },
	  true },
	{ "its daemon took the path away and listens on",
	  { TEND_NOTHING, TEND_OWNER, .listens = true, .held = true },
	  true },
	{ "no name is left",
	  { TEND_NOTHING, .listens = true, .nameless = true, .held = true },
	  true },
	{ "a successor is about to bind",
	  { TEND_BOUND, TEND_KIN, .listens = true, .held = true },
	  true },
	{ "it is gone, which is known", { TEND_NOTHING, TEND_OWNER, .leased = true }, false },
	{ "gone, and the path is left", { TEND_OURS, .leased = true }, false },
};

static void test_vigils(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vigils); i++)
		if (tend_keeps_vigil(&vigils[i].facts) != vigils[i].vigil)
			fail_msg("%s: vigil %d", vigils[i].story, !vigils[i].vigil);
}

/* Often at first, and later once a second, all paths in the same moment. */
static void test_vigils_grow_long_together(void **state)
{
	uint64_t gap = TEND_VIGIL_FIRST_NS, now = LOST + 1;
	unsigned early = 0;

	(void)state;
	for (int look = 0; look < 100; look++) {
		uint64_t at = tend_vigil_at(gap, now);

		assert_true(at > now && at - now <= 2 * TEND_VIGIL_MOST_NS);
		early += at < LOST + 100 * MS;
		now = at;
		gap = tend_vigil_longer(gap);
	}
	assert_int_equal(early, 6);
	assert_int_equal(gap, TEND_VIGIL_MOST_NS);
	assert_int_equal(tend_vigil_at(gap, now), tend_vigil_at(gap, now + 7));
	assert_int_equal(tend_vigil_at(gap, now) % TEND_VIGIL_MOST_NS, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vigils),
		cmocka_unit_test(test_vigils_grow_long_together),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_wait_is_for_ever),
		cmocka_unit_test(test_the_owner_is_never_fought),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
