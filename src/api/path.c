#include "api/path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"

int path_check(const char *path, struct kedge_error *error)
{
	const char *name = path ? strrchr(path, '/') : NULL;

	if (!path || !*path)
		return error_set(error, -EINVAL, "the path of the socket is empty");
	if (path[0] != '/')
		return error_set(error, -EINVAL, "the path '%s' is relative: give it from /", path);
	if (strlen(path) >= PATH_MAX)
		return error_set(error, -ENAMETOOLONG,
				 "the path has %zu bytes, of which %d are allowed", strlen(path),
				 PATH_MAX - 1);
	if (!name[1] || strcmp(name, "/.") == 0 || strcmp(name, "/..") == 0)
		return error_set(error, -EINVAL, "the path %s ends in no name", path);
	return 0;
}
