/* A body that comes in chunks, passed on as it comes. */
#include <errno.h>

#include "services/forwarding.h"

/* More than this on its way to the server, and the client is read no further. on_writable of
 * kedge/uvclient.h comes below the same. */
#define WAITING_BYTES_MAX ((size_t)512 << 10)

void upload_break_off(struct passed *p)
{
	struct kedge_uvclient *client = p->line->client;

	(void)kedge_caller_forget(kedge_uvclient_caller(client), p->number);
	passed_free(p);
	kedge_uvclient_reset(client);
}

/* A body with a gap is worse than none. */
static void fail(struct passed *p, int error)
{
	if (error == -ENOBUFS)
		passed_fail(p, 503, "too much waits for it");
	else
		passed_fail(p, 500, "out of memory");
	upload_break_off(p);
}

void upload_on_body(struct kedge_server *server, struct kedge_later later, struct kedge_span piece,
		    void *userdata)
{
	struct passed *p = passed_find(userdata, later);
	struct kedge_caller *caller;
	struct line *line;
	int r;

	if (!p || !p->uploading)
		return;
	line = p->line;
	caller = kedge_uvclient_caller(line->client);
	p->uploading = piece.size > 0;
	r = p->uploading ? kedge_caller_upload(caller, p->number, piece)
			 : kedge_caller_upload_end(caller, p->number);
	if (r == -ENOBUFS || r == -ENOMEM) {
		fail(p, r);
		return;
	}
	if (kedge_caller_output_bytes(caller) >= WAITING_BYTES_MAX) {
		line->held = later;
		(void)kedge_server_hold(server, later);
	}
	kedge_uvclient_flush(line->client);
}

void upload_on_writable(void *userdata)
{
	struct line *line = userdata;
	struct kedge_later held = line->held;

	/* What comes now may be held again. */
	line->held = (struct kedge_later){ 0 };
	(void)kedge_server_release(line->upstream->forward->context.server, held);
}
