/*
 * kedge/endpoint.h - where a named socket lives, and making room for it.
 *
 * Threads: any, at any time; but no other may change the environment meanwhile.
 * Nothing blocks, but on the file system that kedge_ensure_socket_dir() writes to.
 */
#ifndef KEDGE_ENDPOINT_H
#define KEDGE_ENDPOINT_H

#include <stddef.h>

#include "kedge/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Longest name of an endpoint, in bytes: ^[a-z][a-z0-9-]{0,63}$ */
#define KEDGE_ENDPOINT_NAME_MAX 64

/* Longest path that fits struct sockaddr_un with its NUL, in bytes. */
#define KEDGE_SOCKET_PATH_MAX 107

/* Which rule an endpoint's path came from, in the order they are tried. */
enum kedge_endpoint_rule {
	KEDGE_ENDPOINT_ENVIRONMENT = 1, /* NAME_IPC_SOCKET_DIR */
	KEDGE_ENDPOINT_WORKSPACE,       /* WORKSPACE/NAME.sock */
	KEDGE_ENDPOINT_HASHED,          /* TMP/vellum-ipc/H-NAME.sock */
	KEDGE_ENDPOINT_SHORT,           /* TMP/v-H.sock */
};

/**
 * kedge_endpoint_resolve() - where does the socket NAME live?
 * @name:      the endpoint's name; borrowed
 * @workspace: used instead of the environment's; NULL: the environment decides
 * @ret_path:  the absolute or relative path, as the rules make it; allocated,
 *             the caller frees it with free()
 * @ret_rule:  the rule it came from; may be NULL
 * @error:     filled on failure; may be NULL
 *
 * Reads the environment (NAME_IPC_SOCKET_DIR, VELLUM_WORKSPACE_DIR, HOME,
 * TMPDIR, TMP, TEMP), so no other thread may change it meanwhile. Touches no
 * file and does not block.
 *
 * Return: 0; -EINVAL: @name does not match, @workspace is blank, or none is known
 *         (neither VELLUM_WORKSPACE_DIR nor HOME is set); -ENOMEM.
 */
KEDGE_PUBLIC int kedge_endpoint_resolve(const char *name, const char *workspace, char **ret_path,
					enum kedge_endpoint_rule *ret_rule,
					struct kedge_error *error);

/**
 * kedge_endpoint_workspace() - where is the workspace?
 * @given:    used instead of the environment's; NULL: the environment decides
 * @ret_path: absolute, without "." and "..", and without '/' at its end; allocated,
 *            the caller frees it with free()
 * @error:    filled on failure; may be NULL
 *
 * Made from the text alone: symbolic links are not followed. Clients make the path
 * of a socket from that text, and the hash of one that is too long, so whoever
 * resolved a link would serve at a place where nobody looks. A relative one begins
 * at the working directory.
 *
 * Return: as kedge_endpoint_resolve(); -ENOENT, -EACCES: a relative one, and the
 *         working directory is not known.
 */
KEDGE_PUBLIC int kedge_endpoint_workspace(const char *given, char **ret_path,
					  struct kedge_error *error);

/**
 * kedge_ensure_socket_dir() - make the missing directories of a socket's path
 * @path:  path of the socket; the last component is not looked at; borrowed
 * @error: filled on failure; may be NULL
 *
 * Directories are made with mode 0700 whatever the umask; those that exist stay
 * as they are. Safe against others who make the same directories meanwhile.
 *
 * Return: 0; -EINVAL: empty, or no name after the last '/'; -ENOTDIR: a file
 *         is in the way; -EEXIST: a symbolic link is, which leads nowhere; -EACCES,
 *         -EROFS, -ENOSPC, -ELOOP, -ENAMETOOLONG, -EDQUOT: as from mkdir(2).
 */
KEDGE_PUBLIC int kedge_ensure_socket_dir(const char *path, struct kedge_error *error);

#ifdef __cplusplus
}
#endif

#endif
