/*
 * kedge/version.h - which kedge this is.
 *
 * The macros say what a program was compiled against, kedge_version() what it
 * runs with. Both libraries keep their binary interface while their soname
 * stays: a program runs with every later version of the same soname.
 *
 * Threads: any. Nothing blocks.
 */
#ifndef KEDGE_VERSION_H
#define KEDGE_VERSION_H

#include "kedge/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEDGE_VERSION_MAJOR 0
#define KEDGE_VERSION_MINOR 1
#define KEDGE_VERSION_MICRO 0
#define KEDGE_VERSION       "0.1.0"

/* Was this compiled against MAJOR.MINOR.MICRO or later? For #if as well. */
#define KEDGE_VERSION_AT_LEAST(major, minor, micro)                                                \
	(KEDGE_VERSION_MAJOR > (major) ||                                                          \
	 (KEDGE_VERSION_MAJOR == (major) &&                                                        \
	  (KEDGE_VERSION_MINOR > (minor) ||                                                        \
	   (KEDGE_VERSION_MINOR == (minor) && KEDGE_VERSION_MICRO >= (micro)))))

/* The version of the library that runs, as KEDGE_VERSION is written. */
KEDGE_PUBLIC const char *kedge_version(void);

#ifdef __cplusplus
}
#endif

#endif
