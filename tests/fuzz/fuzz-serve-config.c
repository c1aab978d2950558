/*
 * The servers' configuration: any text is either taken, or refused by one line that names
 * the file. What was taken is within its bounds, for each server.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <stdbool.h>

#include "cmd/settings.h"
#include "kedge/error.h"
#include "kedge/guard.h"

static bool is_within(int64_t value, int64_t low, int64_t high)
{
	return value == 0 || (value >= low && value <= high);
}

static void check_server(const struct server_settings *s)
{
	FUZZ_ASSERT(!s->socket || s->socket[0]);
	FUZZ_ASSERT(!s->anchor_dir || s->anchor_dir[0] == '/');
	FUZZ_ASSERT(s->interval_ms == KEDGE_INTERVAL_NONE ||
		    is_within(s->interval_ms, 1, KEDGE_INTERVAL_MAX_MS));
	FUZZ_ASSERT(is_within(s->mode, 1, 0777));
	FUZZ_ASSERT(s->users.count <= ALLOW_MAX && s->groups.count <= ALLOW_MAX);
	FUZZ_ASSERT(s->forward.count <= FORWARD_MAX);
	for (size_t i = 0; i < s->forward.count; i++)
		FUZZ_ASSERT(*s->forward.rules[i].prefix && *s->forward.rules[i].socket &&
			    !strchr(s->forward.rules[i].prefix, '='));
	FUZZ_ASSERT(is_within(s->clients_max, 1, 1000000));
	FUZZ_ASSERT(is_within(s->message_bytes_max, 64, 0x7affffff));
	FUZZ_ASSERT(is_within(s->depth_max, 1, 1024));
	FUZZ_ASSERT(is_within(s->in_flight_max, 1, 1000000));
}

static void check(const struct settings *s)
{
	struct server_settings one;

	check_server(&s->general);
	for (size_t i = 0; i < service_count; i++) {
		check_server(&s->servers[i]);
		settings_of(s, services[i], &one);
		check_server(&one);
	}
	FUZZ_ASSERT(!s->metrics_file || s->metrics_file[0] == '/');
	FUZZ_ASSERT(!s->workspace || s->workspace[0]);
	FUZZ_ASSERT(s->grace_ms >= 0 && s->answer_ms >= 0);
	FUZZ_ASSERT((unsigned)s->log.format < 2 && (unsigned)s->log.level < 4);
	FUZZ_ASSERT(!s->log.path || s->log.path[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kedge_error error = KEDGE_ERROR_INIT;
	struct settings settings = { 0 };
	char *text = malloc(size + 1);
	int r;

	FUZZ_ASSERT(text);
	memcpy(text, data, size);
	text[size] = '\0';
	r = config_parse("FILE", text, size, settings_take_item, &settings, &error);
	FUZZ_ASSERT(r == 0 || r == -EINVAL);
	if (r < 0)
		FUZZ_ASSERT(error.code == r && strncmp(error.text, "FILE:", 5) == 0 &&
			    !strchr(error.text, '\n'));
	check(&settings);
	settings_deinit(&settings);
	free(text);
	return 0;
}
