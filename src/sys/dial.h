/* Connecting to the path of a Unix socket, whatever its length. */
#pragma once

#include <stdint.h>

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

/* CLOCK_MONOTONIC, in ns. */
uint64_t monotonic_ns(void);
