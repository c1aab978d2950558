/* Listeners and probes: the socket part of the port table. See guard/ports.h. */
#pragma once

#include "guard/ports.h"

void sockets_ports(struct guard_ports *ports);

/**
 * sockets_probe() - does anybody listen on dir/name?
 * @type: enum kedge_socket_type of the one who asks
 *
 * A connection that is closed at once, and where it is refused a look at who is
 * bound there: a daemon between bind and listen refuses as well.
 *
 * Return: an enum probe_result.
 */
int sockets_probe(int dir, const char *name, int type);
