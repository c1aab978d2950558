#include "cmd/test-top.h"

#include <errno.h>
#include <stdio.h>

#include "services/ledger.h"

static const struct top_row *row_of(const struct top_ui *ui, const char *path)
{
	for (size_t i = 0; i < ui->model.shown_count; i++)
		if (strcmp(ui->model.shown[i]->path, path) == 0)
			return ui->model.shown[i];
	fail_msg("%s is not shown", path);
	return NULL;
}

static void test_a_status_becomes_rows(void **state)
{
	struct top_ui ui = { 0 };
	const struct top_row *a, *b, *c, *served;

	(void)state;
	tell(&ui, 1, 0, STATUS_THREE);
	tell(&ui, 2, 0, STATUS_SERVED(5));
	a = row_of(&ui, "/run/a");
	assert_string_equal(a->owner, "redis/12");
	assert_int_equal(a->guard, 1);
	assert_int_equal(a->losses, 2);
	assert_int_equal(a->outage_ns, 45000);
	assert_int_equal(a->clients, TOP_UNKNOWN);
	assert_false(a->lost);
	/* While it lasts it is the present outage that counts: two seconds so far. */
	b = row_of(&ui, "/run/b");
	assert_true(b->lost);
	assert_int_equal(b->outage_ns, 2000 * (int64_t)NSEC_PER_MSEC);
	assert_string_equal(b->owner, "");
	c = row_of(&ui, "/run/c");
	assert_false(c->lost);
	assert_int_equal(c->outage_ns, TOP_UNKNOWN);
	served = row_of(&ui, "/run/gateway.sock");
	assert_string_equal(served->owner, "gateway");
	assert_int_equal(served->clients, 7);
	assert_int_equal(ui.model.total, 4);
	assert_int_equal(ui.model.losses, 3);
	assert_int_equal(ui.model.in_state[LEDGER_REACHABLE], 2);
	top_ui_deinit(&ui);
}

/* A later version may know more, and members may be missing. */
static void test_strange_statuses(void **state)
{
	static const char *const none[] = {
		"{}", "null", "[]", "{\"paths\":7}", "{\"paths\":[]}", "{\"paths\":{\"a\":1}}"
	};
	struct top_ui ui = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		tell(&ui, 1, 0, none[i]);
		assert_int_equal(ui.model.total, 0);
	}
	tell(&ui, 1, 0,
	     "{\"paths\":[{\"path\":\"/x\",\"state\":\"levitating\",\"losses\":\"2\"},1]}");
	assert_int_equal(ui.model.total, 2);
	assert_int_equal(row_of(&ui, "/x")->state, TOP_UNKNOWN);
	assert_int_equal(row_of(&ui, "/x")->losses, TOP_UNKNOWN);
	assert_int_equal(ui.model.losses, 0);
	top_ui_deinit(&ui);
}

static void test_requests_a_second(void **state)
{
	struct top_ui ui = { 0 };

	(void)state;
	tell(&ui, 2, 0, STATUS_SERVED(100));
	assert_true(row_of(&ui, "/run/gateway.sock")->rate < 0);
	tell(&ui, 2, 2000, STATUS_SERVED(500));
	assert_int_equal((int)row_of(&ui, "/run/gateway.sock")->rate, 200);
	/* Asked again at once: too short to count, and nothing is forgotten. */
	tell(&ui, 2, 2001, STATUS_SERVED(900));
	assert_int_equal((int)row_of(&ui, "/run/gateway.sock")->rate, 200);
	tell(&ui, 2, 4000, STATUS_SERVED(900));
	assert_int_equal((int)row_of(&ui, "/run/gateway.sock")->rate, 200);
	tell(&ui, 2, 6000, STATUS_SERVED(900));
	assert_int_equal((int)row_of(&ui, "/run/gateway.sock")->rate, 0);
	/* It began anew: what was before says nothing. */
	tell(&ui, 2, 8000, STATUS_SERVED(3));
	assert_true(row_of(&ui, "/run/gateway.sock")->rate < 0);
	top_ui_deinit(&ui);
}

static void test_sorted_by_each_column(void **state)
{
	static const char status[] =
		"{\"paths\":["
		"{\"path\":\"/a\",\"state\":\"reachable\",\"losses\":1,\"outageLastNs\":10,"
		"\"name\":\"z\",\"clients\":3},"
		"{\"path\":\"/b\",\"state\":\"awaited\",\"losses\":9,\"outageLastNs\":30,"
		"\"name\":\"x\",\"clients\":1},"
		"{\"path\":\"/c\",\"state\":\"left-alone\",\"losses\":5,\"name\":\"y\"},"
		"{\"path\":\"/d\",\"state\":\"reachable\",\"losses\":5,\"name\":\"y\"}]}";
	static const struct {
		enum top_column column;
		const char *shown, *reversed;
	} rows[] = {
		{ TOP_STATE, "c b a d", "d a b c" },  { TOP_LOSSES, "b c d a", "a d c b" },
		{ TOP_OUTAGE, "b a c d", "d c a b" }, { TOP_CLIENTS, "a b c d", "d c b a" },
		{ TOP_RATE, "a b c d", "d c b a" },   { TOP_OWNER, "b c d a", "a d c b" },
		{ TOP_PATH, "a b c d", "d c b a" },
	};
	struct top_ui ui = { 0 };

	(void)state;
	_Static_assert(ARRAY_SIZE(rows) == TOP_COLUMN_MAX_, "each column is tried");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(top_column_find(top_column_names[rows[i].column]), rows[i].column);
		ui.model.sort = rows[i].column;
		ui.model.reverse = false;
		tell(&ui, 1, 0, status);
		assert_shown(&ui, rows[i].shown);
		ui.model.reverse = true;
		assert_int_equal(top_model_arrange(&ui.model), 0);
		assert_shown(&ui, rows[i].reversed);
	}
	assert_int_equal(top_column_find("colour"), -EINVAL);
	top_ui_deinit(&ui);
}

static void test_left_out(void **state)
{
	struct top_ui ui = { 0 };

	(void)state;
	tell(&ui, 1, 0, STATUS_THREE);
	tell(&ui, 2, 0, STATUS_SERVED(0));
	assert_shown(&ui, "b c a gateway.sock");
	ui.model.only_unwell = true;
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_shown(&ui, "b c");
	ui.model.only_unwell = false;
	strcpy(ui.model.filter, "REDIS");
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_shown(&ui, "a");
	strcpy(ui.model.filter, "gate");
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_shown(&ui, "gateway.sock");
	assert_int_equal(ui.model.total, 4);
	top_ui_deinit(&ui);
}

/* The same row stays chosen wherever it goes; when it has gone, its neighbour is. */
static void test_the_choice_stays(void **state)
{
	struct top_ui ui = { 0 };

	(void)state;
	tell(&ui, 1, 0, STATUS_THREE);
	top_model_choose(&ui.model, 2);
	assert_chosen(&ui, "/run/a");
	tell(&ui, 2, 0, STATUS_SERVED(0));
	ui.model.sort = TOP_PATH;
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_chosen(&ui, "/run/a");
	assert_int_equal(ui.model.at, 0);
	top_model_choose(&ui.model, 99);
	assert_chosen(&ui, "/run/gateway.sock");
	top_model_drop(&ui.model, 2);
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_chosen(&ui, "/run/c");
	/* Left out for a while it is chosen again afterwards. */
	strcpy(ui.model.filter, "nothing");
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_null(top_model_chosen(&ui.model));
	ui.model.filter[0] = '\0';
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_chosen(&ui, "/run/c");
	top_ui_deinit(&ui);
}

static void test_silence_and_departure(void **state)
{
	struct top_ui ui = { 0 };

	(void)state;
	tell(&ui, 1, 0, STATUS_THREE);
	tell(&ui, 2, 0, STATUS_SERVED(0));
	top_model_silence(&ui.model, 2);
	ui.model.only_unwell = true;
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_shown(&ui, "gateway.sock b c");
	tell(&ui, 2, 0, STATUS_SERVED(0));
	assert_shown(&ui, "b c");
	top_model_drop(&ui.model, 1);
	top_model_drop(&ui.model, 99);
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_int_equal(ui.model.total, 1);
	top_ui_deinit(&ui);
}

static void test_no_more_kedges_than_there_is_room_for(void **state)
{
	struct top_ui ui = { 0 };
	struct top_moment now = { 0 };

	(void)state;
	for (pid_t pid = 1; pid <= TOP_SOURCES_MAX; pid++)
		tell(&ui, pid, 0, STATUS_THREE);
	assert_int_equal(
		top_model_take(&ui.model, TOP_SOURCES_MAX + 1, kedge_span(STATUS_THREE), now),
		-ENOSPC);
	assert_int_equal(top_model_take(&ui.model, 1, kedge_span(STATUS_THREE), now), 0);
	assert_int_equal(top_model_arrange(&ui.model), 0);
	assert_int_equal(ui.model.total, 3 * TOP_SOURCES_MAX);
	top_ui_deinit(&ui);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_status_becomes_rows),
		cmocka_unit_test(test_strange_statuses),
		cmocka_unit_test(test_requests_a_second),
		cmocka_unit_test(test_sorted_by_each_column),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_the_choice_stays),
		cmocka_unit_test(test_silence_and_departure),
		cmocka_unit_test(test_no_more_kedges_than_there_is_room_for),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
