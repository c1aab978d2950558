/*
 * Guard: decides what to do about a path. Nothing in this folder makes a
 * system call or reads a clock: all of that goes through the port table
 * (guard/ports.h), so that a simulator can put it through any history.
 *
 * This header: what stat(2) tells of a directory entry, in our own words.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum node_kind {
	NODE_NONE = 0, /* no such entry */
	NODE_SOCKET,
	NODE_DIRECTORY,
	NODE_OTHER, /* a file, FIFO, symlink or device: may be moved aside */
};

/*
 * (device, inode) identifies only what we hold open: a number is used again
 * once its file is gone. `mode` is the permission bits alone.
 */
struct node {
	enum node_kind kind;
	uint32_t nlink;
	uint64_t device, inode;
	uint32_t mode, uid, gid;
};

static inline bool node_same(const struct node *a, const struct node *b)
{
	return a->kind != NODE_NONE && a->kind == b->kind && a->device == b->device &&
	       a->inode == b->inode;
}

static inline bool node_same_rights(const struct node *a, const struct node *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}
