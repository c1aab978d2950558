#include "sys/procfs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* "this socket accepts connections", in the flags of /proc/net/unix. */
#define FLAG_ACCEPTS 0x10000

/* SS_CONNECTED there: an accepted connection, under its listener's name. */
#define STATE_CONNECTED 3

/* The kernel's own devices: 12 bits, then 20. */
#define MAJOR_MAX ((1u << 12) - 1)
#define MINOR_MAX ((1u << 20) - 1)

/* "Num RefCount Protocol Flags Type St Inode Path": the path behind exactly one blank, since it
 * may begin with one itself. */
bool procfs_unix_line(const char *line, struct diag_socket *ret)
{
	unsigned flags, type, state;
	uint64_t inode;
	int at = 0;
	size_t n;

	if (sscanf(line, "%*x: %*x %*x %x %x %x %" SCNu64 "%n", &flags, &type, &state, &inode,
		   &at) < 4 ||
	    at == 0 || line[at] != ' ' || line[at + 1] != '/' || inode > UINT32_MAX)
		return false;
	line += at + 1;
	n = strcspn(line, "\n");
	if (n > DIAG_NAME_MAX || state == STATE_CONNECTED)
		return false;
	*ret = (struct diag_socket){ .socket_inode = (uint32_t)inode,
				     .type = type,
				     .listening = flags & FLAG_ACCEPTS,
				     .name_size = (uint8_t)n };
	memcpy(ret->name, line, n);
	return true;
}

bool procfs_mount_device(const char *line, uint32_t *ret)
{
	unsigned major, minor;

	if (sscanf(line, "%*u %*u %u:%u ", &major, &minor) != 2 || major > MAJOR_MAX ||
	    minor > MINOR_MAX)
		return false;
	*ret = major << 20 | minor;
	return true;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": blanks within are escaped. */
bool procfs_mount_line(const char *line, struct mount_line *ret)
{
	const char *rest = strstr(line, " - ");

	return rest && sscanf(line, "%u %*u %*u:%*u %127s", &ret->number, ret->root) == 2 &&
	       sscanf(rest, " - %31s", ret->type) == 1;
}

/* "1: FLOCK  ADVISORY  WRITE 812 00:1a:3345 0 EOF"; who waits for one has "->" in front. */
bool procfs_lock_line(const char *line, pid_t *ret_pid, uint64_t *ret_inode)
{
	uint64_t inode;
	int pid;

	if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %*x:%*x:%" SCNu64, &pid, &inode) != 2 ||
	    pid <= 0)
		return false;
	*ret_pid = pid;
	*ret_inode = inode;
	return true;
}

uid_t procfs_status_uid(const char *text)
{
	/* The kernel escapes line ends in the name, which stands before it. */
	const char *uid = strstr(text, "\nUid:");
	uid_t effective;

	/* Real, then effective: the second is who it acts as. */
	return uid && sscanf(uid, "\nUid: %*u %u", &effective) == 1 ? effective : (uid_t)-1;
}

/* The state stands behind the name, which may hold any byte, ')' too. */
bool procfs_stat_busy(const char *text)
{
	const char *at = strrchr(text, ')');

	return at && at[1] == ' ' && (at[2] == 'R' || at[2] == 'D');
}

uint32_t procfs_link_socket(const char *link)
{
	uint64_t inode;
	int end = 0;

	if (sscanf(link, "socket:[%" SCNu64 "]%n", &inode, &end) != 1 || end == 0 || link[end] ||
	    inode > UINT32_MAX)
		return 0;
	return (uint32_t)inode;
}

bool procfs_cgroup_is_in(const char *line, const char *unit)
{
	size_t n = strlen(unit);

	assert(*unit == '/');
	for (const char *at = line; (at = strstr(at, unit)); at++)
		if (at[n] == '\n' || at[n] == '/')
			return true;
	return false;
}
