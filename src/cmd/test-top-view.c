#include "cmd/test-top.h"

#include <inttypes.h>
#include <stdio.h>

#include "cmd/table.h"
#include "cmd/top-paint.h"

static void begin(struct top_ui *ui, unsigned columns, unsigned lines)
{
	*ui = (struct top_ui){ .columns = columns, .lines = lines, .wall_ms = 1767323045678 };
	tell(ui, 1, 0, STATUS_THREE);
	tell(ui, 2, 0, STATUS_SERVED(0));
	tell(ui, 2, 1000, STATUS_SERVED(123456));
}

static const char *text_at(const struct top_frame *frame, size_t i)
{
	assert_true(i < frame->count);
	return buf_front(&frame->lines[i].text);
}

static void assert_fits(const struct top_frame *frame, const struct top_ui *ui)
{
	assert_true(frame->count >= ui->lines);
	for (size_t i = 0; i < frame->count; i++)
		assert_true(text_columns(text_at(frame, i)) <= ui->columns);
}

static void test_a_page_of_paths(void **state)
{
	static const char *const wanted[] = {
		"03:04:05Z  2 kedges, 4 paths: 2 reachable, 1 blocked, 1 awaited; losses: 3",
		"",
		"STATEv      LOSSES  OUTAGE  CLIENTS  REQ/S OWNER            PATH",
		"blocked          1   2.0s+        -      - -                /run/b",
		"awaited          0       -        -      - -                /run/c",
		"reachable        2    45us        -      - redis/12         /run/a",
		"reachable        0       -        7   123k gateway          /run/gateway.sock",
		"",
		"q leave  ? help  Enter events  / filter  u unwell  < > sort  r reverse",
	};
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 80, ARRAY_SIZE(wanted));
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_int_equal(frame.count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_string_equal(text_at(&frame, i), wanted[i]);
	assert_int_equal(frame.lines[3].style, TOP_CHOSEN);
	assert_int_equal(frame.lines[4].mark, TOP_FAIR);
	assert_int_equal(frame.lines[4].mark_columns, strlen("awaited"));
	assert_int_equal(frame.lines[5].mark, TOP_GOOD);
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_every_size(void **state)
{
	static const char *const keys[] = { "", "/a", "?" };
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	for (unsigned columns = 1; columns < 200; columns += 7)
		for (unsigned lines = 1; lines < 30; lines += 3)
			for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
				begin(&ui, columns, lines);
				for (const char *key = keys[k]; *key; key++)
					assert_int_equal(top_ui_press(&ui, *key), TOP_WISH_NOTHING);
				assert_int_equal(top_view_draw(&ui, &frame), 0);
				assert_fits(&frame, &ui);
				top_frame_deinit(&frame);
				top_ui_deinit(&ui);
			}
}

/* Fewer columns, and always the end of the path. */
static void test_a_narrow_page(void **state)
{
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 30, 10);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_string_equal(text_at(&frame, 2), "STATEv     PATH");
	assert_string_equal(text_at(&frame, 6), "reachable  /run/gateway.sock");
	top_frame_deinit(&frame);
	ui.columns = 24;
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_string_equal(text_at(&frame, 6), "reachable  ...teway.sock");
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_the_choice_is_in_sight(void **state)
{
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 80, TOP_HEAD_LINES + TOP_FOOT_LINES + 2);
	top_model_choose(&ui.model, 3);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_int_equal(frame.lines[4].style, TOP_CHOSEN);
	assert_non_null(strstr(text_at(&frame, 4), "/run/gateway.sock"));
	top_frame_deinit(&frame);
	top_model_choose(&ui.model, 1);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_int_equal(frame.lines[3].style, TOP_CHOSEN);
	top_frame_deinit(&frame);
	/* More room: what was scrolled away comes back. */
	ui.lines = 24;
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_int_equal(frame.lines[4].style, TOP_CHOSEN);
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

/* Nobody's path moves the cursor or makes two lines of one. */
static void test_hostile_names(void **state)
{
	struct top_ui ui = { .columns = 80, .lines = 8 };
	struct top_frame frame;

	(void)state;
	tell(&ui, 1, 0,
	     "{\"paths\":[{\"path\":\"/x\\u001b[2J\\n\\u009b\\u00e4\",\"state\":\"reachable\","
	     "\"losses\":0,\"owner\":{\"pid\":7,\"comm\":\"a\\u0007b-and-much-more-of-it\"}}]}");
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_non_null(strstr(text_at(&frame, 3), " /x?[2J??\xc3\xa4"));
	assert_non_null(strstr(text_at(&frame, 3), " a?b-and-much-~/7 "));
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_who_does_not_answer(void **state)
{
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 80, 24);
	ui.silent[0] = 2;
	ui.silent_count = 1;
	top_model_silence(&ui.model, 2);
	strcpy(ui.model.filter, "gate");
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_string_equal(text_at(&frame, 1),
			    "no answer from pid 2  with \"gate\"  1 of 4 shown");
	assert_int_equal(memcmp(text_at(&frame, 3), "silent ", 7), 0);
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_one_path(void **state)
{
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 80, 10);
	top_model_choose(&ui.model, 2);
	assert_int_equal(top_ui_press(&ui, TOP_KEY_ENTER), TOP_WISH_EVENTS);
	assert_int_equal(
		top_ui_take_events(&ui, kedge_span("[{\"time\":\"T\",\"event\":\"lost\"}]")), 0);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_fits(&frame, &ui);
	assert_string_equal(text_at(&frame, 0), "/run/a");
	assert_string_equal(text_at(&frame, 1), "guarded by pid 1; out of reach in all: 3.0ms");
	assert_non_null(strstr(text_at(&frame, 5), "lost"));
	top_frame_deinit(&frame);
	top_model_drop(&ui.model, 1);
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_int_equal(top_view_draw(&ui, &frame), 0);
	assert_string_equal(text_at(&frame, 0), "/run/a");
	assert_string_equal(text_at(&frame, 1), "no longer guarded");
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_a_table_has_all(void **state)
{
	struct top_frame frame;
	struct top_ui ui;

	(void)state;
	begin(&ui, 0, 0);
	assert_int_equal(top_view_table(&ui, &frame), 0);
	assert_int_equal(frame.count, 5);
	assert_string_equal(text_at(&frame, 4), "reachable        0       -        7   123k "
						"gateway                  /run/gateway.sock");
	top_frame_deinit(&frame);
	top_ui_deinit(&ui);
}

static void test_figures(void **state)
{
	static const struct {
		int64_t ns;
		const char *words;
	} durations[] = {
		{ -1, "-" },
		{ 0, "0ns" },
		{ 999, "999ns" },
		{ 1000, "1.0us" },
		{ 45200, "45us" },
		{ 9960000, "10ms" },
		{ 1500000000, "1.5s" },
		{ 59000000000, "59s" },
		{ 90000000000, "1.5m" },
		{ 7200000000000, "2.0h" },
		{ 864000000000000, "10d" },
	};
	static const struct {
		double count;
		const char *words;
	} counts[] = { { -1, "-" },        { 0, "0" },          { 99999, "99999" },
		       { 123456, "123k" }, { 4500000, "4.5M" }, { 1e18, "1000P" } };
	char words[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		top_view_duration(durations[i].ns, words);
		assert_string_equal(words, durations[i].words);
	}
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		top_view_count(counts[i].count, words);
		assert_string_equal(words, counts[i].words);
	}
}

/* Painting. */

static struct top_line line(const char *text, enum top_style style, unsigned mark_columns)
{
	struct top_line l = { .style = style, .mark_columns = mark_columns, .mark = TOP_BAD };

	assert_int_equal(buf_append(&l.text, text, strlen(text) + 1), 0);
	return l;
}

/* From one line to the next. */
static void assert_painted(struct top_paint *p, struct top_line to, const char *wanted)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT;
	struct top_frame frame = { &to, 1 };

	assert_int_equal(top_paint_frame(p, &frame, 10, 2, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal(buf_front(&out), wanted);
	buf_deinit(&to.text);
}

static void test_only_changes_are_painted(void **state)
{
	struct top_paint p = { .charset = TOP_UTF8 };

	(void)state;
	assert_painted(&p, line("12:00:01", TOP_PLAIN, 0), "\033[m\033[2J\033[1;1H\033[m12:00:01");
	assert_painted(&p, line("12:00:01", TOP_PLAIN, 0), "");
	assert_painted(&p, line("12:00:02", TOP_PLAIN, 0), "\033[1;8H\033[m2");
	assert_painted(&p, line("12:10:02", TOP_PLAIN, 0), "\033[1;4H\033[m1");
	assert_painted(&p, line("12:1", TOP_PLAIN, 0), "\033[1;5H\033[m\033[K");
	assert_painted(&p, line("12:1 \xc3\xa4", TOP_PLAIN, 0), "\033[1;5H\033[m \xc3\xa4");
	assert_painted(&p, line("12:1 \xc3\xb6", TOP_PLAIN, 0), "\033[1;6H\033[m\xc3\xb6");
	/* What stands out does so in words, or in the colour of its column. */
	assert_painted(&p, line("12:1", TOP_CHOSEN, 0), "\033[1;1H\033[0;7m12:1      ");
	assert_painted(&p, line("12:1", TOP_PLAIN, 2), "\033[1;1H\033[0;1m12\033[m:1\033[m\033[K");
	assert_painted(&p, line("13:2", TOP_PLAIN, 2), "\033[1;2H\033[0;1m3\033[m:2");
	p.colours = TOP_COLOURS;
	top_paint_forget(&p);
	assert_painted(&p, line("no", TOP_PLAIN, 2), "\033[m\033[2J\033[1;1H\033[0;1;31mno");
	top_paint_deinit(&p);
}

static void test_a_line_too_wide_is_cut(void **state)
{
	struct top_paint p = { .charset = TOP_ASCII };

	(void)state;
	assert_painted(&p, line("\xe2\x82\xac 234567890123", TOP_PLAIN, 0),
		       "\033[m\033[2J\033[1;1H\033[m? 23456789");
	top_paint_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_page_of_paths),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_a_narrow_page),
		cmocka_unit_test(test_the_choice_is_in_sight),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_who_does_not_answer),
		cmocka_unit_test(test_one_path),
		cmocka_unit_test(test_a_table_has_all),
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_only_changes_are_painted),
		cmocka_unit_test(test_a_line_too_wide_is_cut),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
