/* How it is: health, sockets_status, metrics. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "services/assistant/assistant.h"
#include "services/ledger.h"
#include "services/params.h"
#include "wire/json.h"

static void reply(const struct kedge_call *call, const struct buf *b, int r)
{
	if (r < 0)
		(void)kedge_call_refuse(call, 500, "out of memory");
	else
		(void)kedge_call_reply(call, (struct kedge_span){ buf_front(b), buf_size(b) });
}

/* 2026-01-02T03:04:05.678Z */
static int append_now(struct buf *b)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return buf_appendf(b, "%s.%03ldZ", text, now.tv_nsec / (long)NSEC_PER_MSEC);
}

static int append_socket(struct buf *b, const struct service_socket *s)
{
	struct kedge_path_status status = { .size = sizeof(status) };
	int r;

	(void)kedge_guard_status(kedge_server_guard(s->server), s->path, &status);
	r = buf_appendf(b, "{\"name\":\"%s\",\"path\":", s->name);
	if (r == 0)
		r = json_append_string(b, kedge_span(s->path));
	return r < 0 ? r : buf_appendf(b, ",\"state\":\"%s\"}", kedge_state_name(status.state));
}

void assistant_health(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	const struct assistant *a = userdata;
	const struct service_shared *shared = a->context.shared;
	int r = buf_appendf(&b, "{\"status\":\"healthy\",\"timestamp\":\"");

	if (r == 0)
		r = append_now(&b);
	if (r == 0)
		r = buf_appendf(&b,
				"\",\"version\":\"" KEDGE_VERSION "\",\"uptimeMs\":%" PRIu64
				",\"sockets\":[",
				(uv_hrtime() - shared->started_ns) / NSEC_PER_MSEC);
	for (size_t i = 0; r == 0 && i < shared->socket_count; i++) {
		if (i)
			r = buf_append(&b, ",", 1);
		if (r == 0)
			r = append_socket(&b, &shared->sockets[i]);
	}
	if (r == 0)
		r = buf_append(&b, "]}", 2);
	reply(call, &b, r);
}

void assistant_sockets_status(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	_cleanup_(freep) char *path = NULL;
	const struct assistant *a = userdata;
	struct params p;
	size_t size;

	params_init_optional(&p, call);
	if (json_member(p.object, "queryParams").size)
		params_take(&p, "queryParams");
	if (json_member(p.object, "path").size)
		(void)params_string(&p, "path", PARAMS_NOT_EMPTY, &path, &size);
	if (!params_refused(&p, call))
		reply(call, &b, ledger_append_status(&b, a->context.shared->ledger, path));
	params_deinit(&p);
}

static const char *truth(int value)
{
	return value ? "true" : "false";
}

void assistant_describe_path(struct buf *b, const char *path, void *userdata)
{
	const struct service_shared *shared = userdata;

	for (size_t i = 0; i < shared->socket_count; i++) {
		const struct service_socket *s = &shared->sockets[i];
		struct kedge_path_status status = { .size = sizeof(status) };

		if (strcmp(s->path, path) != 0 ||
		    kedge_guard_status(kedge_server_guard(s->server), path, &status) < 0)
			continue;
		(void)buf_appendf(b,
				  ",\"name\":\"%s\",\"generation\":%" PRIu64 ",\"relinks\":%" PRIu64
				  ",\"rebinds\":%" PRIu64 ",\"retired\":%" PRIu32
				  ",\"anchored\":%s,\"watched\":%s,\"clients\":%zu",
				  s->name, status.generation, status.relinks, status.rebinds,
				  status.retired, truth(status.anchored), truth(status.watched),
				  kedge_server_clients(s->server));
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

void assistant_metrics(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	const struct assistant *a = userdata;
	const struct service_shared *shared = a->context.shared;
	int r = ledger_append_metrics(&b, shared->ledger);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(counters); i++)
		r = append_counter(&b, shared, i);
	if (r == 0)
		r = buf_appendf(&b,
				"# HELP kedge_uptime_seconds Since the process began to serve.\n"
				"# TYPE kedge_uptime_seconds gauge\nkedge_uptime_seconds %.3f\n",
				(double)(uv_hrtime() - shared->started_ns) / 1e9);
	if (r < 0)
		(void)kedge_call_refuse(call, 500, "out of memory");
	else
		(void)kedge_server_reply_body(
			call->server, call->later,
			kedge_span("{\"content-type\":\"text/plain; version=0.0.4\"}"),
			(struct kedge_span){ buf_front(&b), buf_size(&b) });
}
