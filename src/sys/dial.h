/* Connecting to the path of a Unix socket, whatever its length. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct kedge_caller;

/* How long a server whose queue is full is left alone between tries. */
#define DIAL_PAUSE_MS 10

/**
 * dial() - connect to a stream socket's path
 * @path: of any length, absolute or relative; borrowed
 *
 * Does not wait: on Unix sockets connect(2) is done at once, or fails with -EAGAIN
 * where the queue is full.
 *
 * Return: the socket, non-blocking and close-on-exec; or -errno as from open(2)
 *         and connect(2).
 */
int dial(const char *path);

/* The same, and wait for room in the queue. Return: as dial(); -ETIMEDOUT. */
int dial_patiently(const char *path, int timeout_ms);

/**
 * dial_receive() - read once, and hand what came to the caller
 * @fd: as from dial()
 * @ret_more: whether all the room was filled, so that more may be there
 *
 * Return: bytes that came; 0: none yet; negative: why the connection is over.
 */
ssize_t dial_receive(int fd, struct kedge_caller *caller, bool *ret_more);

/* Write once what the caller has to say. Return: bytes that went; 0: none, or no room. */
size_t dial_transmit(int fd, struct kedge_caller *caller);
