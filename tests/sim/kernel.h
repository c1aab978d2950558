/*
 * A kernel in memory: file systems, mounts, sockets, locks and inotify, as far
 * as the ports of a guard reach, with the rules of Linux (which error comes
 * first, what a rename of two links of one inode does, when a number is used
 * again). It knows who made each inode and each name.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "guard/ports.h"

#define NAME_BYTES      72
#define INODES_MAX      2048
#define ENTRIES_MAX     4096
#define SOCKETS_MAX     1024
#define MOUNTS_MAX      24
#define FILESYSTEMS_MAX 12
#define FDS_MAX         256
#define WATCHES_MAX     128
#define EVENTS_MAX      64
#define PROCESSES_MAX   3

/* Who does something. Instance 0 is the world: everybody who is no guard. */
struct actor {
	uint32_t uid;
	int instance;
};

enum inode_kind { INODE_DIRECTORY, INODE_SOCKET, INODE_FILE, INODE_SYMLINK };

struct filesystem {
	uint64_t device;
	uint64_t freed[INODES_MAX]; /* numbers to be used again, the newest first */
	unsigned freed_count;
	uint64_t next_number;
	bool full;
};

struct inode {
	struct filesystem *fs;
	uint64_t number;
	enum inode_kind kind;
	uint32_t mode, uid, gid;
	unsigned nlink;
	unsigned holds; /* open files, bound socket, names on their way out */
	int maker;      /* instance */
	bool freed;
	struct socket *socket; /* bound here and not closed yet */
	struct entry *entries; /* of a directory */
	struct entry *self;    /* a directory's only name; NULL: removed, or a root */
	const char *target;    /* of a symlink */
	struct process *locked_by;
	struct lock_note note;
	bool noted;
};

/* A name. It keeps its identity when it is renamed. */
struct entry {
	char name[NAME_BYTES];
	struct inode *dir, *inode;
	struct entry *next;
	int maker;    /* instance that made this name */
	int mover;    /* ... and that renamed it last; 0: none, or the world */
	bool meddled; /* the world has moved it */
	bool going;   /* unlinked already, but still found by whoever takes no lock */
};

struct mount {
	struct filesystem *fs;
	struct inode *root;
	struct mount *parent;
	struct entry *at; /* in a directory of @parent */
	bool attached, read_only;
	bool covered; /* another mounted over it: its maker could not take it away */
	int maker;
};

/* A place in the tree. */
struct spot {
	struct mount *mount;
	struct inode *inode;
};

struct socket {
	struct inode *inode;
	int type;
	int maker;
	unsigned refs;
	unsigned backlog, queued;
	bool listening, shut;
	bool published; /* clients may have come to know it */
	bool inherited; /* a child of whoever had it has it as well */
};

enum file_kind { FILE_NONE, FILE_PATH, FILE_SOCKET };

struct file {
	enum file_kind kind;
	struct spot spot;
	struct socket *socket;
	bool locks;
	bool own; /* of the server itself: no concern of its guard's */
};

struct watch {
	struct inode *inode; /* NULL: a free slot */
	int number;
	bool entries;
};

enum event_kind { EVENT_HAPPENED, EVENT_IGNORED, EVENT_OVERFLOW };

struct event {
	enum event_kind kind;
	int watch;
};

/* What the kernel knows of a process. */
struct process {
	struct actor actor;
	bool alive;
	struct file files[FDS_MAX];
	struct watch watches[WATCHES_MAX];
	int watch_next;
	bool inotify; /* it has an inotify instance */
	struct event events[EVENTS_MAX];
	unsigned event_count;
	bool mounts_changed;
};

struct kernel {
	uint64_t now_ns;
	struct filesystem filesystems[FILESYSTEMS_MAX];
	struct inode inodes[INODES_MAX];
	struct entry entries[ENTRIES_MAX];
	struct socket sockets[SOCKETS_MAX];
	struct mount mounts[MOUNTS_MAX];
	unsigned filesystem_count, inode_count, entry_count, socket_count, mount_count;
	struct process *processes[PROCESSES_MAX];
	unsigned event_room; /* of an inotify queue */
	unsigned watch_room;
	bool no_swap;          /* no file system knows RENAME_EXCHANGE */
	const char *exhausted; /* this table is full: this history ends here, and proves nothing */
};

extern struct kernel kernel;

extern const struct actor the_world;

void kernel_reset(void);

/* kernel.c: the tree. */

struct node kernel_node(const struct inode *inode);
bool kernel_may(const struct actor *actor, const struct inode *inode, uint32_t bits);
struct spot kernel_root(void);
struct filesystem *kernel_filesystem(void);
struct inode *kernel_inode(struct filesystem *fs, enum inode_kind kind, const struct actor *maker,
			   uint32_t mode);
void kernel_hold(struct inode *inode);
void kernel_release(struct inode *inode);

/* The entry @name of @dir, also one that is going; NULL: there is none. */
struct entry *kernel_entry(const struct inode *dir, const char *name);
/* What stands at an entry: itself, or what is mounted on it. */
struct spot kernel_across(struct mount *mount, struct entry *entry);
int kernel_walk(const struct actor *actor, const char *path, struct spot *ret);
/* Look up one name: 0 and an empty spot where there is none. */
int kernel_lookup(const struct actor *actor, struct spot dir, const char *name, struct spot *ret);

/* Names that are going are gone now: in @dir, or everywhere. */
void kernel_settle(struct inode *dir);
void kernel_settle_all(void);

/* names.c: what changes the tree. */

enum rename_kind { RENAME_NEW, RENAME_BOTH, RENAME_OVER };

struct entry *names_add(struct inode *dir, const char *name, struct inode *inode,
			const struct actor *maker);
int names_make(const struct actor *actor, struct spot dir, const char *name, enum inode_kind kind,
	       uint32_t mode, struct inode **ret);
int names_link(const struct actor *actor, struct spot from, struct spot dir, const char *name);
int names_unlink(const struct actor *actor, struct spot dir, const char *name, bool going);
int names_rmdir(const struct actor *actor, struct spot dir, const char *name);
int names_rename(const struct actor *actor, struct spot from, const char *from_name,
		 struct spot dir, const char *name, enum rename_kind kind);
int names_chmod(const struct actor *actor, struct inode *inode, uint32_t mode);
int names_chown(const struct actor *actor, struct inode *inode, uint32_t uid, uint32_t gid);
/* Whether @actor could take the entry away, were it no mount point. */
int names_may_remove(const struct actor *actor, struct spot dir, const struct entry *entry);

int names_mount(const struct actor *actor, struct spot root, struct spot dir, const char *name);
int names_unmount(const struct actor *actor, struct spot dir, const char *name);
/* Whether something is mounted on it, seen from anywhere. */
bool names_are_mounted_on(const struct entry *e);
struct mount *names_mounted_at(const struct mount *parent, const struct entry *at);

/* sockets.c */

int socket_bind(const struct actor *actor, struct spot dir, const char *name, int type,
		uint32_t mode, struct socket **ret);
void socket_close(struct socket *s);
bool socket_lives(const struct socket *s);
/* A client connects: 0 and the socket, or as connect(2). */
int socket_connect(const struct actor *actor, struct spot at, int type, struct socket **ret);

/* notify.c */

enum notice { NOTICE_SELF, NOTICE_ENTRIES };

void notify(const struct inode *inode, enum notice what);
void notify_freed(const struct inode *inode);
void notify_mounts(void);
int notify_watch(struct process *p, struct inode *inode, bool entries);
int notify_unwatch(struct process *p, int number);
unsigned notify_watches(const struct process *p);

/* process table of descriptors: files.c */

int files_open(struct process *p, struct spot spot);
int files_open_socket(struct process *p, struct socket *s);
struct file *files_get(struct process *p, int fd);
int files_close(struct process *p, int fd);
void files_close_all(struct process *p);
unsigned files_count(const struct process *p);
