/*
 * Control sockets: how one kedge asks another that runs on this machine.
 *
 * Each kedge that guards, serves or runs listens at RUNTIME/PID.sock, where RUNTIME is
 * /run/kedge for root and $XDG_RUNTIME_DIR/kedge for anybody else, mode 0700.
 * It answers lines of JSON: see services/ledger.h for the methods.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "kedge/server.h"

/* The path of a process's control socket. Return: 0; -ENOENT: there is no runtime directory. */
int control_path(pid_t pid, char ret[PATH_MAX]);

/* Listen there. Return: the server; NULL: not to be had, @error says why (-EOPNOTSUPP: this
 * user has no runtime directory). */
struct kedge_server *control_open(uv_loop_t *loop, struct kedge_error *error);

/* The kedges that have a control socket, in no order. */
struct control_peers {
	pid_t *pids;
	size_t count;
};

int control_peers_find(struct control_peers *ret);
void control_peers_deinit(struct control_peers *peers);

/* Say that nobody is there to be asked, and what would help. */
void control_complain_alone(void);

/* Connect to one. Return: the descriptor; -ECONNREFUSED: it is gone, its socket is left. */
int control_connect(pid_t pid);

/**
 * control_ask() - send a request, wait for its answer
 * @params: JSON text, or NULL
 * @ret:    the result, JSON text
 *
 * Pushes that come in between are dropped. Return: 0; -EBADMSG: it refused; -ETIMEDOUT;
 * -ECONNRESET; else as from the system.
 */
int control_ask(int fd, const char *method, const char *params, struct buf *ret);

/* Read the next line into @line (without its end). Return: 0; -ECONNRESET. */
int control_read_line(int fd, struct buf *input, struct buf *line, int timeout_ms);
