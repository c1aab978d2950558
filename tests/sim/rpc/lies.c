/*
 * Lies: somebody writes into what the server sends to a caller. What the caller is told
 * from then on is not believed; but it must keep its books, and its memory, and end.
 */
#include <stdio.h>
#include <string.h>

#include "talk.h"

#define LIE_BYTES_MAX 9000u

/* What stands in front of the number of a call, which may be open, and behind it. */
static const struct {
	const char *front, *back;
} lies[] = {
	{ "{\"id\":\"c:", "\",\"result\":1}" },
	{ "{\"id\":\"c:", "\",\"error\":\"lie\",\"statusCode\":99999}" },
	{ "{\"id\":\"c:", "\",\"error\":null,\"result\":{}}" },
	{ "{\"id\":\"c:", "\",\"error\":true,\"headers\":{\"content-length\":1}}" },
	{ "{\"id\":\"c:", "\",\"headers\":{\"content-length\":\"5\"}}" },
	{ "{\"id\":\"c:", "\",\"headers\":{\"transfer-encoding\":\"chunked\"}}" },
	{ "{\"id\":\"c:",
	  "\",\"headers\":{\"content-length\":1,\"transfer-encoding\":\"chunked\"}}" },
	{ "{\"id\":\"c:", "\",\"event\":\"delivery\",\"payload\":1}" },
	{ "{\"id\":\"c:", "\",\"event\":7}" },
	{ "{\"id\":\"c:", "\"}" },
	{ "{\"id\":\"d:", "\",\"method\":\"ask\",\"params\":{\"errand\":1}}" },
	{ "{\"id\":", ",\"method\":\"ask\"}" },
	{ "{\"id\":\"c:0", "\",\"result\":1}" },
	{ "{\"event\":\"tick\",\"data\":", "}" },
	{ "{\"id\":\"unknown\",\"error\":\"", "\"}" },
	{ "[", "]" },
	{ "{\"id\":", "" },
};

#define LIE_COUNT (sizeof(lies) / sizeof(lies[0]))

static unsigned char text[LIE_BYTES_MAX + 4];

static size_t put_length(size_t n)
{
	const unsigned char length[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
					  (unsigned char)(n >> 8), (unsigned char)n };

	memcpy(text, length, 4);
	return n + 4;
}

static size_t lie_message(const struct client *c)
{
	char message[160];
	unsigned lie = choose(LIE_COUNT), number = 1 + choose(24);
	size_t n;

	n = (size_t)snprintf(message, sizeof(message), "%s%u%s", lies[lie].front, number,
			     lies[lie].back);
	if (c->protocol == KEDGE_PROTOCOL_FRAMES) {
		memcpy(text + 4, message, n);
		return put_length(n);
	}
	memcpy(text, message, n);
	text[n] = '\n';
	return n + 1;
}

/* A body, a chunk, the end of a stream, or a message too long. */
static size_t lie_bytes(void)
{
	static const size_t sizes[] = { 0, 5, 90, CLIENT_BYTES_MAX + 1 };
	size_t n = sizes[choose(4)];

	memset(text + 4, 'l', n);
	return put_length(n);
}

static size_t lie_foul(void)
{
	size_t n = 1 + choose(24);

	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)choose(256);
	return n;
}

void lie_to(struct client *c)
{
	size_t n;

	if (c->temper != TEMPER_CALLER || !c->wire || !c->wire->server_open)
		return;
	switch (choose(6)) {
	case 0:
		n = lie_foul();
		break;
	case 1:
		n = lie_bytes();
		break;
	default:
		n = lie_message(c);
	}
	trace("client %d is lied to: %zu bytes", c->index, n);
	c->lied = c->excused = true;
	c->wire->lied = true;
	(void)pipe_write(&c->wire->down, text, n);
}
