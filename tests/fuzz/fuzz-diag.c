/*
 * sock_diag: whatever the kernel (or what stands in for it) sends in answer is gone
 * through in a bounded number of steps, and each socket in it is whole.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "sys/diag.h"

/* A socket's message has a header of 16 bytes and a body of as many. */
#define STEP_BYTES_MIN 16

static void check_socket(const struct diag_socket *s)
{
	FUZZ_ASSERT(s->name[s->name_size] == '\0');
	FUZZ_ASSERT(s->listening == (s->state == DIAG_STATE_LISTEN));
	FUZZ_ASSERT(s->has_path || (s->path_inode == 0 && s->path_device == 0));
	FUZZ_ASSERT(s->has_queue || (s->queued == 0 && s->backlog == 0));
	FUZZ_ASSERT(s->has_uid || s->uid == 0);
	FUZZ_ASSERT(!diag_is_abstract(s) || s->name_size);
	/* A name that is a path ends at its NUL: nothing hides behind it. */
	FUZZ_ASSERT(diag_is_abstract(s) || strlen(s->name) == s->name_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag_cursor cursor = { .data = data, .size = size };
	size_t steps = 0;
	int r;

	do {
		struct diag_socket s;
		size_t before = cursor.offset;

		memset(&s, 0xA5, sizeof(s));
		r = diag_reply_next(&cursor, &s);
		FUZZ_ASSERT(cursor.offset <= size && cursor.offset >= before);
		FUZZ_ASSERT(r <= DIAG_MORE && r >= -4095);
		FUZZ_ASSERT(r != DIAG_MORE || cursor.offset == size);
		if (r == DIAG_SOCKET) {
			FUZZ_ASSERT(cursor.offset - before >= STEP_BYTES_MIN);
			check_socket(&s);
		}
		FUZZ_ASSERT(++steps <= size / STEP_BYTES_MIN + 1);
	} while (r == DIAG_SOCKET);
	return 0;
}
