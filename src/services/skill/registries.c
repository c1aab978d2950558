/* What skills have registered: tools, hooks, and meetings under way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/params.h"
#include "services/skill/skill.h"
#include "wire/compact.h"

struct session {
	struct list link; /* skill.sessions */
	uint64_t hash;
	size_t size;
	char id[];
};

/* Tools. */

static void tool_free(struct tool *t)
{
	list_unlink(&t->link);
	t->client->tool_count--;
	free(t->name);
	free(t->json);
	free(t);
}

struct tool *registries_find_tool(const struct skill *skill, const char *name, size_t size)
{
	for (struct list *it = skill->tools.prev; it != &skill->tools; it = it->prev) {
		struct tool *t = list_entry(it, struct tool, link);

		if (t->name_size == size && memcmp(t->name, name, size) == 0)
			return t;
	}
	return NULL;
}

/* @p is inside the tool. */
static void check_tool(struct params *p)
{
	static const char *const risks[] = { "low", "medium", "high" };
	static const char *const targets[] = { "sandbox", "host" };
	static const char *const modes[] = { "local", "proxy" };

	(void)params_string_json(p, "name", PARAMS_NOT_EMPTY);
	(void)params_string_json(p, "description", PARAMS_MAY_BE_EMPTY);
	(void)params_object(p, "input_schema", PARAMS_REQUIRED);
	(void)params_choice(p, "defaultRiskLevel", PARAMS_REQUIRED, risks, ARRAY_SIZE(risks));
	(void)params_string_json(p, "category", PARAMS_MAY_BE_EMPTY);
	(void)params_string_json(p, "ownerSkillId", PARAMS_NOT_EMPTY);
	(void)params_choice(p, "executionTarget", PARAMS_OPTIONAL, targets, ARRAY_SIZE(targets));
	(void)params_choice(p, "executionMode", PARAMS_OPTIONAL, modes, ARRAY_SIZE(modes));
	(void)params_boolean(p, "ownerSkillBundled", PARAMS_OPTIONAL);
	(void)params_string_json(p, "ownerSkillVersionHash", PARAMS_MAY_BE_ABSENT);
}

/* Check every tool of the list. Return: how many there are. */
static size_t check_tools(struct params *p, struct kedge_span list)
{
	struct kedge_span outermost = params_enter(p, (struct params_step){ .name = "tools" },
						   p->object);
	struct kedge_span value;
	const char *at = NULL;
	size_t count = 0;

	while (json_next_element(list, &at, &value)) {
		struct kedge_span outer = params_enter(p, (struct params_step){ .index = count },
						       value);

		if (p->object.size)
			check_tool(p);
		params_leave(p, outer);
		count++;
	}
	params_leave(p, outermost);
	return count;
}

static int make_tool(struct tool **ret, struct skill_client *client, struct kedge_span value)
{
	struct kedge_span name = json_member(value, "name");
	struct tool *t = calloc(1, sizeof(*t));
	struct buf json = BUF_INIT;

	if (!t)
		return -ENOMEM;
	list_init(&t->link);
	t->client = client;
	client->tool_count++;
	t->name = malloc(name.size);
	if (!t->name || json_append_compact(&json, value) < 0 || buf_append(&json, "", 1) < 0) {
		buf_deinit(&json);
		tool_free(t);
		return -ENOMEM;
	}
	t->name_size = json_string_decode(name, t->name);
	t->json = json.data;
	*ret = t;
	return 0;
}

/* The same name by the same client again: the new one counts. */
static void put_tool(struct skill *skill, struct tool *t)
{
	list_for_each_safe (it, &skill->tools) {
		struct tool *old = list_entry(it, struct tool, link);

		if (old->client == t->client && old->name_size == t->name_size &&
		    memcmp(old->name, t->name, t->name_size) == 0)
			tool_free(old);
	}
	list_append(&skill->tools, &t->link);
}

/* All of the list, or, where memory ends, none. */
static int register_tools(struct skill *skill, struct skill_client *client, struct kedge_span list,
			  struct buf *reply)
{
	struct list made = LIST_INIT(made);
	struct kedge_span value;
	const char *at = NULL;
	struct list *it;
	int r = buf_append(reply, "{\"registered\":[", 15);

	while (r == 0 && json_next_element(list, &at, &value)) {
		struct tool *t;

		if (!list_empty(&made))
			r = buf_append(reply, ",", 1);
		if (r == 0)
			r = json_append_compact(reply, json_member(value, "name"));
		if (r == 0)
			r = make_tool(&t, client, value);
		if (r == 0)
			list_append(&made, &t->link);
	}
	if (r == 0)
		r = buf_append(reply, "]}", 2);
	while ((it = list_first(&made))) {
		struct tool *t = list_entry(it, struct tool, link);

		list_unlink(it);
		if (r == 0)
			put_tool(skill, t);
		else
			tool_free(t);
	}
	return r;
}

void registries_tools(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	struct skill_client *client = skill_caller(skill, call);
	struct buf reply = BUF_INIT;
	struct kedge_span list;
	struct params params;
	size_t count = 0;

	if (!client)
		return;
	params_init(&params, call);
	list = params_list(&params, "tools");
	if (list.size)
		count = check_tools(&params, list);
	if (params_refused(&params, call))
		;
	else if (client->tool_count + count > TOOLS_MAX)
		(void)kedge_call_refuse(call, 429, "Too many tools on this connection");
	else
		skill_reply(call, &reply, register_tools(skill, client, list, &reply));
	params_deinit(&params);
}

/* Hooks. */

static void hook_free(struct skill_client *client, struct hook *h)
{
	list_unlink(&h->link);
	client->hook_count--;
	free(h->name);
	free(h);
}

static int add_hook(struct skill_client *client, struct kedge_span name, struct buf *reply)
{
	struct hook *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	list_init(&h->link);
	client->hook_count++;
	h->name = skill_keep(name);
	r = h->name ? buf_append(reply, "{\"name\":", 8) : -ENOMEM;
	if (r == 0)
		r = json_append_compact(reply, name);
	if (r == 0)
		r = buf_append(reply, "}", 1);
	if (r < 0)
		hook_free(client, h);
	else
		list_append(&client->hooks, &h->link);
	return r;
}

void registries_hook(const struct kedge_call *call, void *userdata)
{
	const struct skill *skill = userdata;
	struct skill_client *client = skill_caller(skill, call);
	struct buf reply = BUF_INIT;
	struct kedge_span name;
	struct params params;

	if (!client)
		return;
	params_init(&params, call);
	name = params_string_json(&params, "name", PARAMS_NOT_EMPTY);
	if (params_refused(&params, call))
		;
	else if (client->hook_count >= HOOKS_MAX)
		(void)kedge_call_refuse(call, 429, "Too many shutdown hooks on this connection");
	else
		skill_reply(call, &reply, add_hook(client, name, &reply));
	params_deinit(&params);
}

/* Meetings: a set, of whoever reports them. */

static struct session *find_session(const struct skill *skill, const char *id, size_t size)
{
	uint64_t hash = map_hash(id, size);

	list_for_each (it, &skill->sessions) {
		struct session *s = list_entry(it, struct session, link);

		if (s->hash == hash && s->size == size && memcmp(s->id, id, size) == 0)
			return s;
	}
	return NULL;
}

static void session_free(struct skill *skill, struct session *s)
{
	list_unlink(&s->link);
	skill->session_count--;
	free(s);
}

static int add_session(struct skill *skill, const char *id, size_t size)
{
	struct session *s;

	if (find_session(skill, id, size))
		return 0;
	if (skill->session_count >= SESSIONS_MAX)
		return -EBUSY;
	s = malloc(sizeof(*s) + size);
	if (!s)
		return -ENOMEM;
	*s = (struct session){ .hash = map_hash(id, size), .size = size };
	memcpy(s->id, id, size);
	list_init(&s->link);
	list_append(&skill->sessions, &s->link);
	skill->session_count++;
	return 0;
}

enum session_change { SESSION_STARTED = 0, SESSION_ENDED };

static void change_session(const struct kedge_call *call, struct skill *skill,
			   enum session_change change)
{
	_cleanup_(freep) char *id = NULL;
	struct params params;
	char text[48];
	size_t size;
	int r = 0;

	params_init(&params, call);
	(void)params_string(&params, "meetingId", PARAMS_NOT_EMPTY, &id, &size);
	if (!params_refused(&params, call)) {
		struct session *s = find_session(skill, id, size);

		if (change == SESSION_STARTED)
			r = add_session(skill, id, size);
		else if (s)
			session_free(skill, s);
		(void)snprintf(text, sizeof(text), "{\"activeCount\":%zu}", skill->session_count);
		if (r < 0)
			(void)kedge_call_refuse(call, r == -EBUSY ? 429 : 500,
						r == -EBUSY ? "Too many sessions"
							    : "out of memory");
		else
			(void)kedge_call_reply(call, kedge_span(text));
	}
	params_deinit(&params);
}

void registries_session_started(const struct kedge_call *call, void *userdata)
{
	change_session(call, userdata, SESSION_STARTED);
}

void registries_session_ended(const struct kedge_call *call, void *userdata)
{
	change_session(call, userdata, SESSION_ENDED);
}

/* The end of a connection, and of all. */

void registries_forget(struct skill *skill, struct skill_client *client)
{
	list_for_each_safe (it, &skill->tools)
		if (list_entry(it, struct tool, link)->client == client)
			tool_free(list_entry(it, struct tool, link));
	list_for_each_safe (it, &client->hooks)
		hook_free(client, list_entry(it, struct hook, link));
}

void registries_deinit(struct skill *skill)
{
	list_for_each_safe (it, &skill->sessions)
		session_free(skill, list_entry(it, struct session, link));
}
