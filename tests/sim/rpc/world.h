/*
 * One history of RPC: a server with its connections, clients that call it, and
 * strangers that send whatever they like, over sockets that cut bytes anywhere.
 *
 * The real connection (struct kedge_conn) and the real caller (struct
 * kedge_caller) meet here; what drives them does what loop/client.c and
 * loop/uvclient-link.c do on real sockets. Everything that may go this way or that
 * is asked of choose(), as in the guard's world (choice.h).
 *
 *	wire.c      sockets: two pipes with little room
 *	server.c    a seat for each connection: its turns, what it polls for
 *	handlers.c  what the server's handlers do, at once or ever so late
 *	talk.c      what the server says unasked: events, deliveries, questions
 *	client.c    a caller on its socket, connecting again
 *	asks.c      what clients ask
 *	told.c      what they are told, which must be what became of it
 *	stranger.c  who sends anything but what is expected
 *	lies.c      what no server of ours would send
 *	witness.c   what a stranger is sent must be well formed all the same
 *	judge.c     what holds after each step, and at the end
 *	trouble.c   what may happen next
 *	history.c   a time of trouble, a time of rest, an end
 */
#pragma once

#include <setjmp.h>

#include "../arena.h"
#include "../choice.h"
#include "../story.h"
#include "kedge/client.h"
#include "wire.h"

#define CLIENTS_MAX 4
#define SEATS_MAX   12
#define DEALS_MAX   160
#define JOBS_MAX    320
#define ERRANDS_MAX 64
#define PATTERN_MAX (96u << 10)

/* A client that takes only small messages takes so many bytes. */
#define CLIENT_BYTES_MAX 8192u

/* Calls of a client where no limit is set: as many as there are. */
#define CALLS_DEFAULT 65536u

/* What is asked; the server's handlers know these by their names. */
enum kind {
	KIND_NOW = 0,   /* answered with a result at once */
	KIND_LATER,     /* with a result, some time */
	KIND_FAIL,      /* refused */
	KIND_BODY,      /* answered with raw bytes */
	KIND_STREAM,    /* with chunks */
	KIND_UPLOAD,    /* its body comes in chunks */
	KIND_SUBSCRIBE, /* acknowledged, then deliveries */
	KIND_ANY,       /* answered in whatever way */
	KIND_MAX_,
};

extern const char *const kind_names[KIND_MAX_];

/* What a client asked, and what has become of it at the client's side. */
struct deal {
	struct client *client;
	enum kind kind;
	enum kedge_body body_kind;
	enum kedge_take take;
	enum kedge_if_lost if_lost;
	uint64_t number;
	uint64_t deadline_ns; /* 0: none */
	int first_chunk_ms;
	size_t pad;        /* letters in its params */
	size_t body_bytes; /* that go with it; of an upload so far */
	size_t piece_max;  /* the longest chunk of an upload */
	size_t got;        /* bytes of the stream that answers it */
	struct job *job;   /* that the stream comes from */
	unsigned deliveries;
	bool collected; /* the server chose to gather its chunks */
	bool streaming, subscribed, cancelled, over;
	bool given_up; /* the server was told so, or is to be */
};

enum job_state {
	JOB_OPEN = 0,
	JOB_STREAMING,
	JOB_ANSWERED,  /* its handler is done with it */
	JOB_CANCELLED, /* on_cancel came */
	JOB_GONE,      /* the server has died with it */
};

enum answer { ANSWER_NONE = 0, ANSWER_RESULT, ANSWER_ERROR, ANSWER_BODY, ANSWER_STREAM };

/* A request as the server has it. */
struct job {
	struct deal *deal; /* NULL: a stranger's */
	struct seat *seat;
	uint64_t serial; /* of the seat: it may be another's by now */
	uint64_t ticket;
	enum kind kind;
	enum job_state state;
	enum answer answer;
	bool blocked; /* its stream waits to be told that it may write */
	bool held, complete, streamed, unsubscribed;
	bool overtakes;
	unsigned begun; /* the how many-th stream of its connection */
	size_t arrived; /* of a body that comes in pieces */
	size_t bytes;   /* of its answer */
	size_t left;    /* that its stream is still to write */
	unsigned delivered;
};

/* What the server asked a client. */
struct errand {
	struct seat *seat;
	uint64_t serial, number;
	bool seen, replied, answered, forgotten;
	bool failing; /* it was refused */
};

/* The server's end of a connection. */
struct seat {
	struct wire *wire; /* NULL: free */
	struct kedge_conn *conn;
	struct client *client;
	uint64_t serial;
	unsigned events; /* that are polled for */
	unsigned idle;   /* turns without an effect, one after the other */
	unsigned pushed, open, begun;
	size_t waiting_before; /* the last call: what waited to be sent */
	bool dirty;            /* has output that came about outside of a turn */
	bool touched;          /* was answered on: ask it what it wants */
	bool doomed, drained, heard, eof;
	bool tainted; /* memory failed it, or its output may be too much: it may end */
};

enum temper {
	TEMPER_CALLER = 0,
	TEMPER_ODD,  /* a stranger whose messages are whole, however odd */
	TEMPER_FOUL, /* a stranger that sends any bytes */
	TEMPERS_,
};

/* What a stranger says. */
struct said {
	size_t start, end;  /* that is still to be sent */
	unsigned messages;  /* whole ones, each to be answered */
	unsigned large;     /* of them, longer than the server takes ... */
	size_t large_bytes; /* ... and their bytes */
	bool framed;
	bool uncertain;       /* something was said of which nobody knows what it is */
	unsigned char *bytes; /* SAID_ROOM */
};

struct client {
	enum temper temper;
	enum kedge_protocol protocol;
	int index;
	struct holder memory;
	struct wire *wire; /* NULL: not connected */
	struct wire *last; /* the present one, or the one before */
	uint64_t serial;   /* of the seat at the other end */
	struct kedge_caller *caller;
	struct kedge_caller_limits limits;
	bool asleep; /* reads nothing */
	bool half;   /* has ended its side */
	bool stopping;
	bool losing;   /* being told that the connection is gone */
	bool excused;  /* the connection may go: whoever lives may be told LOST */
	unsigned open; /* deals that are not over */
	struct deal *uploading;
	unsigned idle;
	size_t moved; /* bytes, in its present turn */
	unsigned pushes_seen, stream_seen;
	bool gave_up; /* a callback has */
	bool lied;    /* somebody has written into what it reads */
	bool forgot;  /* had no memory for what it had to say */
	struct said said;
};

/* What is the same all through one history. */
struct profile {
	enum kedge_protocol protocol;
	const char *prefix; /* of what the server asks; NULL: it does not */
	struct kedge_conn_limits limits;
	bool output_is_tight;
	bool lying;   /* callers are lied to */
	bool sharing; /* spares */
	unsigned clients, steps, pipe_bytes, cut;
	unsigned callback_gap_max;
};

struct world {
	struct profile profile;
	uint64_t now_ns;
	struct holder server;
	struct kedge_conn_spares *spares;
	struct seat seats[SEATS_MAX];
	struct wire wires[SEATS_MAX];
	struct client clients[CLIENTS_MAX];
	struct deal deals[DEALS_MAX];
	struct job jobs[JOBS_MAX];
	struct errand errands[ERRANDS_MAX];
	unsigned deal_count, job_count, errand_count;
	uint64_t serial;
	struct holder *user;   /* whose code runs */
	struct seat *at;       /* the connection that is called into */
	struct client *caller; /* or the caller */
	unsigned alloc_gap, faults_left;
	unsigned callback_gap; /* callbacks until one does something else as well */
	unsigned depth;        /* of callbacks within callbacks */
	bool calm;
	jmp_buf end;
};

extern struct world world;

/* A pattern of bytes that is nowhere like itself: which stream, from where on. */
const char *pattern(unsigned of, size_t at);

/* Call into a connection: what fails meanwhile is its misfortune. */
#define ON_SEAT(s, expression)                                                                     \
	({                                                                                         \
		struct seat *before_ = seat_enter(s);                                              \
		__auto_type r_ = (expression);                                                     \
		seat_leave(s, before_);                                                            \
		r_;                                                                                \
	})

/* server.c */

/* Read in one go: less than on a real socket, so that turns end in between. */
#define READ_BYTES_MAX 4096u

#define POLL_READ  1u
#define POLL_WRITE 2u

void server_start(void);
void server_crash(void);
void server_stop(void);
/* Connect a client. Return: its seat; NULL: no room or no memory. */
struct seat *seat_open(struct client *c, struct wire *w);
/* One turn of the loop for it, where there is anything. Return: whether there was. */
bool seat_turn(struct seat *s);
/* The end of a round: whoever was marked is sent to. */
bool server_flush(void);
/* A free one, at random; the same by its serial, NULL: gone. */
struct seat *seat_pick(void);
struct seat *seat_by_serial(const struct job *j);
struct seat *seat_enter(struct seat *s);
void seat_leave(struct seat *s, struct seat *before);
void seat_taint(struct seat *s);

/* handlers.c */

void handlers_fill(struct kedge_conn_handlers *h);
/* Do something with a job: answer, stream on, hold, release. Return: whether it was open. */
bool job_act(struct job *j);
/* Bring it to its end as fast as it goes. Return: whether something was done. */
bool job_finish(struct job *j);
struct job *job_pick(void);
/* Answers that come too late, or a second time, find nothing. */
void job_answer_again(const struct job *j);
/* All that is open on a seat is told of its end. */
void jobs_gone(const struct seat *s);
bool job_is_open(const struct job *j);
/* Whether a call may say @r; what dies of it may. @size: of what was to be sent. */
int seat_result(struct seat *s, int r, size_t size);

/* talk.c */

void talk_push(struct seat *s);
void talk_deliver(struct job *j);
/* Return: whether there was one. */
bool talk_end_subscription(struct job *j);
void talk_ask(struct seat *s);
void talk_forget(void);
void talk_answered(struct seat *s, const struct kedge_conn_answer *answer);

/* client.c */

void client_start(struct client *c);
void client_connect(struct client *c);
bool client_turn(struct client *c);
/* Its calls are told that the connection is gone. */
void client_lost(struct client *c);
/* The connection is given up, by this side. */
void client_close(struct client *c);
void client_half_close(struct client *c);
void client_crash(struct client *c);
void client_stop(struct client *c);
void client_expire(struct client *c);
struct client *client_pick(void);
/* Call into its caller. */
struct client *client_enter(struct client *c);
void client_leave(struct client *before);

/* asks.c */

void ask_something(struct client *c);
void ask_upload(struct client *c, bool end);
void ask_cancel(struct client *c);
void ask_forget(struct client *c);
/* Answer what the server asked, and was kept. Return: whether there was any. */
bool ask_answer_kept(struct client *c);
void asks_fill(struct kedge_caller_handlers *h);

/* told.c: callbacks of callers */

void told_reply(const struct kedge_reply *reply, void *userdata);
void told_chunk(struct kedge_span chunk, void *userdata);
void told_delivery(struct kedge_span event_name, struct kedge_span payload, void *userdata);
void told_event(struct kedge_span name, struct kedge_span data, void *userdata);
/* It has come to its end. */
void deal_close(struct deal *d);

/* stranger.c */

/* What a stranger has said, and is not sent yet. */
#define SAID_ROOM 65536u

/* Nothing is said yet. */
void stranger_begin(struct client *c);
/* Say one more message, or any bytes. */
void stranger_say(struct client *c);
/* Whether each message has its answer, once the connection has come to its end. */
void stranger_check(const struct client *c);

/* lies.c */

void lie_to(struct client *c);

/* judge.c */

/* After each step. */
void judge_step(void);
/* Once nothing is under way any more: cancels have come to the server. */
void judge_cancels(void);
/* Once nothing happens any more: everybody has what is theirs. */
void judge_rest(void);
/* When both sides have ended: nothing is left. */
void judge_end(void);

/* trouble.c */

/* Whatever may happen. */
void trouble(void);
/* Everybody has a turn. Return: whether anything was done. */
bool turn_all(void);
/* Somebody does something, in the midst of a callback. */
void trouble_meddle(void);
