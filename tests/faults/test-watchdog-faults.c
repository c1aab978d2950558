/*
 * The watchdog's fault loops: its start, and a loss while its thread works, with a fault
 * somewhere in it.
 */
#include "integration/fixture.h"

#include <unistd.h>

#include "faults.h"
#include "integration/peer.h"
#include "kedge/watchdog.h"

#define INTERVAL_MS 20
/* A fault that lasts is in force for so long. */
#define LASTING_US 40000
#define POLL_US    2000

enum when {
	AT_START,
	AT_LOSS,
	AT_STOP,
};

static int can_connect(const struct fixture *f)
{
	int fd = client_new(f->path);

	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static void until_connected(struct fixture *f)
{
	for (uint64_t end = now_ms() + CAP_MS; !can_connect(f); usleep(POLL_US))
		if (now_ms() > end)
			fail_with_story(f, "no client can connect", __FILE__, __LINE__);
}

static int start(const struct fixture *f, struct kedge_watchdog **dog, struct kedge_error *error)
{
	struct kedge_watchdog_options options = {
		.size = sizeof(options),
		.path = f->path,
		.guard = { .size = sizeof(options.guard), .interval_ms = INTERVAL_MS },
	};
	int r = *dog ? 0 : kedge_watchdog_new(dog, &options, error);

	return r < 0 ? r : kedge_watchdog_start(*dog, error);
}

static void run_once(struct fixture *f, const void *scenario, const struct fault *fault)
{
	enum when when = *(const enum when *)scenario;
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_watchdog *dog = NULL;
	long before = fault_blocks();
	int r;

	if (when == AT_START)
		fault_arm(fault);
	r = start(f, &dog, &error);
	if (when == AT_START)
		fault_lift();
	if (r < 0) {
		assert_true(fault_hit->name[0] && error.text[0]);
		r = start(f, &dog, NULL);
	}
	assert_int_equal(r, 0);
	until_connected(f);
	if (when == AT_LOSS) {
		fault_arm(fault);
		DO(unlink(f->path));
		if (fault->lasting)
			usleep(LASTING_US);
		else
			until_connected(f);
		fault_lift();
		until_connected(f);
	}
	if (when == AT_STOP)
		fault_arm(fault);
	(void)kedge_watchdog_stop(dog);
	fault_lift();
	(void)kedge_watchdog_free(dog);
	assert_int_equal(fault_blocks(), before);
	/* What could not be removed while the fault lasted, the next start takes along. */
	if (exists(f->path) || kedge_names(f)) {
		dog = NULL;
		assert_int_equal(start(f, &dog, NULL), 0);
		(void)kedge_watchdog_free(dog);
	}
	assert_false(exists(f->path));
	assert_int_equal(kedge_names(f), 0);
	assert_int_equal(fault_blocks(), before);
}

#define CASE(name, moment)                                                                         \
	static void name##_memory(struct fixture *f)                                               \
	{                                                                                          \
		static const enum when scenario = moment;                                          \
                                                                                                   \
		fault_loops(f, run_once, &scenario, FAULT_MEMORY);                                 \
	}                                                                                          \
	static void name##_system(struct fixture *f)                                               \
	{                                                                                          \
		static const enum when scenario = moment;                                          \
                                                                                                   \
		fault_loops(f, run_once, &scenario, FAULT_SYSTEM);                                 \
	}

CASE(start, AT_START)
CASE(loss, AT_LOSS)
CASE(stop, AT_STOP)

static const struct test_case cases[] = {
	{ "watchdog: allocations fail at the start", start_memory, ON_TMPFS },
	{ "watchdog: system calls fail at the start", start_system, ON_TMPFS },
	{ "watchdog: allocations fail after an unlink", loss_memory, ON_TMPFS },
	{ "watchdog: system calls fail after an unlink", loss_system, ON_TMPFS },
	{ "watchdog: allocations fail at the stop", stop_memory, ON_TMPFS },
	{ "watchdog: system calls fail at the stop", stop_system, ON_TMPFS },
};

int main(void)
{
	return RUN_CASES(cases);
}
