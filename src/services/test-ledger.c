#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "services/ledgerbook.h"
#include "wire/json.h"

static void note(struct ledger *l, enum kedge_event_kind kind, const char *path,
		 enum kedge_cause cause, uint64_t outage_ns)
{
	static int64_t time_ms = 1000;
	struct kedge_event event = { .size = sizeof(event),
				     .kind = kind,
				     .cause = cause,
				     .path = path,
				     .generation = 1,
				     .outage_ns = outage_ns,
				     .detail = "" };

	ledger_note(l, &event, NULL, time_ms++);
}

/* What @append says, as text that the caller frees. */
static char *told(struct buf *b, int result)
{
	assert_int_equal(result, 0);
	assert_int_equal(buf_append(b, "", 1), 0);
	return buf_front(b);
}

static void assert_valid(const char *text)
{
	assert_true(json_is_valid(kedge_span(text), 16));
}

static void assert_has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("no \"%s\" in: %s", part, text ? text : "nothing");
}

static void test_states_follow_the_events(void **state)
{
	static const struct {
		enum kedge_event_kind kind;
		enum ledger_state after;
	} steps[] = {
		{ KEDGE_EVENT_LISTENING, LEDGER_REACHABLE },
		{ KEDGE_EVENT_BLOCKED, LEDGER_REACHABLE }, /* its anchor is, not the path */
		{ KEDGE_EVENT_LOST, LEDGER_REPAIRING },
		{ KEDGE_EVENT_BLOCKED, LEDGER_BLOCKED },
		{ KEDGE_EVENT_RELINKED, LEDGER_BLOCKED },
		{ KEDGE_EVENT_RECOVERED, LEDGER_REACHABLE },
		{ KEDGE_EVENT_DISPLACED, LEDGER_DISPLACED },
		{ KEDGE_EVENT_FOLLOWED, LEDGER_REACHABLE },
		{ KEDGE_EVENT_LEFT_ALONE, LEDGER_LEFT_ALONE },
		{ KEDGE_EVENT_AWAITED, LEDGER_AWAITED },
	};
	struct ledger *l = ledger_new(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		note(l, steps[i].kind, "/a", KEDGE_CAUSE_NONE, 0);
		for (int s = 0; s < LEDGER_STATE_MAX_; s++)
			assert_int_equal(ledger_paths(l, (enum ledger_state)s),
					 s == (int)steps[i].after);
	}
	note(l, KEDGE_EVENT_STOPPED, "/a", KEDGE_CAUSE_NONE, 0);
	for (int s = 0; s < LEDGER_STATE_MAX_; s++)
		assert_int_equal(ledger_paths(l, (enum ledger_state)s), 0);
	ledger_free(l);
}

static void count_notes(const struct ledger_event *event, void *userdata)
{
	*(uint64_t *)userdata += event->number;
}

static void leave(const struct ledger_event *event, void *userdata)
{
	(void)event;
	ledger_unlisten(userdata);
}

/* The control socket and the assistant listen to one ledger. */
static void test_listeners_come_and_go(void **state)
{
	struct ledger *l = ledger_new(0);
	uint64_t first = 0, second = 0;
	struct ledger_listener once = { .fn = leave, .userdata = &once };
	struct ledger_listener a = { .fn = count_notes, .userdata = &first };
	struct ledger_listener b = { .fn = count_notes, .userdata = &second };

	(void)state;
	ledger_unlisten(&a);
	ledger_listen(l, &once);
	ledger_listen(l, &a);
	ledger_listen(l, &b);
	note(l, KEDGE_EVENT_LISTENING, "/a", KEDGE_CAUSE_NONE, 0);
	assert_true(list_empty(&once.link));
	assert_int_equal(first, 1);
	assert_int_equal(second, 1);
	ledger_unlisten(&a);
	ledger_unlisten(&a);
	note(l, KEDGE_EVENT_LOST, "/a", KEDGE_CAUSE_UNLINKED, 0);
	assert_int_equal(first, 1);
	assert_int_equal(second, 3);
	ledger_free(l);
	ledger_unlisten(&b);
}

/* Every kind of event has a word here, or a path would take the first state by accident. */
static void test_no_kind_is_forgotten(void **state)
{
	(void)state;
	for (int k = 0; k < KEDGE_EVENT_MAX_; k++) {
		struct ledger *l = ledger_new(0);

		note(l, KEDGE_EVENT_LOST, "/a", KEDGE_CAUSE_UNLINKED, 0);
		note(l, (enum kedge_event_kind)k, "/a", KEDGE_CAUSE_UNLINKED, 0);
		if (ledger_paths(l, LEDGER_REACHABLE) == 1)
			assert_true(k == KEDGE_EVENT_LISTENING || k == KEDGE_EVENT_RECOVERED ||
				    k == KEDGE_EVENT_FOLLOWED);
		ledger_free(l);
	}
}

static void test_the_ring_keeps_the_newest(void **state)
{
	struct ledger *l = ledger_new(4);
	_cleanup_(buf_deinit) struct buf b = BUF_INIT, two = BUF_INIT;
	char *text;

	(void)state;
	for (int i = 0; i < 10; i++)
		note(l, KEDGE_EVENT_LOST, "/a", KEDGE_CAUSE_UNLINKED, 0);
	text = told(&b, ledger_append_events(&b, l, &LEDGER_CHOICE_ALL));
	assert_valid(text);
	assert_has(text, "[{\"number\":7,");
	assert_has(text, "\"number\":10,");
	assert_int_equal(ledger_count(l, KEDGE_EVENT_LOST), 10);
	text = told(&two,
		    ledger_append_events(
			    &two, l, &(struct ledger_choice){ .since_ms = INT64_MIN, .most = 2 }));
	assert_has(text, "[{\"number\":9,");
	ledger_free(l);
}

static void test_events_are_chosen(void **state)
{
	static const struct {
		struct ledger_choice choice;
		const char *numbers;
	} rows[] = {
		{ { INT64_MIN, NULL, SIZE_MAX }, "1 2 3 4 5 6" },
		{ { 3000, NULL, SIZE_MAX }, "3 4 5 6" },
		{ { INT64_MIN, NULL, 2 }, "5 6" },
		{ { INT64_MIN, NULL, 0 }, "" },
		{ { INT64_MIN, "/even", SIZE_MAX }, "2 4 6" },
		{ { INT64_MIN, "/even", 2 }, "4 6" },
		{ { 4000, "/even", 9 }, "4 6" },
		{ { 7000, NULL, 9 }, "" },
		{ { INT64_MIN, "/eve", 9 }, "" },
	};
	struct ledger *l = ledger_new(0);

	(void)state;
	for (int i = 1; i <= 6; i++)
		ledger_note(l,
			    &(struct kedge_event){ .kind = KEDGE_EVENT_LOST,
						   .path = i % 2 ? "/odd" : "/even",
						   .detail = "" },
			    NULL, 1000 * i);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_deinit) struct buf b = BUF_INIT, numbers = BUF_INIT;
		const char *at = NULL;
		struct kedge_span text, event;

		text = kedge_span(told(&b, ledger_append_events(&b, l, &rows[i].choice)));
		while (json_next_element(text, &at, &event)) {
			struct kedge_span number = json_member(event, "number");

			(void)buf_appendf(&numbers, "%s%.*s", buf_size(&numbers) ? " " : "",
					  (int)number.size, number.data);
		}
		assert_string_equal(told(&numbers, 0), rows[i].numbers);
	}
	ledger_free(l);
}

/* A path may hold any byte but NUL; what is told is JSON, and one line. */
static void test_hostile_names_stay_json(void **state)
{
	struct ledger_actor by = {
		.pid = 7, .uid = 1, .comm = "a\"b\\c\n", .exe = "/x/\xff\xc0\x80"
	};
	struct kedge_event event = { .kind = KEDGE_EVENT_LOST,
				     .cause = KEDGE_CAUSE_UNLINKED,
				     .path = "/tmp/\x80\xf8 \"q\"\n\xe2\x82\xac",
				     .detail = "\x1b[31m",
				     .error = -EACCES };
	struct ledger *l = ledger_new(0);
	_cleanup_(buf_deinit) struct buf events = BUF_INIT, status = BUF_INIT;
	char *text;

	(void)state;
	ledger_note(l, &event, &by, 1767323045678);
	text = told(&events, ledger_append_events(
				     &events, l,
				     &(struct ledger_choice){ .since_ms = INT64_MIN, .most = 1 }));
	assert_valid(text);
	assert_null(strchr(text, '\n'));
	assert_null(strchr(text, '\x1b'));
	assert_has(text, "\"time\":\"2026-01-02T03:04:05.678Z\"");
	assert_has(text, "/tmp/?? \\\"q\\\"?\xe2\x82\xac");
	assert_has(text, "\"by\":{\"pid\":7,\"uid\":1,");
	assert_valid(told(&status, ledger_append_status(&status, l, NULL)));
	ledger_free(l);
}

static void test_texts_are_cut(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	struct ledger *l = ledger_new(0);
	size_t size = 3 * LEDGER_TEXT_MAX;
	char *path = malloc(size);

	(void)state;
	memset(path, 'x', size);
	path[size - 1] = '\0';
	note(l, KEDGE_EVENT_LOST, path, KEDGE_CAUSE_UNLINKED, 0);
	(void)told(&b, ledger_append_events(
			       &b, l, &(struct ledger_choice){ .since_ms = INT64_MIN, .most = 1 }));
	assert_in_range(buf_size(&b), LEDGER_TEXT_MAX, LEDGER_TEXT_MAX + 300);
	free(path);
	ledger_free(l);
}

static void test_outages_fall_into_buckets(void **state)
{
	struct ledger *l = ledger_new(0);
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	char *text;

	(void)state;
	note(l, KEDGE_EVENT_LOST, "/a", KEDGE_CAUSE_RENAMED, 0);
	note(l, KEDGE_EVENT_RECOVERED, "/a", KEDGE_CAUSE_RENAMED, 25 * NSEC_PER_USEC);
	note(l, KEDGE_EVENT_RECOVERED, "/a", KEDGE_CAUSE_RENAMED, 2 * NSEC_PER_MSEC);
	note(l, KEDGE_EVENT_RECOVERED, "/a", KEDGE_CAUSE_RENAMED, 90 * NSEC_PER_SEC);
	text = told(&b, ledger_append_metrics(&b, l));
	assert_has(text, "kedge_outage_seconds_bucket{le=\"2.5e-05\"} 1\n");
	assert_has(text, "kedge_outage_seconds_bucket{le=\"0.001\"} 1\n");
	assert_has(text, "kedge_outage_seconds_bucket{le=\"0.01\"} 2\n");
	assert_has(text, "kedge_outage_seconds_bucket{le=\"60\"} 2\n");
	assert_has(text, "kedge_outage_seconds_bucket{le=\"+Inf\"} 3\n");
	assert_has(text, "kedge_outage_seconds_sum 90.002025000\n");
	assert_has(text, "kedge_losses_total{cause=\"renamed\"} 1\n");
	assert_has(text, "kedge_paths{state=\"reachable\"} 1\n");
	ledger_free(l);
}

/* The guard as a whole recovers from blindness: that was no outage of a path. */
static void test_the_guard_itself_is_no_path(void **state)
{
	struct ledger *l = ledger_new(0);

	(void)state;
	note(l, KEDGE_EVENT_DEGRADED, "", KEDGE_CAUSE_NONE, 0);
	note(l, KEDGE_EVENT_RECOVERED, "", KEDGE_CAUSE_NONE, 0);
	assert_int_equal(ledger_paths(l, LEDGER_REACHABLE), 0);
	assert_int_equal(l->outage_count, 0);
	ledger_free(l);
}

static void describe(struct buf *b, const char *path, void *userdata)
{
	(void)userdata;
	(void)buf_appendf(b, ",\"length\":%zu", strlen(path));
}

static void test_status_of_many_paths(void **state)
{
	struct ledger *l = ledger_new(16);
	_cleanup_(buf_deinit) struct buf all = BUF_INIT, one = BUF_INIT;
	char path[32], *text;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(path, sizeof(path), "/run/%d", i);
		note(l, KEDGE_EVENT_LISTENING, path, KEDGE_CAUSE_NONE, 0);
	}
	for (int i = 0; i < 3000; i += 2) {
		(void)snprintf(path, sizeof(path), "/run/%d", i);
		note(l, KEDGE_EVENT_STOPPED, path, KEDGE_CAUSE_NONE, 0);
	}
	assert_int_equal(ledger_paths(l, LEDGER_REACHABLE), 1500);
	ledger_on_describe(l, describe, NULL);
	assert_valid(told(&all, ledger_append_status(&all, l, NULL)));
	text = told(&one, ledger_append_status(&one, l, "/run/2999"));
	assert_has(text, "{\"paths\":[{\"path\":\"/run/2999\",\"state\":\"reachable\"");
	assert_has(text, "\"length\":9}]");
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states_follow_the_events),
		cmocka_unit_test(test_listeners_come_and_go),
		cmocka_unit_test(test_no_kind_is_forgotten),
		cmocka_unit_test(test_the_ring_keeps_the_newest),
		cmocka_unit_test(test_events_are_chosen),
		cmocka_unit_test(test_hostile_names_stay_json),
		cmocka_unit_test(test_texts_are_cut),
		cmocka_unit_test(test_outages_fall_into_buckets),
		cmocka_unit_test(test_the_guard_itself_is_no_path),
		cmocka_unit_test(test_status_of_many_paths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
