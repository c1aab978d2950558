/* cache_set, cache_get, cache_delete: their members come from the params' body. */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/time.h"
#include "services/assistant/assistant.h"
#include "services/params.h"
#include "wire/compact.h"
#include "wire/json.h"

#define TTL_DEFAULT_MS (INT64_C(30) * 60 * 1000)

/* Ten years: longer ones would be mistakes in units. */
#define TTL_MAX_MS (INT64_C(3650) * 24 * 3600 * 1000)

/* 16 hex digits that nobody can guess. */
static int random_key(char *to)
{
	unsigned char bytes[8];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)sprintf(to + 2 * i, "%02x", bytes[i]);
	return 16;
}

static void reply_key(const struct kedge_call *call, struct kedge_span key)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;

	if (buf_append(&b, "{\"key\":", 7) == 0 && json_append_string(&b, key) == 0 &&
	    buf_append(&b, "}", 1) == 0)
		(void)kedge_call_reply(call, buf_span(&b));
	else
		(void)kedge_call_refuse(call, 500, "out of memory");
}

static void store(struct assistant *a, const struct kedge_call *call, struct kedge_span key,
		  struct kedge_span value, int64_t ttl_ms)
{
	_cleanup_(buf_deinit) struct buf data = BUF_INIT;
	uint64_t now_ns = uv_hrtime();
	/* It may come in a frame with line breaks, and be read as a line. */
	int r = json_append_compact(&data, value);

	if (r == 0)
		r = cache_set(&a->cache, key, buf_span(&data), now_ns,
			      now_ns + (uint64_t)ttl_ms * NSEC_PER_MSEC);
	if (r == -E2BIG)
		(void)kedge_call_refuse(call, 413, "The cache holds no more than 64 MiB");
	else if (r < 0)
		(void)kedge_call_refuse(call, 500, "out of memory");
	else
		reply_key(call, key);
}

void assistant_cache_set(const struct kedge_call *call, void *userdata)
{
	_cleanup_(freep) char *given = NULL;
	int64_t ttl_ms = TTL_DEFAULT_MS;
	char made[17] = "";
	struct params p;
	struct kedge_span value;
	size_t size = 0;

	params_init_optional(&p, call);
	params_take(&p, "body");
	value = params_member(&p, "data");
	if (p.object.size && !value.size)
		params_note(&p, "data", "invalid_type", "expected a value, received undefined");
	if (params_member(&p, "key").size)
		(void)params_string(&p, "key", PARAMS_NOT_EMPTY, &given, &size);
	(void)params_integer(&p, "ttl_ms", PARAMS_OPTIONAL, 1, TTL_MAX_MS, &ttl_ms);
	if (!params_refused(&p, call)) {
		if (given)
			store(userdata, call, (struct kedge_span){ given, size }, value, ttl_ms);
		else if (random_key(made) < 0)
			(void)kedge_call_refuse(call, 500, "no random bytes");
		else
			store(userdata, call, kedge_span(made), value, ttl_ms);
	}
	params_deinit(&p);
}

/* The key of cache_get and cache_delete. Return: false: refused. */
static bool take_key(const struct kedge_call *call, char **ret_key, size_t *ret_size)
{
	struct params p;
	bool there;

	params_init_optional(&p, call);
	params_take(&p, "body");
	(void)params_string(&p, "key", PARAMS_NOT_EMPTY, ret_key, ret_size);
	there = !params_refused(&p, call);
	params_deinit(&p);
	return there;
}

void assistant_cache_get(const struct kedge_call *call, void *userdata)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT;
	_cleanup_(freep) char *key = NULL;
	struct assistant *a = userdata;
	struct kedge_span data;
	size_t size;

	if (!take_key(call, &key, &size))
		return;
	if (!cache_get(&a->cache, (struct kedge_span){ key, size }, uv_hrtime(), &data))
		(void)kedge_call_reply(call, kedge_span("null"));
	else if (buf_append(&b, "{\"data\":", 8) == 0 &&
		 buf_append(&b, data.data, data.size) == 0 && buf_append(&b, "}", 1) == 0)
		(void)kedge_call_reply(call, buf_span(&b));
	else
		(void)kedge_call_refuse(call, 500, "out of memory");
}

void assistant_cache_delete(const struct kedge_call *call, void *userdata)
{
	_cleanup_(freep) char *key = NULL;
	struct assistant *a = userdata;
	size_t size;

	if (!take_key(call, &key, &size))
		return;
	(void)kedge_call_reply(
		call,
		kedge_span(cache_delete(&a->cache, (struct kedge_span){ key, size }, uv_hrtime())
				   ? "{\"deleted\":true}"
				   : "{\"deleted\":false}"));
}
