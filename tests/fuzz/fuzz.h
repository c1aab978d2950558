/*
 * Fuzzing: each fuzz-NAME.c feeds bytes from anywhere to one piece of code and
 * asserts what must hold whatever they are. libFuzzer finds the bytes (`make
 * fuzz`); replay.c goes through the corpus and seeded mutations of it with any
 * compiler, so that `make test` has a short turn of each.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Aborts, also where assert() is compiled out: both drivers note the input. */
#define FUZZ_ASSERT(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* One input. Keeps nothing for the next one. Return: 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64: the same numbers from the same seed, here and anywhere. */
static inline uint64_t fuzz_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A copy of its own size, so that a byte read beyond its end is seen by the sanitizers. */
static inline char *fuzz_copy(const void *data, size_t size)
{
	char *copy = calloc(1, size ? size : 1);

	FUZZ_ASSERT(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}
