/*
 * Strangers: what no client of ours would send. An odd one sends whole messages, each of
 * which is answered, whatever it is; a foul one sends any bytes.
 */
#include <stdio.h>
#include <string.h>

#include "talk.h"

/* Longest thing that is said at once. */
#define SAID_BYTES_MAX 30000u

static char text[SAID_BYTES_MAX + 64];

static unsigned char rooms[CLIENTS_MAX][SAID_ROOM];

void stranger_begin(struct client *c)
{
	c->said = (struct said){ .framed = c->protocol == KEDGE_PROTOCOL_FRAMES,
				 .bytes = rooms[c->index] };
}

static void put(struct client *c, const void *bytes, size_t n)
{
	struct said *s = &c->said;

	if (s->start) {
		memmove(s->bytes, s->bytes + s->start, s->end - s->start);
		s->end -= s->start;
		s->start = 0;
	}
	if (s->end + n > SAID_ROOM)
		sim_fail("a stranger says too much");
	memcpy(s->bytes + s->end, bytes, n);
	s->end += n;
}

static void put_frame(struct client *c, const void *bytes, size_t n)
{
	const unsigned char length[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
					  (unsigned char)(n >> 8), (unsigned char)n };

	put(c, length, 4);
	put(c, bytes, n);
}

static void put_message(struct client *c, const void *bytes, size_t n)
{
	if (c->said.framed) {
		put_frame(c, bytes, n);
	} else {
		put(c, bytes, n);
		put(c, "\n", 1);
	}
	c->said.messages++;
	if (n > world.profile.limits.message_bytes_max) {
		c->said.large++;
		c->said.large_bytes += n;
	}
}

/* Each of these is one message, and so has one answer. */
static const char *const odd[] = {
	"{\"id\":\"1\",\"method\":\"any\"}",
	"{\"id\":\"1\",\"method\":\"any\",\"params\":[[],{}]} ",
	" {\"id\":7,\"method\":\"any\"}",
	"{\"\\u0069d\":\"a\\u0000b\",\"m\\u0065thod\":\"\\u0061ny\"}",
	"{\"id\":\"x\",\"id\":\"2\",\"method\":\"no\",\"method\":\"any\"}",
	"{\"id\":[1,{\"a\":2}],\"method\":\"any\",\"other\":[null]}",
	"{\"id\":0,\"method\":\"any\"}",
	("{\"id\":\"longer than what is kept in a slot of its own, by a few bytes\","
	 "\"method\":\"any\"}"),
	"{\"id\":\"\",\"method\":\"any\"}",
	"{\"id\":null,\"method\":\"any\"}",
	"{\"id\":\"3\",\"method\":\"\"}",
	"{\"id\":\"3\",\"method\":3}",
	"{\"id\":\"3\"}",
	"{\"method\":\"any\"}",
	"{}",
	"[]",
	"null",
	"\"text\"",
	"{\"id\":\"4\",\"method\":\"any\"",
	"{\"id\":\"4\",\"method\":\"any\"}}",
	"{\"id\":\"4\",\"method\":\"any\",}",
	"{\"id\":\"\xC3\x28\",\"method\":\"any\"}",
	"{\"id\":\"\xED\xA0\x80\",\"method\":\"any\"}",
	"{\"id\":\"5\\x\",\"method\":\"any\"}",
	"{'id':\"5\"}",
	"{\"id\":01,\"method\":\"any\"}",
	"{\"id\":\"d:9\",\"method\":\"any\"}",
	"{\"id\":\"1\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"1\"}}",
	"{\"id\":\"c\",\"method\":\"$cancel\",\"params\":{\"targetId\":7}}",
	"{\"id\":\"c\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"none\"}}",
	"{\"id\":\"c\",\"method\":\"$cancel\"}",
	"{\"id\":\"6\",\"method\":\"any\",\"headers\":{\"x\":1}}",
	"{\"id\":\"6\",\"method\":\"any\",\"headers\":[]}",
};

#define ODD_COUNT (sizeof(odd) / sizeof(odd[0]))

static void say_odd(struct client *c)
{
	const char *message = odd[choose(ODD_COUNT)];

	put_message(c, message, strlen(message));
}

/* About as long as the server takes, or as deep. */
static void say_large(struct client *c)
{
	size_t most = world.profile.limits.message_bytes_max, n;
	unsigned depth = world.profile.limits.depth_max;

	if (choose(2) && depth < 500) {
		depth = depth - 2 + choose(4);
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		put_message(c, text, 2 * depth);
		return;
	}
	n = most < SAID_BYTES_MAX - 8 && choose(4) < 3 ? most - 1 + choose(4)
						       : choose(SAID_BYTES_MAX) + 64;
	memset(text, 'x', n);
	memcpy(text, "{\"id\":\"L\",\"method\":\"any\",\"pad\":\"", 31);
	memcpy(text + n - 2, "\"}", 2);
	put_message(c, text, n);
}

/* An id about as long as what is kept without memory of its own. */
static void say_long_id(struct client *c)
{
	int n = snprintf(text, sizeof(text), "{\"method\":\"any\",\"id\":\"%.*s\"}",
			 (int)(40 + choose(16)), pad_text);

	put_message(c, text, (size_t)n);
}

/* One that carries a body, and the body. */
static void say_body(struct client *c)
{
	static const char *const heads[] = {
		"{\"id\":\"b\",\"method\":\"any\",\"headers\":{\"content-length\":5}}",
		("{\"id\":\"b\",\"method\":\"any\",\"headers\":{\"content-length\":\"5\","
		 "\"transfer-encoding\":\"chunked\"}}"),
		"{\"id\":\"b\",\"headers\":{\"content-length\":null}}",
		"{\"id\":\"b\",\"method\":\"$cancel\",\"headers\":{\"content-length\":\"\"}}",
	};
	const char *head = heads[choose(4)];
	size_t most = world.profile.limits.message_bytes_max, n = choose(90);

	put_message(c, head, strlen(head));
	if (choose(4) == 3 && most < SAID_BYTES_MAX / 4)
		n = most - 1 + choose(3);
	memset(text, '{', n);
	put_frame(c, text, n);
}

static void say_chunks(struct client *c)
{
	static const char *const heads[] = {
		"{\"id\":\"k\",\"method\":\"any\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
		"{\"id\":\"\",\"method\":\"any\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
		("{\"id\":\"k\",\"method\":\"$cancel\",\"params\":{\"targetId\":\"k\"},"
		 "\"headers\":{\"transfer-encoding\":\"chunke\\u0064\"}}"),
	};
	const char *head = heads[choose(3)];
	size_t most = world.profile.limits.message_bytes_max, n;

	put_message(c, head, strlen(head));
	for (unsigned i = choose(5); i > 0; i--) {
		n = choose(60) + 1;
		if (choose(8) == 7 && most < 1000)
			n = most - 1 + choose(3);
		memset(text, '"', n);
		put_frame(c, text, n);
	}
	put_frame(c, "", 0);
}

/* What needs no answer at all. */
static void say_nothing(struct client *c)
{
	static const char *const blank[] = { "\n", "\r\n", "  \t\n", "\xEF\xBB\xBF\n" };
	const char *line = blank[choose(4)];

	if (!c->said.framed && c->said.messages)
		put(c, line, strlen(line));
	else
		say_odd(c);
}

/* Answers to questions that were asked, or not. */
static void say_answer(struct client *c)
{
	if (!world.profile.prefix) {
		say_odd(c);
		return;
	}
	(void)snprintf(text, sizeof(text), "{\"id\":\"d:%u\",\"%s\":1}", choose(4),
		       choose(2) ? "result" : "error");
	put_message(c, text, strlen(text));
	c->said.messages--;
}

static void say_bytes(struct client *c)
{
	size_t n = 1 + choose(60);

	for (size_t i = 0; i < n; i++)
		text[i] = (char)choose(256);
	put(c, text, n);
	c->said.uncertain = true;
}

/* A message of which a byte is another. */
static void say_changed(struct client *c)
{
	size_t there;

	say_odd(c);
	there = c->said.end - c->said.start;
	c->said.bytes[c->said.end - 1 - choose(there < 20 ? (unsigned)there : 20)] =
		(unsigned char)choose(256);
	c->said.uncertain = true;
}

void stranger_say(struct client *c)
{
	static void (*const ways[])(struct client *) = { say_odd,     say_large,   say_body,
							 say_chunks,  say_nothing, say_answer,
							 say_long_id, say_bytes,   say_changed };
	static const unsigned weights[] = { 20, 6, 6, 6, 3, 3, 3, 4, 6 };
	unsigned way = choose_weighted(weights, c->temper == TEMPER_FOUL ? 9 : 7);

	if (!c->wire || c->half || c->said.end - c->said.start > SAID_ROOM / 4 ||
	    world.job_count > JOBS_MAX - 80)
		return;
	/* By lines the first byte must say so. */
	if ((way == 2 || way == 3) && !c->said.framed)
		way = 0;
	if (!c->said.framed && !c->said.messages && !c->said.uncertain)
		put_message(c, odd[0], strlen(odd[0]));
	ways[way](c);
}

void stranger_check(const struct client *c)
{
	const struct witness *t = &c->last->witness;

	if (c->temper != TEMPER_ODD || c->excused || c->said.uncertain || !c->half)
		return;
	if (t->large != c->said.large || t->large_bytes != c->said.large_bytes)
		sim_fail("stranger %d had %u messages refused, of %zu bytes, not %u of %zu",
			 c->index, t->large, t->large_bytes, c->said.large, c->said.large_bytes);
	if (!witness_is_between(t) || t->messages != c->said.messages)
		sim_fail("stranger %d had %u answers to %u messages", c->index, t->messages,
			 c->said.messages);
}
