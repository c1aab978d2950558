/*
 * nng: a REP socket with many contexts, and a REQ socket for each connection, a context
 * for each request in flight. Payloads travel as they are.
 *
 *	peer-nng serve PATH
 *	peer-nng drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>

#include "tally.h"

/* Requests that the server has in hand at once. */
#define WORKERS 256

struct worker {
	nng_ctx context;
	nng_aio *aio;
	int sending;
};

struct request {
	nng_ctx context;
	nng_aio *aio;
	int receiving;
	uint64_t sent_ns;
};

/* Callbacks run on nng's threads. */
static struct {
	pthread_mutex_t lock;
	struct load load;
	struct tally tally;
	char *payload;
} drive = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void check(int r, const char *what)
{
	if (r != 0) {
		fprintf(stderr, "peer-nng: %s: %s\n", what, nng_strerror(r));
		_exit(1);
	}
}

static const char *address_of(const char *path)
{
	static char address[512];

	snprintf(address, sizeof(address), "ipc://%s", path);
	return address;
}

static void on_served(void *arg)
{
	struct worker *w = arg;

	if (nng_aio_result(w->aio) != 0) {
		/* The client has gone before its answer. */
		if (w->sending)
			nng_msg_free(nng_aio_get_msg(w->aio));
		w->sending = 1;
	}
	if (w->sending) {
		w->sending = 0;
		nng_ctx_recv(w->context, w->aio);
	} else {
		w->sending = 1;
		nng_ctx_send(w->context, w->aio); /* the message is the one that came */
	}
}

static _Noreturn void serve(const char *path)
{
	static struct worker workers[WORKERS];
	nng_socket socket;

	check(nng_rep0_open(&socket), "a socket");
	check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 32 << 20), "an option");
	check(nng_listen(socket, address_of(path), NULL, 0), path);
	for (int i = 0; i < WORKERS; i++) {
		check(nng_ctx_open(&workers[i].context, socket), "a context");
		check(nng_aio_alloc(&workers[i].aio, on_served, &workers[i]), "an aio");
		nng_ctx_recv(workers[i].context, workers[i].aio);
	}
	for (;;)
		nng_msleep(1000);
}

static void ask(struct request *r)
{
	nng_msg *message;

	check(nng_msg_alloc(&message, drive.load.payload), "memory");
	memcpy(nng_msg_body(message), drive.payload, drive.load.payload);
	r->sent_ns = tally_now_ns();
	nng_aio_set_msg(r->aio, message);
	nng_ctx_send(r->context, r->aio);
}

static void on_driven(void *arg)
{
	struct request *r = arg;
	nng_msg *message;

	check(nng_aio_result(r->aio), "a request");
	r->receiving = !r->receiving;
	if (r->receiving) {
		nng_ctx_recv(r->context, r->aio);
		return;
	}
	message = nng_aio_get_msg(r->aio);
	if (nng_msg_len(message) != drive.load.payload ||
	    memcmp(nng_msg_body(message), drive.payload, drive.load.payload) != 0) {
		fputs("peer-nng: a wrong answer\n", stderr);
		_exit(1);
	}
	nng_msg_free(message);
	pthread_mutex_lock(&drive.lock);
	tally_add(&drive.tally, tally_now_ns() - r->sent_ns, 1);
	pthread_mutex_unlock(&drive.lock);
	ask(r);
}

static void open_one(struct request *requests)
{
	nng_socket socket;

	check(nng_req0_open(&socket), "a socket");
	check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 32 << 20), "an option");
	check(nng_dial(socket, address_of(drive.load.path), NULL, 0), drive.load.path);
	for (unsigned k = 0; k < drive.load.depth; k++) {
		check(nng_ctx_open(&requests[k].context, socket), "a context");
		check(nng_aio_alloc(&requests[k].aio, on_driven, &requests[k]), "an aio");
	}
}

static _Noreturn void run(int argc, char **argv)
{
	struct request *requests;
	size_t count;
	int over = 0;

	load_read(&drive.load, argc, argv);
	count = (size_t)drive.load.connections * drive.load.depth;
	requests = calloc(count, sizeof(*requests));
	drive.payload = malloc(drive.load.payload);
	memset(drive.payload, 'x', drive.load.payload);
	for (unsigned i = 0; i < drive.load.connections; i++)
		open_one(&requests[(size_t)i * drive.load.depth]);
	load_begin(&drive.load);
	for (size_t i = 0; i < count; i++)
		ask(&requests[i]);
	while (!over) {
		nng_msleep(5);
		pthread_mutex_lock(&drive.lock);
		over = load_is_over(&drive.load, &drive.tally);
		if (over)
			tally_print(&drive.tally);
		pthread_mutex_unlock(&drive.lock);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	if (argc > 3 && strcmp(argv[1], "drive") == 0)
		run(argc - 2, argv + 2);
	fputs("usage: peer-nng serve PATH | drive PATH CONNECTIONS DEPTH PAYLOAD SECONDS [PID]\n",
	      stderr);
	return 2;
}
