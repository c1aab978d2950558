/*
 * H6: a socket that nobody listens on stands at the path. It is replaced by ours,
 * in one step: there is no moment without a name.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 100

static void bound_in_its_place(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	make_stale(f->path);
	GUARD_UNTIL(f, same_listener(f));
	ASSERT_STORY(f, f->record.last[KEDGE_EVENT_LOST].cause == KEDGE_CAUSE_REPLACED_STALE);
	ASSERT_STORY(f, !seen(f, KEDGE_EVENT_MOVED_ASIDE) && !seen(f, KEDGE_EVENT_REBOUND));
	assert_int_equal(count_names(f->dir, "x.sock"), 1);
}

static void renamed_over(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	make_stale(in_dir(f, "stale"));
	DO(rename(in_dir(f, "stale"), f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_int_equal(count_names(f->dir, "x.sock"), 1);
}

static void stale_datagram(struct fixture *f)
{
	start_listening(f, KEDGE_INTERVAL_NONE);
	DO(unlink(f->path));
	close(bind_at(f->path, SOCK_DGRAM));
	GUARD_UNTIL(f, same_listener(f));
}

/* It has another name: that one is its owner's, and stays. */
static void stale_with_two_names(struct fixture *f)
{
	struct identity id;

	start_listening(f, KEDGE_INTERVAL_NONE);
	make_stale(in_dir(f, "stale"));
	id = identity_of(in_dir(f, "stale"));
	DO(unlink(f->path));
	DO(link(in_dir(f, "stale"), f->path));
	GUARD_UNTIL(f, same_listener(f));
	assert_true(is_identity(in_dir(f, "stale"), id));
}

/* The stranger dies while it holds the path. */
static void stranger_dies(struct fixture *f)
{
	int other;

	start_listening(f, 100);
	DO(unlink(f->path));
	other = stranger_new(f, f->path);
	GUARD_UNTIL(f, seen(f, KEDGE_EVENT_DISPLACED));
	stranger_close(f, other);
	GUARD_UNTIL(f, same_listener(f));
}

struct looker {
	const char *path;
	pthread_t thread;
	int stop, missing;
};

/* What a client sees: the name must be there all the time. */
static void *look_all_the_time(void *userdata)
{
	struct looker *l = userdata;

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
		l->missing += !exists(l->path);
	return NULL;
}

static void never_missing(struct fixture *f)
{
	struct looker looker = { .path = f->path };

	start_listening(f, KEDGE_INTERVAL_NONE);
	pthread_create(&looker.thread, NULL, look_all_the_time, &looker);
	for (int i = 0; i < ROUNDS; i++) {
		make_stale(in_dir(f, "stale"));
		DO(rename(in_dir(f, "stale"), f->path));
		GUARD_UNTIL(f, same_listener(f));
	}
	__atomic_store_n(&looker.stop, 1, __ATOMIC_RELEASE);
	pthread_join(looker.thread, NULL);
	assert_int_equal(looker.missing, 0);
}

/* A socket that is bound but does not listen yet, by a process that lives: perhaps it is
 * about to. Whatever is decided, there is one listener in the end, and no name lost. */
static void bound_but_not_listening(struct fixture *f)
{
	int fd;

	start_listening(f, 100);
	DO(unlink(f->path));
	fd = bind_at(f->path, SOCK_STREAM);
	assert_true(fd >= 0);
	guard_for(f, 300);
	close(fd);
	GUARD_UNTIL(f, same_listener(f));
}

static const struct test_case cases[] = {
	{ "h06 bound in its place", bound_in_its_place, ANYWHERE },
	{ "h06 renamed over", renamed_over, ANYWHERE },
	{ "h06 a stale datagram socket", stale_datagram, ANYWHERE },
	{ "h06 a stale socket with two names", stale_with_two_names, ANYWHERE },
	{ "h06 a stranger dies", stranger_dies, ANYWHERE },
	{ "h06 the name is never missing", never_missing, ANYWHERE },
	{ "h06 bound but not listening", bound_but_not_listening, ANYWHERE },
};

int main(void)
{
	return RUN_CASES(cases);
}
