/*
 * The least that a server of JSON lines can do: find the newline, take the id and the value
 * from where the driver is known to put them, write the answer around them. Nothing is
 * checked, no method is looked up. What it reaches of the raw echo is what a server that does
 * look at its requests can at most come near to.
 *
 *	echo-least PATH
 */
#include "echo.h"

#define BEFORE_ID     "{\"id\":"
#define BEFORE_VALUE  ",\"method\":\"echo\",\"params\":{\"value\":"
#define AFTER_VALUE   "}}"
#define BEFORE_RESULT ",\"result\":{\"echoed\":"

#define LENGTH(text) (sizeof(text) - 1)

static char *put(char *to, const char *data, size_t size)
{
	memcpy(to, data, size);
	return to + size;
}

/* The answer to the request in [@p, @newline). Return: behind the answer. */
static char *answer(char *to, const char *p, const char *newline)
{
	const char *id = p + LENGTH(BEFORE_ID), *value, *id_end = NULL;

	if (newline - p > (ptrdiff_t)(LENGTH(BEFORE_ID BEFORE_VALUE AFTER_VALUE)))
		id_end = memchr(id + 1, '"', (size_t)(newline - id - 1));
	if (!id_end || newline - id_end < (ptrdiff_t)(LENGTH(BEFORE_VALUE AFTER_VALUE) + 1)) {
		fputs("echo-least: not the driver\n", stderr);
		exit(1);
	}
	value = id_end + 1 + LENGTH(BEFORE_VALUE);
	to = put(to, BEFORE_ID, LENGTH(BEFORE_ID));
	to = put(to, id, (size_t)(id_end + 1 - id));
	to = put(to, BEFORE_RESULT, LENGTH(BEFORE_RESULT));
	to = put(to, value, (size_t)(newline - LENGTH(AFTER_VALUE) - value));
	return put(to, AFTER_VALUE "\n", LENGTH(AFTER_VALUE "\n"));
}

static size_t echo_turn(const char *in, size_t size, const char **ret_out, size_t *ret_used)
{
	/* An answer is shorter than its request. */
	static char answers[ECHO_READ_BYTES];
	const char *p = in, *newline;
	char *to = answers;

	while ((newline = memchr(p, '\n', size - (size_t)(p - in)))) {
		to = answer(to, p, newline);
		p = newline + 1;
	}
	*ret_out = answers;
	*ret_used = (size_t)(p - in);
	return (size_t)(to - answers);
}
