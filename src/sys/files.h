/* Directory entries: the file part of the port table. See guard/ports.h. */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "guard/ports.h"

void node_from_stat(struct node *ret, const struct stat *st);

/* What a lock file says. Unknown where it says something else. */
void files_lock_note(const char *text, struct lock_note *ret);

/* Fill in the part of the table that concerns files and directories. */
void files_ports(struct guard_ports *ports);
