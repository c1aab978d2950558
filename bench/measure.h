/*
 * Bench: programs that measure kedge. This header: clocks, samples, and the
 * client that all of them use.
 *
 * Nothing here is part of the library, and no test runs it. A bench program
 * that cannot do what it is for says so and ends with status 1.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t measure_now_ns(void);

/* Sleep at least so long; a signal does not cut it short. */
void measure_sleep_us(uint64_t us);

/* A row of measured times. Start from {0}; samples_free() at the end. */
struct samples {
	uint64_t *ns;
	size_t count;
	size_t room;
};

/* Ends the program when there is no memory. */
void samples_add(struct samples *s, uint64_t ns);
/* Sort: to be done once, before the first samples_at(). */
void samples_sort(struct samples *s);
/* The sample below which a share (0 to 1) of all lie; 0 where there is none. */
uint64_t samples_at(const struct samples *s, double share);
void samples_free(struct samples *s);

/* At most so many bytes are needed for measure_text_ns(). */
#define MEASURE_TEXT_MAX 32

/* "850 ns", "48.1 us", "1.5 ms", "12.3 s". Return: @text. */
const char *measure_text_ns(uint64_t ns, char text[static MEASURE_TEXT_MAX]);

/* Fill @address. Ends the program where @path is too long for it. */
void measure_address(struct sockaddr_un *address, const char *path);

/* Connect once, on a socket of its own, and close it. Return: 0, or -1 with errno. */
int measure_try(const struct sockaddr_un *address);

/* What became of a client that tries again and again. */
enum measure_client {
	MEASURE_SERVED = 0,   /* connected, and its connection was accepted */
	MEASURE_LOST = 1,     /* never connected within the cap */
	MEASURE_UNSERVED = 2, /* connected, but nobody accepted within the cap */
};

/**
 * measure_reconnect() - connect as soon as it can be done
 * @address:   where to
 * @cap_ns:    give up after so long
 * @ret_ns:    when the first connect() succeeded; written if one did
 *
 * Spins: one connect() after the other, on one socket, with nothing between.
 * Then waits until the server has closed the connection, which shows that a
 * listener that is still served was reached. That wait is not part of @ret_ns.
 *
 * Return: an enum measure_client.
 */
enum measure_client measure_reconnect(const struct sockaddr_un *address, uint64_t cap_ns,
				      uint64_t *ret_ns);

/* Say what failed, with errno in words, and end the program with status 1. */
_Noreturn void measure_die(const char *what);
