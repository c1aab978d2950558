/* How it is: health, sockets_status, metrics. */
#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "kedge/version.h"
#include "services/assistant/assistant.h"
#include "services/params.h"
#include "sys/clock.h"
#include "wire/json.h"

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
		r = append_utc(&b, realtime_ms());
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
	service_reply(call, &b, r);
}

void assistant_sockets_status(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	_cleanup_(freep) char *path = NULL;
	const struct assistant *a = userdata;
	struct params p;
	size_t size;

	params_init_optional(&p, call);
	if (params_member(&p, "queryParams").size)
		params_take(&p, "queryParams");
	if (params_member(&p, "path").size)
		(void)params_string(&p, "path", PARAMS_NOT_EMPTY, &path, &size);
	if (!params_refused(&p, call))
		service_reply(call, &b, ledger_append_status(&b, a->context.shared->ledger, path));
	params_deinit(&p);
}

void assistant_metrics(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	const struct assistant *a = userdata;

	if (ledger_append_metrics(&b, a->context.shared->ledger) < 0)
		(void)kedge_call_refuse(call, 500, "out of memory");
	else
		(void)kedge_server_reply_body(
			call->server, call->later,
			kedge_span("{\"content-type\":\"text/plain; version=0.0.4\"}"),
			buf_span(&b));
}
