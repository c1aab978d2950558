#include "sys/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Of Linux 6.8: older headers do not know it. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

static int ask(int dir, const char *name, unsigned what, struct statx *ret)
{
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, what, ret) < 0)
		return -errno;
	/* What a kernel does not know it leaves out. */
	return ret->stx_mask & what ? 0 : -EOPNOTSUPP;
}

int mounts_unique_id(int dir, const char *name, uint64_t *ret)
{
	struct statx st;
	int r = ask(dir, name, STATX_MNT_ID_UNIQUE, &st);

	if (r == 0)
		*ret = st.stx_mnt_id;
	return r;
}

bool mounts_tell_device(dev_t device)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool tells = false;
	char line[4096];

	while (file && !tells && fgets(line, sizeof(line), file)) {
		struct mount_line mount;
		uint32_t of;

		tells = procfs_mount_device(line, &of) && of == diag_device(device) &&
			procfs_mount_line(line, &mount) &&
			(strcmp(mount.type, "tmpfs") == 0 || strcmp(mount.type, "ramfs") == 0);
	}
	if (file)
		(void)fclose(file);
	return tells;
}

int mounts_find(const char *path, struct mount_line *ret)
{
	char line[4096];
	struct statx st;
	int r = ask(AT_FDCWD, path, STATX_MNT_ID, &st);
	FILE *file;

	if (r < 0 || !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return r < 0 && r != -EOPNOTSUPP ? r : -ENOENT;
	file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return -errno;
	r = -ENOENT;
	while (r < 0 && fgets(line, sizeof(line), file))
		if (procfs_mount_line(line, ret) && ret->number == st.stx_mnt_id)
			r = 0;
	(void)fclose(file);
	return r;
}
