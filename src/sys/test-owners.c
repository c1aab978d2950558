/* Owners: whoever holds a socket is found; whoever does not any more is not held. */
#include "sys/owners.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"

static uint32_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A child that holds what we hold, until it is killed. */
static pid_t fork_holder(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_found(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int a = new_socket(), b = new_socket(), twice = dup(a);
	uint32_t inodes[] = { inode_of(b), inode_of(a), inode_of(a), 0 };
	const struct owner *o;
	size_t n;

	(void)state;
	assert_int_equal(owners_find(inodes, 4, &owners), 0);
	o = owners_of(&owners, inode_of(a), &n);
	assert_int_equal(n, 1);
	assert_int_equal(o->pid, getpid());
	assert_int_equal(o->uid, geteuid());
	assert_true(o->fd == a || o->fd == twice);
	assert_non_null(strstr(o->exe, "test-sys-owners"));
	assert_true(strncmp(o->comm, "test-sys-owners", OWNER_COMM_MAX - 1) == 0);
	assert_non_null(owners_of(&owners, inode_of(b), &n));
	assert_int_equal(n, 1);
	assert_null(owners_of(&owners, 0, &n));
	assert_int_equal(n, 0);
	assert_null(owners_main(&owners, UINT32_MAX));
}

static void test_nothing_asked(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;

	(void)state;
	assert_int_equal(owners_find(NULL, 0, &owners), 0);
	assert_int_equal(owners.count, 0);
}

static void test_shared(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int fd = new_socket();
	uint32_t inode = inode_of(fd);
	pid_t pid = fork_holder();
	size_t n;

	(void)state;
	assert_int_equal(owners_find(&inode, 1, &owners), 0);
	assert_non_null(owners_of(&owners, inode, &n));
	assert_int_equal(n, 2);
	assert_int_equal(owners_main(&owners, inode)->pid, pid < getpid() ? pid : getpid());
	end_child(pid);
}

static void test_hold_and_take(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int fd = new_socket(), pidfd = -EBADF, taken = -EBADF;
	uint32_t inode = inode_of(fd);
	pid_t pid = fork_holder();
	const struct owner *o;
	size_t n;

	(void)state;
	assert_int_equal(owners_find(&inode, 1, &owners), 0);
	o = owners_of(&owners, inode, &n);
	o += o->pid != pid;
	pidfd = owner_hold(o);
	assert_true(pidfd >= 0);
	assert_true(owner_is_alive(pidfd));
	taken = owner_take(o, pidfd);
	/* Some systems forbid it between equals (yama). */
	if (taken != -EPERM)
		assert_int_equal(inode_of(taken), inode);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (owner_is_alive(pidfd))
		usleep(1000);
	/* Dead, and not reaped: the pid cannot be another's yet, and is no owner's. */
	assert_int_equal(owner_hold(o), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(owner_hold(o), -ESRCH);
}

/* The descriptor's number stands for something else by now. */
static void test_number_used_again(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int fd = new_socket(), other = new_socket();
	_cleanup_(fd_closep) int pidfd = -EBADF;
	uint32_t inode = inode_of(fd);
	const struct owner *o;

	(void)state;
	assert_int_equal(owners_find(&inode, 1, &owners), 0);
	o = owners_main(&owners, inode);
	pidfd = owner_hold(o);
	assert_true(pidfd >= 0);
	assert_int_equal(dup2(other, fd), fd);
	assert_int_equal(owner_hold(o), -ESRCH);
	assert_int_equal(owner_take(o, pidfd), -ESRCH);
}

/* Without a name the inode is still reached. Needs CAP_NET_ADMIN. */
static void test_inode_without_name(void **state)
{
	_cleanup_(owners_deinit) struct owners owners = OWNERS_INIT;
	_cleanup_(fd_closep) int fd = new_socket(), pidfd = -EBADF, handle = -EBADF;
	char dir[] = "/tmp/kedge-owners-XXXXXX";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint32_t inode = inode_of(fd);
	struct stat st, handled;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(lstat(address.sun_path, &st), 0);
	assert_int_equal(unlink(address.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(owners_find(&inode, 1, &owners), 0);
	pidfd = owner_hold(owners_main(&owners, inode));
	assert_true(pidfd >= 0);
	handle = owner_take_inode(owners_main(&owners, inode), pidfd);
	if (handle == -EPERM)
		return;
	assert_true(handle >= 0);
	assert_int_equal(fstat(handle, &handled), 0);
	assert_true(handled.st_ino == st.st_ino && handled.st_dev == st.st_dev);
	assert_int_equal(handled.st_nlink, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_nothing_asked),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_hold_and_take),
		cmocka_unit_test(test_number_used_again),
		cmocka_unit_test(test_inode_without_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
