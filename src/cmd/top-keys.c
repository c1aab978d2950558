#include "cmd/top-keys.h"

#include <string.h>

#include "base/cleanup.h"

static const struct {
	const char *bytes;
	int key;
} keys[] = {
	{ "\033[A", TOP_KEY_UP },       { "\033OA", TOP_KEY_UP },
	{ "\033[B", TOP_KEY_DOWN },     { "\033OB", TOP_KEY_DOWN },
	{ "\033[C", TOP_KEY_RIGHT },    { "\033OC", TOP_KEY_RIGHT },
	{ "\033[D", TOP_KEY_LEFT },     { "\033OD", TOP_KEY_LEFT },
	{ "\033[5~", TOP_KEY_PAGE_UP }, { "\033[6~", TOP_KEY_PAGE_DOWN },
	{ "\033[H", TOP_KEY_HOME },     { "\033OH", TOP_KEY_HOME },
	{ "\033[1~", TOP_KEY_HOME },    { "\033[7~", TOP_KEY_HOME },
	{ "\033[F", TOP_KEY_END },      { "\033OF", TOP_KEY_END },
	{ "\033[4~", TOP_KEY_END },     { "\033[8~", TOP_KEY_END },
	{ "\033OM", TOP_KEY_ENTER },    { "\r", TOP_KEY_ENTER },
	{ "\n", TOP_KEY_ENTER },        { "\b", TOP_KEY_BACKSPACE },
	{ "\177", TOP_KEY_BACKSPACE },
};

/* The bytes of a sequence: CSI takes parameters up to its final byte, SS3 one byte, and any
 * other escape is the key of that name. Return: 0: it is not complete. */
static size_t sequence_size(const char *data, size_t size)
{
	size_t n = 2;

	if (data[0] != '\033')
		return 1;
	if (size < 2)
		return 0;
	if (data[1] == 'O')
		return size < 3 ? 0 : 3;
	if (data[1] != '[')
		return 1;
	while (n < size && (unsigned char)data[n] >= 0x20 && (unsigned char)data[n] < 0x40)
		n++;
	return n < size ? n + 1 : 0;
}

size_t top_keys_next(const char *data, size_t size, enum top_keys_end end, int *ret_key)
{
	size_t n = sequence_size(data, size);

	*ret_key = TOP_KEY_NONE;
	if (n == 0) {
		if (end == TOP_KEYS_GO_ON)
			return 0;
		*ret_key = size == 1 ? TOP_KEY_ESCAPE : TOP_KEY_NONE;
		return size;
	}
	if (n == 1 && data[0] >= ' ' && data[0] < 0x7f)
		*ret_key = (unsigned char)data[0];
	if (n == 1 && data[0] == '\033')
		*ret_key = TOP_KEY_ESCAPE;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].bytes) == n && memcmp(keys[i].bytes, data, n) == 0)
			*ret_key = keys[i].key;
	return n;
}
