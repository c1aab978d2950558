/* Routes: which skill takes a request for a URL. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/params.h"
#include "services/skill/pattern.h"
#include "services/skill/skill.h"
#include "wire/compact.h"

static void route_free(struct route *r)
{
	list_unlink(&r->link);
	r->client->route_count--;
	pattern_free(r->pattern);
	free(r->source);
	free(r->methods);
	free(r);
}

static bool takes_method(const struct route *route, const char *method)
{
	struct kedge_span value;
	const char *at = NULL;

	while (json_next_element(kedge_span(route->methods), &at, &value))
		if (value.size - 2 == strlen(method) &&
		    strncasecmp(value.data + 1, method, value.size - 2) == 0)
			return true;
	return false;
}

/* The path of a URL: without scheme, host, query and fragment. */
static struct kedge_span url_path(const char *url)
{
	const char *host = strstr(url, "://");
	const char *begin = host ? host + 3 + strcspn(host + 3, "/?#") : url;

	return (struct kedge_span){ begin, strcspn(begin, "?#") };
}

static bool matches(const struct route *route, const char *method, const char *url)
{
	struct kedge_span path = url_path(url);

	return takes_method(route, method) &&
	       (pattern_matches(route->pattern, path.data, path.size) ||
		pattern_matches(route->pattern, url, strlen(url)));
}

/* Of several patterns the first counts, and of the connections with that pattern the one
 * that registered it last. */
struct route *routes_find(const struct skill *skill, const char *method, const char *url)
{
	struct route *found = NULL;

	list_for_each (it, &skill->routes) {
		struct route *r = list_entry(it, struct route, link);

		if ((!found || strcmp(r->source, found->source) == 0) && matches(r, method, url))
			found = r;
	}
	return found;
}

static void check_methods(struct params *p, struct kedge_span list)
{
	struct kedge_span value;
	const char *at = NULL;

	while (json_next_element(list, &at, &value))
		if (json_kind(value) != JSON_STRING || value.size == 2) {
			params_note(p, "methods", "invalid_type",
				    "expected a list of strings that are not empty");
			return;
		}
}

/* Compile what the params say. Return: NULL: noted. */
static struct pattern *read_pattern(struct params *p)
{
	_cleanup_(freep) char *source = NULL;
	_cleanup_(freep) char *flags = NULL;
	struct pattern *pattern = NULL;
	char why[PATTERN_WHY_MAX];
	size_t size, flags_size;

	if (!params_string(p, "patternSource", PARAMS_MAY_BE_EMPTY, &source, &size))
		return NULL;
	(void)params_string(p, "patternFlags", PARAMS_MAY_BE_ABSENT, &flags, &flags_size);
	if (pattern_new(&pattern, source, size, flags ? flags : "", why) < 0)
		params_note(p, "patternSource", "custom", why);
	return pattern;
}

/* @pattern is consumed. */
static int add_route(struct skill *skill, struct skill_client *client, struct pattern *pattern,
		     struct kedge_span source, struct kedge_span methods, struct buf *reply)
{
	struct route *r = calloc(1, sizeof(*r));
	int error;

	if (!r) {
		pattern_free(pattern);
		return -ENOMEM;
	}
	*r = (struct route){ .client = client,
			     .pattern = pattern,
			     .source = skill_keep(source),
			     .methods = skill_keep(methods) };
	list_init(&r->link);
	client->route_count++;
	error = r->source && r->methods ? buf_append(reply, "{\"patternSource\":", 17) : -ENOMEM;
	if (error == 0)
		error = json_append_compact(reply, source);
	if (error == 0)
		error = buf_append(reply, ",\"methods\":", 11);
	if (error == 0)
		error = json_append_compact(reply, methods);
	if (error == 0)
		error = buf_append(reply, "}", 1);
	if (error < 0)
		route_free(r);
	else
		list_append(&skill->routes, &r->link);
	return error;
}

void routes_register(const struct kedge_call *call, void *userdata)
{
	struct skill *skill = userdata;
	struct skill_client *client = skill_caller(skill, call);
	struct buf reply = BUF_INIT;
	struct pattern *pattern;
	struct kedge_span methods;
	struct params params;

	if (!client)
		return;
	params_init(&params, call);
	pattern = read_pattern(&params);
	methods = params_list(&params, "methods");
	if (methods.size)
		check_methods(&params, methods);
	(void)params_string_json(&params, "skillId", PARAMS_MAY_BE_ABSENT);
	if (params_refused(&params, call)) {
		pattern_free(pattern);
	} else if (client->route_count >= ROUTES_MAX) {
		pattern_free(pattern);
		(void)kedge_call_refuse(call, 429, "Too many routes on this connection");
	} else {
		skill_reply(call, &reply,
			    add_route(skill, client, pattern,
				      params_member(&params, "patternSource"), methods, &reply));
	}
	params_deinit(&params);
}

void routes_forget(struct skill *skill, const struct skill_client *client)
{
	list_for_each_safe (it, &skill->routes)
		if (list_entry(it, struct route, link)->client == client)
			route_free(list_entry(it, struct route, link));
}
