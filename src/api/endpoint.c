#include "kedge/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/sha256.h"

/* Twelve hex digits of the hash name a path that is too long. */
#define HASH_DIGITS 12

static bool is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > KEDGE_ENDPOINT_NAME_MAX || name[0] < 'a' || name[0] > 'z')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* What JavaScript's trim() takes for white space: clients trim with it. */
static const char *const blanks[] = {
	" ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\u00a0", "\u1680", "\u2000",
	"\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009",
	"\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff",
};

/* The bytes of a blank at the front of @text. */
static size_t blank_in_front(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(blanks); i++)
		if (strncmp(text, blanks[i], strlen(blanks[i])) == 0)
			return strlen(blanks[i]);
	return 0;
}

/* ... and of one at the end of its @n bytes. */
static size_t blank_at_end(const char *text, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(blanks); i++) {
		size_t size = strlen(blanks[i]);

		if (size <= n && memcmp(text + n - size, blanks[i], size) == 0)
			return size;
	}
	return 0;
}

/* A copy without white space at its ends; NULL: nothing is left, or no memory. */
static char *trimmed(const char *text)
{
	size_t n, blank;

	if (!text)
		return NULL;
	while ((blank = blank_in_front(text)))
		text += blank;
	n = strlen(text);
	while ((blank = blank_at_end(text, n)))
		n -= blank;
	return n ? strndup(text, n) : NULL;
}

/* Take the last component off a normalised path. Return: whether it had one to give. */
static bool pop(char *path, bool absolute)
{
	char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;

	if (!*last || strcmp(last, "..") == 0)
		return absolute;
	if (slash)
		slash[slash == path && absolute ? 1 : 0] = '\0';
	else
		*path = '\0';
	return true;
}

static void push(char *path, const char *component, size_t n)
{
	size_t length = strlen(path);

	if (length && path[length - 1] != '/')
		path[length++] = '/';
	memcpy(path + length, component, n);
	path[length + n] = '\0';
}

/* dir/rest as POSIX text: no empty or "." components, ".." resolved where it can be. */
static char *join(const char *dir, const char *rest)
{
	bool absolute = *dir == '/';
	char *path = calloc(1, strlen(dir) + strlen(rest) + 3);
	const char *parts[] = { dir, rest };

	if (!path)
		return NULL;
	if (absolute)
		strcpy(path, "/");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		for (const char *p = parts[i]; *p;) {
			size_t n = strcspn(p, "/");

			if (n == 2 && memcmp(p, "..", 2) == 0) {
				if (!pop(path, absolute))
					push(path, p, n);
			} else if (n && !(n == 1 && *p == '.')) {
				push(path, p, n);
			}
			p += n + (p[n] == '/');
		}
	return path;
}

/* NAME_IPC_SOCKET_DIR, in upper case and with '_' for '-'. */
static const char *own_directory(const char *name)
{
	char variable[KEDGE_ENDPOINT_NAME_MAX + sizeof("_IPC_SOCKET_DIR")];
	size_t n = 0;

	for (; name[n]; n++)
		variable[n] = name[n] == '-'                     ? '_'
			      : name[n] >= 'a' && name[n] <= 'z' ? (char)(name[n] - 'a' + 'A')
								 : name[n];
	strcpy(variable + n, "_IPC_SOCKET_DIR");
	return getenv(variable);
}

static int find_workspace(const char *given, char **ret, struct kedge_error *error)
{
	char *workspace = trimmed(given ? given : getenv("VELLUM_WORKSPACE_DIR"));
	const char *home = getenv("HOME");

	if (!workspace && given)
		return error_set(error, -EINVAL, "the workspace '%s': must not be blank", given);
	if (!workspace && home && *home)
		workspace = join(home, ".vellum/workspace");
	if (!workspace)
		return error_set(error, -EINVAL,
				 "no workspace: neither VELLUM_WORKSPACE_DIR nor HOME is set");
	*ret = workspace;
	return 0;
}

int kedge_endpoint_workspace(const char *given, char **ret_path, struct kedge_error *error)
{
	_cleanup_(freep) char *found = NULL;
	_cleanup_(freep) char *here = NULL;
	int r = find_workspace(given, &found, error);

	if (r < 0)
		return r;
	if (*found != '/' && !(here = getcwd(NULL, 0)))
		return error_set(error, -errno, "the workspace %s: no working directory: %s", found,
				 error_words(errno));
	*ret_path = join(here ? here : "/", found);
	return *ret_path ? 0 : error_set(error, -ENOMEM, "out of memory");
}

/* As os.tmpdir() has it. */
static char *temporary_directory(void)
{
	static const char *const variables[] = { "TMPDIR", "TMP", "TEMP" };
	const char *found = "/tmp";
	size_t n;

	for (size_t i = ARRAY_SIZE(variables); i-- > 0;) {
		const char *value = getenv(variables[i]);

		if (value && *value)
			found = value;
	}
	n = strlen(found);
	return strndup(found, n > 1 && found[n - 1] == '/' ? n - 1 : n);
}

/* The two rules for a path that is too long: a hash of it, in a directory that is short. */
static char *hashed_path(const char *long_path, const char *name, enum kedge_endpoint_rule rule)
{
	_cleanup_(freep) char *tmp = temporary_directory();
	uint8_t digest[SHA256_BYTES];
	char hash[HASH_DIGITS + 1], rest[KEDGE_ENDPOINT_NAME_MAX + 64];

	if (!tmp)
		return NULL;
	sha256(long_path, strlen(long_path), digest);
	for (unsigned i = 0; i < HASH_DIGITS / 2; i++)
		(void)snprintf(hash + 2 * i, 3, "%02x", digest[i]);
	if (rule == KEDGE_ENDPOINT_HASHED)
		(void)snprintf(rest, sizeof(rest), "vellum-ipc/%s-%s.sock", hash, name);
	else
		(void)snprintf(rest, sizeof(rest), "v-%s.sock", hash);
	return join(tmp, rest);
}

static char *by_rule(enum kedge_endpoint_rule rule, const char *name, const char *workspace)
{
	char file[KEDGE_ENDPOINT_NAME_MAX + sizeof(".sock")];
	_cleanup_(freep) char *directory = NULL;
	_cleanup_(freep) char *path = NULL;

	(void)snprintf(file, sizeof(file), "%s.sock", name);
	if (rule == KEDGE_ENDPOINT_ENVIRONMENT) {
		directory = trimmed(own_directory(name));
		return directory ? join(directory, file) : NULL;
	}
	path = join(workspace, file);
	if (!path || rule == KEDGE_ENDPOINT_WORKSPACE)
		return steal_ptr(path);
	return hashed_path(path, name, rule);
}

static bool fits(enum kedge_endpoint_rule rule, const char *path)
{
	/* Clients check neither the first rule's length nor the last one's. */
	return rule == KEDGE_ENDPOINT_ENVIRONMENT || rule == KEDGE_ENDPOINT_SHORT ||
	       strlen(path) <= KEDGE_SOCKET_PATH_MAX;
}

int kedge_endpoint_resolve(const char *name, const char *workspace, char **ret_path,
			   enum kedge_endpoint_rule *ret_rule, struct kedge_error *error)
{
	_cleanup_(freep) char *directory = NULL;
	_cleanup_(freep) char *own = NULL;
	int r;

	if (!is_name(name))
		return error_set(error, -EINVAL,
				 "'%.100s' is no name of an endpoint: a letter a-z, then up to 63 "
				 "of a-z, 0-9 and '-'",
				 name);
	own = trimmed(own_directory(name));
	if (!own) {
		r = find_workspace(workspace, &directory, error);
		if (r < 0)
			return r;
	}
	for (int rule = own ? KEDGE_ENDPOINT_ENVIRONMENT : KEDGE_ENDPOINT_WORKSPACE;
	     rule <= KEDGE_ENDPOINT_SHORT; rule++) {
		char *path = by_rule((enum kedge_endpoint_rule)rule, name, directory);

		if (!path)
			return error_set(error, -ENOMEM, "out of memory");
		if (fits((enum kedge_endpoint_rule)rule, path)) {
			*ret_path = path;
			if (ret_rule)
				*ret_rule = (enum kedge_endpoint_rule)rule;
			return 0;
		}
		free(path);
	}
	return error_set(error, -ENAMETOOLONG, "no path for '%s' is short enough", name);
}

/* Make one directory where it is missing, and open it. Return: its fd. */
static int enter(int parent, const char *name)
{
	int made = mkdirat(parent, name, 0700) == 0 ? 0 : -errno;
	int fd;

	if (made < 0 && made != -EEXIST && made != -EROFS && made != -EACCES)
		return made;
	/* What we made is opened as it is; what was there may be a link, as paths have them. */
	fd = openat(parent, name,
		    O_DIRECTORY | O_CLOEXEC | (made == 0 ? O_RDONLY | O_NOFOLLOW : O_PATH));
	if (fd < 0 && made == 0 && errno == EACCES) {
		/* The umask took even our own rights to it. */
		if (fchmodat(parent, name, 0700, 0) == 0)
			fd = openat(parent, name, O_DIRECTORY | O_CLOEXEC | O_RDONLY | O_NOFOLLOW);
	}
	if (fd < 0)
		return errno == ENOENT && made < 0 ? made : -errno;
	if (made == 0 && fchmod(fd, 0700) < 0) {
		int error = -errno;

		fd_close(fd);
		return error;
	}
	return fd;
}

int kedge_ensure_socket_dir(const char *path, struct kedge_error *error)
{
	_cleanup_(freep) char *copy = path ? strdup(path) : NULL;
	_cleanup_(fd_closep) int dir = -EBADF;
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (!copy || !*copy || (slash && !slash[1]))
		return error_set(error, -EINVAL, "'%s' is no path of a socket", path ? path : "");
	if (!slash)
		return 0;
	dir = open(*copy == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_set(error, -errno, "cannot open the directory to begin in: %s",
				 error_words(errno));
	*slash = '\0';
	for (char *save = NULL, *name = strtok_r(copy, "/", &save); name;
	     name = strtok_r(NULL, "/", &save)) {
		int next = enter(dir, name);

		if (next < 0)
			return error_set(error, next, "cannot make the directory '%s' of %s: %s",
					 name, path, error_words(next));
		fd_close(dir);
		dir = next;
	}
	return 0;
}
