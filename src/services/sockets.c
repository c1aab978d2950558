/* What the ledger cannot know of the sockets that this process serves. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/time.h"
#include "services/service.h"

static const char *truth(int value)
{
	return value ? "true" : "false";
}

void service_describe_path(struct buf *b, const char *path, void *userdata)
{
	const struct service_shared *shared = userdata;

	for (size_t i = 0; i < shared->socket_count; i++) {
		const struct service_socket *s = &shared->sockets[i];
		struct kedge_path_status status = { .size = sizeof(status) };
		struct kedge_server_stats stats = { .size = sizeof(stats) };

		if (strcmp(s->path, path) != 0 ||
		    kedge_guard_status(kedge_server_guard(s->server), path, &status) < 0)
			continue;
		kedge_server_stats(s->server, &stats);
		(void)buf_appendf(b,
				  ",\"name\":\"%s\",\"generation\":%" PRIu64 ",\"relinks\":%" PRIu64
				  ",\"rebinds\":%" PRIu64 ",\"retired\":%" PRIu32
				  ",\"anchored\":%s,\"watched\":%s,\"clients\":%" PRIu64
				  ",\"requests\":%" PRIu64,
				  s->name, status.generation, status.relinks, status.rebinds,
				  status.retired, truth(status.anchored), truth(status.watched),
				  stats.clients, stats.requests);
	}
}

/* Counters of the servers, a row each. */
static const struct {
	const char *name, *type, *help;
	size_t offset;
} counters[] = {
#define COUNTER(member) offsetof(struct kedge_server_stats, member)
	{ "clients", "gauge", "Connections at present.", COUNTER(clients) },
	{ "accepted_total", "counter", "Connections that were let in.", COUNTER(accepted) },
	{ "refused_total", "counter", "Peers that were not allowed in.", COUNTER(refused) },
	{ "requests_total", "counter", "Requests that passed the checks of the wire.",
	  COUNTER(requests) },
	{ "answered_total", "counter", "Requests that were answered, without an error.",
	  COUNTER(answered) },
	{ "failed_total", "counter", "Requests that were answered with an error.",
	  COUNTER(failed) },
	{ "cancelled_total", "counter", "Requests whose client cancelled them, or went away.",
	  COUNTER(cancelled) },
	{ "received_bytes_total", "counter", "Bytes that came in.", COUNTER(bytes_in) },
	{ "sent_bytes_total", "counter", "Bytes that went out.", COUNTER(bytes_out) },
#undef COUNTER
};

static int append_counter(struct buf *b, const struct service_shared *shared, size_t row)
{
	const char *name = counters[row].name;
	int r = buf_appendf(b, "# HELP kedge_server_%s %s\n# TYPE kedge_server_%s %s\n", name,
			    counters[row].help, name, counters[row].type);

	for (size_t i = 0; r == 0 && i < shared->socket_count; i++) {
		struct kedge_server_stats stats = { .size = sizeof(stats) };
		uint64_t value;

		kedge_server_stats(shared->sockets[i].server, &stats);
		memcpy(&value, (const char *)&stats + counters[row].offset, sizeof(value));
		r = buf_appendf(b, "kedge_server_%s{server=\"%s\"} %" PRIu64 "\n", name,
				shared->sockets[i].name, value);
	}
	return r;
}

int service_append_metrics(struct buf *b, void *userdata)
{
	const struct service_shared *shared = userdata;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(counters); i++)
		r = append_counter(b, shared, i);
	if (r == 0)
		r = buf_appendf(b,
				"# HELP kedge_uptime_seconds Since the process began to serve.\n"
				"# TYPE kedge_uptime_seconds gauge\nkedge_uptime_seconds %.3f\n",
				(double)(uv_hrtime() - shared->started_ns) / 1e9);
	return r;
}
