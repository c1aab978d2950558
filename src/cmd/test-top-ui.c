#include "cmd/test-top.h"

#include <stdio.h>

#include "base/buf.h"
#include "cmd/top-keys.h"
#include "wire/json.h"

static void begin(struct top_ui *ui)
{
	*ui = (struct top_ui){ .columns = 80, .lines = 24 };
	tell(ui, 1, 0, STATUS_THREE);
	tell(ui, 2, 0, STATUS_SERVED(0));
}

/* Press printable keys one after the other; none of them wishes anything. */
static void type(struct top_ui *ui, const char *keys)
{
	for (; *keys; keys++)
		assert_int_equal(top_ui_press(ui, *keys), TOP_WISH_NOTHING);
}

static void test_moving(void **state)
{
	static const struct {
		int key;
		size_t at;
	} steps[] = {
		{ 'j', 1 },
		{ TOP_KEY_DOWN, 2 },
		{ TOP_KEY_DOWN, 3 },
		{ TOP_KEY_DOWN, 3 },
		{ 'k', 2 },
		{ TOP_KEY_UP, 1 },
		{ TOP_KEY_UP, 0 },
		{ TOP_KEY_UP, 0 },
		{ 'G', 3 },
		{ 'g', 0 },
		{ TOP_KEY_END, 3 },
		{ TOP_KEY_HOME, 0 },
		{ ' ', 2 },
		{ TOP_KEY_PAGE_DOWN, 3 },
		{ TOP_KEY_PAGE_UP, 1 },
		{ 'x', 1 },
		{ TOP_KEY_NONE, 1 },
	};
	struct top_ui ui;

	(void)state;
	begin(&ui);
	ui.lines = TOP_HEAD_LINES + TOP_FOOT_LINES + 2; /* a page of two */
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(top_ui_press(&ui, steps[i].key), TOP_WISH_NOTHING);
		assert_int_equal(ui.model.at, steps[i].at);
	}
	top_ui_deinit(&ui);
}

static void test_moving_without_rows(void **state)
{
	struct top_ui ui = { .columns = 80, .lines = 24 };

	(void)state;
	assert_int_equal(top_model_arrange(&ui.model), 0);
	for (int key = TOP_KEY_UP; key <= TOP_KEY_BACKSPACE; key++)
		assert_int_equal(top_ui_press(&ui, key), TOP_WISH_NOTHING);
	assert_int_equal(ui.page, TOP_PAGE_PATHS);
	top_ui_deinit(&ui);
}

static void test_sorting(void **state)
{
	struct top_ui ui;

	(void)state;
	begin(&ui);
	type(&ui, "7");
	assert_shown(&ui, "a b c gateway.sock");
	type(&ui, "r");
	assert_shown(&ui, "gateway.sock c b a");
	type(&ui, ">");
	assert_int_equal(ui.model.sort, TOP_STATE);
	type(&ui, "<<");
	assert_int_equal(ui.model.sort, TOP_OWNER);
	assert_int_equal(top_ui_press(&ui, TOP_KEY_RIGHT), TOP_WISH_NOTHING);
	assert_int_equal(ui.model.sort, TOP_PATH);
	type(&ui, "80");
	assert_int_equal(ui.model.sort, TOP_PATH);
	top_ui_deinit(&ui);
}

static void test_filtering(void **state)
{
	struct top_ui ui;

	(void)state;
	begin(&ui);
	type(&ui, "/gq");
	assert_true(ui.typing);
	assert_shown(&ui, "");
	assert_int_equal(top_ui_press(&ui, TOP_KEY_BACKSPACE), TOP_WISH_NOTHING);
	assert_shown(&ui, "gateway.sock");
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ENTER), TOP_WISH_NOTHING);
	assert_false(ui.typing);
	assert_shown(&ui, "gateway.sock");
	/* What was typed can be gone on with; Esc drops it. */
	type(&ui, "/x");
	assert_string_equal(ui.model.filter, "gx");
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ESCAPE), TOP_WISH_NOTHING);
	assert_shown(&ui, "b c a gateway.sock");
	type(&ui, "u");
	assert_shown(&ui, "b c");
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ESCAPE), TOP_WISH_NOTHING);
	assert_shown(&ui, "b c a gateway.sock");
	/* It has an end. */
	type(&ui, "/");
	for (int i = 0; i < 2 * TOP_FILTER_BYTES; i++)
		type(&ui, "y");
	assert_int_equal(strlen(ui.model.filter), TOP_FILTER_BYTES - 1);
	top_ui_deinit(&ui);
}

static void test_the_events_of_a_path(void **state)
{
	static const char events[] =
		"[{\"number\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"lost\",\"path\":"
		"\"/run/a\","
		"\"cause\":\"unlinked\",\"by\":{\"pid\":7,\"uid\":0,\"comm\":\"rm\"}},"
		"{\"number\":2,\"time\":\"2026-01-02T03:04:05.679Z\",\"event\":\"recovered\","
		"\"path\":\"/run/a\",\"outageNs\":41000}]";
	struct top_ui ui;

	(void)state;
	begin(&ui);
	type(&ui, "jj");
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ENTER), TOP_WISH_EVENTS);
	assert_int_equal(ui.page, TOP_PAGE_EVENTS);
	assert_string_equal(ui.looked_at.path, "/run/a");
	assert_int_equal(ui.looked_at.guard, 1);
	assert_int_equal(top_ui_take_events(&ui, kedge_span(events)), 0);
	assert_int_equal(ui.event_count, 2);
	/* The newest first. */
	assert_string_equal(ui.events[0], "2026-01-02T03:04:05.679Z recovered     outageNs=41000");
	assert_string_equal(ui.events[1], "2026-01-02T03:04:05.678Z lost          cause=unlinked "
					  "by comm=rm pid=7 uid=0");
	/* Told again, they are not told twice. */
	assert_int_equal(top_ui_take_events(&ui, kedge_span(events)), 0);
	assert_int_equal(ui.event_count, 2);
	assert_int_equal(top_ui_press(&ui, 'q'), TOP_WISH_NOTHING);
	assert_int_equal(ui.page, TOP_PAGE_PATHS);
	assert_chosen(&ui, "/run/a");
	assert_int_equal(top_ui_press(&ui, 'q'), TOP_WISH_END);
	top_ui_deinit(&ui);
}

static void test_events_scroll_to_a_full_page(void **state)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	struct top_ui ui;

	(void)state;
	begin(&ui);
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ENTER), TOP_WISH_EVENTS);
	for (int i = 0; i < TOP_EVENTS_MAX + 10; i++)
		assert_int_equal(buf_appendf(&b, "%s{\"event\":\"lost\"}", i ? "," : "["), 0);
	assert_int_equal(buf_append(&b, "]", 1), 0);
	assert_int_equal(top_ui_take_events(&ui, buf_span(&b)), 0);
	assert_int_equal(ui.event_count, TOP_EVENTS_MAX);
	type(&ui, "G");
	assert_int_equal(ui.first, TOP_EVENTS_MAX - top_ui_body(&ui));
	type(&ui, "k");
	assert_int_equal(ui.first, TOP_EVENTS_MAX - top_ui_body(&ui) - 1);
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ESCAPE), TOP_WISH_NOTHING);
	assert_int_equal(ui.page, TOP_PAGE_PATHS);
	top_ui_deinit(&ui);
}

static void test_help_and_back(void **state)
{
	struct top_ui ui;

	(void)state;
	begin(&ui);
	type(&ui, "?");
	assert_int_equal(ui.page, TOP_PAGE_HELP);
	type(&ui, "q");
	assert_int_equal(ui.page, TOP_PAGE_PATHS);
	type(&ui, "h");
	assert_int_equal(ui.page, TOP_PAGE_HELP);
	for (size_t i = 0; top_ui_help[i]; i++)
		assert_true(strlen(top_ui_help[i]) <= 80);
	top_ui_deinit(&ui);
}

static void test_keys_of_terminals(void **state)
{
	static const struct {
		const char *bytes;
		size_t taken;
		int key;
	} rows[] = {
		{ "q", 1, 'q' },
		{ "\r", 1, TOP_KEY_ENTER },
		{ "\177", 1, TOP_KEY_BACKSPACE },
		{ "\033[Aq", 3, TOP_KEY_UP },
		{ "\033OBq", 3, TOP_KEY_DOWN },
		{ "\033[6~", 4, TOP_KEY_PAGE_DOWN },
		{ "\033[1~", 4, TOP_KEY_HOME },
		{ "\033[1;5Aq", 6, TOP_KEY_NONE }, /* with Ctrl: nothing of ours, and all of it */
		{ "\033q", 1, TOP_KEY_ESCAPE },
		{ "\033\033[A", 1, TOP_KEY_ESCAPE },
		{ "\001", 1, TOP_KEY_NONE },
		{ "\303\244", 1, TOP_KEY_NONE },
		{ "\033", 0, TOP_KEY_NONE },
		{ "\033[", 0, TOP_KEY_NONE },
		{ "\033O", 0, TOP_KEY_NONE },
		{ "\033[1;", 0, TOP_KEY_NONE },
	};
	int key;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *bytes = rows[i].bytes;

		assert_int_equal(top_keys_next(bytes, strlen(bytes), TOP_KEYS_GO_ON, &key),
				 rows[i].taken);
		assert_int_equal(key, rows[i].key);
	}
	assert_int_equal(top_keys_next("\033", 1, TOP_KEYS_END, &key), 1);
	assert_int_equal(key, TOP_KEY_ESCAPE);
	assert_int_equal(top_keys_next("\033[1;", 4, TOP_KEYS_END, &key), 4);
	assert_int_equal(key, TOP_KEY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moving),
		cmocka_unit_test(test_moving_without_rows),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_filtering),
		cmocka_unit_test(test_the_events_of_a_path),
		cmocka_unit_test(test_events_scroll_to_a_full_page),
		cmocka_unit_test(test_help_and_back),
		cmocka_unit_test(test_keys_of_terminals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
