#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "story.h"

#define ARENA_BYTES (32u << 20)
#define ARENA_ALIGN 16u

struct block {
	size_t size;
	struct holder *owner; /* NULL: nobody's, or freed */
};

_Static_assert(sizeof(struct block) == ARENA_ALIGN, "what follows must be aligned");

/* What stands behind a block, and must stay as it is. */
static const unsigned char fence[] = "\xFA\xCE\xFA\xCE\xFA\xCE\xFA";

static size_t whole_size(size_t size)
{
	return sizeof(struct block) +
	       (size + sizeof(fence) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static unsigned char *fence_of(struct block *b)
{
	return (unsigned char *)(b + 1) + b->size;
}

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

/* Of new memory so much is overwritten: headers and structs, not all of each body. */
#define FILLED_BYTES 2048u

/* Blocks from this size on are used again: bodies would fill the arena else. */
#define REUSED_BYTES  8192u
#define REUSED_BLOCKS 64u

static struct {
	struct block *blocks[REUSED_BLOCKS]; /* freed, oldest first */
	unsigned count;
} freed;

void arena_reset(void)
{
	arena.used = 0;
	freed.count = 0;
}

void arena_forget(struct holder *holder)
{
	*holder = (struct holder){ 0 };
}

/* The oldest freed block of this size, or NULL. */
static struct block *reuse(size_t whole)
{
	for (unsigned i = 0; i < freed.count; i++) {
		struct block *b = freed.blocks[i];

		if (whole_size(b->size) != whole)
			continue;
		freed.count--;
		memmove(&freed.blocks[i], &freed.blocks[i + 1],
			(freed.count - i) * sizeof(freed.blocks[0]));
		return b;
	}
	return NULL;
}

static struct block *take(size_t whole)
{
	struct block *b = whole >= REUSED_BYTES ? reuse(whole) : NULL;

	if (b)
		return b;
	if (arena.used + whole > ARENA_BYTES) {
		arena_is_exhausted();
		return NULL;
	}
	b = (void *)(arena.bytes + arena.used);
	arena.used += whole;
	return b;
}

void *__wrap_malloc(size_t size)
{
	struct holder *user = arena_user();
	struct block *b = arena_refuses() ? NULL : take(whole_size(size));

	if (!b)
		return NULL;
	*b = (struct block){ size, user };
	/* What was never written is the same in each history. */
	memset(b + 1, 0xcd, size < FILLED_BYTES ? size : FILLED_BYTES);
	memcpy(fence_of(b), fence, sizeof(fence));
	if (user) {
		user->allocations++;
		user->bytes += size;
	}
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
	if (!b->owner && !arena_user())
		return;
	if (!b->owner)
		sim_fail("memory is freed twice");
	if (memcmp(fence_of(b), fence, sizeof(fence)) != 0)
		sim_fail("memory is written beyond its end");
	b->owner->allocations--;
	b->owner->bytes -= b->size;
	b->owner = NULL;
	memset(memory, 0xdb, b->size);
	if (whole_size(b->size) >= REUSED_BYTES && freed.count < REUSED_BLOCKS)
		freed.blocks[freed.count++] = b;
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
