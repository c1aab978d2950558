/* Answers from other threads: a bounded queue, and a knock at the loop. */
#include <errno.h>
#include <string.h>

#include "loop/server.h"
#include "rpc/answer.h"

/* Answers that may wait for the loop; more than that means that it hangs. */
#define POSTS_MAX 65536

struct post {
	struct list link;
	struct kedge_later later;
	int status; /* 0: a result */
	size_t size;
	char data[];
};

static int post(struct kedge_server *s, struct kedge_later later, int status,
		struct kedge_span data)
{
	struct post *p = malloc(sizeof(*p) + data.size);
	bool full;

	if (!p)
		return -ENOMEM;
	*p = (struct post){ .later = later, .status = status, .size = data.size };
	if (data.size)
		memcpy(p->data, data.data, data.size);
	pthread_mutex_lock(&s->post_lock);
	full = s->post_count >= POSTS_MAX;
	if (!full) {
		s->post_count++;
		list_append(&s->posts, &p->link);
	}
	pthread_mutex_unlock(&s->post_lock);
	if (full) {
		free(p);
		return -ENOBUFS;
	}
	(void)uv_async_send(&s->async);
	return 0;
}

int kedge_server_post_reply(struct kedge_server *server, struct kedge_later later,
			    struct kedge_span result)
{
	return post(server, later, 0, result);
}

int kedge_server_post_error(struct kedge_server *server, struct kedge_later later, int status,
			    const char *text)
{
	return post(server, later, status, kedge_span(text));
}

static void deliver(struct kedge_server *s, const struct post *p)
{
	struct client *c = client_find(s, p->later.client);
	struct kedge_span data = { p->data, p->size };
	struct kedge_rpc_error error = { .text = data,
					 .status = p->status,
					 .code = status_code(p->status) };

	if (!c)
		return;
	if (p->status)
		(void)kedge_conn_fail(c->conn, p->later.ticket, &error);
	else
		(void)kedge_conn_reply(c->conn, p->later.ticket, data);
	client_mark(c);
}

/* Take the whole queue, in the order in which it was filled. */
static void take_posts(struct kedge_server *s, struct list *ret)
{
	struct list *it;

	pthread_mutex_lock(&s->post_lock);
	while ((it = list_first(&s->posts))) {
		list_unlink(it);
		list_append(ret, it);
	}
	s->post_count = 0;
	pthread_mutex_unlock(&s->post_lock);
}

void on_posted(uv_async_t *async)
{
	struct kedge_server *s = async->data;
	struct list posts = LIST_INIT(posts);
	struct list *it;

	take_posts(s, &posts);
	while ((it = list_first(&posts))) {
		struct post *p = list_entry(it, struct post, link);

		list_unlink(it);
		deliver(s, p);
		free(p);
	}
	clients_flush(s);
}

void posts_deinit(struct kedge_server *s)
{
	struct list posts = LIST_INIT(posts);
	struct list *it;

	take_posts(s, &posts);
	while ((it = list_first(&posts))) {
		list_unlink(it);
		free(list_entry(it, struct post, link));
	}
}
