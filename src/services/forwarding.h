/* Forwarding from within: what its files share. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "kedge/uvclient.h"
#include "services/forward.h"
#include "services/open.h"

/* A server that has methods. */
struct upstream {
	struct list link; /* forward.upstreams */
	struct forward *forward;
	char *prefix, *path;
	size_t prefix_size;
	bool failing; /* one client's connection has told of it: the others need not */
};

/* One client's connection to one of them. */
struct line {
	struct line *next; /* of the same client */
	struct upstream *upstream;
	struct kedge_uvclient *client;
	unsigned blocked;          /* streams that wait for the client: nothing is read meanwhile */
	struct kedge_later held;   /* the request whose body waits for the server */
	struct list subscriptions; /* struct passed, of the protocol that is lines */
};

/* A request that was passed on. */
struct passed {
	struct open open;
	struct line *line;
	struct forward *forward;
	uint64_t number;
	bool uploading; /* its body is under way */
	bool streaming, blocked, over;
	struct list link;   /* line.subscriptions, where it is one */
	uint64_t client;    /* who has it */
	char *id, *method;  /* of a subscription: the id as JSON text */
	bool subscribed;    /* ... that was acknowledged: the request itself is answered */
	struct buf waiting; /* chunks that came while blocked: a size_t, then so many bytes */
};

struct forward {
	struct service_context context;
	const char *own_path;
	enum kedge_protocol protocol;
	struct list upstreams;
	struct map lines; /* client -> struct line, the first of its own */
	struct map open;  /* struct open of struct passed */
	struct kedge_method row;
};

/* forward-answers.c */
struct passed *passed_find(const struct forward *f, struct kedge_later later);
void passed_free(struct passed *p);
/* No answer came, or none will: say why not. */
void passed_fail(struct passed *p, int status, const char *why);
void passed_on_reply(const struct kedge_reply *reply, void *userdata);
void passed_on_chunk(struct kedge_span chunk, void *userdata);
void passed_on_writable(struct kedge_server *server, struct kedge_later later, void *userdata);
void passed_on_cancel(struct kedge_server *server, struct kedge_later later, void *userdata);
/* A reply's error, as it is passed on. @code: of CODE_SIZE; @text: allocated, may be NULL. */
#define FORWARD_CODE_SIZE 65
struct kedge_rpc_error passed_error(const struct kedge_reply *reply, char *code, char **ret_text);

/* forward-upload.c */
void upload_on_body(struct kedge_server *server, struct kedge_later later, struct kedge_span piece,
		    void *userdata);
/* The server takes more; @userdata: the line. */
void upload_on_writable(void *userdata);
/* The rest of a body will not come: the server must not take what it has for the whole. */
void upload_break_off(struct passed *p);

/* forward-subscribe.c */
bool forward_is_subscribe(const struct forward *f, const char *method);
struct passed *subscription_find(const struct line *line, struct kedge_span id);
/* The acknowledgement came. */
void subscription_begin(struct passed *p, const struct kedge_reply *reply);
/* It ended on the other side. */
void subscription_ended(struct passed *p, const struct kedge_reply *reply);
void subscription_on_delivery(struct kedge_span name, struct kedge_span payload, void *userdata);
/* The client wants no more of it. */
void subscription_drop(struct passed *p);
/* Params for X.subscribe.close with the id that the other side knows; absent: as they came.
 * The subscription is dropped. */
int subscription_close(struct line *line, const struct kedge_call *call, struct buf *ret_params);
