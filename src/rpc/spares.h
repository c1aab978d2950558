/*
 * Spares: a buffer for input and some for output, which the connections of a
 * thread lend each other.
 *
 * A connection takes a spare for the time in which it has bytes to look at, or to
 * send, and gives it back when it has none. So all of them work in the same,
 * warm memory, however many they are, and idle ones keep none. Whoever finds no
 * spare there (another holds it: half of a long message has come, or its client does
 * not read) has a buffer of its own, as without spares.
 */
#pragma once

#include "base/buf.h"

/* Room for a read, or for the answers to it: some hundred small requests, fifteen of 4 KiB.
 * It bounds, too, what one client's turn can take. */
#define SPARE_BYTES 65536

/*
 * Larger ones are freed, and the outputs are kept up to so many bytes together. Memory that
 * is freed goes back to the kernel, and comes anew page by page: where one of 1 MiB was the
 * most, a message of 1 MiB took twice the time.
 */
#define SPARE_BYTES_MAX      (4 << 20)
#define SPARES_OUT_BYTES_MAX (8 << 20)

/* Connections that have output at once are as many as are read from before the first
 * of them is sent to: see loop/client.c. */
#define SPARES_OUT 16

struct kedge_conn_spares {
	struct buf in;
	struct buf out[SPARES_OUT]; /* the first @out_count of them are there */
	unsigned out_count;
};

/* Both as below, for the output of a connection, which is empty. */
void spares_borrow_out(struct kedge_conn_spares *spares, struct buf *own);
void spares_give_back_out(struct kedge_conn_spares *spares, struct buf *own);

/* Have @own work in the spare: what is in it is moved there, where that is little. */
void spare_borrow(struct buf *own, struct buf *spare);

/**
 * spare_give_back() - let go of memory that is not needed now
 *
 * Where little is left in @own, that moves to memory of its size.
 */
void spare_give_back(struct buf *own, struct buf *spare);
