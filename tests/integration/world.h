/*
 * World: what a case may change of its own process. It ends with the case.
 */
#pragma once

#include <sys/types.h>

struct fixture;

/* A mount namespace of the case's own, nothing of it shared; or skip. */
void own_mounts(void);
void mount_tmpfs(const char *dir, const char *options);
void bind_mount(const char *from, const char *to);
/* How many mounts have @path as their mount point. */
int mounts_at(const char *path);

/* Become an ordinary user who owns f->root and f->dir, and root again where we were;
 * be_user(): without giving anything away. Nothing happens where we are no root. */
void become_user(struct fixture *f);
void be_user(void);
void become_root(void);
void need_root(void);

/* Put CAP_SYS_ADMIN down for good. */
void drop_sys_admin(void);

/* From now on system call @nr returns -@error in this process; or skip. */
void break_syscall(int nr, int error);

/* A user namespace of our own, root in it, so that its limits are ours; or skip. */
void own_user_namespace(void);
void write_limit(const char *sysctl, int value);

/* Highest number of open descriptors from now on: those that are open and @more.
 * Return: the old limit. */
unsigned long allow_fds(struct fixture *f, int more);
void set_fd_limit(unsigned long limit);

/* A child that guards f->path until it is killed. Return: its pid; it is ended with the
 * case. When this returns the path is published. */
pid_t fork_guard(struct fixture *f);
/* SIGKILL, and wait. */
void kill_child(struct fixture *f, pid_t pid);

/* Run @body in a child and wait. Return: what it returned, 0 to 255; or -signal. */
int in_child(struct fixture *f, int (*body)(struct fixture *f));
