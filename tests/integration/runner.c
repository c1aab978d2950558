#include "runner.h"

#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "fixture.h"

/* As automake and meson have it. */
#define EXIT_SKIP 77

/* Longest that one case may take. None needs a tenth of it; sanitizers are slow. */
#define CASE_MS_MAX 120000
/* But the fault loops with every error of every call (see faults/faults.h), or where each of
 * their children writes its counts. */
#define CASE_ALL_MS_MAX 1800000

/* Directories that a case may leave nested: enough for a path of 4 KiB. */
#define NFTW_FDS_MAX 32

/* One of the directories in which the cases run. */
struct place {
	const char *name;
	enum where where;
	char dir[512]; /* "": there is none on this machine */
};

static int fs_is(const char *dir, long magic)
{
	struct statfs fs;

	return statfs(dir, &fs) == 0 && (long)fs.f_type == magic;
}

static int usable(const char *dir)
{
	return dir && dir[0] == '/' && access(dir, W_OK | X_OK) == 0;
}

/* The first of these that is a tmpfs, or is none, and can be written. */
static void find_place(struct place *place, long tmpfs_wanted)
{
	static char here[512];
	const char *candidates[] = { tmpfs_wanted ? "/dev/shm" : getenv("TMPDIR"), "/tmp",
				     "/var/tmp", getcwd(here, sizeof(here)) };

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		if (!usable(candidates[i]) || strlen(candidates[i]) > 60)
			continue;
		if (fs_is(candidates[i], TMPFS_MAGIC) == (int)tmpfs_wanted) {
			snprintf(place->dir, sizeof(place->dir), "%s", candidates[i]);
			return;
		}
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path); /* what cannot be removed shows when we look for the directory */
	return 0;
}

/* A case may have taken its own rights away: give them back on the way down. */
static int open_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_D || type == FTW_DNR)
		chmod(path, (st->st_mode & 07777) | 0700);
	return 0;
}

static void remove_tree(const char *dir)
{
	nftw(dir, open_one, NFTW_FDS_MAX, FTW_PHYS);
	nftw(dir, remove_one, NFTW_FDS_MAX, FTW_PHYS | FTW_DEPTH);
	if (access(dir, F_OK) < 0)
		return;
	/* Longer than PATH_MAX from here: rm walks by descriptors. */
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static const struct test_case *the_case;
static char the_root[600];
static unsigned failures;

static void run_in_cmocka(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, the_root);
	the_case->run(&f);
	fixture_finish(&f);
}

static _Noreturn void case_main(int output)
{
	const struct CMUnitTest test = { "case", run_in_cmocka, NULL, NULL, NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close(output);
	umask(022);
	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	exit(_cmocka_run_group_tests("case", &test, 1, NULL, NULL) == 0 ? 0 : 1);
}

void skip_case(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("\nSKIP:", stdout);
	vfprintf(stdout, format, args);
	va_end(args);
	fflush(stdout);
	_exit(EXIT_SKIP);
}

static int case_ms_max(void)
{
	const char *faults = getenv("KEDGE_FAULTS");

#ifdef KEDGE_COVERAGE
	faults = "all";
#endif
	return faults && strcmp(faults, "all") == 0 ? CASE_ALL_MS_MAX : CASE_MS_MAX;
}

/* Wait for the case's process. Return: its status, or -1: it hung and was killed. */
static int wait_for_case(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status, hung = poll(&p, 1, case_ms_max()) == 0;

	if (hung)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(p.fd);
	return hung ? -1 : status;
}

static void print_as_comment(char *text)
{
	char *saved = NULL;

	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved))
		printf("# %s\n", line);
}

static void report(size_t number, const struct place *place, int status, char *text)
{
	const char *reason = strstr(text, "\nSKIP:");
	int exited = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	failures += exited != 0 && exited != EXIT_SKIP;
	if (exited == EXIT_SKIP) {
		printf("ok %zu - %s [%s] # SKIP %s\n", number, the_case->name, place->name,
		       reason ? reason + 6 : "");
	} else {
		printf("%sok %zu - %s [%s]\n", exited == 0 ? "" : "not ", number, the_case->name,
		       place->name);
		if (status < 0)
			printf("# hung: killed after %d ms\n", case_ms_max());
		else if (exited < 0)
			printf("# killed by signal %d\n", WTERMSIG(status));
		if (exited != 0)
			print_as_comment(text);
	}
	fflush(stdout);
}

/* What the case printed; the caller frees it. */
static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	if (text && pread(fd, text, (size_t)size, 0) < 0)
		text[0] = '\0';
	return text;
}

static void run_case(size_t number, const struct place *place)
{
	int output = memfd_create("case", MFD_CLOEXEC);
	char *text;
	pid_t pid;
	int status;

	snprintf(the_root, sizeof(the_root), "%s/kedge-XXXXXX", place->dir);
	if (!mkdtemp(the_root)) {
		failures++;
		printf("not ok %zu - %s [%s]\n# mkdtemp: %m\n", number, the_case->name,
		       place->name);
		close(output);
		return;
	}
	pid = fork();
	if (pid == 0)
		case_main(output);
	status = wait_for_case(pid);
	text = read_all(output);
	report(number, place, status, text);
	remove_tree(the_root);
	free(text);
	close(output);
}

int run_cases(const struct test_case *cases, size_t n)
{
	static struct place places[] = { { "tmpfs", ON_TMPFS, "" }, { "disk", ON_DISK, "" } };
	size_t number = 0;

	find_place(&places[0], 1);
	find_place(&places[1], 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < 2 * n; i++) {
		const struct place *place = &places[i % 2];

		the_case = &cases[i / 2];
		if (the_case->where != ANYWHERE && the_case->where != place->where)
			continue;
		if (place->dir[0])
			run_case(++number, place);
		else
			printf("ok %zu - %s [%s] # SKIP no such file system can be written here\n",
			       ++number, the_case->name, place->name);
	}
	printf("1..%zu\n", number);
	return failures > 0;
}
