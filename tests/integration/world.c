#include "world.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "fixture.h"
#include "leave.h"

/* Whoever this is, nothing is theirs. */
#define USER_ID 65534

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

static int was_root;

/* --- mounts ----------------------------------------------------------------------------- */

void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		skip_case("no mount namespace to be had: %s", strerror(errno));
	DO(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

void mount_tmpfs(const char *dir, const char *options)
{
	DO(mount("tmpfs", dir, "tmpfs", 0, options));
}

void bind_mount(const char *from, const char *to)
{
	DO(mount(from, to, NULL, MS_BIND, NULL));
}

int mounts_at(const char *path)
{
	char line[2 * TEST_PATH_MAX], point[TEST_PATH_MAX];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*d %*d %*s %*s %4399s", point) == 1)
			n += strcmp(point, path) == 0;
	fclose(file);
	return n;
}

/* --- who we are ------------------------------------------------------------------------- */

void need_root(void)
{
	if (geteuid() != 0)
		skip_case("needs root");
}

/* Who has changed user may no longer be looked at through /proc: undo that. */
static void be_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

void become_user(struct fixture *f)
{
	if (geteuid() != 0)
		return;
	DO(chown(f->root, USER_ID, USER_ID));
	DO(chown(f->dir, USER_ID, USER_ID));
	be_user();
}

void be_user(void)
{
	if (geteuid() != 0)
		return;
	was_root = 1;
	DO(setgroups(0, NULL));
	DO(setresgid(USER_ID, USER_ID, 0));
	DO(setresuid(USER_ID, USER_ID, 0));
	be_dumpable();
}

void become_root(void)
{
	if (!was_root || geteuid() == 0)
		return;
	DO(setresuid(0, 0, 0));
	DO(setresgid(0, 0, 0));
	be_dumpable();
}

void drop_sys_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	DO((int)syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	DO((int)syscall(SYS_capset, &header, data));
}

/* --- what the kernel refuses ------------------------------------------------------------ */

void break_syscall(int nr, int error)
{
#ifdef THIS_ARCH
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		skip_case("no system call filter to be had: %s", strerror(errno));
#else
	(void)nr;
	(void)error;
	skip_case("no system call filter for this processor here");
#endif
}

void own_user_namespace(void)
{
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER) < 0)
		skip_case("no user namespace to be had: %s", strerror(errno));
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", text("0 %u 1", uid));
	write_file("/proc/self/gid_map", text("0 %u 1", gid));
}

void write_limit(const char *sysctl, int value)
{
	int fd = open(sysctl, O_WRONLY | O_CLOEXEC);
	const char *digits = text("%d", value);

	if (fd < 0 || write(fd, digits, strlen(digits)) < 0)
		skip_case("%s cannot be written: %s", sysctl, strerror(errno));
	close(fd);
}

unsigned long allow_fds(struct fixture *f, int more)
{
	struct rlimit limit;
	int highest = -1, fd;

	for (fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			highest = fd;
	/* The limit is on numbers, so the gaps below it have to go. */
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < highest)
		keep_fd(f, fd);
	close(fd);
	DO(getrlimit(RLIMIT_NOFILE, &limit));
	set_fd_limit((unsigned long)highest + 1 + (unsigned long)more);
	return limit.rlim_cur;
}

void set_fd_limit(unsigned long value)
{
	struct rlimit limit;

	DO(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = value;
	DO(setrlimit(RLIMIT_NOFILE, &limit));
}

/* --- children --------------------------------------------------------------------------- */

static void keep_pid(struct fixture *f, pid_t pid)
{
	assert_true(f->kept_pid_n < KEPT_MAX);
	f->kept_pid[f->kept_pid_n++] = pid;
}

/* Guard and serve until the end of the process. */
static _Noreturn void child_guards(struct fixture *f, int ready)
{
	f->guard = NULL;
	if (kedge_guard_new(&f->guard, &f->options) < 0 ||
	    kedge_guard_listen(f->guard, f->path, &f->listen, &f->fd, NULL) < 0)
		_exit(1);
	f->ours[0] = f->fd;
	if (write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	for (;;) {
		guard_turn(f, 1);
		serve_all(f);
	}
}

pid_t fork_guard(struct fixture *f)
{
	int ready[2];
	char byte;
	pid_t pid;

	DO(pipe2(ready, O_CLOEXEC));
	pid = fork();
	DO(pid);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		child_guards(f, ready[1]);
	}
	close(ready[1]);
	keep_pid(f, pid);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

void kill_child(struct fixture *f, pid_t pid)
{
	kill(pid, SIGKILL);
	DO(waitpid(pid, NULL, 0));
	for (size_t i = 0; i < f->kept_pid_n; i++)
		if (f->kept_pid[i] == pid)
			f->kept_pid[i] = f->kept_pid[--f->kept_pid_n];
}

int in_child(struct fixture *f, int (*body)(struct fixture *f))
{
	pid_t pid = fork();
	int status;

	DO(pid);
	if (pid == 0)
		leave(body(f));
	DO(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
