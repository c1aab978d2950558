/* Methods by name, and who may call them. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>

#include "loop/server.h"
#include "rpc/answer.h"
#include "sys/peer.h"

/* A group's entry in the system's database, with all of its members: larger ones
 * than this are not looked for. */
#define GROUP_ENTRY_BYTES_MAX ((size_t)1 << 20)

static struct method_entry *find_entry(const struct kedge_server *s, uint64_t hash,
				       struct kedge_span name)
{
	struct method_entry *e = map_get(&s->methods, hash);

	while (e && !method_entry_is(e, name))
		e = e->next;
	return e;
}

const struct method_entry *method_look_up(struct kedge_server *s, struct kedge_span name)
{
	const struct method_entry *found = find_entry(s, map_hash(name.data, name.size), name);

	if (found)
		s->method_found = found;
	return found;
}

/* Return: 0; -EINVAL: the system knows no such group; -ENOMEM, -EIO, ... */
static int find_group(const char *name, gid_t *ret_gid)
{
	_cleanup_(freep) char *space = NULL;
	struct group group, *found = NULL;
	size_t size = 4096;
	int r;

	do {
		char *more = realloc(space, size);

		if (!more)
			return -ENOMEM;
		space = more;
		r = getgrnam_r(name, &group, space, size, &found);
		size *= 2;
	} while (r == ERANGE && size <= GROUP_ENTRY_BYTES_MAX);
	if (!found)
		return r == 0 || r == ENOENT || r == ESRCH ? -EINVAL : -r;
	*ret_gid = found->gr_gid;
	return 0;
}

/* The index of a method's group among those that were named before. Return: it, or -errno. */
static int note_group(struct kedge_server *s, const char *name)
{
	gid_t gid = 0;
	int r = find_group(name, &gid);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < s->method_group_count; i++)
		if (s->method_groups[i] == gid)
			return (int)i;
	if (s->method_group_count == KEDGE_METHOD_GROUPS_MAX)
		return -E2BIG;
	s->method_groups[s->method_group_count] = gid;
	return (int)s->method_group_count++;
}

static int add_method(struct kedge_server *s, const struct kedge_method *method)
{
	struct kedge_span name = kedge_span(method->name);
	uint64_t hash = map_hash(name.data, name.size);
	struct method_entry *e;
	int group = -1, r;

	if (!name.size || !method->handler)
		return -EINVAL;
	if (method->group && (group = note_group(s, method->group)) < 0)
		return group;
	e = find_entry(s, hash, name);
	if (e) {
		e->method = method;
		e->group = group;
		return 0;
	}
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	*e = (struct method_entry){ map_get(&s->methods, hash), method, name.size, group };
	r = map_put(&s->methods, hash, e);
	if (r < 0)
		free(e);
	return r;
}

int kedge_server_add_methods(struct kedge_server *server, const struct kedge_method *methods,
			     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = add_method(server, &methods[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

void methods_deinit(struct kedge_server *s)
{
	for (size_t i = 0; i < s->methods.capacity; i++)
		for (struct method_entry *e = s->methods.slots[i].value; e;) {
			struct method_entry *next = e->next;

			free(e);
			e = next;
		}
	map_deinit(&s->methods);
}

/* Who connected does not change, so each group is asked for once a connection. */
bool method_group_has(const struct method_entry *entry, struct client *c)
{
	struct peer peer = { c->peer.pid, c->peer.uid, c->peer.gid };
	uint64_t bit;

	if (c->peer.uid == 0)
		return true;
	bit = UINT64_C(1) << entry->group;
	if (!(c->groups_asked & bit)) {
		c->groups_asked |= bit;
		if (peer_in_groups(c->fd, &peer, &c->server->method_groups[entry->group], 1) == 1)
			c->groups_in |= bit;
	}
	return c->groups_in & bit;
}

/* BEFORE, the method's name, AFTER: as the text of a refusal. */
static int refuse(const struct kedge_call *call, int status, const char *code, const char *before,
		  const char *after)
{
	struct kedge_rpc_error error = { .status = status, .code = code };
	struct buf text = BUF_INIT;
	int r = buf_append(&text, before, strlen(before));

	if (r == 0)
		r = buf_append(&text, call->method.data, call->method.size);
	if (r == 0)
		r = buf_append(&text, after, strlen(after));
	error.text = r == 0 ? (struct kedge_span){ buf_front(&text), buf_size(&text) }
			    : kedge_span(before);
	r = kedge_call_fail(call, &error);
	buf_deinit(&text);
	return r;
}

int method_refuse_unknown(const struct kedge_call *call)
{
	return refuse(call, 404, "UNKNOWN_METHOD", "Unknown method: ", "");
}

int method_refuse_forbidden(const struct kedge_call *call, const struct method_entry *entry)
{
	char after[128];

	(void)snprintf(after, sizeof(after), " needs group %.100s", entry->method->group);
	return refuse(call, 403, status_code(403), "Not allowed: ", after);
}
