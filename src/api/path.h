/* Which paths can be guarded at all: asked by a guard of our own and by a tender alike. */
#pragma once

#include "kedge/error.h"

/* Return: 0; -EINVAL, -ENAMETOOLONG, and @error filled. @path may be NULL. */
int path_check(const char *path, struct kedge_error *error);
