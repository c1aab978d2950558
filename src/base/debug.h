/*
 * Checks of a contract that cost as much as the work they guard: whether text that
 * a caller promised to be JSON is. On in every build but release: see meson.build.
 */
#pragma once

#include <assert.h>

#ifdef KEDGE_DEBUG_CHECKS
#define debug_assert(condition) assert(condition)
#else
#define debug_assert(condition) ((void)(0 && (condition)))
#endif
