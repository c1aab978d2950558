#include "base/streak.h"

#include <assert.h>

enum streak_verdict streak_fail(struct streak *s, uint64_t now_ns, int error)
{
	bool news = s->failures == 0 || error != s->error;

	if (s->failures == 0)
		s->since_ns = now_ns;
	if (s->failures < UINT32_MAX)
		s->failures++;
	s->error = error;

	if (news && s->reports < STREAK_REPORTS_MAX) {
		s->reports++;
		return STREAK_REPORT;
	}
	if (s->swallowed < UINT32_MAX)
		s->swallowed++;
	return STREAK_SWALLOW;
}

bool streak_recover(struct streak *s, uint64_t now_ns, uint64_t *ret_length_ns,
		    uint32_t *ret_swallowed)
{
	if (s->failures == 0)
		return false;

	assert(now_ns >= s->since_ns);
	if (ret_length_ns)
		*ret_length_ns = now_ns - s->since_ns;
	if (ret_swallowed)
		*ret_swallowed = s->swallowed;
	*s = (struct streak)STREAK_INIT;
	return true;
}

uint64_t backoff_next_ns(struct backoff *b, uint64_t max_ns)
{
	uint64_t next = b->last_ns == 0 ? BACKOFF_FIRST_NS : b->last_ns * 2;

	/* Halved before it is compared, a maximum of TIME_NEVER cannot overflow. */
	if (next > max_ns || b->last_ns > max_ns / 2)
		next = max_ns;
	b->last_ns = next;
	return next;
}
