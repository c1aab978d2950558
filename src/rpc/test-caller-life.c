/* The life of calls and connections: deadlines, loss, what is kept, subscriptions. */
#include "rpc/test-caller.h"

#define LINES KEDGE_PROTOCOL_LINES

static void test_deadlines(void **state)
{
	struct kedge_ask ask = rig_ask("late");
	struct rig rig;
	uint64_t other;

	(void)state;
	rig_begin(&rig, LINES);
	assert_true(kedge_caller_deadline(rig.caller) == TIME_NEVER);
	ask.deadline_ns = 200;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	other = rig_call(&rig, "other");
	assert_int_equal(kedge_caller_set_deadline(rig.caller, other, 100), 0);
	assert_int_equal(kedge_caller_deadline(rig.caller), 100);
	kedge_caller_expire(rig.caller, 99);
	rig_says(&rig, "");
	kedge_caller_expire(rig.caller, 100);
	rig_says(&rig, "other timed-out\n");
	assert_int_equal(kedge_caller_set_deadline(rig.caller, other, 300), -ESTALE);
	kedge_caller_expire(rig.caller, 1000);
	rig_says(&rig, "late timed-out\n");
	/* A deadline that was taken back is none. */
	other = rig_call(&rig, "patient");
	assert_int_equal(kedge_caller_set_deadline(rig.caller, other, 2000), 0);
	assert_int_equal(kedge_caller_set_deadline(rig.caller, other, 0), 0);
	assert_true(kedge_caller_deadline(rig.caller) == TIME_NEVER);
	kedge_caller_expire(rig.caller, 3000);
	rig_says(&rig, "");
	/* An answer that comes too late finds nobody. */
	rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n");
	rig_says(&rig, "");
	assert_int_equal(kedge_caller_dropped(rig.caller), 1);
	rig_line(&rig, "{\"id\":\"3\",\"result\":3}\n");
	rig_says(&rig, "patient result 3\n");
	rig_end(&rig);
}

static void test_loss_tells_the_oldest_first(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	rig_call(&rig, "a");
	rig_call(&rig, "b");
	rig_line(&rig, "{\"id\":\"1\",\"resu");
	kedge_caller_lost(rig.caller);
	rig_says(&rig, "a lost\nb lost\n");
	rig_sends(&rig, "");
	/* The half message is forgotten, and a new connection may follow. */
	rig_call(&rig, "c");
	rig_sends(&rig, "{\"id\":\"3\",\"method\":\"c\"}\n");
	rig_line(&rig, "{\"id\":\"3\",\"result\":3}\n");
	rig_says(&rig, "c result 3\n");
	rig_end(&rig);
}

static void test_what_is_kept_is_sent_again(void **state)
{
	struct kedge_ask keep = rig_ask("keep");
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	keep.if_lost = KEDGE_IF_LOST_RESEND;
	keep.params = S("[1]");
	assert_int_equal(kedge_caller_call(rig.caller, &keep, NULL), 0);
	rig_call(&rig, "fail");
	rig_take(&rig);
	for (int i = 0; i < 3; i++) {
		kedge_caller_lost(rig.caller);
		rig_says(&rig, i == 0 ? "fail lost\n" : "");
		rig_sends(&rig, "{\"id\":\"1\",\"method\":\"keep\",\"params\":[1]}\n");
	}
	rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n");
	rig_says(&rig, "keep result 1\n");
	kedge_caller_lost(rig.caller);
	rig_sends(&rig, "");
	rig_end(&rig);
}

static void test_subscriptions(void **state)
{
	struct kedge_ask ask = rig_ask("sub");
	uint64_t number;
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	ask.on_delivery = rig_delivery;
	ask.deadline_ns = 50;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	rig_line(&rig, "{\"id\":\"1\",\"result\":{\"subscribed\":true}}\n"
		       "{\"id\":\"1\",\"event\":\"delivery\",\"payload\":{\"n\":1}}\n"
		       "{\"id\":\"1\",\"event\":\"delivery\"}\n");
	rig_says(&rig, "sub result {\"subscribed\":true}\nsub delivery \"delivery\" {\"n\":1}\n"
		       "sub delivery \"delivery\"\n");
	/* Acknowledged, it has no deadline, and no second result. */
	kedge_caller_expire(rig.caller, 100);
	rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n");
	rig_says(&rig, "");
	rig_line(&rig, "{\"id\":\"1\",\"error\":\"Stream 1 closed\"}\n");
	rig_says(&rig, "sub error 0 \"Stream 1 closed\"\n");
	rig_line(&rig, "{\"id\":\"1\",\"event\":\"delivery\",\"payload\":1}\n");
	rig_says(&rig, "");

	assert_int_equal(kedge_caller_call(rig.caller, &ask, &number), 0);
	assert_int_equal(kedge_caller_forget(rig.caller, number), 0);
	assert_int_equal(kedge_caller_forget(rig.caller, number), -ESTALE);
	rig_says(&rig, "");
	rig_end(&rig);
}

/* A subscription that is kept is made anew on the next connection. */
static void test_a_kept_subscription(void **state)
{
	struct kedge_ask ask = rig_ask("sub");
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	ask.on_delivery = rig_delivery;
	ask.if_lost = KEDGE_IF_LOST_RESEND;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n");
	kedge_caller_lost(rig.caller);
	rig_sends(&rig, "{\"id\":\"1\",\"method\":\"sub\"}\n");
	rig_line(&rig, "{\"id\":\"1\",\"result\":2}\n");
	rig_says(&rig, "sub result 1\nsub result 2\n");
	rig_end(&rig);
}

/* Callbacks that give the connection up, or ask again, from inside. */
static void lose_in_reply(const struct kedge_reply *reply, void *userdata)
{
	rig_reply(reply, userdata);
	if (reply->outcome == KEDGE_OUTCOME_RESULT)
		kedge_caller_lost(the_rig->caller);
}

static void ask_in_reply(const struct kedge_reply *reply, void *userdata)
{
	rig_reply(reply, userdata);
	(void)kedge_caller_call(the_rig->caller, &(struct kedge_ask){ .method = "next" }, NULL);
}

static void test_callbacks_may_do_anything(void **state)
{
	struct kedge_ask ask = rig_ask("lose");
	struct rig rig;

	(void)state;
	rig_begin(&rig, LINES);
	ask.on_reply = lose_in_reply;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	ask = rig_ask("again");
	ask.on_reply = ask_in_reply;
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	assert_int_equal(rig_line(&rig, "{\"id\":\"1\",\"result\":1}\n{\"id\":\"2\"}\n"), 0);
	rig_says(&rig, "lose result 1\nagain lost\n");
	rig_sends(&rig, "{\"id\":\"3\",\"method\":\"next\"}\n");
	/* At the end nothing new is taken. */
	ask.userdata = (void *)(uintptr_t) "last";
	assert_int_equal(kedge_caller_call(rig.caller, &ask, NULL), 0);
	rig.caller = kedge_caller_free(rig.caller);
	rig_says(&rig, "last lost\n");
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_loss_tells_the_oldest_first),
		cmocka_unit_test(test_what_is_kept_is_sent_again),
		cmocka_unit_test(test_subscriptions),
		cmocka_unit_test(test_a_kept_subscription),
		cmocka_unit_test(test_callbacks_may_do_anything),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
