/* Directory entries: the file part of the port table. See guard/ports.h. */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "guard/ports.h"

void node_from_stat(struct node *ret, const struct stat *st);

/* Bytes of what names the present run of the machine, with its end. */
#define BOOT_ID_BYTES 37

/* What names it; "unknown" without /proc. */
void files_boot_id(char ret[static BOOT_ID_BYTES]);

/* What a lock file says. Unknown where it says something else, or was written in another run
 * of the machine than @boot. */
void files_lock_note(const char *text, const char *boot, struct lock_note *ret);

/* Fill in the part of the table that concerns files and directories; its ctx is a struct world. */
void files_ports(struct guard_ports *ports);
