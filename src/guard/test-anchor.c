/*
 * The sweep of an anchor directory, against a directory that is a table of names.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "base/time.h"
#include "guard/anchor.h"

#define NAMES_MAX 4096
#define STARTS    1000

struct directory {
	char names[NAMES_MAX][24];
	unsigned count;
	unsigned listings;
	unsigned stats;
	uint64_t now_ns;
};

static uint64_t fake_now(void *ctx)
{
	return ((struct directory *)ctx)->now_ns;
}

static uint32_t fake_uid(void *ctx)
{
	(void)ctx;
	return 5;
}

static int find(const struct directory *d, const char *name)
{
	for (unsigned i = 0; i < d->count; i++)
		if (strcmp(d->names[i], name) == 0)
			return (int)i;
	return -1;
}

static int fake_list(void *ctx, int dir, void (*each)(const char *, void *), void *userdata)
{
	struct directory *d = ctx;

	(void)dir;
	d->listings++;
	for (unsigned i = 0; i < d->count; i++)
		each(d->names[i], userdata);
	return 0;
}

static int fake_stat(void *ctx, int dir, const char *name, struct node *ret)
{
	struct directory *d = ctx;
	int i = find(d, name);

	(void)dir;
	d->stats++;
	*ret = (struct node){ 0 };
	if (i >= 0)
		*ret = (struct node){ .kind = NODE_SOCKET, .uid = 5, .inode = (uint64_t)i + 1 };
	return 0;
}

static int fake_unlink(void *ctx, int dir, const char *name)
{
	struct directory *d = ctx;
	int i = find(d, name);

	(void)dir;
	assert_true(i >= 0);
	d->names[i][0] = '\0';
	return 0;
}

/* Whoever is called "alive..." listens. */
static int fake_probe(void *ctx, int dir, const char *name, int type)
{
	(void)ctx;
	(void)dir;
	(void)type;
	return strncmp(name, "alive", 5) == 0 ? PROBE_LIVE : PROBE_STALE;
}

static struct directory directory;

static const struct guard_ports ports = {
	.ctx = &directory,
	.now_ns = fake_now,
	.uid = fake_uid,
	.list = fake_list,
	.stat = fake_stat,
	.unlink = fake_unlink,
	.probe = fake_probe,
};

static struct anchor_dir a_dir(void)
{
	directory = (struct directory){ .now_ns = NSEC_PER_SEC };
	return (struct anchor_dir){ .ports = &ports, .refs = 1, .fd = 3, .parent = 4 };
}

static void put(const char *name)
{
	(void)snprintf(directory.names[directory.count++], sizeof(directory.names[0]), "%s", name);
}

static uint64_t sweep_by(struct anchor_dir *a, const char *socket, const struct lock_note *note)
{
	struct sweep sweep = { .note = *note };

	anchor_sweep(a, "/run/x", socket, &sweep);
	return sweep.highest;
}

static uint64_t sweep(struct anchor_dir *a, const char *socket)
{
	return sweep_by(a, socket, &(struct lock_note){ 0 });
}

static void test_sweeps_its_own_alone(void **state)
{
	static const char *const kept[] = { "x.lock",
					    "y.1",
					    "x.y.2",
					    "x.7.3",
					    "x.sock.4",
					    "x.",
					    "x.out",
					    "x.1.out.out",
					    "x.1a",
					    "alive.1",
					    "x.-1",
					    "x",
					    "x.99999999999999999999" };
	struct anchor_dir a = a_dir();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		put(kept[i]);
	put("x.7");
	put("x.12.out");
	assert_int_equal(sweep(&a, "x"), 12);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (find(&directory, kept[i]) < 0)
			fail_msg("%s is gone", kept[i]);
	assert_int_equal(find(&directory, "x.7"), -1);
	assert_int_equal(find(&directory, "x.12.out"), -1);
	assert_int_equal(sweep(&a, "alive"), 1);
	assert_true(find(&directory, "alive.1") >= 0);
	anchor_dir_forget_listing(&a);
}

/* Each new lock file made the guard list the directory: 6,633 paths took ten seconds. */
static void test_many_starts_share_a_listing(void **state)
{
	struct anchor_dir a = a_dir();
	char name[24];

	(void)state;
	for (int i = 0; i < STARTS; i++) {
		(void)snprintf(name, sizeof(name), "s%d.%d", i, i % 7 + 1);
		put(name);
	}
	for (int i = 0; i < STARTS; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(sweep(&a, name), i % 7 + 1);
	}
	assert_int_equal(directory.listings, 1);
	assert_int_equal(directory.stats, 2 * STARTS);
	for (int i = 0; i < STARTS; i++)
		assert_string_equal(directory.names[i], "");
	anchor_dir_forget_listing(&a);
}

static void test_listing_is_not_believed_for_long(void **state)
{
	struct anchor_dir a = a_dir();

	(void)state;
	assert_int_equal(sweep(&a, "x"), 0);
	put("x.3");
	directory.now_ns += LEFTOVERS_NS;
	assert_int_equal(sweep(&a, "x"), 3);
	assert_int_equal(find(&directory, "x.3"), -1);
	put("x.4");
	anchor_dir_forget_listing(&a);
	assert_int_equal(sweep(&a, "x"), 4);
	assert_int_equal(directory.listings, 3);
	anchor_dir_forget_listing(&a);
}

static void test_note_saves_the_listing(void **state)
{
	struct lock_note note = { .low = 2, .high = 5, .known = true };
	struct anchor_dir a = a_dir();

	(void)state;
	put("x.1");
	put("x.2");
	put("x.5.out");
	assert_int_equal(sweep_by(&a, "x", &note), 5);
	assert_int_equal(directory.listings, 0);
	assert_true(find(&directory, "x.1") >= 0);
	assert_int_equal(find(&directory, "x.2"), -1);
	assert_int_equal(find(&directory, "x.5.out"), -1);
}

/* A note that cannot be true is not gone by: the names are. */
static void test_notes_that_are_not_believed(void **state)
{
	static const struct lock_note notes[] = {
		{ .known = true, .low = 5, .high = 3 },
		{ .known = true, .low = 1, .high = 1000000 },
		{ .known = true, .low = 1, .high = UINT64_MAX },
		{ .known = false, .low = 1, .high = 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		struct anchor_dir a = a_dir();

		put("s.2");
		assert_int_equal(sweep_by(&a, "s", &notes[i]), 2);
		assert_int_equal(directory.listings, 1);
		assert_string_equal(directory.names[0], "");
		anchor_dir_forget_listing(&a);
	}
}

static unsigned puts_left; /* until map_put() finds no memory; 0: it always does */

int __real_map_put(struct map *m, uint64_t key, void *value);
int __wrap_map_put(struct map *m, uint64_t key, void *value);

int __wrap_map_put(struct map *m, uint64_t key, void *value)
{
	return puts_left && --puts_left == 0 ? -ENOMEM : __real_map_put(m, key, value);
}

/* Half a listing is none: it is made anew, and nothing is swept meanwhile. */
static void test_no_memory_for_a_listing(void **state)
{
	struct anchor_dir a = a_dir();

	(void)state;
	put("s.1");
	put("s.2");
	put("s.3");
	puts_left = 2;
	assert_int_equal(sweep(&a, "s"), 0);
	assert_string_equal(directory.names[0], "s.1");
	assert_null(a.leftovers);
	assert_int_equal(sweep(&a, "s"), 3);
	assert_int_equal(directory.listings, 2);
	assert_string_equal(directory.names[0], "");
	anchor_dir_forget_listing(&a);
}

/* Names that are none of an anchor are left alone. */
static void test_names_of_others(void **state)
{
	static const char *const names[] = { "7", "s7", "s.", "s.7x", ".out", "s.out", "7.out" };
	struct anchor_dir a = a_dir();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put(names[i]);
	assert_int_equal(sweep(&a, "s"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(directory.names[i], names[i]);
	anchor_dir_forget_listing(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweeps_its_own_alone),
		cmocka_unit_test(test_many_starts_share_a_listing),
		cmocka_unit_test(test_listing_is_not_believed_for_long),
		cmocka_unit_test(test_note_saves_the_listing),
		cmocka_unit_test(test_notes_that_are_not_believed),
		cmocka_unit_test(test_no_memory_for_a_listing),
		cmocka_unit_test(test_names_of_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("anchor", tests, NULL, NULL);
}
