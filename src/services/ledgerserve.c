/* The ledger's methods on a server, and its pushes. */
#include <string.h>

#include "kedge/server.h"
#include "services/ledgerbook.h"
#include "services/params.h"
#include "services/service.h"
#include "wire/json.h"

#define PUSH_NAME "sockets_event"

/* No params at all are as good as none of them. */
static bool has_member(const struct kedge_call *call, const char *name)
{
	return kedge_call_param(call, name).size;
}

static void answer_status(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	_cleanup_(freep) char *path = NULL;
	struct params p;
	size_t size;

	params_init(&p, call);
	if (!has_member(call, "path"))
		service_reply(call, &b, ledger_append_status(&b, userdata, NULL));
	else if (params_string(&p, "path", PARAMS_NOT_EMPTY, &path, &size))
		service_reply(call, &b, ledger_append_status(&b, userdata, path));
	else
		(void)params_refused(&p, call);
	params_deinit(&p);
}

/* A whole number that is not negative. Return: whether it is one, or absent. */
static bool get_number(const struct kedge_call *call, const char *name, int64_t *ret)
{
	struct kedge_span value = kedge_call_param(call, name);
	int64_t number = 0;

	if (!value.size)
		return true;
	if (value.size > 15)
		return false;
	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] < '0' || value.data[i] > '9')
			return false;
		number = number * 10 + (value.data[i] - '0');
	}
	*ret = number;
	return true;
}

static void answer_events(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	_cleanup_(freep) char *path = NULL;
	struct ledger_choice choice = LEDGER_CHOICE_ALL;
	int64_t most = INT64_MAX;
	struct params p;
	size_t size;

	params_init(&p, call);
	if (!get_number(call, "since", &choice.since_ms))
		(void)kedge_call_refuse(call, 400,
					"Invalid params: since: expected ms since the "
					"epoch, a whole number");
	else if (!get_number(call, "most", &most))
		(void)kedge_call_refuse(call, 400, "Invalid params: most: expected a whole number");
	else if (has_member(call, "path") &&
		 !params_string(&p, "path", PARAMS_NOT_EMPTY, &path, &size))
		(void)params_refused(&p, call);
	else {
		choice.most = (size_t)most;
		choice.path = path;
		service_reply(call, &b, ledger_append_events(&b, userdata, &choice));
	}
	params_deinit(&p);
}

static void answer_metrics(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT, b = BUF_INIT;
	int r = ledger_append_metrics(&text, userdata);

	if (r == 0)
		r = json_append_string(&b, buf_span(&text));
	service_reply(call, &b, r);
}

static void push(const struct ledger_event *event, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	struct kedge_server *server = userdata;

	if (kedge_server_clients(server) == 0 || ledger_append_event(&b, event) < 0)
		return;
	(void)kedge_server_push(server, PUSH_NAME, buf_span(&b));
}

int ledger_serve(struct ledger *l, struct kedge_server *server)
{
	struct kedge_method *m = l->methods;
	int r;

	m[0] = (struct kedge_method){ "sockets_status", answer_status, l };
	m[1] = (struct kedge_method){ "sockets_events", answer_events, l };
	m[2] = (struct kedge_method){ "metrics", answer_metrics, l };
	r = kedge_server_add_methods(server, m, LEDGER_METHODS);
	if (r < 0)
		return r;
	l->pushes.fn = push;
	l->pushes.userdata = server;
	ledger_listen(l, &l->pushes);
	return 0;
}

void ledger_serve_end(struct ledger *l)
{
	ledger_unlisten(&l->pushes);
}
