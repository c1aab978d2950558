/*
 * Memory of the guards: taken from one block, given back all at once, so that a
 * process can be dropped at any moment. Each free() overwrites what it frees.
 *
 * The linker sends the guard's calls here (--wrap).
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define ARENA_BYTES (32u << 20)
#define ARENA_ALIGN 16u

struct block {
	size_t size;
	struct guard_process *owner; /* NULL: freed */
};

_Static_assert(sizeof(struct block) == ARENA_ALIGN, "what follows must be aligned");

static struct {
	_Alignas(16) unsigned char bytes[ARENA_BYTES];
	size_t used;
} arena;

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void arena_reset(void)
{
	arena.used = 0;
}

void arena_forget(struct guard_process *g)
{
	g->allocations = 0;
}

static bool fails(void)
{
	if (sim.calm || !sim.running || !sim.alloc_gap || --sim.alloc_gap > 0)
		return false;
	if (sim.faults_left) {
		sim.faults_left--;
		sim.alloc_gap = choose_gap(200);
	}
	sim.running->tainted = true;
	sim.disturbances++;
	trace("  no memory");
	return true;
}

void *__wrap_malloc(size_t size)
{
	size_t whole = sizeof(struct block) + (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	struct block *b = (void *)(arena.bytes + arena.used);

	if (fails())
		return NULL;
	if (arena.used + whole > ARENA_BYTES) {
		kernel.exhausted = "memory";
		return NULL;
	}
	arena.used += whole;
	*b = (struct block){ size, sim.running };
	if (sim.running)
		sim.running->allocations++;
	return b + 1;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *memory = __wrap_malloc(count * size);

	return memory ? memset(memory, 0, count * size) : NULL;
}

void __wrap_free(void *memory)
{
	struct block *b;

	if (!memory)
		return;
	b = (struct block *)memory - 1;
	/* No guard's: what a profiler's runtime, linked with us, takes while the program ends. */
	if (!b->owner && !sim.running)
		return;
	if (!b->owner)
		sim_fail("memory is freed twice");
	b->owner->allocations--;
	b->owner = NULL;
	memset(memory, 0xdb, b->size);
}

void *__wrap_realloc(void *old, size_t size)
{
	void *memory = __wrap_malloc(size);

	if (!memory || !old)
		return memory;
	memcpy(memory, old,
	       ((struct block *)old - 1)->size < size ? ((struct block *)old - 1)->size : size);
	__wrap_free(old);
	return memory;
}

char *__wrap_strndup(const char *text, size_t size)
{
	size_t n = strnlen(text, size);
	char *copy = __wrap_malloc(n + 1);

	if (copy) {
		memcpy(copy, text, n);
		copy[n] = '\0';
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}
