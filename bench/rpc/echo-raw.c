/*
 * The limit: an echo over epoll that looks at no byte. One read, one write, no
 * allocation, no message; what is left is the kernel.
 *
 *	echo-raw PATH
 */
#include "echo.h"

static size_t echo_turn(const char *in, size_t size, const char **ret_out, size_t *ret_used)
{
	*ret_out = in;
	*ret_used = size;
	return size;
}
