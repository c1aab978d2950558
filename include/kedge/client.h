/*
 * kedge/client.h - ask a JSON RPC server.
 *
 * Two ways in, over the same code:
 *
 * struct kedge_client is a connected socket and calls that block, for programs
 * without a loop:
 *
 *	struct kedge_ask ask = { .method = "get_feature_flag",
 *				 .params = kedge_span("{\"flag\":\"x\"}") };
 *	struct kedge_client *client;
 *	struct kedge_reply reply;
 *
 *	if (kedge_client_connect(&client, "gateway", NULL, &error) < 0)
 *		... error.text ...
 *	if (kedge_client_call(client, &ask, &reply) == 0 &&
 *	    reply.outcome == KEDGE_OUTCOME_RESULT)
 *		... reply.result ...
 *	kedge_client_close(client);
 *
 * struct kedge_caller does no I/O and has no clock: calls go in, bytes to send
 * are taken out; bytes that came go in, callbacks come out. The owner has the
 * socket and the loop, as with struct kedge_conn. Ready-made on libuv, with
 * reconnecting: kedge/uvclient.h.
 *
 * Threads: a client or caller belongs to one thread at a time, but for
 * kedge_client_cancel(). Callbacks run on the thread that called.
 */
#ifndef KEDGE_CLIENT_H
#define KEDGE_CLIENT_H

#include "kedge/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_caller;
struct kedge_client;

/* What became of a call. */
enum kedge_outcome {
	/* @result; absent where the method returns nothing. On lines @headers may stand
	 * here as well: a binary answer whose bytes lines cannot carry. */
	KEDGE_OUTCOME_RESULT = 0,
	/* The server refused: @error and, where it sent them, @status, @error_code,
	 * @error_details. An "error" member that is null, false, 0 or "" is none. */
	KEDGE_OUTCOME_ERROR,
	/* A binary answer: @headers, @body (which may be empty). */
	KEDGE_OUTCOME_BODY,
	/* A stream has begun: @headers. Its bytes follow by on_chunk. */
	KEDGE_OUTCOME_STREAM,
	/* It has ended. On the wire a server's failure half way looks the same. */
	KEDGE_OUTCOME_END,
	/* No answer before the deadline. */
	KEDGE_OUTCOME_TIMED_OUT,
	/* The connection went away first. */
	KEDGE_OUTCOME_LOST,
	/* Given up by kedge_client_cancel() and its like. */
	KEDGE_OUTCOME_CANCELLED,
	/* A binary answer is longer than the limit and was skipped. */
	KEDGE_OUTCOME_TOO_LARGE,
	KEDGE_OUTCOME_MAX_,
};

/* "result", "error", "body", "stream", "end", "timed-out", "lost", "cancelled",
 * "too-large"; never NULL. Any thread. */
KEDGE_PUBLIC const char *kedge_outcome_name(enum kedge_outcome outcome);

/**
 * struct kedge_reply - an answer, or what came instead
 * @outcome:       says which of the others mean something
 * @result:        JSON text
 * @error:         JSON text, a string from every server we know
 * @error_code:    JSON text; absent where none was sent
 * @error_details: the same
 * @headers:       JSON text of an object
 * @body:          bytes
 * @status:        as in HTTP; 0: none was sent
 *
 * The spans are valid during the callback; those that kedge_client_call() fills
 * in until the next call of a function on the client.
 */
struct kedge_reply {
	enum kedge_outcome outcome;
	struct kedge_span result;
	struct kedge_span error;
	struct kedge_span error_code;
	struct kedge_span error_details;
	struct kedge_span headers;
	struct kedge_span body;
	int status;
};

/* How a binary answer that is sent whole is handed over. */
enum kedge_take {
	KEDGE_TAKE_WHOLE = 0, /* KEDGE_OUTCOME_BODY, once all of it is there */
	KEDGE_TAKE_PIECES,    /* like a stream, as it comes, of any length */
};

/* What happens to a call when its connection goes away. */
enum kedge_if_lost {
	KEDGE_IF_LOST_FAIL = 0, /* KEDGE_OUTCOME_LOST */
	/* It is sent again on the next connection: for what may be done twice. Not
	 * a stream that has begun, nor a request whose body is STREAMED. */
	KEDGE_IF_LOST_RESEND,
};

/**
 * struct kedge_ask - one call; zero means the default
 * @method:      not empty
 * @params:      JSON text of any value; absent: none is sent
 * @headers:     JSON text of an object; frames only. Its content-length and
 *               transfer-encoding are left out, see @body_kind
 * @body_kind:   frames only. WHOLE: @body goes with it. STREAMED: in chunks, by
 *               @read_body or kedge_caller_upload()
 * @body:        with WHOLE; may be empty
 * @take, @if_lost: see there
 * @deadline_ns: sans-IO: CLOCK_MONOTONIC; 0: none. It ends with the answer, the
 *               beginning of a stream, or the acknowledgement of a subscription;
 *               see kedge_caller_set_deadline()
 * @timeout_ms:  blocking and libuv: until the answer; 0: 60,000; -1: none. When
 *               blocking it begins anew each time that some of the request was sent
 * @first_chunk_ms: the same: from the beginning of a stream to its first piece; 0:
 *               30,000; -1: none
 * @on_reply:    called once with what became of the call; twice where it is a
 *               stream: STREAM, then END or why it was cut off. With
 *               @on_delivery: RESULT, and when the subscription ends once more.
 *               The blocking call returns it as well; may be NULL
 * @on_chunk:    a piece of a stream. A chunk of up to KEDGE_CHUNK_WHOLE_MAX bytes
 *               comes in one piece. May be NULL: dropped
 * @on_delivery: makes it a subscription: the call stays open after its result,
 *               and each {"id":...,"event":NAME,"payload":...} comes here. @event_name
 *               is JSON text of a string, @payload JSON text, maybe absent
 * @read_body:   blocking: gives the next bytes of a STREAMED body; while it blocks
 *               the call does. Return: how many, 0 at its end, or a negative errno
 *               value: the call is cancelled and returns it; -ECANCELED: as
 *               kedge_client_cancel()
 * @userdata:    passed to all of them
 *
 * Texts are copied; callbacks may be called until the call is over.
 */
struct kedge_ask {
	const char *method;
	struct kedge_span params;
	struct kedge_span headers;
	enum kedge_body body_kind;
	struct kedge_span body;
	enum kedge_take take;
	enum kedge_if_lost if_lost;
	uint64_t deadline_ns;
	int timeout_ms;
	int first_chunk_ms;
	void (*on_reply)(const struct kedge_reply *reply, void *userdata);
	void (*on_chunk)(struct kedge_span chunk, void *userdata);
	void (*on_delivery)(struct kedge_span event_name, struct kedge_span payload,
			    void *userdata);
	int64_t (*read_body)(void *to, size_t room, void *userdata);
	void *userdata;
};

#define KEDGE_TIMEOUT_NONE           (-1)
#define KEDGE_CALL_TIMEOUT_MS        60000
#define KEDGE_FIRST_CHUNK_TIMEOUT_MS 30000
#define KEDGE_CONNECT_TIMEOUT_MS     3000
#define KEDGE_CHUNK_WHOLE_MAX        ((size_t)256 << 10)

/**
 * struct kedge_caller_limits - what one caller may use; zero means the default
 * @message_bytes_max: longest answer, and longest body that is taken WHOLE; 0:
 *                     64 MiB. A longer answer ends the connection (which call
 *                     it was for cannot be known); a longer body only its call
 * @depth_max:         deepest nesting of an answer; 0: 1024, which is the most
 * @output_bytes_max:  bytes that may wait to be sent; 0: 64 MiB. Requests that are
 *                     kept to be sent again count once more
 * @calls_max:         calls that may wait for an answer; 0: 65,536
 */
struct kedge_caller_limits {
	size_t message_bytes_max;
	unsigned depth_max;
	size_t output_bytes_max;
	unsigned calls_max;
};

/**
 * struct kedge_asked - a request that the server sends
 * @id:     JSON text as it came; give it to kedge_caller_reply(), now or, from a
 *          copy, later
 * @method: escapes resolved; not NUL-terminated
 * @params: JSON text; absent: size 0
 *
 * The spans are valid during the callback.
 */
struct kedge_asked {
	struct kedge_span id;
	struct kedge_span method;
	struct kedge_span params;
};

/**
 * struct kedge_caller_handlers - what is not an answer; each may be NULL
 * @on_event:   a push, {"event":NAME,"data":DATA}: @name is JSON text of a string,
 *              @data JSON text or absent
 * @on_request: the server asks: {"id":...,"method":...}. NULL: dropped
 * @on_stray:   an error that the server could put to no call (its id is "unknown"):
 *              who connected is not let in, or it could not read what it got
 */
struct kedge_caller_handlers {
	void (*on_event)(struct kedge_span name, struct kedge_span data, void *userdata);
	void (*on_request)(struct kedge_caller *caller, const struct kedge_asked *asked,
			   void *userdata);
	void (*on_stray)(const struct kedge_reply *reply, void *userdata);
};

/* Longest prefix of ids. */
#define KEDGE_ID_PREFIX_MAX 16

/**
 * struct kedge_caller_options - how a caller works; zero means the default
 * @size:      sizeof(struct kedge_caller_options)
 * @protocol:  LINES: also for an assistant, which then answers in lines. FRAMES: for
 *             an assistant only
 * @id_prefix: ids are PREFIX1, PREFIX2, ...: letters, digits and ".:_-", at most 16; copied
 */
struct kedge_caller_options {
	size_t size;
	enum kedge_protocol protocol;
	const char *id_prefix;
	struct kedge_caller_limits limits;
	struct kedge_caller_handlers handlers;
	void *userdata;
};

/* Make a caller; the owner ends it by kedge_caller_free(). @options: borrowed; NULL: all
 * defaults. Return: 0; -EINVAL: an option is out of its range; -ENOMEM. */
KEDGE_PUBLIC int kedge_caller_new(struct kedge_caller **ret_caller,
				  const struct kedge_caller_options *options);

/* As kedge_caller_lost(), where nothing is kept, and free it. Not from a callback
 * of its own. May be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_caller *kedge_caller_free(struct kedge_caller *caller);

/**
 * kedge_caller_call() - ask something
 * @ask:        borrowed for the call
 * @ret_number: names the call; never 0, never used twice; may be NULL
 *
 * on_reply is called from kedge_caller_received(), _expire(), _cancel(), _lost()
 * or _free(), never from here.
 *
 * Return: 0; -EINVAL: no method; headers or a body on lines, headers that are not
 *         an object, params that are not JSON; STREAMED and RESEND at once; -EBUSY:
 *         a limit of calls is reached, or a body is being uploaded already and
 *         this one is STREAMED too; -ENOBUFS: a limit of bytes is; -ENOMEM.
 */
KEDGE_PUBLIC int kedge_caller_call(struct kedge_caller *caller, const struct kedge_ask *ask,
				   uint64_t *ret_number);

/**
 * kedge_caller_upload() - a piece of a STREAMED body
 *
 * Chunks carry no id on the wire, so what else is asked meanwhile waits for the
 * body's end. Empty pieces are left out. To go easy on memory, write the next
 * one when kedge_caller_output_bytes() is small.
 *
 * Return: 0; -ESTALE: the call is over (the server may answer before it has
 *         read all: the body has been ended for you); -ENOBUFS; -ENOMEM.
 */
KEDGE_PUBLIC int kedge_caller_upload(struct kedge_caller *caller, uint64_t number,
				     struct kedge_span piece);
/* The body has ended. Return: 0; -ESTALE. */
KEDGE_PUBLIC int kedge_caller_upload_end(struct kedge_caller *caller, uint64_t number);

/**
 * kedge_caller_cancel() - give a call up
 *
 * on_reply is told KEDGE_OUTCOME_CANCELLED at once; what still comes is dropped. On
 * frames the server is told by "$cancel". Lines have no word for it: a server
 * stops when the connection goes, or by a method of its own.
 *
 * Return: 0; -ESTALE: the call is over.
 */
KEDGE_PUBLIC int kedge_caller_cancel(struct kedge_caller *caller, uint64_t number);

/* Forget a call: as cancel, but nobody is told, here or there. For a subscription
 * that was closed by a method of the server's. Return: 0; -ESTALE. */
KEDGE_PUBLIC int kedge_caller_forget(struct kedge_caller *caller, uint64_t number);

/* The id of a call as JSON text, e.g. to close a subscription by. Valid until the
 * next call on the caller. */
KEDGE_PUBLIC struct kedge_span kedge_caller_id(struct kedge_caller *caller, uint64_t number);

/* Answer a request of the server's: as kedge_conn_reply() and kedge_conn_fail().
 * @id: as it came. Return: 0; -ENOBUFS; -ENOMEM. */
KEDGE_PUBLIC int kedge_caller_reply(struct kedge_caller *caller, struct kedge_span id,
				    struct kedge_span result);
KEDGE_PUBLIC int kedge_caller_fail(struct kedge_caller *caller, struct kedge_span id,
				   const struct kedge_rpc_error *error);

/* Where the next bytes from the server are to be put. Valid until the next call on
 * the caller. Return: the place, or NULL: no memory. */
KEDGE_PUBLIC void *kedge_caller_input(struct kedge_caller *caller, size_t *ret_room);

/**
 * kedge_caller_received() - @n bytes were put at kedge_caller_input()
 *
 * Callbacks run in here; they may call every function on the caller but
 * kedge_caller_free(). To pause a stream stop reading from the socket: what was
 * read already (at most one room of kedge_caller_input()) is still handed over.
 *
 * Return: 0; -EPROTO: the server does not keep to the protocol; -EMSGSIZE: an
 *         answer is longer than the limit; -ENOMEM. After a failure close the
 *         socket and call kedge_caller_lost().
 */
KEDGE_PUBLIC int kedge_caller_received(struct kedge_caller *caller, size_t n);

/* What is to be sent next; stays in place until the next call on the caller.
 * Return: true, or false: nothing. */
KEDGE_PUBLIC bool kedge_caller_output(struct kedge_caller *caller, const void **ret_data,
				      size_t *ret_size);
/* @n bytes of kedge_caller_output() were sent. */
KEDGE_PUBLIC void kedge_caller_sent(struct kedge_caller *caller, size_t n);
/* Bytes that wait to be sent. */
KEDGE_PUBLIC size_t kedge_caller_output_bytes(const struct kedge_caller *caller);

/* Calls and subscriptions that are open. */
KEDGE_PUBLIC size_t kedge_caller_in_flight(const struct kedge_caller *caller);

/* Messages that belonged to nothing: unknown ids, late answers, lines that are not
 * JSON, pushes and requests that nobody wants. Since the beginning. */
KEDGE_PUBLIC uint64_t kedge_caller_dropped(const struct kedge_caller *caller);

/* The earliest deadline of a call, CLOCK_MONOTONIC; UINT64_MAX: none. */
KEDGE_PUBLIC uint64_t kedge_caller_deadline(const struct kedge_caller *caller);

/* Give a call another deadline; 0: none. Return: 0; -ESTALE; -ENOMEM. */
KEDGE_PUBLIC int kedge_caller_set_deadline(struct kedge_caller *caller, uint64_t number,
					   uint64_t deadline_ns);

/* Time out the calls whose deadline has come: as kedge_caller_cancel(), but they are
 * told KEDGE_OUTCOME_TIMED_OUT. */
KEDGE_PUBLIC void kedge_caller_expire(struct kedge_caller *caller, uint64_t now_ns);

/**
 * kedge_caller_lost() - the connection is gone
 *
 * Half a message and what was not sent are forgotten. Calls that are to be sent
 * again wait as output for the next connection; the others are told
 * KEDGE_OUTCOME_LOST, oldest first. What callbacks ask belongs to the next one.
 */
KEDGE_PUBLIC void kedge_caller_lost(struct kedge_caller *caller);

/**
 * struct kedge_client_options - zero means the default
 * @size:               sizeof(struct kedge_client_options)
 * @protocol:           see struct kedge_caller_options
 * @connect_timeout_ms: how long a server whose queue is full is waited for; 0: 3,000
 * @workspace:          for an endpoint's name, as in kedge_endpoint_resolve()
 * @id_prefix, @limits, @handlers, @userdata: as in struct kedge_caller_options
 */
struct kedge_client_options {
	size_t size;
	enum kedge_protocol protocol;
	int connect_timeout_ms;
	const char *workspace;
	const char *id_prefix;
	struct kedge_caller_limits limits;
	struct kedge_caller_handlers handlers;
	void *userdata;
};

/**
 * kedge_client_connect() - connect to a server
 * @ret_client: owned by the caller, who ends it by kedge_client_close()
 * @where:   a path (it has a '/'; of any length), or an endpoint's name; borrowed
 * @options: borrowed; NULL: all defaults
 * @error:   filled on failure; may be NULL
 *
 * Blocks while the server's queue is full, up to the time-out.
 *
 * Return: 0; -EINVAL: the name, or an option; -ENOENT, -ECONNREFUSED, -EACCES,
 *         -ENOTDIR, -ELOOP, -ENAMETOOLONG, -EPROTOTYPE: as from connect(2); -ETIMEDOUT;
 *         -EMFILE, -ENFILE, -ENOMEM.
 */
KEDGE_PUBLIC int kedge_client_connect(struct kedge_client **ret_client, const char *where,
				      const struct kedge_client_options *options,
				      struct kedge_error *error);

/* Close it: calls that are open are told KEDGE_OUTCOME_LOST. Not from a callback. May
 * be NULL. Return: NULL. */
KEDGE_PUBLIC struct kedge_client *kedge_client_close(struct kedge_client *client);

/**
 * kedge_client_call() - ask, and wait for the answer
 * @ask:       @deadline_ns and @if_lost are not looked at
 * @ret_reply: what came in the end; of a stream END (with its @headers), or why it
 *             was cut off; may be NULL
 *
 * Blocks until the answer, of a stream until its end; callbacks run in here. A
 * subscription (ask->on_delivery) returns with its acknowledgement and lives on: its
 * deliveries come in kedge_client_wait() and in later calls.
 *
 * After TIMED_OUT and CANCELLED the connection may be used on. SIGPIPE is not
 * raised, signals do not end the call.
 *
 * Return: 0: @ret_reply says what became of it; -ENOTCONN: the connection is gone
 *         since an earlier call; -EBUSY: called from a callback; what @read_body
 *         returned; else as kedge_caller_call(). Then @ret_reply is left alone.
 */
KEDGE_PUBLIC int kedge_client_call(struct kedge_client *client, const struct kedge_ask *ask,
				   struct kedge_reply *ret_reply);

/**
 * kedge_client_wait() - let pushes, deliveries and requests of the server in
 * @timeout_ms: how long at the most; -1: for ever
 *
 * Also sends what waits, such as answers given by kedge_caller_reply().
 *
 * Return: 1: something came and was handed over; 0: nothing did in time; -ECANCELED:
 *         kedge_client_cancel(); -ENOTCONN: the connection is gone; -EBUSY.
 */
KEDGE_PUBLIC int kedge_client_wait(struct kedge_client *client, int timeout_ms);

/**
 * kedge_client_cancel() - end the call that blocks
 *
 * Safe from signal handlers and from any thread, while the client is not being
 * closed. The call returns with KEDGE_OUTCOME_CANCELLED and the server is told, where the
 * protocol can (see kedge_caller_cancel()). With no call under way it ends the next
 * one, so that a signal just before it is not lost.
 *
 * Return: 0, or -errno as from write(2).
 */
KEDGE_PUBLIC int kedge_client_cancel(struct kedge_client *client);

/* Why the connection is gone. Return: -ECONNRESET: closed by the server; -EPROTO, -EMSGSIZE,
 * -ENOMEM: as from kedge_caller_received(); 0: it is there. */
KEDGE_PUBLIC int kedge_client_error(const struct kedge_client *client);

/* Return: the socket, to poll for POLLIN before kedge_client_wait(client, 0), borrowed;
 * -EBADF: the connection is gone. */
KEDGE_PUBLIC int kedge_client_fd(const struct kedge_client *client);

/* The caller beneath: to answer requests, to cancel subscriptions. What it has to say
 * is sent by the next call or wait. Borrowed. */
KEDGE_PUBLIC struct kedge_caller *kedge_client_caller(struct kedge_client *client);

#ifdef __cplusplus
}
#endif

#endif
