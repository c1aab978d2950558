/* Processes: who one is, whether two run the same program, whether one is at work. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	uid_t uid;
	char comm[64];
	char exe[PATH_MAX]; /* without " (deleted)"; "": not to be had */
	dev_t exe_device;   /* 0: not to be had */
	ino_t exe_inode;
};

/* Return: 0; -ESRCH: there is no such process (any more). */
int process_identify(pid_t pid, struct process *ret);

/* Whether both run one program: one file, or one path whose file was replaced between their
 * starts (an upgrade). Nothing is the same as what is not to be had. */
bool process_same_program(const struct process *a, const struct process *b);

/* Whether the process has the socket of that inode open. */
bool process_holds(pid_t pid, uint32_t socket_inode);

/* The same, where its descriptor is known: one readlink(2). */
bool process_holds_at(pid_t pid, int fd, uint32_t socket_inode);

/* Whether a thread of that process runs, wants to run or waits for a disk. */
bool process_busy(pid_t pid);

/* Whether any process of that program, but ourselves, has a thread that runs, wants to run
 * or waits for a disk. Walks over /proc. */
bool process_program_busy(const struct process *p);
