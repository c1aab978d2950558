/*
 * Peer: clients that find out who answers, and strangers that listen.
 *
 * A client sends eight bytes of its own and gets them back with the number of
 * the descriptor that took it in. So a test knows not only that somebody
 * answered but which listener did.
 */
#pragma once

#include <stdint.h>

struct fixture;

/* Connect (SOCK_STREAM) and send the greeting. Paths of any length.
 * Return: the client's end, kept by the caller, or -errno. */
int client_new(const char *path);
int client_new_of_type(const char *path, int type);

/* Take in and answer all who wait at @listener. Return: how many. */
int serve(int listener);
/* ... at each listener of the guard and each stranger that the fixture knows. */
int serve_all(struct fixture *f);

/* The listener that answered @client; -ENOMSG: nobody yet; -ECONNRESET: it was dropped. */
int answer_of(int client);

/* Connect to @path, serve, and say which listener answered.
 * Return: its descriptor, or -errno from connect(2) or answer_of(). */
int who_answers(struct fixture *f, const char *path);

/* A stranger's listener at @path, closed with the test. Return: its descriptor. */
int stranger_new(struct fixture *f, const char *path);
int stranger_of_type(struct fixture *f, const char *path, int type);
void stranger_close(struct fixture *f, int fd);

/* Leave a socket at @path that nobody listens on. */
void make_stale(const char *path);

/* A socket of @type bound to @path, not listening. Return: descriptor, or -errno. */
int bind_at(const char *path, int type);

/* Let @fd be closed by the fixture. Return: @fd. */
int keep_fd(struct fixture *f, int fd);
