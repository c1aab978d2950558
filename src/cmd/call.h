/*
 * kedge call, in three files:
 *
 *	call.c         what was typed
 *	call-ask.c     one call, from the connection to the exit status
 *	call-output.c  where the answer goes, and how far it is
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "kedge/client.h"

/* A body of up to so many bytes goes in one frame: what servers take by default. A
 * longer one goes in chunks. */
#define CALL_BODY_WHOLE_MAX ((size_t)16 << 20)

struct call_options {
	const char *target; /* a path, or an endpoint's name */
	const char *method;
	struct kedge_span params;  /* JSON text, or absent */
	struct kedge_span headers; /* JSON text of an object, or absent */
	enum kedge_protocol protocol;
	enum kedge_body body_kind;
	int body_fd;     /* where the body goes on, behind @body */
	struct buf body; /* all of it, or its beginning */
	uint64_t body_bytes;
	const char *output; /* a file, or NULL: standard output */
	int timeout_ms;     /* 0: the defaults */
	bool follow;
};

/* Ask, print what comes. Return: the exit status. */
int call_run(struct call_options *o);

/* How far something is, on a terminal's last line. */
struct progress {
	bool shown;
	uint64_t total; /* 0: unknown */
	uint64_t done;
	uint64_t begin_ns, drawn_ns;
};

/* @total: 0: unknown. Shows nothing where stderr is no terminal. */
void progress_begin(struct progress *p, uint64_t total);
void progress_move(struct progress *p, uint64_t bytes);
/* Wipe it away. */
void progress_end(struct progress *p);

/*
 * Where an answer goes. A file is written beside its name and renamed to it when
 * all of it is there: whoever looks finds the old file or the whole new one,
 * and of an answer that breaks off nothing stays. What is no regular file (a
 * device, a FIFO) is written to as it is.
 */
struct output {
	int fd;
	char *path; /* with links resolved; NULL: as it is */
	char *part; /* the name until then */
	int error;  /* the first that was met */
};

/* @path: NULL: standard output. Return: 0 or -errno. */
int output_open(struct output *o, const char *path);
/* Return: 0 or -errno, now and ever after. */
int output_write(struct output *o, struct kedge_span bytes);
/* All is there. Return: 0 or -errno: then nothing has changed. */
int output_finish(struct output *o);
/* Forget it; nothing stays. Does nothing after output_finish(). */
void output_abandon(struct output *o);
