/*
 * Whereabouts: which path a socket was meant to have, and what stands there.
 */
#pragma once

#include "cmd/survey.h"

/* A name that @inode has in an open directory; found by a walk through it. */
struct found_name {
	char text[NAME_MAX + 1];
};

/**
 * name_of_inode() - look for a name of a socket's inode
 * @dir: path of a directory
 * @s:   the socket; its device and inode count
 *
 * Return: 1: found; 0: it has none there; -errno as from opendir(3).
 */
int name_of_inode(const char *dir, const struct diag_socket *s, struct found_name *ret);

/**
 * whereabouts() - fill in @path, @state, @error, @foreign_root of a socket
 * @item: its @socket and @owner are filled in
 *
 * Return: 0 or -ENOMEM.
 */
int whereabouts(struct surveyed *item);
