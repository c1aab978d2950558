#include "services/params.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

/* "tools.0.name", or "params" for the whole. */
static void append_place(struct buf *b, const struct params *p, const char *name)
{
	if (!p->depth && !name)
		(void)buf_appendf(b, "params");
	for (unsigned i = 0; i < p->depth; i++) {
		if (i)
			(void)buf_append(b, ".", 1);
		if (p->steps[i].name)
			(void)buf_appendf(b, "%s", p->steps[i].name);
		else
			(void)buf_appendf(b, "%zu", p->steps[i].index);
	}
	if (name)
		(void)buf_appendf(b, "%s%s", p->depth ? "." : "", name);
}

/* ["tools",0,"name"] */
static void append_path(struct buf *b, const struct params *p, const char *name)
{
	(void)buf_append(b, "[", 1);
	for (unsigned i = 0; i < p->depth; i++) {
		if (i)
			(void)buf_append(b, ",", 1);
		if (p->steps[i].name)
			(void)json_append_string(b, kedge_span(p->steps[i].name));
		else
			(void)buf_appendf(b, "%zu", p->steps[i].index);
	}
	if (name && p->depth)
		(void)buf_append(b, ",", 1);
	if (name)
		(void)json_append_string(b, kedge_span(name));
	(void)buf_append(b, "]", 1);
}

/* Memory may run out in between: then the refusal is shorter, but one all the same. */
void params_note(struct params *p, const char *name, const char *code, const char *why)
{
	if (p->failures)
		(void)buf_append(&p->words, "; ", 2);
	append_place(&p->words, p, name);
	(void)buf_appendf(&p->words, ": %s", why);
	(void)buf_appendf(&p->details, "%s{\"path\":", p->failures ? "," : "[");
	append_path(&p->details, p, name);
	(void)buf_appendf(&p->details, ",\"code\":\"%s\",\"message\":", code);
	(void)json_append_string(&p->details, kedge_span(why));
	(void)buf_append(&p->details, "}", 1);
	p->failures++;
}

static const char *kind_name(struct kedge_span value)
{
	static const char *const names[] = {
		[JSON_ABSENT] = "undefined", [JSON_NULL] = "null",     [JSON_FALSE] = "boolean",
		[JSON_TRUE] = "boolean",     [JSON_NUMBER] = "number", [JSON_STRING] = "string",
		[JSON_ARRAY] = "array",      [JSON_OBJECT] = "object",
	};

	return names[json_kind(value)];
}

static void note_kind(struct params *p, const char *name, const char *expected,
		      struct kedge_span value)
{
	char why[64];

	(void)snprintf(why, sizeof(why), "expected %s, received %s", expected, kind_name(value));
	params_note(p, name, "invalid_type", why);
}

void params_init_value(struct params *p, struct kedge_span value)
{
	*p = (struct params){ 0 };
	if (json_kind(value) == JSON_OBJECT)
		p->object = value;
	else
		note_kind(p, NULL, "object", value);
}

void params_init(struct params *p, const struct kedge_call *call)
{
	params_init_value(p, call->params);
	p->conn = call->conn;
}

static const struct kedge_span no_params = { "{}", 2 };

static bool is_missing(struct kedge_span value)
{
	return json_kind(value) == JSON_ABSENT || json_kind(value) == JSON_NULL;
}

void params_init_optional(struct params *p, const struct kedge_call *call)
{
	params_init_value(p, is_missing(call->params) ? no_params : call->params);
	p->conn = call->conn;
}

struct kedge_span params_member(const struct params *p, const char *name)
{
	return p->conn ? kedge_conn_param(p->conn, p->object, kedge_span(name))
		       : json_member(p->object, name);
}

void params_take(struct params *p, const char *name)
{
	struct kedge_span value = params_member(p, name);

	if (!p->object.size)
		return;
	if (is_missing(value))
		value = no_params;
	if (json_kind(value) != JSON_OBJECT) {
		note_kind(p, name, "object", value);
		value = (struct kedge_span){ NULL, 0 };
	}
	p->object = value;
}

void params_deinit(struct params *p)
{
	buf_deinit(&p->words);
	buf_deinit(&p->details);
}

/* The JSON text of a string member; absent: not there, or noted. */
static struct kedge_span string_member(struct params *p, const char *name, enum params_text text)
{
	static const struct kedge_span absent = { NULL, 0 };
	struct kedge_span value = params_member(p, name);

	if (!p->object.size || (!value.size && text == PARAMS_MAY_BE_ABSENT))
		return absent;
	if (json_kind(value) != JSON_STRING) {
		note_kind(p, name, "string", value);
		return absent;
	}
	if (value.size == 2 && text == PARAMS_NOT_EMPTY) {
		params_note(p, name, "too_small",
			    "Too small: expected string to have >=1 characters");
		return absent;
	}
	return value;
}

bool params_string(struct params *p, const char *name, enum params_text text, char **ret,
		   size_t *ret_size)
{
	struct kedge_span value = string_member(p, name, text);
	_cleanup_(freep) char *decoded = value.size ? malloc(value.size) : NULL;
	size_t size;

	if (!value.size)
		return false;
	if (!decoded) {
		params_note(p, name, "custom", "out of memory");
		return false;
	}
	if (!json_string_is_text(value)) {
		params_note(p, name, "invalid_format", "half a surrogate pair is no text");
		return false;
	}
	size = json_string_decode(value, decoded);
	decoded[size] = '\0';
	*ret = steal_ptr(decoded);
	*ret_size = size;
	return true;
}

struct kedge_span params_string_json(struct params *p, const char *name, enum params_text text)
{
	return string_member(p, name, text);
}

static void note_choice(struct params *p, const char *name, const char *const *words, size_t count)
{
	struct buf why = BUF_INIT;
	int r = buf_appendf(&why, "Invalid option: expected one of ");

	for (size_t i = 0; r == 0 && i < count; i++)
		r = buf_appendf(&why, "%s\"%s\"", i ? "|" : "", words[i]);
	if (r == 0 && buf_append(&why, "", 1) == 0)
		params_note(p, name, "invalid_value", buf_front(&why));
	buf_deinit(&why);
}

int params_choice(struct params *p, const char *name, enum params_need need,
		  const char *const *words, size_t count)
{
	struct kedge_span value = params_member(p, name);

	if (!p->object.size || (!value.size && need == PARAMS_OPTIONAL))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (json_string_is(value, words[i]))
			return (int)i;
	note_choice(p, name, words, count);
	return -1;
}

struct kedge_span params_any(struct params *p, const char *name, enum params_need need)
{
	struct kedge_span value = params_member(p, name);

	if (p->object.size && !value.size && need == PARAMS_REQUIRED)
		params_note(p, name, "invalid_type", "Required");
	return value;
}

/* A member of one kind. Return: its JSON text; absent: not there, or noted. */
static struct kedge_span member_of_kind(struct params *p, const char *name, enum params_need need,
					enum json_kind kind, const char *kind_words)
{
	struct kedge_span value = params_member(p, name);

	if (!p->object.size || (!value.size && need == PARAMS_OPTIONAL))
		return (struct kedge_span){ NULL, 0 };
	if (json_kind(value) == kind)
		return value;
	note_kind(p, name, kind_words, value);
	return (struct kedge_span){ NULL, 0 };
}

struct kedge_span params_object(struct params *p, const char *name, enum params_need need)
{
	return member_of_kind(p, name, need, JSON_OBJECT, "object");
}

struct kedge_span params_list(struct params *p, const char *name)
{
	struct kedge_span list = member_of_kind(p, name, PARAMS_REQUIRED, JSON_ARRAY, "array");
	struct kedge_span first;
	const char *at = NULL;

	if (list.size && !json_next_element(list, &at, &first)) {
		params_note(p, name, "too_small", "Too small: expected array to have >=1 items");
		list.size = 0;
	}
	return list;
}

int params_boolean(struct params *p, const char *name, enum params_need need)
{
	struct kedge_span value = params_member(p, name);
	enum json_kind kind = json_kind(value);

	if (!p->object.size || (!value.size && need == PARAMS_OPTIONAL))
		return -1;
	if (kind == JSON_TRUE || kind == JSON_FALSE)
		return kind == JSON_TRUE;
	note_kind(p, name, "boolean", value);
	return -1;
}

bool params_number(struct kedge_span value, int64_t *ret)
{
	char text[24], *end;

	if (value.size >= sizeof(text))
		return false;
	memcpy(text, value.data, value.size);
	text[value.size] = '\0';
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

bool params_integer(struct params *p, const char *name, enum params_need need, int64_t low,
		    int64_t high, int64_t *ret)
{
	struct kedge_span value = params_member(p, name);
	char why[128];
	int64_t number;

	if (!p->object.size || (!value.size && need == PARAMS_OPTIONAL))
		return false;
	if (json_kind(value) != JSON_NUMBER) {
		note_kind(p, name, "number", value);
		return false;
	}
	if (!params_number(value, &number) || number < low || number > high) {
		(void)snprintf(why, sizeof(why),
			       "expected a whole number from %" PRId64 " to %" PRId64, low, high);
		params_note(p, name, "out_of_range", why);
		return false;
	}
	*ret = number;
	return true;
}

struct kedge_span params_enter(struct params *p, struct params_step step, struct kedge_span value)
{
	struct kedge_span outer = p->object;

	assert(p->depth < PARAMS_STEPS_MAX);
	p->steps[p->depth++] = step;
	p->object = (struct kedge_span){ NULL, 0 };
	if (json_kind(value) == JSON_OBJECT)
		p->object = value;
	else
		note_kind(p, NULL, "object", value);
	return outer;
}

void params_leave(struct params *p, struct kedge_span outer)
{
	p->depth--;
	p->object = outer;
}

bool params_refused(struct params *p, const struct kedge_call *call)
{
	struct buf text = BUF_INIT;
	struct kedge_rpc_error error = { .status = 400, .code = "BAD_REQUEST" };

	if (!p->failures)
		return false;
	(void)buf_append(&p->details, "]", 1);
	(void)buf_append(&text, "Invalid params: ", 16);
	(void)buf_append(&text, buf_front(&p->words), buf_size(&p->words));
	error.text = buf_span(&text);
	if (json_is_valid(buf_span(&p->details), 8))
		error.details = buf_span(&p->details);
	(void)kedge_call_fail(call, &error);
	buf_deinit(&text);
	return true;
}
