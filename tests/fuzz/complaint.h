/*
 * Complaints of the command, caught: each is one line, and one is enough.
 *
 * The linker (--wrap) sends usage_complain() here, for a target that reads what the
 * command would refuse on stderr.
 */
#pragma once

/* How many there were since complaint_forget(). */
extern unsigned complaint_count;

void complaint_forget(void);
