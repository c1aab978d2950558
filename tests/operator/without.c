/*
 * without WHAT[,WHAT]... COMMAND [ARGUMENT]...
 *
 * Runs a command that is refused, by seccomp with EPERM, what a kernel may lack:
 * fanotify, inotify, pidfd, netlink.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY (-1)

static const struct {
	const char *name;
	unsigned call;
	int first_argument;
} features[] = {
	{ "fanotify", SYS_fanotify_init, ANY },
	{ "inotify", SYS_inotify_init1, ANY },
	{ "pidfd", SYS_pidfd_open, ANY },
	{ "netlink", SYS_socket, AF_NETLINK },
};

static int refuse(unsigned call, int first_argument)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first_argument, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (first_argument == ANY)
		code[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
	char *rest, *word;

	if (argc < 3)
		return 2;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (word = strtok_r(argv[1], ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
			if (strcmp(word, features[i].name) == 0 &&
			    refuse(features[i].call, features[i].first_argument) < 0) {
				/* As a test says that it cannot be run here. */
				perror("seccomp");
				return 77;
			}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
