/*
 * What the kernel's sock_diag replies say, as a function of their bytes alone:
 * nothing is asked, nothing is believed about lengths that was not checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest name a socket can be bound to: sun_path. An abstract one may fill it. */
#define DIAG_NAME_MAX 108

/* States of Unix sockets: the kernel takes them from TCP. As a mask: 1 << state. A datagram
 * socket is unconnected until the first client has connected to it, and established ever after:
 * only the lack of a peer tells that it serves. */
#define DIAG_STATE_ESTABLISHED 1
#define DIAG_STATE_UNCONNECTED 7
#define DIAG_STATE_LISTEN      10

/* One socket, as far as it matters here. */
struct diag_socket {
	uint32_t socket_inode; /* as fstat() of its descriptor tells */
	uint32_t type;         /* SOCK_STREAM, ... */
	uint32_t state;        /* DIAG_STATE_... */
	uint32_t peer_inode;   /* the socket at the other end; 0: none, or not asked */
	uint32_t uid;          /* of who made the socket; if has_uid */
	uint32_t path_device;  /* the kernel's own encoding: major << 20 | minor */
	uint32_t path_inode;   /* the lower 32 bits */
	/* Of a listener: clients that wait to be accepted, and how many may. Of any
	 * other socket: bytes to be read, bytes sent and not read yet. If has_queue. */
	uint32_t queued, backlog;
	bool listening;
	bool shut_down; /* it takes no more: as good as gone */
	bool has_path;  /* bound in a file system: device and inode are known */
	bool has_uid;
	bool has_queue;
	/* As it was bound: of a path without its NUL, of an abstract name with the NUL
	 * in front. 0 bytes: not bound, or not asked. Always a NUL behind it. */
	uint8_t name_size;
	char name[DIAG_NAME_MAX + 1];
};

/* What diag_reply_next() met. */
enum diag_step {
	DIAG_END = 0,    /* the dump is complete */
	DIAG_SOCKET = 1, /* one socket, in @ret */
	DIAG_MORE = 2,   /* these bytes are used up: read the next ones */
};

/* Where one is in what a recv() brought. */
struct diag_cursor {
	const void *data; /* borrowed; of any alignment */
	size_t size;
	size_t offset;    /* moved by each step, never beyond @size */
	bool interrupted; /* sockets changed while the kernel went through them: some of
			   * this dump may be missing (NLM_F_DUMP_INTR). Never unset. */
};

/**
 * diag_reply_next() - take the next socket out of what the kernel sent
 *
 * Return: an enum diag_step; -EPROTO: lengths do not fit the bytes; or what the
 *         kernel said instead (-ENOENT, ...).
 */
int diag_reply_next(struct diag_cursor *cursor, struct diag_socket *ret);

static inline bool diag_is_abstract(const struct diag_socket *s)
{
	return s->name_size > 0 && s->name[0] == '\0';
}
