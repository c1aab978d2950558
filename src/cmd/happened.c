#include "cmd/happened.h"

#include "cmd/table.h"
#include "wire/json.h"

/* " name=value", the value without quotes where it has some; nothing where there is none. */
static int append_member(struct buf *b, struct kedge_span object, const char *name)
{
	struct kedge_span value = json_member(object, name);
	_cleanup_(freep) char *text = NULL;

	if (!value.size)
		return 0;
	if (json_kind(value) != JSON_STRING)
		return buf_appendf(b, " %s=%.*s", name, (int)value.size, value.data);
	text = text_of_json(value);
	return text ? buf_appendf(b, " %s=%s", name, text) : -ENOMEM;
}

static int append_bare(struct buf *b, struct kedge_span object, const char *name, int width)
{
	_cleanup_(freep) char *text = text_of_json(json_member(object, name));

	return text ? buf_appendf(b, "%-*s", width, text) : -ENOMEM;
}

static int append_actor(struct buf *b, struct kedge_span by)
{
	static const char *const members[] = { "comm", "pid", "uid" };
	int r = by.size ? buf_append(b, " by", 3) : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = append_member(b, by, members[i]);
	return r;
}

int happened_append(struct buf *b, struct kedge_span event, enum happened_path path)
{
	static const char *const members[] = { "cause", "error", "outageNs", "detail" };
	int r = append_bare(b, event, "time", 25);

	if (r == 0)
		r = append_bare(b, event, "event", path == HAPPENED_WITH_PATH ? 14 : 13);
	if (r == 0 && path == HAPPENED_WITH_PATH)
		r = append_bare(b, event, "path", 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = append_member(b, event, members[i]);
	return r < 0 ? r : append_actor(b, json_member(event, "by"));
}
