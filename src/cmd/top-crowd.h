/*
 * Clients of sockets that kedge does not serve itself: counted by the kernel.
 */
#pragma once

#include "cmd/top-model.h"

/**
 * top_crowd_count() - fill in the clients that no kedge told of
 *
 * An accepted connection carries its listener's inode (sock_diag(7)). Whose listener is not seen,
 * because it is lost, is of another network namespace or takes datagrams, stays unknown. Without
 * sock_diag all do. Costs a look at each path, and one at all Unix sockets.
 */
void top_crowd_count(struct top_model *m);
