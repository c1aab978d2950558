#include "services/params.h"

#include <string.h>

#include "wire/json.h"
#include "wire/utf8.h"

static struct kedge_span span_of(const struct buf *b)
{
	return (struct kedge_span){ buf_front(b), buf_size(b) };
}

/* Memory may run out in between: then the refusal is shorter, but one all the same. */
static void note(struct params *p, const char *name, const char *code, const char *why)
{
	(void)buf_appendf(&p->words, "%s%s: %s", p->failures ? "; " : "", name ? name : "params",
			  why);
	(void)buf_appendf(&p->details, "%s{\"path\":[", p->failures ? "," : "[");
	if (name)
		(void)json_append_string(&p->details, kedge_span(name));
	(void)buf_appendf(&p->details, "],\"code\":\"%s\",\"message\":", code);
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
	note(p, name, "invalid_type", why);
}

void params_init(struct params *p, const struct kedge_call *call)
{
	*p = (struct params){ 0 };
	if (json_kind(call->params) == JSON_OBJECT)
		p->object = call->params;
	else
		note_kind(p, NULL, "object", call->params);
}

void params_deinit(struct params *p)
{
	buf_deinit(&p->words);
	buf_deinit(&p->details);
}

static bool is_utf8(const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		size_t n = (unsigned char)*text < 0x80 ? 1 : utf8_sequence(text, end);

		if (!n)
			return false;
		text += n;
	}
	return true;
}

bool params_string(struct params *p, const char *name, enum params_empty empty, char **ret,
		   size_t *ret_size)
{
	struct kedge_span value = json_member(p->object, name);
	_cleanup_(freep) char *text = NULL;

	if (!p->object.size)
		return false;
	if (json_kind(value) != JSON_STRING) {
		note_kind(p, name, "string", value);
		return false;
	}
	text = malloc(value.size);
	if (!text) {
		note(p, name, "custom", "out of memory");
		return false;
	}
	*ret_size = json_string_decode(value, text);
	text[*ret_size] = '\0';
	if (*ret_size == 0 && empty == PARAMS_NOT_EMPTY) {
		note(p, name, "too_small", "Too small: expected string to have >=1 characters");
		return false;
	}
	if (!is_utf8(text, *ret_size)) {
		note(p, name, "invalid_format", "half a surrogate pair is no text");
		return false;
	}
	*ret = steal_ptr(text);
	return true;
}

static void note_choice(struct params *p, const char *name, const char *const *words, size_t count)
{
	struct buf why = BUF_INIT;
	int r = buf_appendf(&why, "Invalid option: expected one of ");

	for (size_t i = 0; r == 0 && i < count; i++)
		r = buf_appendf(&why, "%s\"%s\"", i ? "|" : "", words[i]);
	if (r == 0 && buf_append(&why, "", 1) == 0)
		note(p, name, "invalid_value", buf_front(&why));
	buf_deinit(&why);
}

int params_choice(struct params *p, const char *name, enum params_need need,
		  const char *const *words, size_t count)
{
	struct kedge_span value = json_member(p->object, name);

	if (!p->object.size || (!value.size && need == PARAMS_OPTIONAL))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (json_string_is(value, words[i]))
			return (int)i;
	note_choice(p, name, words, count);
	return -1;
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
	error.text = span_of(&text);
	if (json_is_valid(span_of(&p->details), 8))
		error.details = span_of(&p->details);
	(void)kedge_call_fail(call, &error);
	buf_deinit(&text);
	return true;
}
