/* What comes from other threads: a bounded queue, and a knock at the loop. */
#include <errno.h>
#include <string.h>

#include "loop/server.h"
#include "rpc/answer.h"

/* Posts that may wait for the loop; more than that means that it hangs. */
#define POSTS_MAX 65536

struct post {
	struct list link;
	void (*run)(struct kedge_server *server, void *arg); /* NULL: an answer */
	void *arg;
	struct kedge_later later;
	int status; /* 0: a result */
	size_t size;
	char data[];
};

/* Put it into the queue, where it may. Return: 0, -ENOBUFS, -ESHUTDOWN. */
static int enqueue(struct kedge_server *s, struct post *p)
{
	int r = 0;

	pthread_mutex_lock(&s->post_lock);
	if (s->posts_closed)
		r = -ESHUTDOWN;
	else if (s->post_count >= POSTS_MAX)
		r = -ENOBUFS;
	if (r == 0) {
		s->post_count++;
		list_append(&s->posts, &p->link);
		/* Under the lock: the handle is open for as long as posts are taken. */
		(void)uv_async_send(&s->async);
	}
	pthread_mutex_unlock(&s->post_lock);
	return r;
}

static int post(struct kedge_server *s, const struct post *what, struct kedge_span data)
{
	struct post *p = malloc(sizeof(*p) + data.size);
	int r;

	if (!p)
		return -ENOMEM;
	*p = *what;
	p->size = data.size;
	if (data.size)
		memcpy(p->data, data.data, data.size);
	r = enqueue(s, p);
	if (r < 0)
		free(p);
	return r;
}

int kedge_server_post_reply(struct kedge_server *server, struct kedge_later later,
			    struct kedge_span result)
{
	return post(server, &(struct post){ .later = later }, result);
}

int kedge_server_post_error(struct kedge_server *server, struct kedge_later later, int status,
			    const char *text)
{
	return post(server, &(struct post){ .later = later, .status = status }, kedge_span(text));
}

int kedge_server_post(struct kedge_server *server,
		      void (*run)(struct kedge_server *server, void *arg), void *arg)
{
	return post(server, &(struct post){ .run = run, .arg = arg },
		    (struct kedge_span){ NULL, 0 });
}

static void deliver(struct kedge_server *s, const struct post *p)
{
	struct kedge_span data = { p->data, p->size };
	struct kedge_rpc_error error = { .text = data,
					 .status = p->status,
					 .code = status_code(p->status) };

	if (p->run)
		p->run(s, p->arg);
	else if (p->status)
		(void)kedge_server_fail(s, p->later, &error);
	else
		(void)kedge_server_reply(s, p->later, data);
}

/* Take the whole queue, in the order in which it was filled. */
static void take_posts(struct kedge_server *s)
{
	struct list *it;

	pthread_mutex_lock(&s->post_lock);
	while ((it = list_first(&s->posts))) {
		list_unlink(it);
		list_append(&s->posts_taken, it);
	}
	s->post_count = 0;
	pthread_mutex_unlock(&s->post_lock);
}

/* One that stops the server comes in here again, and finds the rest of the round. */
static void run_posts(struct kedge_server *s)
{
	struct list *it;

	take_posts(s);
	while ((it = list_first(&s->posts_taken))) {
		struct post *p = list_entry(it, struct post, link);

		list_unlink(it);
		deliver(s, p);
		free(p);
	}
}

void on_posted(uv_async_t *async)
{
	run_posts(async->data);
}

void posts_close(struct kedge_server *s)
{
	pthread_mutex_lock(&s->post_lock);
	s->posts_closed = true;
	pthread_mutex_unlock(&s->post_lock);
	run_posts(s);
}

void posts_deinit(struct kedge_server *s)
{
	struct list *it;

	take_posts(s);
	while ((it = list_first(&s->posts_taken))) {
		list_unlink(it);
		free(list_entry(it, struct post, link));
	}
}
