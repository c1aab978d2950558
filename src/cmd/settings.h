/*
 * Settings of `kedge serve`: from the command line and from a file, for all
 * servers and for each.
 *
 * A setting has one name everywhere: `--mode` for all servers, `--gateway-mode`
 * for one; `mode` above the first section of a file (or in [general]), `mode`
 * in its section [gateway]. The command line stands above the file, and what is
 * said for one server above what is said for all.
 */
#pragma once

#include "cmd/config.h"
#include "cmd/log.h"
#include "kedge/conn.h"
#include "services/service.h"

/* --allow-user and --allow-group, each. */
#define ALLOW_MAX 64

/* --forward, for one server. */
#define FORWARD_MAX 16

struct id_list {
	uint32_t ids[ALLOW_MAX];
	size_t count;
};

struct forward_rule {
	const char *prefix; /* of the methods that are passed on */
	const char *socket; /* path, or name of an endpoint */
};

struct forward_list {
	struct forward_rule rules[FORWARD_MAX];
	size_t count;
};

/* Of one server, or of all. Numbers are 0 where nothing was said. */
struct server_settings {
	const char *socket;
	const char *anchor_dir;
	int64_t interval_ms; /* KEDGE_INTERVAL_NONE: none */
	int64_t mode;
	struct id_list users, groups;
	struct forward_list forward;
	int64_t clients_max;
	int64_t message_bytes_max;
	int64_t depth_max;
	int64_t in_flight_max;
	int64_t output_bytes_high;
	int64_t output_bytes_max;
	int64_t first_byte_ms;
	int64_t idle_ms;
	int64_t stalled_ms;
	uint32_t given;   /* a bit for each row of the table of settings */
	uint32_t by_flag; /* ... that the command line has set: the file has no say */
};

struct settings {
	const char *config_file;
	const char *workspace;
	struct log log;
	const char *metrics_file;
	int64_t grace_ms;
	int64_t answer_ms; /* of a skill that was asked */
	enum settings_mode {
		SETTINGS_SERVE = 0,
		SETTINGS_CHECK, /* --check-config: say whether it is right, and end */
	} mode;
	uint32_t given, by_flag; /* of the settings that concern all of the process */
	struct server_settings general, servers[SERVICES_MAX]; /* by index in services[] */
	const struct service *chosen[SERVICES_MAX];            /* to be served */
	size_t chosen_count;
	char **texts; /* that the file's values are kept in */
	size_t text_count;
};

/* Read the command line, and the file that it names. Return: 0, or -EINVAL and such. */
int settings_read(struct settings *settings, int argc, char **argv, struct kedge_error *error);

/* A line of the file: a config_item_fn; @userdata is the settings. */
int settings_take_item(const struct config_item *item, void *userdata, struct kedge_error *error);

void settings_deinit(struct settings *settings);

/* What holds for one server. */
void settings_of(const struct settings *settings, const struct service *service,
		 struct server_settings *ret);

/* "gateway, assistant": into a text of @size bytes. */
void settings_list_services(char *text, size_t size);
