#include "guard/tend.h"

#include <assert.h>

static struct tend_answer answer(enum tend_verdict verdict)
{
	return (struct tend_answer){ .verdict = verdict };
}

/* Wait until @until_ns, if that is still to come; else @then. */
static struct tend_answer wait_until(uint64_t until_ns, enum tend_verdict then, uint64_t now_ns)
{
	if (until_ns > now_ns)
		return (struct tend_answer){ .verdict = TEND_WAIT, .until_ns = until_ns };
	return answer(then);
}

/* Look again each @gap_ns, but not after @end_ns, which is still to come. */
static struct tend_answer look_again(uint64_t gap_ns, uint64_t end_ns, uint64_t now_ns)
{
	uint64_t next = now_ns + gap_ns;

	assert(now_ns < end_ns);
	return wait_until(next > end_ns ? end_ns : next, TEND_GO, now_ns);
}

/* Nobody knows who it was: time, and what the program is seen doing, must tell. */
static struct tend_answer settle(const struct tend_facts *f, uint64_t now_ns)
{
	uint64_t settled = f->lost_ns + f->settle_ns;

	if (now_ns < settled)
		return wait_until(settled, TEND_GO, now_ns);
	if (f->busy && now_ns < settled + TEND_BUSY_NS)
		return look_again(TEND_BUSY_GAP_NS, settled + TEND_BUSY_NS, now_ns);
	return answer(TEND_GO);
}

static struct tend_answer decide_lost(const struct tend_facts *f, uint64_t now_ns)
{
	switch (f->remover) {
	case TEND_OWNER:
		return answer(TEND_LEAVE);
	case TEND_KIN:
		return wait_until(f->lost_ns + TEND_KIN_NS, TEND_GO, now_ns);
	case TEND_STRANGER:
		if (f->busy && now_ns < f->lost_ns + f->settle_ns)
			return look_again(TEND_ASK_GAP_NS, f->lost_ns + f->settle_ns, now_ns);
		return answer(TEND_GO);
	case TEND_EXPECTED:
		if (now_ns < f->lost_ns + TEND_ASK_NS)
			return look_again(TEND_ASK_GAP_NS, f->lost_ns + TEND_ASK_NS, now_ns);
		/* It is not coming, as where a whole directory was moved. */
		return settle(f, now_ns);
	case TEND_UNKNOWN:
		return settle(f, now_ns);
	}
	assert(0 && "a remover is one of the kinds above");
	return answer(TEND_GO);
}

struct tend_answer tend_decide(const struct tend_facts *f, uint64_t now_ns)
{
	assert(f->lost_ns <= now_ns);

	if (f->there == TEND_LISTENER)
		return answer(TEND_FOLLOW);
	if (!f->listens)
		return answer(f->former ? TEND_FALL_BACK : TEND_LET_GO);
	if (f->there == TEND_OURS)
		return answer(TEND_GO);
	if (f->there == TEND_BOUND && now_ns < f->lost_ns + TEND_BOUND_NS)
		return look_again(TEND_BOUND_GAP_NS, f->lost_ns + TEND_BOUND_NS, now_ns);
	if (f->nameless)
		return answer(TEND_GIVE_UP);
	return decide_lost(f, now_ns);
}

bool tend_keeps_vigil(const struct tend_facts *f)
{
	/* A path that is well, and that its daemon made, is its daemon's affair. */
	return f->listens && (f->leased || !f->held || f->there != TEND_OURS);
}

uint64_t tend_vigil_at(uint64_t gap_ns, uint64_t now_ns)
{
	uint64_t at = now_ns + gap_ns;

	return gap_ns < TEND_VIGIL_MOST_NS ? at : at + TEND_VIGIL_MOST_NS - at % TEND_VIGIL_MOST_NS;
}

uint64_t tend_vigil_longer(uint64_t gap_ns)
{
	return 2 * gap_ns < TEND_VIGIL_MOST_NS ? 2 * gap_ns : TEND_VIGIL_MOST_NS;
}
