/* The directories of a socket's path: made as promised, and nothing else touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kedge/endpoint.h"

/* Whoever is not root: nothing need know it. */
#define NOBODY 65534

static char top[] = "/tmp/kedge dirs-XXXXXX";
static mode_t umask_before;

/* Where root may do anything, an ordinary user stands in for it: a umask takes rights away. */
static int begin(void **state)
{
	(void)state;
	strcpy(top + strlen(top) - 6, "XXXXXX");
	umask_before = umask(022);
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	return geteuid() == 0 && (chown(top, NOBODY, NOBODY) < 0 || seteuid(NOBODY) < 0) ? -1 : 0;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	(void)umask(umask_before);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return (getuid() == 0 && seteuid(0) < 0) || chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

static void assert_mode(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_made_narrow(void **state)
{
	static const mode_t umasks[] = { 022, 0, 0777 };
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		(void)umask(umasks[i]);
		(void)snprintf(path, sizeof(path), "%s/%zu/a//b/./s", top, i);
		assert_int_equal(kedge_ensure_socket_dir(path, NULL), 0);
		(void)snprintf(path, sizeof(path), "%zu/a/b", i);
		assert_mode(path, 0700);
		*strrchr(path, '/') = '\0';
		assert_mode(path, 0700);
		(void)snprintf(path, sizeof(path), "%zu/a/b/s", i);
		assert_int_equal(access(path, F_OK), -1);
		/* And once more, where all is there. */
		assert_int_equal(kedge_ensure_socket_dir(path, NULL), 0);
	}
}

static void test_what_exists_stays(void **state)
{
	(void)state;
	assert_int_equal(mkdir("wide", 0755), 0);
	assert_int_equal(symlink("wide", "link"), 0);
	assert_int_equal(kedge_ensure_socket_dir("link/in/s", NULL), 0);
	assert_mode("wide", 0755);
	assert_mode("wide/in", 0700);
	assert_int_equal(kedge_ensure_socket_dir("s", NULL), 0);
	assert_int_equal(access("s", F_OK), -1);
}

/* No word of it leads anywhere else than to the component. */
static void refused(const char *path, int error, const char *name)
{
	struct kedge_error told = KEDGE_ERROR_INIT;

	assert_int_equal(kedge_ensure_socket_dir(path, &told), error);
	assert_int_equal(told.code, error);
	assert_non_null(strstr(told.text, name));
}

static void test_what_is_in_the_way(void **state)
{
	char name[300];
	FILE *file = fopen("file", "w");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(symlink("round", "round"), 0);
	refused("file/s", -ENOTDIR, "'file'");
	refused("file/a/s", -ENOTDIR, "'file'");
	refused("dangling/s", -EEXIST, "'dangling'");
	refused("round/s", -ELOOP, "'round'");
	assert_int_equal(access("nowhere", F_OK), -1);
	memset(name, 'n', sizeof(name) - 3);
	strcpy(name + sizeof(name) - 3, "/s");
	refused(name, -ENAMETOOLONG, "nnn");
	assert_int_equal(mkdir("closed", 0500), 0);
	refused("closed/a/s", -EACCES, "'a'");
	refused("", -EINVAL, "''");
	refused(NULL, -EINVAL, "''");
	refused("a/", -EINVAL, "'a/'");
	assert_int_equal(access("a", F_OK), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_narrow, begin, end),
		cmocka_unit_test_setup_teardown(test_what_exists_stays, begin, end),
		cmocka_unit_test_setup_teardown(test_what_is_in_the_way, begin, end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
