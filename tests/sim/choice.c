#include "choice.h"

static struct {
	uint64_t state; /* of the generator */
	struct choices *record;
	const struct choices *list;
	size_t asked;
} source;

void choose_by_seed(uint64_t seed, struct choices *record)
{
	source.state = seed;
	source.record = record;
	source.list = NULL;
	source.asked = 0;
	record->count = 0;
}

void choose_by_list(const struct choices *list)
{
	source.list = list;
	source.record = NULL;
	source.asked = 0;
}

size_t choose_asked(void)
{
	return source.asked;
}

/* splitmix64: each seed, also one beside another, begins an unrelated sequence. */
static uint64_t next_random(void)
{
	uint64_t z = source.state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static unsigned answer(unsigned below, unsigned least)
{
	size_t i = source.asked++;
	unsigned value;

	if (below <= 1)
		return 0;
	if (source.list)
		return i < source.list->count ? source.list->answers[i] % below : 0;
	if (i >= CHOICES_MAX)
		return 0;
	value = least + (unsigned)(next_random() % (below - least));
	source.record->answers[i] = (uint16_t)value;
	source.record->count = i + 1;
	return value;
}

unsigned choose(unsigned below)
{
	return answer(below, 0);
}

unsigned choose_gap(unsigned most)
{
	return answer(most + 1, most > 0);
}

unsigned choose_weighted(const unsigned *weights, unsigned count)
{
	unsigned total = 0, pick, i;

	for (i = 0; i < count; i++)
		total += weights[i];
	pick = choose(total);
	for (i = 0; i + 1 < count && pick >= weights[i]; i++)
		pick -= weights[i];
	return i;
}
