/*
 * Events of inotify (first byte even) and fanotify (odd): whatever a read brings, each
 * event that is told lies within its bytes, and the walk comes to an end.
 */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "sys/events.h"

/* Each byte is read, so that the sanitizers see one that is not there. */
static unsigned touch(const void *data, size_t size)
{
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += ((const unsigned char *)data)[i];
	return sum;
}

static void walk_inotify(struct event_cursor *cursor)
{
	const struct inotify_event *event;

	for (size_t before = 0; (event = event_next_inotify(cursor)); before = cursor->offset) {
		FUZZ_ASSERT(cursor->offset >= before + sizeof(*event));
		FUZZ_ASSERT(cursor->offset <= cursor->size);
		FUZZ_ASSERT(event->len == 0 || strlen(event->name) < event->len);
		(void)touch(event, sizeof(*event) + event->len);
	}
}

static void walk_fanotify(struct event_cursor *cursor)
{
	const struct fanotify_event_metadata *event;
	struct event_file file;

	for (size_t before = 0; (event = event_next_fanotify(cursor)); before = cursor->offset) {
		FUZZ_ASSERT(cursor->offset >= before + sizeof(*event));
		FUZZ_ASSERT(cursor->offset <= cursor->size);
		(void)touch(event, event->event_len);
		if (!event_file(event, &file))
			continue;
		FUZZ_ASSERT(file.handle_bytes < event->event_len);
		(void)touch(file.fsid, 8);
		(void)touch(file.handle, file.handle_bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_cursor cursor = { 0 };
	char *bytes;

	if (size == 0)
		return 0;
	/* Aligned as a buffer for events is. */
	bytes = fuzz_copy(data + 1, size - 1);
	cursor.data = bytes;
	cursor.size = size - 1;
	if (data[0] % 2)
		walk_fanotify(&cursor);
	else
		walk_inotify(&cursor);
	FUZZ_ASSERT(cursor.offset == cursor.size);
	free(bytes);
	return 0;
}
