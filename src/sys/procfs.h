/*
 * What stands in /proc, taken apart: bytes in, numbers out, no I/O.
 *
 * Whoever reads a file hands its text in here. Names in these texts are other
 * people's: a socket's may hold blanks and line ends, a process's any byte.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/diag.h"

/**
 * procfs_unix_line() - one line of /proc/net/unix
 * @ret: type, listening, socket inode and name; the path's inode is not told there
 *
 * Return: whether it is a socket that was bound to an absolute path, and no
 *         accepted connection, which carries its listener's name.
 */
bool procfs_unix_line(const char *line, struct diag_socket *ret);

/* One line of /proc/self/mountinfo: the device, in the kernel's own encoding. Return: whether
 * there is one. */
bool procfs_mount_device(const char *line, uint32_t *ret);

/* A mount as /proc/self/mountinfo has it. The texts are cut, and escaped as they stand there. */
struct mount_line {
	unsigned number;
	char root[128]; /* what of its file system it shows */
	char type[32];  /* the file system's */
};

/* One line of /proc/self/mountinfo. Return: whether it is one. */
bool procfs_mount_line(const char *line, struct mount_line *ret);

/* One line of /proc/locks. Return: whether it is a flock(2) for writing that is held, and by
 * whom. */
bool procfs_lock_line(const char *line, pid_t *ret_pid, uint64_t *ret_inode);

/* The first bytes of /proc/PID/status. Return: the effective user; (uid_t)-1: not told. */
uid_t procfs_status_uid(const char *text);

/* /proc/PID/task/TID/stat. Return: whether the thread runs, wants to run or waits for a disk. */
bool procfs_stat_busy(const char *text);

/* The link of a descriptor, "socket:[INODE]". Return: the inode; 0: it is no socket. */
uint32_t procfs_link_socket(const char *link);

/* One line of /proc/PID/cgroup. Return: whether @unit ("/NAME.service") is a whole component of
 * the group's path. */
bool procfs_cgroup_is_in(const char *line, const char *unit);
