/* JSON strings: their text, compared, decoded, written. */
#include <stdint.h>
#include <string.h>

#include "wire/json.h"
#include "wire/utf8.h"

/* What stands for half a pair, which no UTF-8 can hold. */
#define CODE_REPLACEMENT 0xFFFD

/* Of a digit that was checked. */
static uint32_t hex_value(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* The code of "\uXXXX" at @p. */
static uint32_t escape_code(const char *p)
{
	uint32_t code = 0;

	for (int i = 2; i < 6; i++)
		code = code << 4 | hex_value(p[i]);
	return code;
}

/* A valid "\u" escape, or a pair of them. Return: how many bytes it takes. */
static size_t decode_unicode(const char *p, const char *end, uint32_t *ret_code)
{
	uint32_t high = escape_code(p), low;

	*ret_code = high;
	if (high < 0xD800 || high > 0xDBFF || end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return 6;
	low = escape_code(p + 6);
	if (low < 0xDC00 || low > 0xDFFF)
		return 6;
	*ret_code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
	return 12;
}

static bool is_surrogate(uint32_t code)
{
	return code >= 0xD800 && code <= 0xDFFF;
}

static char decode_simple(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

size_t json_string_decode(struct kedge_span string, char *to)
{
	const char *p = string.data + 1, *end = string.data + string.size - 1;
	char *out = to;

	while (p < end) {
		if (*p != '\\') {
			*out++ = *p++;
		} else if (p[1] != 'u') {
			*out++ = decode_simple(p[1]);
			p += 2;
		} else {
			uint32_t code;

			p += decode_unicode(p, end, &code);
			out += utf8_write(out, is_surrogate(code) ? CODE_REPLACEMENT : code);
		}
	}
	return (size_t)(out - to);
}

bool json_string_is_text(struct kedge_span string)
{
	const char *p = string.data + 1, *end = string.data + string.size - 1;

	while (p < end) {
		uint32_t code = 0;

		if (*p != '\\')
			p++;
		else if (p[1] != 'u')
			p += 2;
		else
			p += decode_unicode(p, end, &code);
		if (is_surrogate(code))
			return false;
	}
	return true;
}

/* Reads a string byte by byte, its escapes resolved, without room for the whole of it. */
struct reader {
	const char *p, *end;
	char decoded[4];
	size_t at, n;
};

#define READER_END (-1)

static struct reader read_string(struct kedge_span string)
{
	return (struct reader){ string.data + 1, string.data + string.size - 1 };
}

static int reader_next(struct reader *r)
{
	uint32_t code;

	if (r->at < r->n)
		return (unsigned char)r->decoded[r->at++];
	if (r->p == r->end)
		return READER_END;
	if (*r->p != '\\')
		return (unsigned char)*r->p++;
	if (r->p[1] != 'u') {
		r->p += 2;
		return (unsigned char)decode_simple(r->p[-1]);
	}
	r->p += decode_unicode(r->p, r->end, &code);
	r->n = utf8_write(r->decoded, code);
	r->at = 1;
	return (unsigned char)r->decoded[0];
}

static bool reader_starts(struct reader *r, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (reader_next(r) != (unsigned char)text[i])
			return false;
	return true;
}

bool json_string_says(struct kedge_span string, struct kedge_span text)
{
	struct reader r;

	if (json_kind(string) != JSON_STRING)
		return false;
	/* As a rule there are no escapes. */
	if (string.size - 2 == text.size && memcmp(string.data + 1, text.data, text.size) == 0)
		return !memchr(text.data, '\\', text.size);
	r = read_string(string);
	return string.size - 2 > text.size && reader_starts(&r, text.data, text.size) &&
	       reader_next(&r) == READER_END;
}

bool json_string_starts(struct kedge_span value, const char *ascii)
{
	struct reader r;

	if (json_kind(value) != JSON_STRING)
		return false;
	r = read_string(value);
	return reader_starts(&r, ascii, strlen(ascii));
}

bool json_scalar_equal(struct kedge_span a, struct kedge_span b)
{
	struct reader ra, rb;
	int c;

	if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0)
		return true;
	if (json_kind(a) != JSON_STRING || json_kind(b) != JSON_STRING)
		return false;
	ra = read_string(a);
	rb = read_string(b);
	do {
		c = reader_next(&ra);
		if (c != reader_next(&rb))
			return false;
	} while (c != READER_END);
	return true;
}

/* The escape of a control character, a quote or a backslash. */
static size_t write_escape(char *to, unsigned char c)
{
	static const char letters[] = "\b\f\n\r\t\"\\", codes[] = "bfnrt\"\\";
	static const char digits[] = "0123456789abcdef";
	const char *letter = c ? strchr(letters, c) : NULL;

	to[0] = '\\';
	if (letter) {
		to[1] = codes[letter - letters];
		return 2;
	}
	memcpy(to + 1, "u00", 3);
	to[4] = digits[c >> 4];
	to[5] = digits[c & 15];
	return 6;
}

static bool needs_escape(char c)
{
	return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

/* An escape takes six bytes at most. */
#define ESCAPE_BYTES_MAX 6

static int append_text(struct buf *b, const char *p, const char *end)
{
	for (;;) {
		const char *run = p;
		int r;

		while (p < end && !needs_escape(*p))
			p++;
		r = buf_append(b, run, (size_t)(p - run));
		if (r < 0 || p == end)
			return r;
		r = buf_reserve(b, ESCAPE_BYTES_MAX);
		if (r < 0)
			return r;
		b->end += write_escape(b->data + b->end, (unsigned char)*p++);
	}
}

int json_append_string(struct buf *b, struct kedge_span text)
{
	size_t before = buf_size(b);
	/* As a rule nothing needs an escape: room for six times the text would be memory
	 * that is never used. */
	int r = buf_reserve(b, text.size + 2);

	if (r == 0)
		r = buf_append(b, "\"", 1);
	if (r == 0)
		r = append_text(b, text.data, text.data + text.size);
	if (r == 0)
		r = buf_append(b, "\"", 1);
	if (r < 0)
		b->end = b->start + before;
	return r;
}
