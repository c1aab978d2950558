/*
 * One server of `kedge serve`: a service, its guarded socket, what the log and the
 * ledger are told.
 */
#pragma once

#include "cmd/account.h"
#include "cmd/settings.h"
#include "services/forward.h"

struct served {
	const struct service *service;
	struct server_settings settings;
	struct log *log;
	struct account *account;
	struct service_shared *shared;
	uv_loop_t *loop;
	const char *workspace;
	char *path;
	struct kedge_server *server;
	struct forward *forward; /* NULL: nothing is passed on */
	void *state;             /* of the service */
	bool stopping;           /* the service has been told */
	void (*on_stopped)(void *userdata);
	void *userdata;
};

/* Find out where its socket is. Return: 0, or a negative errno value. */
int served_find_path(struct served *s, struct kedge_error *error);

/* Listen, and start the service. On failure served_close() is still to be called. */
int served_open(struct served *s, struct kedge_error *error);

/* Let the clients finish for @grace_ms, then on_stopped. Again: shorter. */
void served_stop(struct served *s, unsigned grace_ms);

/* Undo what served_open() has done, at once; or free what has stopped. */
void served_close(struct served *s);
