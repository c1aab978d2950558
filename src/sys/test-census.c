#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "sys/census.h"
#include "sys/process.h"
#include "sys/removers.h"

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/kedge-census-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static char *in_dir(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static int bind_at(int type, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Whom the census sees at a path. */
static const struct diag_socket *seen_at(struct census *c, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(census_take(c), 0);
	return census_at(c, path, st.st_dev, st.st_ino);
}

static void test_bound_listening_gone(void **state)
{
	const char *path = in_dir("s");
	int fd = bind_at(SOCK_STREAM, path);
	struct census c;

	(void)state;
	census_init(&c);
	assert_non_null(seen_at(&c, path));
	assert_false(census_takes_clients(seen_at(&c, path), SOCK_DGRAM));
	listen(fd, 1);
	assert_true(census_takes_clients(seen_at(&c, path), SOCK_DGRAM));
	shutdown(fd, SHUT_RDWR);
	assert_false(census_takes_clients(seen_at(&c, path), SOCK_DGRAM));
	close(fd);
	assert_null(seen_at(&c, path));
	census_deinit(&c);
}

static void test_a_datagram_socket_takes_clients_once_bound(void **state)
{
	const char *path = in_dir("d");
	int fd = bind_at(SOCK_DGRAM, path);
	struct census c;

	(void)state;
	census_init(&c);
	assert_true(census_takes_clients(seen_at(&c, path), SOCK_DGRAM));
	close(fd);
	census_deinit(&c);
}

/* What was accepted carries the listener's inode, and outlives it. */
static void test_a_connection_is_no_listener(void **state)
{
	const char *path = in_dir("c");
	int fd = bind_at(SOCK_STREAM, path), client, server;
	struct diag_socket s;
	struct census c;
	struct stat st;

	(void)state;
	census_init(&c);
	listen(fd, 4);
	client = connect_to(path);
	server = accept(fd, NULL, NULL);
	assert_true(census_takes_clients(seen_at(&c, path), SOCK_DGRAM));
	close(fd);
	assert_null(seen_at(&c, path));
	/* Else its stale path would count as taken for as long as that client stays. */
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(diag_by_path(st.st_dev, st.st_ino, &s), 0);
	close(client);
	close(server);
	census_deinit(&c);
}

/* A second name of the inode leads to the same socket. */
static void test_by_any_name_and_by_its_own_inode(void **state)
{
	const char *path = in_dir("n"), *other = in_dir("n2");
	int fd = bind_at(SOCK_STREAM, path);
	struct census c;
	struct stat st;

	(void)state;
	census_init(&c);
	listen(fd, 1);
	assert_int_equal(link(path, other), 0);
	fstat(fd, &st);
	assert_int_equal(seen_at(&c, other)->socket_inode, st.st_ino);
	assert_non_null(census_socket(&c, (uint32_t)st.st_ino));
	assert_null(census_socket(&c, 0));
	close(fd);
	census_deinit(&c);
}

static void test_a_process_knows_itself(void **state)
{
	struct process me, parent;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(process_identify(getpid(), &me), 0);
	assert_int_equal(me.uid, geteuid());
	assert_true(process_same_program(&me, &me));
	waitpid(pid, NULL, 0);
	assert_int_equal(process_identify(pid, &parent), -ESRCH);
	/* Nothing is the same as what is not to be had. */
	assert_false(process_same_program(&(struct process){ 0 }, &(struct process){ 0 }));
	assert_false(process_same_program(&me, &(struct process){ 0 }));
}

static void test_a_process_at_work_is_seen(void **state)
{
	pid_t spinner = fork(), sleeper;

	(void)state;
	if (spinner == 0)
		for (;;)
			continue;
	sleeper = fork();
	if (sleeper == 0)
		for (;;)
			pause();
	while (!process_busy(spinner))
		usleep(1000);
	while (process_busy(sleeper))
		usleep(1000);
	kill(spinner, SIGKILL);
	kill(sleeper, SIGKILL);
	waitpid(spinner, NULL, 0);
	waitpid(sleeper, NULL, 0);
}

static void test_a_process_holds_a_socket(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;

	(void)state;
	fstat(fd, &st);
	assert_true(process_holds(getpid(), (uint32_t)st.st_ino));
	assert_true(process_holds_at(getpid(), fd, (uint32_t)st.st_ino));
	assert_false(process_holds_at(getpid(), fd + 1000, (uint32_t)st.st_ino));
	assert_false(process_holds_at(getpid(), fd, (uint32_t)st.st_ino + 1));
	close(fd);
	assert_false(process_holds(getpid(), (uint32_t)st.st_ino));
}

struct told {
	void *owner;
	pid_t pid;
	int count;
};

static void tell(void *owner, pid_t pid, void *userdata)
{
	struct told *told = userdata;

	*told = (struct told){ owner, pid, told->count + 1 };
}

/* Whoever does it is told, ourselves left out; after the mark is gone nothing is. */
static void test_the_remover_is_told(void **state)
{
	const char *path = in_dir("r"), *other = in_dir("r2");
	int fd = bind_at(SOCK_STREAM, path), handle = open(path, O_PATH | O_CLOEXEC);
	struct remover_mark mark = { 0 };
	struct told told = { 0 };
	struct removers r;
	int status;
	pid_t pid;

	(void)state;
	if (removers_open(&r) < 0 || removers_mark(&r, &mark, handle, &mark) < 0) {
		print_message("# SKIP the rest: fanotify is not to be had here\n");
		return;
	}
	assert_int_equal(link(path, other), 0);
	removers_read(&r, tell, &told);
	assert_int_equal(told.count, 0);
	pid = fork();
	if (pid == 0)
		_exit(unlink(path));
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	removers_read(&r, tell, &told);
	assert_true(told.count >= 1);
	assert_ptr_equal(told.owner, &mark);
	assert_int_equal(told.pid, pid);
	removers_unmark(&r, &mark, handle);
	told.count = 0;
	pid = fork();
	if (pid == 0)
		_exit(unlink(other));
	waitpid(pid, &status, 0);
	removers_read(&r, tell, &told);
	assert_int_equal(told.count, 0);
	removers_close(&r);
	close(handle);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound_listening_gone),
		cmocka_unit_test(test_a_datagram_socket_takes_clients_once_bound),
		cmocka_unit_test(test_a_connection_is_no_listener),
		cmocka_unit_test(test_by_any_name_and_by_its_own_inode),
		cmocka_unit_test(test_a_process_knows_itself),
		cmocka_unit_test(test_a_process_at_work_is_seen),
		cmocka_unit_test(test_a_process_holds_a_socket),
		cmocka_unit_test(test_the_remover_is_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
