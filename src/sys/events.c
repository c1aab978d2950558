#include "sys/events.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

/* Return: the next @size bytes, or NULL: so many are not there, and the walk is at its end. */
static const char *peek(struct event_cursor *cursor, size_t size)
{
	assert(cursor->offset <= cursor->size);
	if (cursor->size - cursor->offset >= size)
		return (const char *)cursor->data + cursor->offset;
	cursor->offset = cursor->size;
	return NULL;
}

/* Go on by @size bytes, which peek() has found to be there. What is left then is out of step
 * where that is no multiple of @alignment: it is not looked at. */
static void step(struct event_cursor *cursor, size_t size, size_t alignment)
{
	cursor->offset = size % alignment ? cursor->size : cursor->offset + size;
}

const struct inotify_event *event_next_inotify(struct event_cursor *cursor)
{
	const struct inotify_event *event = (const void *)peek(cursor, sizeof(*event));

	if (!event || !peek(cursor, sizeof(*event) + event->len) ||
	    (event->len && !memchr(event->name, '\0', event->len))) {
		cursor->offset = cursor->size;
		return NULL;
	}
	step(cursor, sizeof(*event) + event->len, _Alignof(struct inotify_event));
	return event;
}

const struct fanotify_event_metadata *event_next_fanotify(struct event_cursor *cursor)
{
	const struct fanotify_event_metadata *event = (const void *)peek(cursor, sizeof(*event));

	if (!event || event->vers != FANOTIFY_METADATA_VERSION ||
	    event->event_len < sizeof(*event) || !peek(cursor, event->event_len)) {
		cursor->offset = cursor->size;
		return NULL;
	}
	step(cursor, event->event_len, _Alignof(struct fanotify_event_metadata));
	return event;
}

bool event_file(const struct fanotify_event_metadata *event, struct event_file *ret)
{
	const struct fanotify_event_info_fid *info = (const void *)(event + 1);
	const struct file_handle *handle = (const void *)info->handle;
	size_t head = sizeof(*info) + sizeof(*handle), size = event->event_len - sizeof(*event);

	if (size < head || info->hdr.info_type != FAN_EVENT_INFO_TYPE_FID ||
	    handle->handle_bytes > size - head)
		return false;
	*ret = (struct event_file){ .fsid = &info->fsid,
				    .handle_type = handle->handle_type,
				    .handle = handle->f_handle,
				    .handle_bytes = handle->handle_bytes };
	return true;
}
