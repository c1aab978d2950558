/* Mounts: which one a name leads into, and what the kernel says of it. */
#pragma once

#include <stdint.h>

#include "sys/procfs.h"

/**
 * mounts_unique_id() - the number of the mount that @dir/@name leads into
 *
 * No other mount of any namespace is given it while the machine runs, unlike the numbers in
 * mountinfo, of which the lowest that is free is used again at once.
 *
 * Return: 0; -EOPNOTSUPP: Linux before 6.8; else as from statx(2).
 */
int mounts_unique_id(int dir, const char *name, uint64_t *ret);

/* Whether stat(2) tells of a device what the kernel's lists of sockets do: a mount of tmpfs or
 * ramfs that we see has it. Of btrfs and overlayfs it does not. */
bool mounts_tell_device(dev_t device);

/* The mount whose root is what stands at @path. Return: 0; -ENOENT: it is no mount's, or the
 * kernel does not tell; else as from the system. */
int mounts_find(const char *path, struct mount_line *ret);
