/*
 * Endpoints: five texts with NULs between them are a name, a workspace, and the
 * environment's workspace, temporary directory and directory for the name. Any
 * of them gives a path as the rules have it, or a line that says why not.
 */
#include "fuzz/fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "kedge/endpoint.h"

enum text { NAME, WORKSPACE, OWN_WORKSPACE, TEMPORARY, OWN_DIRECTORY, TEXTS };

static bool is_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') &&
		    (c == name || !((*c >= '0' && *c <= '9') || *c == '-')))
			return false;
	return *name && strlen(name) <= KEDGE_ENDPOINT_NAME_MAX;
}

static void put(const char *variable, const char *value)
{
	FUZZ_ASSERT((*value ? setenv(variable, value, 1) : unsetenv(variable)) == 0);
}

/* NAME_IPC_SOCKET_DIR, where @name is one. */
static void variable_of(const char *name, char *variable, size_t size)
{
	(void)snprintf(variable, size, "%.*s_IPC_SOCKET_DIR", KEDGE_ENDPOINT_NAME_MAX, name);
	for (char *c = variable; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static void check_path(const char *path, const char *name, enum kedge_endpoint_rule rule)
{
	char file[KEDGE_ENDPOINT_NAME_MAX + 8];

	(void)snprintf(file, sizeof(file), "%s.sock", name);
	FUZZ_ASSERT(ends_with(path, rule == KEDGE_ENDPOINT_SHORT ? ".sock" : file));
	FUZZ_ASSERT(!strstr(path, "//") && !strstr(path, "/./") && strncmp(path, "./", 2) != 0);
	FUZZ_ASSERT(path[0] != '/' || !strstr(path, "/../"));
	if (rule == KEDGE_ENDPOINT_WORKSPACE || rule == KEDGE_ENDPOINT_HASHED)
		FUZZ_ASSERT(strlen(path) <= KEDGE_SOCKET_PATH_MAX);
	if (rule == KEDGE_ENDPOINT_HASHED)
		FUZZ_ASSERT(strstr(path, "vellum-ipc/"));
}

static void resolve(const char *name, const char *workspace)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	enum kedge_endpoint_rule rule = KEDGE_ENDPOINT_ENVIRONMENT, again;
	char *path = NULL, *same = NULL;
	int r = kedge_endpoint_resolve(name, workspace, &path, &rule, &error);

	if (!is_name(name))
		FUZZ_ASSERT(r == -EINVAL);
	if (r < 0) {
		FUZZ_ASSERT(r == -EINVAL && error.code == r && *error.text && !path);
		FUZZ_ASSERT(!strchr(error.text, '\n'));
		return;
	}
	check_path(path, name, rule);
	FUZZ_ASSERT(kedge_endpoint_resolve(name, workspace, &same, &again, NULL) == 0);
	FUZZ_ASSERT(again == rule && strcmp(path, same) == 0);
	free(path);
	free(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char variable[KEDGE_ENDPOINT_NAME_MAX + 32];
	const char *texts[TEXTS];
	char *copy = malloc(size + TEXTS);
	char *p = copy;

	FUZZ_ASSERT(copy);
	memcpy(copy, data, size);
	memset(copy + size, 0, TEXTS);
	for (int i = 0; i < TEXTS; i++, p += strlen(p) + (p < copy + size))
		texts[i] = p;
	variable_of(texts[NAME], variable, sizeof(variable));
	put("VELLUM_WORKSPACE_DIR", texts[OWN_WORKSPACE]);
	put("HOME", texts[OWN_WORKSPACE]);
	put("TMPDIR", texts[TEMPORARY]);
	if (is_name(texts[NAME]))
		put(variable, texts[OWN_DIRECTORY]);
	resolve(texts[NAME], *texts[WORKSPACE] ? texts[WORKSPACE] : NULL);
	if (is_name(texts[NAME]))
		put(variable, "");
	free(copy);
	return 0;
}
