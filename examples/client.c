/*
 * A client without a loop: ask, print the answer, or a stream as it comes.
 *
 *	cc client.c $(pkg-config --cflags --libs libkedge) -o client
 *	./client [--frames] SOCKET METHOD [PARAMS-JSON]
 *
 * Speaks lines, or frames where the first argument is --frames.
 */
#include <stdio.h>
#include <string.h>

#include <kedge/client.h>

static void print(struct kedge_span text)
{
	fwrite(text.data, 1, text.size, stdout);
}

static void on_chunk(struct kedge_span chunk, void *userdata)
{
	(void)userdata;
	print(chunk);
}

/* What became of the call, as a process says it: 0 or 1. */
static int report(const struct kedge_reply *reply)
{
	switch (reply->outcome) {
	case KEDGE_OUTCOME_RESULT:
		print(reply->result);
		putchar('\n');
		return 0;
	case KEDGE_OUTCOME_BODY:
		print(reply->body);
		return 0;
	case KEDGE_OUTCOME_END:
		return 0;
	case KEDGE_OUTCOME_ERROR:
		fprintf(stderr, "refused: %.*s (%d)\n", (int)reply->error.size, reply->error.data,
			reply->status);
		return 1;
	default:
		fprintf(stderr, "no answer: %s\n", kedge_outcome_name(reply->outcome));
		return 1;
	}
}

int main(int argc, char **argv)
{
	struct kedge_client_options options = { .size = sizeof(options) };
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct kedge_client *client;
	struct kedge_reply reply;
	struct kedge_ask ask = { .on_chunk = on_chunk, .timeout_ms = 10000 };
	int status = 1;

	if (argc > 1 && strcmp(argv[1], "--frames") == 0) {
		options.protocol = KEDGE_PROTOCOL_FRAMES;
		argv++;
		argc--;
	}
	if (argc < 3) {
		fputs("usage: client [--frames] SOCKET METHOD [PARAMS-JSON]\n", stderr);
		return 2;
	}
	ask.method = argv[2];
	ask.params = kedge_span(argv[3]);
	if (kedge_client_connect(&client, argv[1], &options, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	if (kedge_client_call(client, &ask, &reply) == 0)
		status = report(&reply);
	else
		fputs("the params are not JSON, or the method is empty\n", stderr);
	kedge_client_close(client);
	return status;
}
