/*
 * The guard's configuration: any text is either taken, or refused by one line. What was
 * taken is within its bounds.
 */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "cmd/command.h"
#include "cmd/guard.h"
#include "fuzz/complaint.h"
#include "kedge/guard.h"

static bool is_absolute(const char *path)
{
	return !path || path[0] == '/';
}

static void check(const struct guard_options *o)
{
	for (size_t i = 0; i < o->paths.count; i++)
		FUZZ_ASSERT(o->paths.items[i][0] == '/');
	for (size_t i = 0; i < o->all_of.count; i++)
		FUZZ_ASSERT(o->all_of.items[i][0]);
	FUZZ_ASSERT(is_absolute(o->anchor_dir) && is_absolute(o->metrics_file));
	FUZZ_ASSERT(is_absolute(o->log_file));
	FUZZ_ASSERT(o->settle_ms >= 0 && o->settle_ms <= GUARD_SETTLE_MAX_MS);
	FUZZ_ASSERT(o->interval_ms >= 0 && o->interval_ms <= KEDGE_INTERVAL_MAX_MS);
	FUZZ_ASSERT(o->ready_fd == -1);
	FUZZ_ASSERT((unsigned)o->log.format < 2 && (unsigned)o->log.level < 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guard_options o = { .ready_fd = -1 };
	char *text = malloc(size + 1);
	int r;

	FUZZ_ASSERT(text);
	memcpy(text, data, size);
	text[size] = '\0';
	complaint_forget();
	r = guard_take_config(&o, "FILE", text, size);
	FUZZ_ASSERT(r == EXIT_OK || r == EXIT_USAGE);
	FUZZ_ASSERT(complaint_count == (r == EXIT_USAGE));
	FUZZ_ASSERT(r == EXIT_OK || size);
	check(&o);
	guard_options_deinit(&o);
	free(text);
	return 0;
}
