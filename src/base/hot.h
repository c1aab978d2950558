/*
 * Functions that most requests go through, and that are smaller than a call of them.
 */
#pragma once

/*
 * Optimisers that see many callers would make a function of one again. Without optimisation it
 * is one, so that coverage counts its branches once and not once a caller.
 */
#ifdef __OPTIMIZE__
#define HOT_INLINE static inline __attribute__((always_inline))
#else
#define HOT_INLINE static inline
#endif
